//! Which head a model's name means, and its tensors.

use std::sync::Arc;

use lopside_bundle::{HeadKind, TensorSpec};
use lopside_latent::LatentSpaceId;

use super::{Oip, tensor::DataType};
use crate::{ServeError, registry::Catalog, served::Served};

/// The input that holds frames.
pub(super) const FRAME: &str = "frame";
/// What ends the name of a head as a model of frames.
const FRAMES: &str = ".frame";
/// The output of PNG files.
pub(super) const PNG: &str = "png";
/// What the only layer of a bundle may be called.
pub(super) const LATENT: &str = "latent";

/// One head as a model.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// The name that was asked for.
    pub(super) name: String,
    pub(super) bundle: String,
    pub(super) head: String,
    pub(super) version: u32,
    /// Whether the name stands for the head as a model of frames.
    pub(super) of_frames: bool,
    pub(super) served: Arc<Served>,
}

/// A tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorInfo {
    pub(super) name: String,
    pub(super) datatype: DataType,
    /// −1 for a dimension that the caller chooses; the batch first.
    pub(super) shape: Vec<i64>,
}

impl Oip {
    /// The model of a name, in its newest version when none is named.
    ///
    /// # Errors
    /// [`ServeError::UnknownBundle`], [`ServeError::UnknownHead`] or [`ServeError::Request`] for a version that is no
    /// number.
    pub(super) fn model(&self, name: &str, version: &str) -> Result<Model, ServeError> {
        self.model_for(name, version, None)
    }

    /// The same, in the version of the bundle that reads frames of this latent space.
    ///
    /// # Errors
    /// See [`model`](Self::model).
    pub(super) fn model_for(
        &self,
        name: &str,
        version: &str,
        space: Option<LatentSpaceId>,
    ) -> Result<Model, ServeError> {
        find(&self.registry().catalog(), name, version, space)
    }

    /// Every head of every bundle in its newest version.
    pub(super) fn models(&self) -> Vec<Model> {
        let catalog = self.registry().catalog();
        let of = |(served, (head, version)): (&Arc<Served>, (String, u32))| Model {
            name: format!("{}.{head}", served.name()),
            bundle: served.name().to_owned(),
            head,
            version,
            of_frames: false,
            served: Arc::clone(served),
        };
        let heads =
            catalog.all().flat_map(|served| served.names().into_iter().map(move |head| (served, head)));
        heads.map(of).collect()
    }
}

fn find(
    catalog: &Catalog,
    name: &str,
    version: &str,
    space: Option<LatentSpaceId>,
) -> Result<Model, ServeError> {
    let (bundle, head) = name.split_once('.').unwrap_or((name, ""));
    let of_head = head.strip_suffix(FRAMES);
    let (head, of_frames) = (of_head.unwrap_or(head), of_head.is_some());
    let wanted = match version {
        "" => None,
        number => Some(number.parse().map_err(|_| {
            ServeError::Request(format!("the version of a model is a number, {number:?} is none"))
        })?),
    };
    let served = match space {
        Some(space) => catalog.by_name_and_space(bundle, space)?,
        None => catalog.by_name(bundle)?,
    };
    let (head, version) = served.find(head, wanted)?;
    let (name, bundle) = (name.to_owned(), bundle.to_owned());
    Ok(Model { name, bundle, head, version, of_frames, served: Arc::clone(served) })
}

impl Model {
    /// That it has no such output.
    pub(super) fn no_output(&self, name: &str) -> ServeError {
        let known: Vec<String> = self.outputs().into_iter().map(|output| output.name).collect();
        let reason = format!("model {:?} has no output {name:?}; it has {}", self.name, known.join(", "));
        ServeError::Request(reason)
    }

    /// The versions of the head, the newest first.
    pub(super) fn versions(&self) -> Vec<u32> {
        self.served.versions(&self.head)
    }

    /// The inputs that a caller must send: the layers, or the frame in their place.
    pub(super) fn inputs(&self) -> Vec<TensorInfo> {
        let frame = || vec![info(FRAME, DataType::Bytes, &[1])];
        if self.of_frames {
            return frame();
        }
        match self.served.as_ref() {
            Served::Vector(service) => {
                let Ok(head) = service.heads.version(&self.head, Some(self.version)) else { return frame() };
                let is_read = |tensor: &&TensorSpec| head.spec.inputs.contains(&tensor.name);
                service
                    .manifest
                    .latent
                    .iter()
                    .map(|layer| &layer.tensor)
                    .filter(is_read)
                    .map(floats)
                    .collect()
            }
            Served::Picture(service) => {
                let Ok(head) = service.heads.version(&self.head, Some(self.version)) else { return frame() };
                let layers = service.manifest.layers.iter();
                let layers = layers.map(|layer| maps(&layer.tensor, i64::from(layer.channels)));
                layers.chain([info(&head.spec.quality, DataType::Fp32, &[1])]).collect()
            }
        }
    }

    /// The outputs that a caller may ask for: the model's own, and what the head's kind makes of them.
    pub(super) fn outputs(&self) -> Vec<TensorInfo> {
        match self.served.as_ref() {
            Served::Vector(service) => {
                let Ok(head) = service.heads.version(&self.head, Some(self.version)) else {
                    return Vec::new();
                };
                let own = crate::vector::outputs(&head.spec).map(floats);
                own.chain(derived(&head.spec.kind)).collect()
            }
            Served::Picture(service) => {
                let Ok(head) = service.heads.version(&self.head, Some(self.version)) else {
                    return Vec::new();
                };
                vec![maps(&head.spec.output, 3), info(PNG, DataType::Bytes, &[1])]
            }
        }
    }
}

fn derived(kind: &HeadKind) -> Vec<TensorInfo> {
    match kind {
        HeadKind::Reconstruct(_) => vec![info(PNG, DataType::Bytes, &[1])],
        HeadKind::Classify { labels } => vec![
            info("probabilities", DataType::Fp32, &[labels.len() as u32]),
            info("label", DataType::Bytes, &[1]),
        ],
        HeadKind::Series(series) => {
            vec![info("series", DataType::Fp32, &[series.length, series.channels.len() as u32])]
        }
        HeadKind::Score(_) => vec![
            info("score", DataType::Fp32, &[1]),
            info("quantile", DataType::Fp32, &[1]),
            info("anomalous", DataType::Bool, &[1]),
        ],
        HeadKind::Tensor {} => Vec::new(),
    }
}

fn floats(tensor: &TensorSpec) -> TensorInfo {
    info(&tensor.name, DataType::Fp32, &tensor.item_dims().unwrap_or_default())
}

/// Feature maps, or a picture, of any size.
fn maps(name: &str, channels: i64) -> TensorInfo {
    TensorInfo { name: name.to_owned(), datatype: DataType::Fp32, shape: vec![-1, channels, -1, -1] }
}

fn info(name: &str, datatype: DataType, dims: &[u32]) -> TensorInfo {
    let shape = std::iter::once(-1).chain(dims.iter().map(|&dim| i64::from(dim))).collect();
    TensorInfo { name: name.to_owned(), datatype, shape }
}
