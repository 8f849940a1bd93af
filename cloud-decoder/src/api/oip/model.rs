//! The head that a model name selects, and the tensors of the model.

use std::sync::Arc;

use lopside_bundle::{HeadKind, TensorSpec};
use lopside_decoder::{Catalog, ServedBundle};
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
    /// [`ServeError::UnknownBundle`], [`ServeError::UnknownHead`], or [`ServeError::InvalidRequest`] for a version
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
    let of_head = head.strip_suffix(FRAME_SUFFIX);
    let (head, of_frames) = (of_head.unwrap_or(head), of_head.is_some());
    let wanted = match version {
        "" => None,
        number => Some(number.parse().map_err(|_| {
            ServeError::InvalidRequest(format!("the version of a model is a number, not {number:?}"))
        })?),
    };
    let served = match space {
        Some(space) => catalog.by_name_and_space(bundle, space)?,
        None => catalog.by_name(bundle)?,
    };
    let (head, version) = served.find_head(head, wanted)?;
    let (name, bundle) = (name.to_owned(), bundle.to_owned());
    Ok(OipModel { name, bundle, head, version, takes_frames: of_frames, served: Arc::clone(served) })
}

impl OipModel {
    /// Returns the error for an output that the model does not have.
    pub(super) fn no_output(&self, name: &str) -> ServeError {
        let known: Vec<String> = self.outputs().into_iter().map(|output| output.name).collect();
        let reason =
            format!("model {:?} has no output {name:?}; it has the outputs {}", self.name, known.join(", "));
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
        match self.served.as_ref() {
            ServedBundle::FixedLatent(service) => {
                let Ok(head) = service.heads.version(&self.head, Some(self.version)) else {
                    return frame_inputs();
                };
                service
                    .manifest
                    .latent
                    .iter()
                    .map(|layer| &layer.tensor)
                    .filter(|tensor| head.spec.inputs.contains(&tensor.name))
                    .map(float_info)
                    .collect()
            }
            ServedBundle::ImageCodec(service) => {
                let Ok(head) = service.heads.version(&self.head, Some(self.version)) else {
                    return frame_inputs();
                };
                let layers = service.manifest.layers.iter();
                let layers = layers.map(|layer| map_info(&layer.tensor, i64::from(layer.channels)));
                layers.chain([tensor_info(&head.spec.quality, DataType::Fp32, &[1])]).collect()
            }
        }
    }

    /// Returns the outputs that a client can request: the model's own, and the ones derived from them for the
    /// head's kind.
    pub(super) fn outputs(&self) -> Vec<TensorInfo> {
        match self.served.as_ref() {
            ServedBundle::FixedLatent(service) => {
                let Ok(head) = service.heads.version(&self.head, Some(self.version)) else {
                    return Vec::new();
                };
                let own = lopside_decoder::head_outputs(&head.spec).map(float_info);
                own.chain(derived_outputs(&head.spec.kind)).collect()
            }
            ServedBundle::ImageCodec(service) => {
                let Ok(head) = service.heads.version(&self.head, Some(self.version)) else {
                    return Vec::new();
                };
                vec![map_info(&head.spec.output, 3), tensor_info(PNG_OUTPUT, DataType::Bytes, &[1])]
            }
        }
    }
}

/// Returns the inputs of a model that takes frames.
fn frame_inputs() -> Vec<TensorInfo> {
    vec![tensor_info(FRAME_INPUT, DataType::Bytes, &[1])]
}

fn derived_outputs(kind: &HeadKind) -> Vec<TensorInfo> {
    match kind {
        HeadKind::Reconstruct(_) => vec![tensor_info(PNG_OUTPUT, DataType::Bytes, &[1])],
        HeadKind::Classify { labels } => vec![
            tensor_info("probabilities", DataType::Fp32, &[labels.len() as u32]),
            tensor_info("label", DataType::Bytes, &[1]),
        ],
        HeadKind::Series(series) => {
            vec![tensor_info("series", DataType::Fp32, &[series.length, series.channels.len() as u32])]
        }
        HeadKind::Score(_) => vec![
            tensor_info("score", DataType::Fp32, &[1]),
            tensor_info("quantile", DataType::Fp32, &[1]),
            tensor_info("anomalous", DataType::Bool, &[1]),
        ],
        HeadKind::Tensor {} => Vec::new(),
    }
}

fn float_info(tensor: &TensorSpec) -> TensorInfo {
    tensor_info(&tensor.name, DataType::Fp32, &tensor.item_dims().unwrap_or_default())
}

/// Returns the description of feature maps, or of an image, of any size.
fn map_info(name: &str, channels: i64) -> TensorInfo {
    TensorInfo { name: name.to_owned(), datatype: DataType::Fp32, shape: vec![-1, channels, -1, -1] }
}

fn tensor_info(name: &str, datatype: DataType, dims: &[u32]) -> TensorInfo {
    let shape = std::iter::once(-1).chain(dims.iter().map(|&dim| i64::from(dim))).collect();
    TensorInfo { name: name.to_owned(), datatype, shape }
}
