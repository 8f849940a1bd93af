//! Decodes frames to the latents that heads read.

use std::sync::Arc;

use lopside_bundle::{FixedLatentHeadSpec, FixedLatentLayerSpec, FixedLatentManifest};
use lopside_latent::{FixedLatentSpace, LatentError, Limits};

use super::{head_outputs, item_dims};
use crate::{
    DecodeError,
    model::{InferenceInput, NamedTensor},
    offload::offload_if_large,
};

/// The frame version of fixed latents.
const FRAME_VERSION: u8 = 1;

/// The latents of a request's frames.
pub(super) struct Latents {
    count: usize,
    /// The tensors of the layers, each with the values of all frames one after the other.
    layers: Vec<NamedTensor>,
    /// The cost of each latent, in bits.
    pub(super) bits: Vec<f64>,
}

impl Latents {
    /// Decodes the latents of frames.
    ///
    /// # Errors
    /// [`DecodeError`]; for an invalid frame, with its index.
    pub(super) async fn decode_frames<F: AsRef<[u8]> + Clone + Send + 'static>(
        manifest: &Arc<FixedLatentManifest>,
        space: &Arc<FixedLatentSpace>,
        frames: &[F],
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let (manifest, space, limits) = (Arc::clone(manifest), Arc::clone(space), *limits);
        let (values, frames) = (frames.len() * space.len(), frames.to_vec());
        offload_if_large(values, move || Self::decode_all(&manifest, &space, &frames, &limits)).await?
    }

    /// Decodes the latents of frames on the caller's thread.
    fn decode_all<F: AsRef<[u8]>>(
        manifest: &FixedLatentManifest,
        space: &FixedLatentSpace,
        frames: &[F],
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let integers = frames.iter().map(|frame| space.decode(frame.as_ref(), limits)).enumerate();
        let integers = integers.map(|(index, row)| row.map_err(|source| (index, source)));
        let latents = integers.collect::<Result<Vec<_>, _>>().and_then(|integers| {
            Self::from_integers(manifest, space, &integers).map_err(|source| (0, source))
        });
        latents.map_err(|(index, source)| {
            DecodeError::from_frame_error(index, source, &manifest.name, FRAME_VERSION)
        })
    }

    /// Decodes the latents of the frames that can be decoded, each frame once. Also returns, for each frame,
    /// whether it is among them.
    ///
    /// # Errors
    /// [`DecodeError::Internal`].
    pub(super) async fn decode_readable_frames<F: AsRef<[u8]> + Clone + Send + 'static>(
        manifest: &Arc<FixedLatentManifest>,
        space: &Arc<FixedLatentSpace>,
        frames: &[F],
        limits: &Limits,
    ) -> Result<(Self, Vec<bool>), DecodeError> {
        let (manifest, space, limits) = (Arc::clone(manifest), Arc::clone(space), *limits);
        let (values, frames) = (frames.len() * space.len(), frames.to_vec());
        offload_if_large(values, move || Self::decode_readable(&manifest, &space, &frames, &limits)).await?
    }

    /// Decodes the latents of readable frames on the caller's thread.
    fn decode_readable<F: AsRef<[u8]>>(
        manifest: &FixedLatentManifest,
        space: &FixedLatentSpace,
        frames: &[F],
        limits: &Limits,
    ) -> Result<(Self, Vec<bool>), DecodeError> {
        let rows: Vec<Option<Vec<i32>>> =
            frames.iter().map(|frame| space.decode(frame.as_ref(), limits).ok()).collect();
        let is_readable = rows.iter().map(Option::is_some).collect();
        let rows: Vec<Vec<i32>> = rows.into_iter().flatten().collect();
        let latents = Self::from_integers(manifest, space, &rows);
        latents
            .map(|latents| (latents, is_readable))
            .map_err(|error| DecodeError::Internal(error.to_string()))
    }

    /// Returns the number of latents.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Dequantises latents.
    ///
    /// # Errors
    /// [`LatentError`] if they do not belong to the latent space.
    pub(super) fn from_integers(
        manifest: &FixedLatentManifest,
        space: &FixedLatentSpace,
        integers: &[Vec<i32>],
    ) -> Result<Self, LatentError> {
        let rows = integers.iter().map(|row| space.dequantise(row)).collect::<Result<Vec<_>, _>>()?;
        let bits = integers.iter().map(|row| space.cost_bits(row)).collect::<Result<_, _>>()?;
        let layers = manifest.latent.iter().enumerate().map(|(number, spec)| {
            let range = space.prefix_len(number)..space.prefix_len(number + 1);
            let values = rows.iter().flat_map(|row| row[range.clone()].iter().copied()).collect();
            layer_tensor(spec, rows.len(), values)
        });
        Ok(Self { count: rows.len(), layers: layers.collect(), bits })
    }

    /// Returns the inference input of a head.
    pub(super) fn to_input(&self, spec: &FixedLatentHeadSpec) -> InferenceInput {
        let read = self.layers.iter().filter(|layer| spec.inputs.contains(&layer.name));
        build_input(spec, read.cloned().collect(), self.count)
    }

    /// Returns the inference input of the only head that reads the latents, and the cost of each latent in bits.
    pub(super) fn into_input(self, spec: &FixedLatentHeadSpec) -> (InferenceInput, Vec<f64>) {
        let read = self.layers.into_iter().filter(|layer| spec.inputs.contains(&layer.name));
        (build_input(spec, read.collect(), self.count), self.bits)
    }
}

/// Returns the inference input of a head with these layers of `items` items.
pub(super) fn build_input(
    spec: &FixedLatentHeadSpec,
    layers: Vec<NamedTensor>,
    items: usize,
) -> InferenceInput {
    let output_lens = head_outputs(spec).map(|tensor| items * item_dims(tensor).product::<usize>()).collect();
    InferenceInput::new(layers, output_lens)
}

/// Creates the tensor of a layer with `items` items.
pub(super) fn layer_tensor(spec: &FixedLatentLayerSpec, items: usize, values: Vec<f32>) -> NamedTensor {
    let shape = std::iter::once(items).chain(item_dims(&spec.tensor)).collect();
    NamedTensor { name: spec.tensor.name.clone(), shape, values: Arc::new(values) }
}
