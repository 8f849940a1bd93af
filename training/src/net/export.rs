//! Exports weights to ONNX models, whose tensors have the names of `names.rs`.
//!
//! ```text
//! whole       image or series ─► latent, tap.NAME … ─► reconstruction, logits
//! encoder     image or series ─► latent, tap.NAME …
//! decoder     latent, tap.NAME … ─► reconstruction
//! classifier  latent ─► logits
//! ```
//! The batch is symbolic. One function writes each part for all models that contain it.

use lopside_bundle::LATENT_SPACE_KEY;
use lopside_onnx::{Dim, GraphBuilder, proto::ModelProto, set_metadata};

use super::{
    Net,
    names::{LATENT, LOGITS, OUTPUT, input_name, tap_name},
    onnx::{self, TensorNames},
};
use crate::{
    TrainingError,
    definition::{OutputActivation, Shape},
};

const PRESET_KEY: &str = "lopside.preset";
const LATENT_KEY: &str = "lopside.latent";

/// Writes the latent-space id into a model's metadata.
pub fn stamp_latent_space(onnx: &mut ModelProto, latent_space: &str) {
    set_metadata(onnx, LATENT_SPACE_KEY, latent_space);
}

impl Net {
    /// Exports the whole model. The latent-space id is known only after calibration; [`stamp_latent_space`] adds it then.
    ///
    /// # Errors
    /// [`TrainingError`] when weights cannot be read.
    pub fn whole_model(&self) -> Result<ModelProto, TrainingError> {
        self.build_model(|net, graph| {
            net.write_encoder(graph)?;
            for (name, shape) in net.latents() {
                graph.add_value_info(&name, &batch_of(shape));
            }
            net.write_decoder(graph)?;
            net.write_classifier(graph)
        })
    }

    /// Exports the encoder, with the latent and the taps as outputs.
    ///
    /// # Errors
    /// [`TrainingError`] when weights cannot be read.
    pub fn encoder_half(&self) -> Result<ModelProto, TrainingError> {
        self.build_model(|net, graph| {
            net.write_encoder(graph)?;
            net.latents().iter().for_each(|(name, shape)| graph.add_output(name, &batch_of(*shape)));
            Ok(())
        })
    }

    /// Exports the decoder, with the latent and the taps as inputs.
    ///
    /// # Errors
    /// [`TrainingError`] when weights cannot be read.
    pub fn decoder_half(&self) -> Result<ModelProto, TrainingError> {
        self.build_model(|net, graph| {
            for (name, shape) in net.latents() {
                graph.add_input(&name, &batch_of(shape));
            }
            net.write_decoder(graph)
        })
    }

    /// Exports the classifier, or returns `None` if the model does not have one.
    ///
    /// # Errors
    /// [`TrainingError`] when weights cannot be read.
    pub fn classifier_head(&self) -> Result<Option<ModelProto>, TrainingError> {
        if self.classifier.is_none() {
            return Ok(None);
        }
        let model = self.build_model(|net, graph| {
            graph.add_input(LATENT, &batch_of(net.blueprint.latent));
            net.write_classifier(graph)
        })?;
        Ok(Some(model))
    }

    pub(super) fn build_model(
        &self,
        write: impl FnOnce(&Self, &mut GraphBuilder) -> Result<(), TrainingError>,
    ) -> Result<ModelProto, TrainingError> {
        let name = &self.blueprint.definition.name;
        let mut graph = GraphBuilder::new(name);
        write(self, &mut graph)?;
        let mut onnx = graph.build();
        set_metadata(&mut onnx, PRESET_KEY, name);
        set_metadata(&mut onnx, LATENT_KEY, LATENT);
        Ok(onnx)
    }

    /// Returns names and shapes of the tensors between encoder and decoder: the latent, then the taps.
    pub(crate) fn latents(&self) -> Vec<(String, Shape)> {
        let taps = self.blueprint.taps.iter().map(|tap| (tap_name(&tap.name), tap.shape));
        std::iter::once((LATENT.to_owned(), self.blueprint.latent)).chain(taps).collect()
    }

    fn write_encoder(&self, graph: &mut GraphBuilder) -> Result<(), TrainingError> {
        let input = graph.add_input(input_name(&self.blueprint), &batch_of(self.blueprint.input));
        onnx::write_stack(
            graph,
            &self.encoder.layers,
            &input,
            TensorNames { prefix: "encoder", last: LATENT },
        )
    }

    pub(super) fn write_decoder(&self, graph: &mut GraphBuilder) -> Result<(), TrainingError> {
        // A whole model with a classifier already has an output named `logits`.
        let raw = if self.classifier.is_some() { "reconstruction.logits" } else { "logits" };
        match self.blueprint.definition.decoder.activation {
            OutputActivation::Sigmoid => {
                onnx::write_stack(
                    graph,
                    &self.decoder,
                    LATENT,
                    TensorNames { prefix: "decoder", last: raw },
                )?;
                graph.sigmoid(raw, OUTPUT);
            }
            OutputActivation::Identity => {
                onnx::write_stack(
                    graph,
                    &self.decoder,
                    LATENT,
                    TensorNames { prefix: "decoder", last: OUTPUT },
                )?;
            }
        }
        graph.add_output(OUTPUT, &batch_of(self.blueprint.output));
        Ok(())
    }

    fn write_classifier(&self, graph: &mut GraphBuilder) -> Result<(), TrainingError> {
        let Some(classifier) = &self.classifier else { return Ok(()) };
        onnx::write_stack(graph, classifier, LATENT, TensorNames { prefix: "classifier", last: LOGITS })?;
        let labels = self.blueprint.definition.classifier.as_ref().map_or(0, |it| it.labels.len());
        graph.add_output(LOGITS, &batch_of(Shape::Flat(labels)));
        Ok(())
    }
}

/// Returns the dimensions of a symbolic batch of samples of this shape.
pub(crate) fn batch_of(shape: Shape) -> Vec<Dim> {
    let dims = shape.dims().into_iter().map(|dim| Dim::Fixed(dim as i64));
    std::iter::once(Dim::from("n")).chain(dims).collect()
}
