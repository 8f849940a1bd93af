//! The contents of `bundle.json`, and the checks that do not need another file.

use std::collections::HashSet;

use lopside_latent::LatentSpaceId;
use serde::{Deserialize, Serialize};

use crate::{
    BundleError, FileRef, GoldenInputSpec, ImageSpec, InputSpec, ScoreSpec, TableSpec, TensorSpec,
    TimeSeriesSpec,
    check::{check_file, check_files_agree, check_has_heads, check_head, check_name, head_field, require},
    golden, id_text,
};

/// The version of the manifest that this build writes and reads.
pub const FIXED_LATENT_SCHEMA: u32 = 1;

/// The manifest of a bundle. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedLatentManifest {
    /// The schema version, [`FIXED_LATENT_SCHEMA`].
    pub schema: u32,
    /// The name of the bundle: 1 to 64 of `a–z 0–9 -`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The id of the latent space, 16 hexadecimal digits.
    #[serde(with = "id_text")]
    pub latent_space: LatentSpaceId,
    /// The preprocessing that turns an input into the encoder's tensor.
    pub input: InputSpec,
    /// The form of the tables that windows are read from, for inputs that are windows of a time series. It does not
    /// affect the latent space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableSpec>,
    /// The encoder.
    pub encoder: FixedLatentEncoderSpec,
    /// The layers of the latent: the encoder's outputs, the base layer first.
    pub latent: Vec<FixedLatentLayerSpec>,
    /// The table file: the tables of the runs of the first layer, then those of the second, and so on.
    pub tables: FileRef,
    /// The heads, at least one; the first is the default.
    pub heads: Vec<FixedLatentHeadSpec>,
    /// The model card.
    pub model_card: FileRef,
    /// The golden inputs, with which a device tests the encoder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<GoldenInputSpec>,
}

/// The encoder of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedLatentEncoderSpec {
    /// The ONNX file.
    pub model: FileRef,
    /// The input tensor.
    pub input: TensorSpec,
    /// The cost of the encoder.
    pub cost: ModelCost,
}

/// One layer of the latent and its quantiser, `ŷ = round(z · gain)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedLatentLayerSpec {
    /// The tensor: an output of the encoder, and an input of the heads that read it.
    pub tensor: TensorSpec,
    /// Quantisation steps per latent unit, positive: one gain per run of consecutive values, all runs of
    /// equal length. With as many gains as values, each value has its own; with as many gains as feature
    /// maps, each map has one.
    pub gains: Vec<f32>,
}

impl FixedLatentLayerSpec {
    /// Returns the number of values in the layer.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.tensor.item_elements().unwrap_or(0)
    }
}

/// A head: one model that reads a latent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedLatentHeadSpec {
    /// The name of the head: 1 to 64 of `a–z 0–9 -`.
    pub name: String,
    /// The version, which increases when a head is retrained; the highest one is served.
    pub version: u32,
    /// The meaning of the output.
    pub kind: HeadKind,
    /// The ONNX file.
    pub model: FileRef,
    /// The names of the layers that the head reads, in the order of the latent.
    pub inputs: Vec<String>,
    /// The output tensor.
    pub output: TensorSpec,
    /// The cost of the head.
    pub cost: ModelCost,
}

/// The meaning of a head's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum HeadKind {
    /// An image of one size.
    Reconstruct(ImageSpec),
    /// A window of a time series.
    Series(TimeSeriesSpec),
    /// One logit per class.
    Classify {
        /// The names of the classes, in the order of the logits.
        labels: Vec<String>,
    },
    /// The degree to which the input is unusual: the columns that [`ScoreSpec`] names.
    Score(ScoreSpec),
    /// Numbers whose meaning only the caller defines.
    Tensor {},
}

/// The cost of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCost {
    /// Number of trained parameters.
    pub parameters: u64,
    /// Multiply-accumulates per item.
    pub macs: u64,
}

impl FixedLatentManifest {
    /// Checks everything that can be checked without another file.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the first field that is invalid.
    pub fn check(&self) -> Result<(), BundleError> {
        if self.schema != FIXED_LATENT_SCHEMA {
            return Err(BundleError::UnsupportedSchema { found: self.schema, expected: FIXED_LATENT_SCHEMA });
        }
        check_name("name", &self.name)?;
        self.input.check("input")?;
        self.check_table()?;
        match self.input.samples() {
            Some(samples) => check_elements("encoder.input", &self.encoder.input, samples)?,
            None => check_fixed("encoder.input", &self.encoder.input)?,
        }
        check_file("encoder.model", &self.encoder.model)?;
        check_file("tables", &self.tables)?;
        check_file("model_card", &self.model_card)?;
        golden::check_golden(&self.golden)?;
        self.check_latent()?;
        self.check_heads()?;
        check_files_agree(self.all_files())
    }

