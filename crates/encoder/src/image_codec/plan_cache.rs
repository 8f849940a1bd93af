use std::sync::{Arc, Mutex, PoisonError};

use crate::{EncodeError, ModelPlan};

/// Capacity of a cache: a camera has one size in two orientations, which need two plans of each kind.
const MAX_PLANS: usize = 4;

/// The plans of the last few shapes, the most recently used last.
#[derive(Debug, Default)]
pub(super) struct PlanCache {
    plans: Mutex<Vec<([usize; 2], Arc<ModelPlan>)>>,
}

impl PlanCache {
    /// Returns the plan for `[rows, columns]`, made by `make` if it is not cached.
    pub(super) fn get_or_make(
        &self,
        shape: [usize; 2],
        make: impl FnOnce() -> Result<ModelPlan, EncodeError>,
    ) -> Result<Arc<ModelPlan>, EncodeError> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = plans.iter().position(|(made_for, _)| *made_for == shape) {
            plans[at..].rotate_left(1);
        } else {
            let plan = Arc::new(make()?);
            if plans.len() == MAX_PLANS {
                plans.remove(0);
            }
            plans.push((shape, plan));
        }
        match plans.last() {
            Some((_, plan)) => Ok(Arc::clone(plan)),
            None => unreachable!("a plan was cached above"),
        }
    }
}

#[cfg(test)]
mod tests {
    use lopside_onnx::{GraphBuilder, encode_model};

    use super::*;

    fn plan() -> Result<ModelPlan, EncodeError> {
        let mut graph = GraphBuilder::new("relu");
        let x = graph.add_input("x", &["n".into()]);
        let y = graph.relu(&x, "y");
        graph.add_output(&y, &["n".into()]);
        ModelPlan::new(&encode_model(&graph.build()), vec![1])
    }

    #[test]
    fn the_latest_plans_are_kept() {
        let cache = PlanCache::default();
        let kept =
            |side| cache.get_or_make([side, 1], || Err(EncodeError::Model("not cached".into()))).is_ok();
        for side in 0..MAX_PLANS {
            cache.get_or_make([side, 1], plan).unwrap();
        }
        assert!(kept(0));
        cache.get_or_make([9, 1], plan).unwrap();
        assert!(kept(0) && kept(9) && !kept(1));
    }
}
