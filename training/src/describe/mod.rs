//! `training describe`: the layers of a model and the cost of each half.

mod diagram;
mod table;

use serde::Serialize;

pub use diagram::render_svg;
pub use table::format_table;

use crate::definition::{Blueprint, Operation, Shape, Stage};

/// A model in figures. Costs are those of the exported models, per sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// The name of the model.
    pub name: String,
    /// One-line description for people.
    pub description: String,
    /// Dimensions of the encoder's input, without the batch.
    pub input: Vec<usize>,
    /// Dimensions of the decoder's output, without the batch.
    pub output: Vec<usize>,
    /// The transmitted latent.
    pub latent: LatentDescription,
    /// The encoder half, which runs at the edge.
    pub encoder: PartDescription,
    /// The decoder half, which runs in the cloud.
    pub decoder: PartDescription,
    /// The classifier, if the model has one.
    pub classifier: Option<PartDescription>,
    /// Ratios of decoder to encoder.
    pub asymmetry: Asymmetry,
}

/// The latent that the encoder sends to the decoder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatentDescription {
    /// Dimensions, without the batch.
    pub shape: Vec<usize>,
    /// Number of values, without the taps.
    pub values: usize,
    /// Whether the latent is a distribution during training, which doubles the width of the encoder's last
    /// layer.
    pub variational: bool,
    /// The enhancement layers.
    pub taps: Vec<TapDescription>,
}

/// An enhancement layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TapDescription {
    /// The name of the layer.
    pub name: String,
    /// Dimensions, without the batch.
    pub shape: Vec<usize>,
    /// Number of values.
    pub values: usize,
}

/// The encoder, the decoder or the classifier.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartDescription {
    /// The layers, in order.
    pub layers: Vec<LayerDescription>,
    /// Number of layers with weights on the main path.
    pub depth: usize,
    /// The largest number of units or channels of a layer.
    pub widest: usize,
    /// Number of weights and biases.
    pub parameters: u64,
    /// Multiply-accumulates per sample.
    pub macs: u64,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerDescription {
    /// Path of the layer in the definition.
    pub place: String,
    /// Description of the layer, such as `conv 3×3, stride 2, relu`.
    pub layer: String,
    /// Output dimensions, without the batch.
    pub output: Vec<usize>,
    /// Number of weights and biases.
    pub parameters: u64,
    /// Multiply-accumulates per sample.
    pub macs: u64,
    /// The layers of one block of a residual layer; empty for other layers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<LayerDescription>,
}

/// Ratios of decoder to encoder.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Asymmetry {
    /// Ratio of the depths.
    pub depth: f64,
    /// Ratio of the widest layers.
    pub width: f64,
    /// Ratio of the numbers of parameters.
    pub parameters: f64,
    /// Ratio of the multiply-accumulates.
    pub macs: f64,
}

impl Description {
    /// Computes the figures of a blueprint.
    #[must_use]
    pub fn new(blueprint: &Blueprint) -> Self {
        let definition = &blueprint.definition;
        let (encoder, decoder) =
            (PartDescription::new(&blueprint.encoder), PartDescription::new(&blueprint.decoder));
        let taps = blueprint.taps.iter().map(|tap| TapDescription {
            name: tap.name.clone(),
            shape: tap.shape.dims(),
            values: tap.shape.values(),
        });
        Self {
            name: definition.name.clone(),
            description: definition.description.clone(),
            input: blueprint.input.dims(),
            output: blueprint.output.dims(),
            latent: LatentDescription {
                shape: blueprint.latent.dims(),
                values: blueprint.latent.values(),
                variational: definition.variational.is_some(),
                taps: taps.collect(),
            },
            asymmetry: Asymmetry::new(&encoder, &decoder),
            encoder,
            decoder,
            classifier: definition.classifier.as_ref().map(|_| PartDescription::new(&blueprint.classifier)),
        }
    }
}