    /// Returns the files that a device needs in addition to `bundle.json`: all except the heads and the model
    /// card.
    #[must_use]
    pub fn device_files(&self) -> Vec<&FileRef> {
        let golden = self.golden.iter().flat_map(GoldenInputSpec::file_refs);
        [&self.encoder.model, &self.tables].into_iter().chain(golden).collect()
    }

    /// Returns all files that the manifest names.
    pub(crate) fn all_files(&self) -> Vec<&FileRef> {
        let heads = self.heads.iter().map(|head| &head.model);
        self.device_files().into_iter().chain([&self.model_card]).chain(heads).collect()
    }

    /// Checks the form of tables, which only windows of a time series come from.
    fn check_table(&self) -> Result<(), BundleError> {
        let Some(table) = &self.table else { return Ok(()) };
        let problem = match &self.input {
            InputSpec::Series(series) => table.problem(series.channels.len()),
            InputSpec::Picture(_) | InputSpec::Tensor {} => {
                Some("only inputs that are windows of a time series come from tables".into())
            }
        };
        require(problem.is_none(), "table", || problem.unwrap_or_default())
    }

    fn check_latent(&self) -> Result<(), BundleError> {
        require(!self.latent.is_empty(), "latent", || "a latent must have at least one layer".into())?;
        let mut seen = HashSet::new();
        for (i, layer) in self.latent.iter().enumerate() {
            let field = format!("latent[{i}].tensor");
            check_fixed(&field, &layer.tensor)?;
            require(seen.insert(&layer.tensor.name), &field, || {
                "the name of its tensor is used twice".into()
            })?;
        }
        Ok(())
    }

    fn check_heads(&self) -> Result<(), BundleError> {
        check_has_heads(&self.heads)?;
        let mut seen = HashSet::new();
        for (i, head) in self.heads.iter().enumerate() {
            check_head(&mut seen, i, &head.name, head.version, &head.model)?;
            self.check_inputs(&head_field(i, "inputs"), &head.inputs)?;
            head.kind.check(&head_field(i, "kind"))?;
            self.check_reconstruction(&head_field(i, "kind.reconstruction"), &head.kind)?;
            let output = head_field(i, "output");
            match head.kind.elements() {
                Some(elements) => check_elements(&output, &head.output, elements)?,
                None => check_fixed(&output, &head.output)?,
            }
        }
        Ok(())
    }

    /// Checks the shape of a score head's reconstruction, which is compared with the encoder's input value by
    /// value.
    fn check_reconstruction(&self, field: &str, kind: &HeadKind) -> Result<(), BundleError> {
        let HeadKind::Score(ScoreSpec { reconstruction: Some(tensor), .. }) = kind else { return Ok(()) };
        check_elements(field, tensor, self.encoder.input.item_elements().unwrap_or(0))
    }

    /// Checks that the inputs are layers, at least one, in the order of the latent.
    fn check_inputs(&self, field: &str, inputs: &[String]) -> Result<(), BundleError> {
        let mut layers = self.latent.iter().map(|layer| &layer.tensor.name);
        let in_order = inputs.iter().all(|input| layers.any(|layer| layer == input));
        require(in_order && !inputs.is_empty(), field, || {
            "it must list at least one latent tensor, in the order of `latent`".into()
        })
    }
}

impl HeadKind {
    /// Returns the number of values per output; `None` if the kind does not specify it.
    fn elements(&self) -> Option<u64> {
        match self {
            Self::Reconstruct(image) => Some(image.samples()),
            Self::Series(series) => Some(series.samples()),
            Self::Classify { labels } => Some(labels.len() as u64),
            Self::Score(score) => Some(score.columns() as u64),
            Self::Tensor {} => None,
        }
    }

    fn check(&self, field: &str) -> Result<(), BundleError> {
        match self {
            Self::Reconstruct(image) => image.check(field),
            Self::Series(series) => series.check(field),
            Self::Score(score) => score.check(field),
            Self::Classify { .. } | Self::Tensor {} => Ok(()),
        }
    }
}

fn check_elements(field: &str, tensor: &TensorSpec, expected: u64) -> Result<(), BundleError> {
    require(tensor.item_elements() == Some(expected) && expected > 0, &format!("{field}.shape"), || {
        format!(
            "it must be a named batch dimension and fixed dimensions with {expected} values in total, at least 1"
        )
    })
}

fn check_fixed(field: &str, tensor: &TensorSpec) -> Result<(), BundleError> {
    require(tensor.item_elements().is_some_and(|values| values > 0), &format!("{field}.shape"), || {
        "it must be a named batch dimension and fixed dimensions of at least 1".into()
    })
}
