//! A bundle of fixed latents as it is served: all frames of a request are one batch.

use std::sync::Arc;

use lopside_bundle::{Bundle, HeadSpec, Manifest, TensorSpec};
use lopside_latent::LatentSpace;

use crate::{
    Output, ServeError, StartError,
    decode::Ask,
    heads::{self, ServedHead, Starter},
    model::{Input, Io, Model, Question},
    output,
};

/// The frame version of fixed latents.
const FRAME_VERSION: u8 = 1;

/// The bundle and the engines of its heads.
#[derive(Debug)]
pub(crate) struct VectorService {
    pub(crate) manifest: Manifest,
    pub(crate) space: LatentSpace,
    heads: Vec<ServedHead<HeadSpec>>,
}

impl VectorService {
    /// Starts the engines.
    ///
    /// # Errors
    /// [`StartError::Head`] naming the head that was refused.
    pub(crate) fn start(bundle: Bundle, starter: Starter<'_>) -> Result<Self, StartError> {
        let Bundle { manifest, space, heads, .. } = bundle;
        let start = |head: lopside_bundle::Head| {
            let io = Io {
                inputs: vec![head.spec.input.name.clone()],
                output: head.spec.output.name.clone(),
                latent_space: space.id().to_string(),
            };
            let zeros = vec![0.0; space.quantiser().gains().len()];
            let warm_up = question(&head.spec, Arc::new(zeros), 1);
            let model = Model::load(starter.runtime, &head.model, &io, &warm_up);
            ServedHead::start(starter, &manifest.name, head.spec, model)
        };
        let heads = heads.into_iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self { manifest, space, heads })
    }

    /// The newest version of each head, in the manifest's order.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &HeadSpec> {
        heads::newest(&self.heads).map(|head| &head.spec)
    }

    /// The newest version of a head; of the first one when the name is empty.
    pub(crate) fn head(&self, name: &str) -> Result<&ServedHead<HeadSpec>, ServeError> {
        heads::find(&self.manifest.name, &self.heads, name)
    }

    /// What the wanted heads make of every frame.
    ///
    /// # Errors
    /// [`ServeError`]; of a bad frame with its index.
    pub(crate) async fn decode<F: AsRef<[u8]>>(
        &self,
        ask: &Ask<'_, F>,
    ) -> Result<Vec<Vec<Output>>, ServeError> {
        let heads = ask.wanted.iter().map(|wanted| self.head(&wanted.head)).collect::<Result<Vec<_>, _>>()?;
        let latents = Arc::new(self.latents(ask)?);
        let count = ask.frames.len();
        let mut answers: Vec<Vec<Output>> =
            ask.frames.iter().map(|_| Vec::with_capacity(heads.len())).collect();
        for (wanted, head) in ask.wanted.iter().zip(heads) {
            let question = question(&head.spec, Arc::clone(&latents), count);
            let made = head.engine.run(question, ask.deadline).await?;
            let each = made.values().len() / count;
            for (answer, values) in answers.iter_mut().zip(made.values().chunks_exact(each)) {
                answer.push(output::make(&head.spec, &self.manifest.preprocess, wanted.format, values)?);
            }
        }
        Ok(answers)
    }

    /// The latents of all frames, one after the other.
    fn latents<F: AsRef<[u8]>>(&self, ask: &Ask<'_, F>) -> Result<Vec<f32>, ServeError> {
        let mut latents = Vec::new();
        for (index, frame) in ask.frames.iter().enumerate() {
            let latent = self
                .space
                .decode(frame.as_ref(), ask.limits)
                .and_then(|integers| self.space.dequantise(&integers))
                .map_err(|source| ServeError::of_frame(index, source, &self.manifest.name, FRAME_VERSION))?;
            latents.extend(latent);
        }
        Ok(latents)
    }
}

fn question(spec: &HeadSpec, latents: Arc<Vec<f32>>, batch: usize) -> Question {
    let shape = std::iter::once(batch).chain(dims(&spec.input)).collect();
    Question {
        inputs: vec![Input { name: spec.input.name.clone(), shape, values: latents }],
        output_len: batch * dims(&spec.output).product::<usize>(),
    }
}

fn dims(tensor: &TensorSpec) -> impl Iterator<Item = usize> + use<> {
    tensor.item_dims().unwrap_or_default().into_iter().map(|dim| dim as usize)
}