impl PartDescription {
    fn new(stages: &[Stage]) -> Self {
        Self {
            layers: stages.iter().map(LayerDescription::new).collect(),
            depth: stages.iter().map(Stage::depth).sum(),
            widest: stages.iter().map(Stage::max_width).max().unwrap_or(0),
            parameters: stages.iter().map(Stage::parameters).sum(),
            macs: stages.iter().map(Stage::macs).sum(),
        }
    }
}

impl LayerDescription {
    fn new(stage: &Stage) -> Self {
        let block = match &stage.operation {
            Operation::Residual(blocks) => blocks.first().into_iter().flatten().map(Self::new).collect(),
            _ => Vec::new(),
        };
        Self {
            place: stage.path.clone(),
            layer: stage.label(),
            output: Shape::dims(&stage.output),
            parameters: stage.parameters(),
            macs: stage.macs(),
            block,
        }
    }
}

impl Asymmetry {
    fn new(encoder: &PartDescription, decoder: &PartDescription) -> Self {
        Self {
            depth: decoder.depth as f64 / encoder.depth as f64,
            width: decoder.widest as f64 / encoder.widest as f64,
            parameters: decoder.parameters as f64 / encoder.parameters as f64,
            macs: decoder.macs as f64 / encoder.macs as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use lopside_onnx::model_cost;

    use super::*;
    use crate::{
        definition::{Definition, PRESETS},
        net::Net,
    };

    fn blueprint(name: &str) -> Blueprint {
        Definition::find(name).unwrap().check(name).unwrap()
    }

    #[test]
    fn the_worked_example_has_its_known_figures() {
        let found = Description::new(&blueprint("fashion-dense"));
        assert_eq!((found.encoder.parameters, found.encoder.macs), (209_184, 208_896));
        assert_eq!((found.decoder.parameters, found.decoder.macs), (238_736, 237_568));
        assert_eq!((found.encoder.depth, found.decoder.depth), (2, 3));
        assert_eq!((found.encoder.widest, found.decoder.widest), (256, 784));
        assert!((found.asymmetry.depth - 1.5).abs() < 1e-9);
    }

    #[test]
    fn every_presets_figures_match_its_export() {
        for (name, _) in PRESETS {
            let blueprint = blueprint(name);
            let found = Description::new(&blueprint);
            let net = Net::new(&blueprint, &Device::flex());
            let classifier = net.classifier_head().unwrap();
            let mut halves = vec![
                (net.encoder_half().unwrap(), &found.encoder),
                (net.decoder_half().unwrap(), &found.decoder),
            ];
            halves.extend(classifier.zip(found.classifier.as_ref()));
            for (model, part) in halves {
                let cost = model_cost(&model, &[("n", 1)]).unwrap();
                assert_eq!((cost.parameters, cost.macs), (part.parameters, part.macs), "{name}");
            }
            // The model with tight features has the deeper encoder.
            let deep_decoder = found.asymmetry.macs > 1.0 && found.asymmetry.depth > 1.0;
            assert_eq!(deep_decoder, name != "fashion-semi", "{name}");
        }
    }

    #[test]
    fn encoders_are_light() {
        for name in ["fashion-conv", "fashion-sr", "fashion-skip", "fashion-vae"] {
            assert!(Description::new(&blueprint(name)).encoder.macs <= 200_000, "{name}");
        }
        assert!(Description::new(&blueprint("fashion-multitask")).encoder.macs <= 700_000);
    }

    #[test]
    fn a_table_names_layers_totals_taps_and_ratios() {
        let text = format_table(&Description::new(&blueprint("fashion-skip")));
        for part in
            ["encoder (edge)", "decoder (cloud)", "tap edges", "1×14×14", "residual ×2", "MAC", "depth ×"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_diagram_escapes_xml() {
        let mut blueprint = blueprint("fashion-skip");
        blueprint.definition.description = "a < b & \"c\"".into();
        let text = render_svg(&blueprint);
        assert!(text.contains("a &lt; b &amp; &quot;c&quot;") && text.ends_with("</svg>\n"), "{text}");
        assert_eq!(text.matches("<path").count(), 1, "one arc per join");
    }
}
