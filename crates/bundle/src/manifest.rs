//! `bundle.json`: what it says, and the checks that need no other file.

use std::collections::HashSet;

use lopside_latent::LatentSpaceId;
use serde::{Deserialize, Serialize};

use crate::{
    BundleError, Digest,
    check::{check_any_head, check_file, check_head, check_name, check_range, head_field, require},
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
    /// How a picture becomes the encoder's input.
    pub preprocess: Preprocess,
    /// The encoder half.
    pub encoder: EncoderSpec,
    /// The quantiser.
    pub quantiser: QuantiserSpec,
    /// The table file.
    pub tables: FileRef,
    /// The heads, at least one; the first is the default.
    pub heads: Vec<HeadSpec>,
    /// The model card.
    pub model_card: FileRef,
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

/// How a picture becomes the encoder's input: turned to the wanted channels, resized to exactly
/// `width × height`, and each 8-bit sample mapped linearly from 0…255 to `low…high`, planes one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Grey or RGB.
    pub channels: Channels,
    /// The value of sample 0.
    pub low: f32,
    /// The value of sample 255.
    pub high: f32,
}

/// The colour planes of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// One plane of luma (ITU-R BT.709 weights when it is made from colour).
    Grey,
    /// Red, green and blue.
    Rgb,
}

impl Channels {
    /// 1 or 3.
    #[must_use]
    pub const fn count(self) -> u32 {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

impl Preprocess {
    /// Samples of one picture.
    #[must_use]
    pub fn samples(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * u64::from(self.channels.count())
    }
}

/// The encoder half.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// The ONNX file.
    pub model: FileRef,
    /// The picture tensor.
    pub input: TensorSpec,
    /// The latent tensor.
    pub output: TensorSpec,
    /// What it costs.
    pub cost: Cost,
}

/// One gain a latent value: `ŷ = round(z · gain)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantiserSpec {
    /// Steps per latent unit, positive.
    pub gains: Vec<f32>,
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
    /// The latent tensor.
    pub input: TensorSpec,
    /// The output tensor.
    pub output: TensorSpec,
    /// What it costs.
    pub cost: Cost,
}

/// What a head's output means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum HeadKind {
    /// A picture: planes one after the other, samples in the `low…high` of the preprocessing.
    Reconstruct {
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Grey or RGB.
        channels: Channels,
    },
    /// One logit a class.
    Classify {
        /// The classes' names, in the order of the logits.
        labels: Vec<String>,
    },
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

    fn item_elements(&self) -> Option<u64> {
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
        let preprocess = &self.preprocess;
        require(preprocess.samples() > 0, "preprocess", || "width and height must be at least 1".into())?;
        check_range("preprocess", preprocess.low, preprocess.high)?;
        check_elements("encoder.input", &self.encoder.input, preprocess.samples())?;
        check_elements("encoder.output", &self.encoder.output, self.quantiser.gains.len() as u64)?;
        check_file("encoder.model", &self.encoder.model)?;
        check_file("tables", &self.tables)?;
        check_file("model_card", &self.model_card)?;
        self.check_heads()
    }

    fn check_heads(&self) -> Result<(), BundleError> {
        check_any_head(&self.heads)?;
        let mut seen = HashSet::new();
        for (i, head) in self.heads.iter().enumerate() {
            check_head(&mut seen, i, &head.name, head.version, &head.model)?;
            require(
                head.input.item_dims() == self.encoder.output.item_dims(),
                &head_field(i, "input.shape"),
                || "it is not the shape of encoder.output".into(),
            )?;
            check_elements(&head_field(i, "output"), &head.output, head.kind.elements())?;
        }
        Ok(())
    }
}

impl HeadKind {
    /// Values of one output.
    fn elements(&self) -> u64 {
        match self {
            Self::Reconstruct { width, height, channels } => {
                u64::from(*width) * u64::from(*height) * u64::from(channels.count())
            }
            Self::Classify { labels } => labels.len() as u64,
        }
    }
}

fn check_elements(field: &str, tensor: &TensorSpec, expected: u64) -> Result<(), BundleError> {
    require(tensor.item_elements() == Some(expected) && expected > 0, &format!("{field}.shape"), || {
        format!("it must be a named batch and fixed dimensions of {expected} values, at least 1")
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
