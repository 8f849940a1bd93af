//! `bundle.json`: what it says, and the checks that need no other file.

use std::collections::HashSet;

use lopside_latent::LatentSpaceId;
use serde::{Deserialize, Serialize};

use crate::{
    BundleError, Digest, GoldenSpec, InputSpec, PictureSpec, ScoreSpec, SeriesSpec,
    check::{check_any_head, check_file, check_head, check_name, head_field, require},
    golden,
};

/// The version of the manifest that this build writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// The manifest of a bundle. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// The bundle's name: 1 to 64 of `a–z 0–9 -`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The name of the latent space, 16 hexadecimal digits.
    #[serde(with = "id_text")]
    pub latent_space: LatentSpaceId,
    /// How an input becomes the encoder's tensor.
    pub input: InputSpec,
    /// The encoder half.
    pub encoder: EncoderSpec,
    /// The layers of the latent: the encoder's outputs, the base first.
    pub latent: Vec<LatentSpec>,
    /// The table file: the tables of the first layer's runs, then those of the second's, and so on.
    pub tables: FileRef,
    /// The heads, at least one; the first is the default.
    pub heads: Vec<HeadSpec>,
    /// The model card.
    pub model_card: FileRef,
    /// What an edge tries the encoder on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<GoldenSpec>,
}

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// Its path, relative to the folder, with `/` between names.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// The encoder half.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// The ONNX file.
    pub model: FileRef,
    /// The input tensor.
    pub input: TensorSpec,
    /// What it costs.
    pub cost: Cost,
}

/// One layer of the latent and its quantiser, `ŷ = round(z · gain)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentSpec {
    /// The tensor: an output of the encoder, an input of the heads that read it.
    pub tensor: TensorSpec,
    /// Steps per latent unit, positive: one for every run of consecutive values, all runs of one length. As many as
    /// values: one each; as many as feature maps: one a map.
    pub gains: Vec<f32>,
}

impl LatentSpec {
    /// Values of the layer.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.tensor.item_elements().unwrap_or(0)
    }
}

/// A head: one model that reads a latent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadSpec {
    /// The head's name: 1 to 64 of `a–z 0–9 -`.
    pub name: String,
    /// Counts up when a head is trained anew; the highest one serves.
    pub version: u32,
    /// What its output means.
    pub kind: HeadKind,
    /// The ONNX file.
    pub model: FileRef,
    /// The names of the layers that it reads, in the latent's order.
    pub inputs: Vec<String>,
    /// The output tensor.
    pub output: TensorSpec,
    /// What it costs.
    pub cost: Cost,
}

/// What a head's output means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum HeadKind {
    /// A picture of one size.
    Reconstruct(PictureSpec),
    /// A window of measurements.
    Series(SeriesSpec),
    /// One logit a class.
    Classify {
        /// The classes' names, in the order of the logits.
        labels: Vec<String>,
    },
    /// How unusual the input is: the columns that [`ScoreSpec`] names.
    Score(ScoreSpec),
    /// Numbers that only the caller understands.
    Tensor {},
}

/// A tensor of 32-bit floats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// Its name in the ONNX graph.
    pub name: String,
    /// Its shape; the first dimension is the batch and symbolic.
    pub shape: Vec<Dim>,
}

/// One dimension of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// A fixed extent.
    Fixed(u32),
    /// A named one that the caller chooses, as `n` for the batch.
    Symbol(String),
}

impl TensorSpec {
    /// The dimensions after the batch, when all are fixed.
    #[must_use]
    pub fn item_dims(&self) -> Option<Vec<u32>> {
        let (Dim::Symbol(_), dims) = self.shape.split_first()? else { return None };
        dims.iter().map(|dim| if let Dim::Fixed(extent) = dim { Some(*extent) } else { None }).collect()
    }

    /// The product of [`item_dims`](Self::item_dims).
    #[must_use]
    pub fn item_elements(&self) -> Option<u64> {
        self.item_dims()?.iter().try_fold(1_u64, |product, &dim| product.checked_mul(u64::from(dim)))
    }
}

/// What a model costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Trained numbers.
    pub parameters: u64,
    /// Multiply-accumulates for one item.
    pub macs: u64,
}

