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
    latents::{Latents, build_input, layer_tensor},
};
use crate::{
    DecodeError, LoadError, Output, OutputRequest, RequestOptions,
    batch::{PendingResult, Permit},
    heads::{HeadLoader, Heads, ServedHead},
    memory_budget::{MemoryBudget, run_with_permit},
    model::{BatchSlice, HeadModel, ModelIo, ModelSource},
    offload::offload_if_large,
    output, reference_input,
    request::ResolvedRequest,
    runtime::SessionMemory,
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
    pub(crate) fn start(bundle: FixedLatentBundle, loader: &HeadLoader) -> Result<Self, LoadError> {
        let FixedLatentBundle { manifest, space, heads, .. } = bundle;
        let zeros = Latents::from_integers(&manifest, &space, &[vec![0; space.len()]]);
        let heads = heads.into_iter().map(|head| {
            ServedHead::start(loader, &manifest.name, head.spec, |spec, max_items| {
                let zeros = zeros.as_ref().map_err(ToString::to_string)?;
                let io = model_io(spec, &space);
                let source = ModelSource { bytes: &head.model, io: &io, memory: SessionMemory::Kept };
                HeadModel::load(&loader.runtime, source, (&zeros.to_input(spec), max_items))
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
        request: &ResolvedRequest<'_, F>,
        budget: &MemoryBudget,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        let (heads, requested) = self.select_heads(request.outputs)?;
        let mut permits = self.admit_all(&heads, request.frames.len(), request.options)?;
        let mut reference_inputs = Vec::new();
        if !request.inputs.is_empty() {
            // The places in the queues are given back, because images wait for memory that other requests hold: a
            // head with nothing to do would refuse requests that it could answer at once.
            drop(permits);
            reference_inputs = self.reference_tensors(request, budget, &heads[0].spec.name).await?;
            permits = self.admit_all(&heads, request.frames.len(), request.options)?;
        }
        let latents =
            Latents::decode_frames(&self.manifest, &self.space, request.frames, request.limits).await?;
        let slices = run_heads(&heads, permits, &latents, request.options).await?;
        self.convert_outputs(requested, slices, latents.bits, reference_inputs).await
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
            Latents::decode_readable_frames(&self.manifest, &self.space, frames, limits).await?;
        Ok(ReadableFrames { latents, is_readable })
    }

    /// Runs the requested heads on the frames that could be decoded; the outputs are in the order of these frames.
    ///
    /// # Errors
    /// [`DecodeError`], of which [`DecodeError::Overloaded`] can be retried with the same frames.
    pub async fn decode_readable(
        &self,
        frames: &ReadableFrames,
        outputs: &[OutputRequest],
        options: RequestOptions,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        let latents = &frames.latents;
        if latents.count() == 0 {
            return Ok(Vec::new());
        }
        let (heads, requested) = self.select_heads(outputs)?;
        let permits = self.admit_all(&heads, latents.count(), options)?;
        let slices = run_heads(&heads, permits, latents, options).await?;
        // Copied, because the caller may decode the frames with further heads.
        self.convert_outputs(requested, slices, latents.bits.clone(), Vec::new()).await
    }

    /// Returns the distinct heads of a request, and for each requested output its head and format.
    fn select_heads(
        &self,
        outputs: &[OutputRequest],
    ) -> Result<(Vec<&Arc<FixedLatentHead>>, Vec<RequestedHead>), DecodeError> {
        let mut heads: Vec<&Arc<FixedLatentHead>> = Vec::with_capacity(outputs.len());
        let mut requested = Vec::with_capacity(outputs.len());
        for OutputRequest { head, version, format } in outputs {
            let head = self.heads.version(head, *version)?;
            output::check_format(&head.spec, *format)?;
            let slice_index = heads.iter().position(|other| Arc::ptr_eq(other, head)).unwrap_or(heads.len());
            if slice_index == heads.len() {
                heads.push(head);
            }
            requested.push(RequestedHead { head: Arc::clone(head), format: *format, slice_index });
        }
        Ok((heads, requested))
    }

    /// Returns the multiply-accumulates of these outputs for this many frames. A head that makes several outputs runs
    /// once.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`], or [`DecodeError::InvalidRequest`] for a format that a head does not support.
    pub(crate) fn macs_of_outputs(
        &self,
        outputs: &[OutputRequest],
        frames: usize,
    ) -> Result<u64, DecodeError> {
        let (heads, _) = self.select_heads(outputs)?;
        let macs = heads.iter().map(|head| head.spec.cost.macs).fold(0, u64::saturating_add);
        Ok(macs.saturating_mul(frames as u64))
    }

    fn admit_all(
        &self,
        heads: &[&Arc<FixedLatentHead>],
        frames: usize,
        options: RequestOptions,
    ) -> Result<Vec<Permit>, DecodeError> {
        heads.iter().map(|head| self.admit(head, frames, options)).collect()
    }

    /// Converts the outputs of heads to the requested formats, frame by frame.
    async fn convert_outputs(
        &self,
        requested: Vec<RequestedHead>,
        slices: Vec<BatchSlice>,
        bits: Vec<f64>,
        reference_inputs: Vec<Vec<f32>>,
    ) -> Result<Vec<Vec<Output>>, DecodeError> {
        let manifest = Arc::clone(&self.manifest);
        let outputs = HeadOutputs { manifest, requested, slices, bits, reference_inputs };
        offload_if_large(outputs.count_converted(), move || outputs.convert_frames()).await?
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
        options: RequestOptions,
    ) -> Result<(BatchSlice, Vec<f64>), DecodeError> {
        let permit = self.admit(head, frames.len(), options)?;
        let latents = Latents::decode_frames(&self.manifest, &self.space, frames, limits).await?;
        let (input, bits) = latents.into_input(&head.spec);
        let slice = head.engine.submit_job(permit, input, options).wait_for_result().await?;
        Ok((slice, bits))
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
        options: RequestOptions,
    ) -> Result<BatchSlice, DecodeError> {
        let read = self.manifest.latent.iter().filter(|layer| head.spec.inputs.contains(&layer.tensor.name));
        let layers = read.zip(layers).map(|(spec, values)| layer_tensor(spec, items, values)).collect();
        head.run(build_input(&head.spec, layers, items), options).await
    }

    /// Acquires a permit for frames in a head's queue.
    fn admit(
        &self,
        head: &FixedLatentHead,
        frames: usize,
        options: RequestOptions,
    ) -> Result<Permit, DecodeError> {
        head.engine.admit(frames, frames * self.item_bytes(&head.spec), options)
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
        request: &ResolvedRequest<'_, F>,
        budget: &MemoryBudget,
        head: &str,
    ) -> Result<Vec<Vec<f32>>, DecodeError> {
        let FixedLatentManifest { input: spec, encoder, .. } = &*self.manifest;
        let mut tensors = Vec::with_capacity(request.inputs.len());
        for (index, input) in request.inputs.iter().enumerate() {
            let pixels = reference_input::count_pixels(input, index, spec, request.limits.max_pixels)?;
            if pixels == 0 {
                tensors.push(reference_input::convert_to_tensor(input, index, spec, &encoder.input)?);
                continue;
            }
            let permit = Arc::new(budget.acquire(pixels, head, request.options).await?);
            let (input, manifest) = (input.clone(), Arc::clone(&self.manifest));
            let converted = run_with_permit(permit, move || {
                reference_input::convert_to_tensor(&input, index, &manifest.input, &manifest.encoder.input)
            })
            .await?;
            tensors.push(converted?);
        }
        Ok(tensors)
    }
}

/// Runs heads on latents, one job per head, and returns the output of each head.
async fn run_heads(
    heads: &[&Arc<FixedLatentHead>],
    permits: Vec<Permit>,
    latents: &Latents,
    options: RequestOptions,
) -> Result<Vec<BatchSlice>, DecodeError> {
    let jobs = heads.iter().zip(permits);
    let pending: Vec<PendingResult> = jobs
        .map(|(head, permit)| head.engine.submit_job(permit, latents.to_input(&head.spec), options))
        .collect();
    let mut slices = Vec::with_capacity(pending.len());
    for result in pending {
        slices.push(result.wait_for_result().await?);
    }
    Ok(slices)
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
    let reconstruction =
        if let HeadKind::Score(score) = &spec.kind { score.reconstruction.as_ref() } else { None };
    std::iter::once(&spec.output).chain(reconstruction)
}

/// Returns the dimensions of one item, which are fixed: the manifest was checked for it.
pub fn item_dims(tensor: &TensorSpec) -> impl Iterator<Item = usize> {
    tensor.shape.iter().skip(1).filter_map(|dim| match dim {
        Dim::Fixed(extent) => Some(*extent as usize),
        Dim::Symbol(_) => None,
    })
}
