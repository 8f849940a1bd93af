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
    /// Returns the plan for `[rows, columns]`, compiled by `compile` if it is not cached.
    pub(super) fn get_or_compile(
        &self,
        shape: [usize; 2],
        compile: impl FnOnce() -> Result<ModelPlan, EncodeError>,
    ) -> Result<Arc<ModelPlan>, EncodeError> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = plans.iter().position(|(cached_shape, _)| *cached_shape == shape) {
            plans[index..].rotate_left(1);
        } else {
            let plan = Arc::new(compile()?);
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
    fn the_latest_plans_are_cached() {
        let cache = PlanCache::default();
        let is_cached =
            |side| cache.get_or_compile([side, 1], || Err(EncodeError::Model("not cached".into()))).is_ok();
        for side in 0..MAX_PLANS {
            cache.get_or_compile([side, 1], plan).unwrap();
        }
        assert!(is_cached(0));
        cache.get_or_compile([9, 1], plan).unwrap();
        assert!(is_cached(0) && is_cached(9) && !is_cached(1));
    }
}
