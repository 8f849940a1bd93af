//! Gradient norms.

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

/// Returns the Euclidean norm of the gradient over all parameters of a module.
pub(crate) fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    let mut squares = SquaredNorm { gradients, sum: 0.0 };
    module.visit(&mut squares);
    squares.sum.sqrt()
}

struct SquaredNorm<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sum += f64::from(gradient.square().sum().into_scalar::<f32>());
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::{definition::Definition, net::Net};

    /// Returns the gradient norm of the encoder behind a decoder of 20 layers, with or without residual
    /// connections.
    fn encoder_gradient(residual: bool) -> f64 {
        let dense = r#"{ layer = "dense", units = 24, activation = "tanh" }"#;
        let deep = if residual {
            format!(r#"{{ layer = "residual", repeat = 20, layers = [{dense}] }}"#)
        } else {
            [dense; 20].join(", ")
        };
        let text = include_str!("../presets/series-gru.toml");
        let (head, rest) = text.split_once("[decoder]").unwrap();
        let (_, rest) = rest.split_once("activation = \"identity\"").unwrap();
        let head = head.replace(r#"{ layer = "gru", units = 24 }"#, r#"{ layer = "flatten" }"#);
        let decoder = format!(
            "[decoder]\nlayers = [{{ layer = \"dense\", units = 24 }}, {deep}, {{ layer = \"dense\", units = 128 }}]\n\
             activation = \"identity\"{rest}"
        );
        let blueprint = Definition::parse(&(head + &decoder), "x").unwrap().check("x").unwrap();
        let device = Device::flex().autodiff();
        let net = Net::new(&blueprint, &device);
        let input = Tensor::<2>::random([16, 128], Distribution::Uniform(-1.0, 1.0), &device);
        let output = net.decode(net.encode(input.clone()).latent, &[]);
        let mut gradients = (output - input).square().mean().backward();
        gradient_norm(&net.encoder, &GradientsParams::from_module(&mut gradients, &net.encoder))
    }

    #[test]
    fn residuals_carry_the_gradient_through_a_deep_decoder() {
        let (plain, residual) = (encoder_gradient(false), encoder_gradient(true));
        assert!(residual > 100.0 * plain && plain > 0.0, "{residual:e} {plain:e}");
    }
}