impl Manifest {
    /// Checks all that can be checked without another file.
    ///
    /// # Errors
    /// [`BundleError`] naming the first field that cannot be right.
    pub fn check(&self) -> Result<(), BundleError> {
        if self.schema != SCHEMA_VERSION {
            return Err(BundleError::Schema { found: self.schema, expected: SCHEMA_VERSION });
        }
        check_name("name", &self.name)?;
        self.input.check("input")?;
        match self.input.samples() {
            Some(samples) => check_elements("encoder.input", &self.encoder.input, samples)?,
            None => check_fixed("encoder.input", &self.encoder.input)?,
        }
        check_file("encoder.model", &self.encoder.model)?;
        check_file("tables", &self.tables)?;
        check_file("model_card", &self.model_card)?;
        golden::check(&self.golden)?;
        self.check_latent()?;
        self.check_heads()
    }

    /// The files that an edge needs, beside `bundle.json`: all but the heads and the model card.
    #[must_use]
    pub fn edge_files(&self) -> Vec<&FileRef> {
        let golden = self.golden.iter().flat_map(GoldenSpec::files);
        [&self.encoder.model, &self.tables].into_iter().chain(golden).collect()
    }

    fn check_latent(&self) -> Result<(), BundleError> {
        require(!self.latent.is_empty(), "latent", || "a latent has at least one layer".into())?;
        let mut seen = HashSet::new();
        for (i, layer) in self.latent.iter().enumerate() {
            let field = format!("latent[{i}].tensor");
            check_fixed(&field, &layer.tensor)?;
            require(seen.insert(&layer.tensor.name), &field, || "its name stands twice".into())?;
        }
        Ok(())
    }

    fn check_heads(&self) -> Result<(), BundleError> {
        check_any_head(&self.heads)?;
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

    /// What a head that scores makes beside is compared with the encoder's input, value by value.
    fn check_reconstruction(&self, field: &str, kind: &HeadKind) -> Result<(), BundleError> {
        let HeadKind::Score(ScoreSpec { reconstruction: Some(tensor), .. }) = kind else { return Ok(()) };
        check_elements(field, tensor, self.encoder.input.item_elements().unwrap_or(0))
    }

    /// Inputs are layers, at least one, in the latent's order.
    fn check_inputs(&self, field: &str, inputs: &[String]) -> Result<(), BundleError> {
        let mut layers = self.latent.iter().map(|layer| &layer.tensor.name);
        let in_order = inputs.iter().all(|input| layers.any(|layer| layer == input));
        require(in_order && !inputs.is_empty(), field, || {
            "they must be names of latent tensors, at least one, in the order of latent".into()
        })
    }
}

impl HeadKind {
    /// Values of one output, where the kind says.
    fn elements(&self) -> Option<u64> {
        match self {
            Self::Reconstruct(picture) => Some(picture.samples()),
            Self::Series(series) => Some(series.samples()),
            Self::Classify { labels } => Some(labels.len() as u64),
            Self::Score(score) => Some(score.columns() as u64),
            Self::Tensor {} => None,
        }
    }

    fn check(&self, field: &str) -> Result<(), BundleError> {
        match self {
            Self::Reconstruct(picture) => picture.check(field),
            Self::Series(series) => series.check(field),
            Self::Score(score) => score.check(field),
            Self::Classify { .. } | Self::Tensor {} => Ok(()),
        }
    }
}

fn check_elements(field: &str, tensor: &TensorSpec, expected: u64) -> Result<(), BundleError> {
    require(tensor.item_elements() == Some(expected) && expected > 0, &format!("{field}.shape"), || {
        format!("it must be a named batch and fixed dimensions of {expected} values, at least 1")
    })
}

fn check_fixed(field: &str, tensor: &TensorSpec) -> Result<(), BundleError> {
    require(tensor.item_elements().is_some_and(|values| values > 0), &format!("{field}.shape"), || {
        "it must be a named batch and fixed dimensions, each at least 1".into()
    })
}

/// A latent-space id as its text.
pub(crate) mod id_text {
    use lopside_latent::LatentSpaceId;
    use serde::{Deserialize, Deserializer, Serializer, de};

    // serde's `with` passes a reference.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn serialize<S: Serializer>(id: &LatentSpaceId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<LatentSpaceId, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}
