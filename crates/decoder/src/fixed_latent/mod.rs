//! Serves a bundle of fixed latents: all frames of a request form one job.

mod head_outputs;
mod latents;

use std::sync::Arc;

use lopside_bundle::{
    Dim, FixedLatentBundle, FixedLatentHeadSpec, FixedLatentManifest, HeadKind, TensorSpec,
};
use lopside_latent::{FixedLatentSpace, Limits};

pub use self::head_outputs::FrameOutput;
use self::{
    head_outputs::{HeadOutputs, RequestedHead},
    latents::{Latents, layer_tensor, question},
};
use crate::{
    DecodeError, LoadError, Output, OutputRequest, RequestOptions,
    batch::{PendingResult, Permit},
    heads::{HeadLoader, Heads, ServedHead},
    memory_budget::{MemoryBudget, run_with_permit},
    model::{BatchSlice, HeadModel, ModelIo},
    offload::offload_if_large,
    output, reference_input,
    request::ResolvedRequest,
};

/// A bundle of fixed latents and the engines of its heads.
#[derive(Debug)]
pub struct FixedLatentService {
    /// The manifest of the bundle.
    pub manifest: Arc<FixedLatentManifest>,
    /// The latent space.
    pub space: Arc<FixedLatentSpace>,
    /// The heads, with each version, also of other bundles of the same latent space.
    pub heads: Heads<FixedLatentHeadSpec>,
}

/// Frames of which some may be unreadable, decoded once.
pub struct ReadableFrames {
    latents: Latents,
    /// For each frame, whether it could be decoded.
    pub is_readable: Vec<bool>,
}

/// A head of a bundle of fixed latents.
pub type FixedLatentHead = ServedHead<FixedLatentHeadSpec>;

impl FixedLatentService {
    /// Starts the engines of the heads.
    ///
    /// # Errors
    /// [`LoadError::Head`] with the name of the head that was refused.
    pub(crate) fn start(bundle: FixedLatentBundle, starter: &HeadLoader) -> Result<Self, LoadError> {
        let FixedLatentBundle { manifest, space, heads, .. } = bundle;
        let zeros = Latents::from_integers(&manifest, &space, &[vec![0; space.len()]]);
        let heads = heads.into_iter().map(|head| {
            ServedHead::start(starter, &manifest.name, head.spec, |spec, tries| {
                let zeros = zeros.as_ref().map_err(ToString::to_string)?;
                let io = model_io(spec, &space);
                HeadModel::load(&starter.runtime, &head.model, &io, (&zeros.question(spec), tries))
            })
        });
        let heads = Heads::new(&manifest.name, heads.collect::<Result<_, _>>()?);
        Ok(Self { manifest: Arc::new(manifest), space: Arc::new(space), heads })
    }

