//! The head that a model name selects, and the tensors of the model.

use std::sync::Arc;

use lopside_bundle::HeadKind;
use lopside_decoder::{Catalog, HeadDescription, HeadKindDescription, ServedBundle, TensorDescription};
use lopside_latent::LatentSpaceId;

use super::{OipService, tensor::DataType};
use crate::ServeError;

/// The name of the input for frames.
pub(super) const FRAME_INPUT: &str = "frame";
/// The suffix of a head's name as a model with frames as input.
const FRAME_SUFFIX: &str = ".frame";
/// The name of the output for PNG files.
pub(super) const PNG_OUTPUT: &str = "png";
/// The alternative name of a bundle's only layer.
pub(super) const LATENT_INPUT: &str = "latent";

/// One head as a model.
#[derive(Debug, Clone)]
pub(super) struct OipModel {
    /// The name of the model, as requested.
    pub(super) name: String,
    pub(super) bundle: String,
    pub(super) head: String,
    pub(super) version: u32,
    /// Whether the name selects the model with frames as input.
    pub(super) takes_frames: bool,
    pub(super) served: Arc<ServedBundle>,
}

/// The description of a model's tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorInfo {
    pub(super) name: String,
    pub(super) datatype: DataType,
    /// The shape, batch dimension first; −1 for a dimension that the client chooses.
    pub(super) shape: Vec<i64>,
}

impl OipService {
    /// Returns the model with this name; an empty version selects the newest.
    ///
    /// # Errors
    /// [`ServeError::Decode`] for an unknown bundle or head, or [`ServeError::InvalidRequest`] for a version
    /// that is not a number.
    pub(super) fn find_model(&self, name: &str, version: &str) -> Result<OipModel, ServeError> {
        self.find_model_for_space(name, version, None)
    }

    /// Returns the model with this name, in the version of the bundle that reads frames of this latent space.
    ///
    /// # Errors
    /// See [`find_model`](Self::find_model).
    pub(super) fn find_model_for_space(
        &self,
        name: &str,
        version: &str,
        space: Option<LatentSpaceId>,
    ) -> Result<OipModel, ServeError> {
        find_in_catalog(&self.registry().catalog(), name, version, space)
    }

    /// Returns every head of every bundle, in its newest version.
    pub(super) fn models(&self) -> Vec<OipModel> {
        let catalog = self.registry().catalog();
        let heads = catalog
            .newest_bundles()
            .flat_map(|served| served.names().into_iter().map(move |head| (served, head)));
        let models = heads.map(|(served, (head, version))| OipModel {
            name: format!("{}.{head}", served.name()),
            bundle: served.name().to_owned(),
            head,
            version,
            takes_frames: false,
            served: Arc::clone(served),
        });
        models.collect()
    }
}

fn find_in_catalog(
    catalog: &Catalog,
    name: &str,
    version: &str,
    space: Option<LatentSpaceId>,
) -> Result<OipModel, ServeError> {
    let (bundle, head) = name.split_once('.').unwrap_or((name, ""));
    let frame_head = head.strip_suffix(FRAME_SUFFIX);
    let (head, takes_frames) = (frame_head.unwrap_or(head), frame_head.is_some());
    let requested = match version {
        "" => None,
        number => Some(number.parse().map_err(|_| {
            ServeError::InvalidRequest(format!("the version of a model is a number, not {number:?}"))
        })?),
    };
    let served = match space {
        Some(space) => catalog.by_name_and_space(bundle, space)?,
        None => catalog.by_name(bundle)?,
    };
    let (head, version) = served.find_head(head, requested)?;
    let (name, bundle) = (name.to_owned(), bundle.to_owned());
    Ok(OipModel { name, bundle, head, version, takes_frames, served: Arc::clone(served) })
}

impl OipModel {
    /// Returns the error for an output that the model does not have.
    pub(super) fn no_output(&self, name: &str) -> ServeError {
        let output_names: Vec<String> = self.outputs().into_iter().map(|output| output.name).collect();
        let reason = format!(
            "model {:?} has no output {name:?}; it has the outputs {}",
            self.name,
            output_names.join(", ")
        );
        ServeError::InvalidRequest(reason)
    }

    /// Returns the versions of the head, newest first.
    pub(super) fn versions(&self) -> Vec<u32> {
        self.served.versions(&self.head)
    }

    /// Returns the inputs that a client must send: the layers, or the frame instead.
    pub(super) fn inputs(&self) -> Vec<TensorInfo> {
        if self.takes_frames {
            return frame_inputs();
        }
        self.description()
            .map_or_else(frame_inputs, |head| head.inputs.into_iter().map(TensorInfo::from).collect())
    }

    /// Returns the outputs that a client can request: the model's own, and the ones derived from them for the
    /// head's kind.
    pub(super) fn outputs(&self) -> Vec<TensorInfo> {
        let Some(head) = self.description() else { return Vec::new() };
        let derived = derived_outputs(head.kind);
        head.outputs.into_iter().map(TensorInfo::from).chain(derived).collect()
    }

    fn description(&self) -> Option<HeadDescription<'_>> {
        HeadDescription::find(&self.served, &self.head, Some(self.version)).ok()
    }
}

impl From<TensorDescription<'_>> for TensorInfo {
    fn from(TensorDescription { name, dims }: TensorDescription<'_>) -> Self {
        let dims = dims.into_iter().map(|dim| dim.map_or(-1, i64::from));
        let shape = std::iter::once(-1).chain(dims).collect();
        Self { name: name.to_owned(), datatype: DataType::Fp32, shape }
    }
}

/// Returns the inputs of a model that takes frames.
fn frame_inputs() -> Vec<TensorInfo> {
    vec![tensor_info(FRAME_INPUT, DataType::Bytes, &[1])]
}

fn derived_outputs(kind: HeadKindDescription<'_>) -> Vec<TensorInfo> {
    match kind {
        HeadKindDescription::Image { .. } | HeadKindDescription::FixedLatent(HeadKind::Reconstruct(_)) => {
            vec![tensor_info(PNG_OUTPUT, DataType::Bytes, &[1])]
        }
        HeadKindDescription::FixedLatent(HeadKind::Classify { labels }) => vec![
            tensor_info("probabilities", DataType::Fp32, &[labels.len() as u32]),
            tensor_info("label", DataType::Bytes, &[1]),
        ],
        HeadKindDescription::FixedLatent(HeadKind::Series(series)) => {
            vec![tensor_info("series", DataType::Fp32, &[series.length, series.channels.len() as u32])]
        }
        HeadKindDescription::FixedLatent(HeadKind::Score(_)) => vec![
            tensor_info("score", DataType::Fp32, &[1]),
            tensor_info("quantile", DataType::Fp32, &[1]),
            tensor_info("anomalous", DataType::Bool, &[1]),
        ],
        HeadKindDescription::FixedLatent(HeadKind::Tensor {}) => Vec::new(),
    }
}

fn tensor_info(name: &str, datatype: DataType, dims: &[u32]) -> TensorInfo {
    let shape = std::iter::once(-1).chain(dims.iter().map(|&dim| i64::from(dim))).collect();
    TensorInfo { name: name.to_owned(), datatype, shape }
}
