//! Shape rules of recurrent layers.

use crate::{graph::int_attribute, proto::NodeProto, shape::Shape};

/// A recurrent layer with input `[steps, n, in]`, or `[n, steps, in]` if `layout` is 1, and recurrent weights
/// `[directions, gates · units, units]`.
pub(super) struct RecurrentLayer {
    steps: u64,
    batch: u64,
    directions: u64,
    units: u64,
    batch_first: bool,
}

impl RecurrentLayer {
    pub(super) fn new(node: &NodeProto, x: &[u64], recurrent: &[u64]) -> Option<Self> {
        let (&[first, second, _], &[directions, _, units]) = (x, recurrent) else { return None };
        let batch_first = int_attribute(node, "layout", 0) != 0;
        let (steps, batch) = if batch_first { (second, first) } else { (first, second) };
        Some(Self { steps, batch, directions, units, batch_first })
    }

    /// Returns the shape of the states of all steps.
    pub(super) fn states(&self) -> Shape {
        if self.batch_first {
            vec![self.batch, self.steps, self.directions, self.units]
        } else {
            vec![self.steps, self.directions, self.batch, self.units]
        }
    }

    /// Returns the shape of the last state.
    pub(super) fn last_state_shape(&self) -> Shape {
        if self.batch_first {
            vec![self.batch, self.directions, self.units]
        } else {
            vec![self.directions, self.batch, self.units]
        }
    }
}