    /// Returns this bundle with the heads of all of these bundles, which have the same latent space.
    pub(crate) fn with_heads_of<'a>(&self, all: impl Iterator<Item = &'a Self>) -> Self {
        let heads = self.heads.union(all.map(|service| &service.heads));
        Self { manifest: Arc::clone(&self.manifest), space: Arc::clone(&self.space), heads }
    }

    /// Decodes every frame with the requested heads.
    ///
    /// # Errors
    /// [`DecodeError`]; for an invalid frame or input, with its index.
    pub(crate) async fn decode<F: AsRef<[u8]> + Clone + Send + 'static>(
        &self,
        ask: &ResolvedRequest<'_, F>,
        room: &MemoryBudget,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        let (heads, wanted) = self.select_heads(ask.outputs)?;
        let permits = self.admit_all(&heads, ask.frames.len(), ask.options)?;
        let latents = Latents::decode_frames(&self.manifest, &self.space, ask.frames, ask.limits).await?;
        let inputs = self.reference_tensors(ask, room, &heads[0].spec.name).await?;
        self.run_heads(&heads, permits, wanted, &latents, inputs, ask.options).await
    }

    /// Decodes the latents of the frames that can be decoded, for [`decode_readable`](Self::decode_readable).
    ///
    /// # Errors
    /// [`DecodeError::Internal`].
    pub async fn read_frames<F: AsRef<[u8]> + Clone + Send + 'static>(
        &self,
        frames: &[F],
        limits: &Limits,
    ) -> Result<ReadableFrames, DecodeError> {
        let (latents, is_readable) =
            Latents::of_readable(&self.manifest, &self.space, frames, limits).await?;
        Ok(ReadableFrames { latents, is_readable })
    }

    /// Runs the requested heads on the frames that could be decoded; the outputs are in the order of these frames.
    ///
    /// # Errors
    /// [`DecodeError`], of which [`DecodeError::Overloaded`] can be retried with the same frames.
    pub async fn decode_readable(
        &self,
        frames: &ReadableFrames,
        wanted: &[OutputRequest],
        terms: RequestOptions,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        if frames.latents.count() == 0 {
            return Ok(Vec::new());
        }
        let (heads, wanted) = self.select_heads(wanted)?;
        let permits = self.admit_all(&heads, frames.latents.count(), terms)?;
        self.run_heads(&heads, permits, wanted, &frames.latents, Vec::new(), terms).await
    }

    /// Returns the distinct heads of a request, and for each requested output its head and format.
    fn select_heads(
        &self,
        wanted: &[OutputRequest],
    ) -> Result<(Vec<&Arc<FixedLatentHead>>, Vec<RequestedHead>), DecodeError> {
        let mut heads: Vec<&Arc<FixedLatentHead>> = Vec::with_capacity(wanted.len());
        let mut outputs = Vec::with_capacity(wanted.len());
        for one in wanted {
            let head = self.heads.version(&one.head, one.version)?;
            output::check_format(&head.spec, one.format)?;
            let made = heads.iter().position(|other| Arc::ptr_eq(other, head)).unwrap_or(heads.len());
            if made == heads.len() {
                heads.push(head);
            }
            outputs.push(RequestedHead { head: Arc::clone(head), format: one.format, slice_index: made });
        }
        Ok((heads, outputs))
    }

    fn admit_all(
        &self,
        heads: &[&Arc<FixedLatentHead>],
        frames: usize,
        terms: RequestOptions,
    ) -> Result<Vec<Permit>, DecodeError> {
        heads.iter().map(|head| self.admit(head, frames, terms)).collect()
    }

    /// Runs heads on latents, one job per head, and converts their outputs.
    async fn run_heads(
        &self,
        heads: &[&Arc<FixedLatentHead>],
        permits: Vec<Permit>,
        wanted: Vec<RequestedHead>,
        latents: &Latents,
        inputs: Vec<Vec<f32>>,
        terms: RequestOptions,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        let jobs = heads.iter().zip(permits);
        let pending: Vec<PendingResult> = jobs
            .map(|(head, permit)| head.engine.submit_job(permit, latents.question(&head.spec), terms))
            .collect();
        let mut made = Vec::with_capacity(pending.len());
        for pending in pending {
            made.push(pending.wait_for_result().await?);
        }
        let manifest = Arc::clone(&self.manifest);
        let answers = HeadOutputs {
            manifest,
            requested: wanted,
            slices: made,
            bits: latents.bits.clone(),
            reference_inputs: inputs,
        };
        offload_if_large(answers.count_converted(), move || answers.all()).await?
    }

    /// Runs a head on frames and returns its outputs and the costs of the latents in bits.
    ///
    /// # Errors
    /// [`DecodeError`]; for an invalid frame, with its index.
    pub async fn run_frames<F: AsRef<[u8]> + Clone + Send + 'static>(
        &self,
        head: &FixedLatentHead,
        frames: &[F],
        limits: &Limits,
        terms: RequestOptions,
    ) -> Result<(BatchSlice, Vec<f64>), DecodeError> {
        let permit = self.admit(head, frames.len(), terms)?;
        let latents = Latents::decode_frames(&self.manifest, &self.space, frames, limits).await?;
        let pending = head.engine.submit_job(permit, latents.question(&head.spec), terms);
        let Latents { bits, .. } = latents;
        Ok((pending.wait_for_result().await?, bits))
    }

    /// Runs a head on the layers that it reads, in the order of the latent, each with `items` items.
    ///
    /// # Errors
    /// [`DecodeError::Overloaded`], [`DecodeError::DeadlineExceeded`] or [`DecodeError::Internal`].
    pub async fn run_layers(
        &self,
        head: &FixedLatentHead,
        layers: Vec<Vec<f32>>,
        items: usize,
        terms: RequestOptions,
    ) -> Result<BatchSlice, DecodeError> {
        let read = self.manifest.latent.iter().filter(|layer| head.spec.inputs.contains(&layer.tensor.name));
        let layers = read.zip(layers).map(|(spec, values)| layer_tensor(spec, items, values)).collect();
        head.run(question(&head.spec, layers, items), terms).await
    }

    /// Acquires a permit for frames in a head's queue.
    fn admit(
        &self,
        head: &FixedLatentHead,
        frames: usize,
        terms: RequestOptions,
    ) -> Result<Permit, DecodeError> {
        head.engine.admit(frames, frames * self.item_bytes(&head.spec), terms)
    }

    /// Returns the size of all tensors of a head in bytes per frame.
    fn item_bytes(&self, spec: &FixedLatentHeadSpec) -> usize {
        let layers = self.manifest.latent.iter().map(|layer| &layer.tensor);
        let read = layers.filter(|tensor| spec.inputs.contains(&tensor.name));
        let values: usize =
            read.chain(head_outputs(spec)).map(|tensor| item_dims(tensor).product::<usize>()).sum();
        values * size_of::<f32>()
    }

    /// Converts the reference inputs to the tensors that the encoder read. `head` is the name in the error if
    /// too many requests wait for the memory budget.
    async fn reference_tensors<F>(
        &self,
        ask: &ResolvedRequest<'_, F>,
        room: &MemoryBudget,
        head: &str,
    ) -> Result<Vec<Vec<f32>>, DecodeError> {
        let mut tensors = Vec::with_capacity(ask.inputs.len());
        for (index, sent) in ask.inputs.iter().enumerate() {
            let FixedLatentManifest { input, encoder, .. } = &*self.manifest;
            let pixels = reference_input::count_pixels(sent, index, input, ask.limits.max_pixels)?;
            if pixels == 0 {
                tensors.push(reference_input::convert_to_tensor(sent, index, input, &encoder.input)?);
                continue;
            }
            let place = Arc::new(room.acquire(pixels, head, ask.options).await?);
            let (sent, spec, tensor) = (sent.clone(), input.clone(), encoder.input.clone());
            let converted = run_with_permit(place, move || {
                reference_input::convert_to_tensor(&sent, index, &spec, &tensor)
            })
            .await?;
            tensors.push(converted?);
        }
        Ok(tensors)
    }
}

/// Returns the names that a head's model must have.
fn model_io(spec: &FixedLatentHeadSpec, space: &FixedLatentSpace) -> ModelIo {
    ModelIo {
        inputs: spec.inputs.clone(),
        outputs: head_outputs(spec).map(|tensor| tensor.name.clone()).collect(),
        latent_space: space.id().to_string(),
    }
}

/// Returns the outputs of a head's model: the main output, and the reconstruction if the head's kind needs
/// one.
pub fn head_outputs(spec: &FixedLatentHeadSpec) -> impl Iterator<Item = &TensorSpec> {
    let more = if let HeadKind::Score(score) = &spec.kind { score.reconstruction.as_ref() } else { None };
    std::iter::once(&spec.output).chain(more)
}

/// Returns the dimensions of one item, which are fixed: the manifest was checked for it.
pub fn item_dims(tensor: &TensorSpec) -> impl Iterator<Item = usize> {
    tensor.shape.iter().skip(1).filter_map(|dim| match dim {
        Dim::Fixed(extent) => Some(*extent as usize),
        Dim::Symbol(_) => None,
    })
}
