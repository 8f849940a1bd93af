//! The running average of the weights of a training, which is better than the weights of any single step.

use std::collections::HashMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{Tensor, TensorData},
};

/// Moves `average` towards `model` by `rate`, 0 to 1, parameter by parameter (B. Polyak and A. Juditsky,
/// "Acceleration of stochastic approximation by averaging", 1992, with exponential weights).
pub(crate) fn move_towards<M: Module>(average: M, model: &M, rate: f32) -> M {
    let mut parameters = ParameterValues(HashMap::new());
    model.visit(&mut parameters);
    average.map(&mut Averager { model: parameters.0, rate })
}

struct ParameterValues(HashMap<ParamId, TensorData>);

impl ModuleVisitor for ParameterValues {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id, param.val().into_data());
    }
}

struct Averager {
    model: HashMap<ParamId, TensorData>,
    rate: f32,
}

impl ModuleMapper for Averager {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(data) = self.model.remove(&param.id) else { return param };
        param.map(|average| {
            let model = Tensor::from_data(data, &average.device());
            // In this form, the average of a value that does not change does not change either.
            average.clone() + (model - average) * self.rate
        })
    }
}
