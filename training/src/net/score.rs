//! Exports the score head: one column per anomaly part, and the reconstruction.
//!
//! ```text
//! latent, tap.NAME … ─► decoder ─► reconstruction ─► encoder ─► latent again ─► distance   column re-encoding
//! latent ─► whitened ─► mean square                                                        column mahalanobis
//! ```

use lopside_onnx::{Attribute, GraphBuilder, proto::ModelProto};

use super::{
    Net,
    export::batch_of,
    names::{LATENT, OUTPUT, SCORES},
    onnx::{self, TensorNames},
};
use crate::{
    TrainingError,
    definition::{AnomalyPart, Shape},
    density::LatentDensity,
};

const RE_ENCODED_LATENT: &str = "again.latent";

impl Net {
    /// Returns the columns of this model's score head, in order. Latents with taps do not have the
    /// re-encoding column.
    #[must_use]
    pub fn score_columns(&self) -> Vec<AnomalyPart> {
        let re_encoding = self.blueprint.taps.is_empty().then_some(AnomalyPart::ReEncoding);
        re_encoding.into_iter().chain([AnomalyPart::Mahalanobis]).collect()
    }

    /// Exports the score head with the density of normal latents. Its distances are means over the latent's
    /// values, in units of their standard deviation.
    ///
    /// # Errors
    /// [`TrainingError`] when weights cannot be read.
    pub(crate) fn score_head(&self, density: &LatentDensity) -> Result<ModelProto, TrainingError> {
        self.build_model(|net, graph| {
            for (name, shape) in net.latents() {
                graph.add_input(&name, &batch_of(shape));
            }
            net.write_decoder(graph)?;
            let mut columns = Vec::new();
            for part in net.score_columns() {
                columns.push(match part {
                    AnomalyPart::ReEncoding => net.write_re_encoding(graph, density)?,
                    _ => net.write_mahalanobis(graph, density)?,
                });
            }
            let names: Vec<&str> = columns.iter().map(String::as_str).collect();
            graph.concat(&names, 1, SCORES);
            graph.add_output(SCORES, &batch_of(Shape::Flat(names.len())));
            Ok(())
        })
    }

    fn write_re_encoding(
        &self,
        graph: &mut GraphBuilder,
        density: &LatentDensity,
    ) -> Result<String, TrainingError> {
        let dims: Vec<i64> = self.blueprint.input.dims().into_iter().map(|dim| dim as i64).collect();
        let input = if self.blueprint.input == self.blueprint.output {
            OUTPUT.to_owned()
        } else {
            graph.reshape(OUTPUT, &[&[-1], &dims[..]].concat(), "again.input")
        };
        onnx::write_stack(
            graph,
            &self.encoder.layers,
            &input,
            TensorNames { prefix: "again", last: RE_ENCODED_LATENT },
        )?;
        let values = self.blueprint.latent.values() as i64;
        let first = graph.reshape(LATENT, &[-1, values], "first.row");
        let re_encoded = graph.reshape(RE_ENCODED_LATENT, &[-1, values], "again.row");
        let difference = graph.add_node("Sub", &[&first, &re_encoded], "again.difference", &[]);
        let scale: Vec<f32> = density.deviation.iter().map(|deviation| 1.0 / deviation).collect();
        let scale = graph.add_initializer("again.scale", &[values], &scale)?;
        let scaled = graph.add_node("Mul", &[&difference, &scale], "again.scaled", &[]);
        Ok(mean_square(graph, &scaled, AnomalyPart::ReEncoding.name()))
    }

    fn write_mahalanobis(
        &self,
        graph: &mut GraphBuilder,
        density: &LatentDensity,
    ) -> Result<String, TrainingError> {
        let values = self.blueprint.latent.values() as i64;
        let row = graph.reshape(LATENT, &[-1, values], "density.row");
        let mean = graph.add_initializer("density.mean", &[values], &density.mean)?;
        let centred = graph.add_node("Sub", &[&row, &mean], "density.centred", &[]);
        let whitening = graph.add_initializer("density.whitening", &[values, values], &density.whitening)?;
        let whitened = graph.add_node("MatMul", &[&centred, &whitening], "density.whitened", &[]);
        Ok(mean_square(graph, &whitened, AnomalyPart::Mahalanobis.name()))
    }
}

/// Writes the mean of the squares of each row, `[n, 1]`.
fn mean_square(graph: &mut GraphBuilder, x: &str, name: &str) -> String {
    let squared = graph.add_node("Mul", &[x, x], &format!("{name}.squared"), &[]);
    let axes = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(1))];
    graph.add_node("ReduceMean", &[&squared], name, &axes)
}
