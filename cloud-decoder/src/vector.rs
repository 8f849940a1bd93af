//! A bundle of fixed latents as it is served: all frames of a request are one job.

use std::sync::Arc;

use lopside_bundle::{Bundle, HeadKind, HeadSpec, LatentSpec, Manifest, TensorSpec};
use lopside_latent::{LatentError, LatentSpace, Limits};

use crate::{
    Output, ServeError, StartError, Terms, Value, Wanted,
    anomaly::{self, Evidence},
    batch::{engine::Pending, queue::Permit, sizing},
    decode::Ask,
    heads::{self, Heads, ServedHead, Starter},
    model::{Input, Io, Model, Question, Share},
    output::{self, Format},
    room::{Room, blocking},
    sent,
};

/// The frame version of fixed latents.
const FRAME_VERSION: u8 = 1;

/// The bundle and the engines of its heads.
#[derive(Debug)]
pub(crate) struct VectorService {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) space: Arc<LatentSpace>,
    heads: Heads<HeadSpec>,
}

/// A head of such a bundle.
pub(crate) type VectorHead = ServedHead<HeadSpec>;

/// The latents of a request's frames.
struct Latents {
    count: usize,
    /// The layers by their tensors, each of all frames one after the other.
    layers: Vec<Input>,
    /// What each latent costs, in bits.
    bits: Vec<f64>,
}

impl VectorService {
    /// Starts the engines.
    ///
    /// # Errors
    /// [`StartError::Head`] naming the head that was refused.
    pub(crate) fn start(bundle: Bundle, starter: &Starter) -> Result<Self, StartError> {
        let Bundle { manifest, space, heads, .. } = bundle;
        let zeros = Latents::new(&manifest, &space, &[vec![0; space.len()]]);
        let start = |head: lopside_bundle::Head| {
            let io = |spec: &HeadSpec| Io {
                inputs: spec.inputs.clone(),
                outputs: outputs(spec).map(|tensor| tensor.name.clone()).collect(),
                latent_space: space.id().to_string(),
            };
            let load = |spec: &HeadSpec| {
                let zeros = zeros.as_ref().map_err(ToString::to_string)?;
                Model::load(&starter.runtime, &head.model, &io(spec), (&zeros.question(spec), sizing::MOST))
            };
            ServedHead::start(starter, &manifest.name, head.spec, load)
        };
        let heads = heads.into_iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self { manifest: Arc::new(manifest), space: Arc::new(space), heads })
    }

    /// The first of several bundles of one latent space, with the heads of all.
    pub(crate) fn with_heads_of<'a>(&self, all: impl Iterator<Item = &'a Self>) -> Self {
        let heads = heads::union(all.map(|service| &service.heads));
        Self { manifest: Arc::clone(&self.manifest), space: Arc::clone(&self.space), heads }
    }

    /// The newest version of each head, in the manifest's order.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &HeadSpec> {
        heads::newest(&self.heads).map(|head| &head.spec)
    }

    /// All versions of all heads.
    pub(crate) fn all_heads(&self) -> &[Arc<VectorHead>] {
        &self.heads
    }

    /// A version of a head, the newest when none is named; of the first head when the name is empty.
    pub(crate) fn version(&self, name: &str, version: Option<u32>) -> Result<&Arc<VectorHead>, ServeError> {
        heads::find(&self.manifest.name, &self.heads, name, version)
    }

    /// What the wanted heads make of every frame.
    ///
    /// # Errors
    /// [`ServeError`]; of a bad frame or input with its index.
    pub(crate) async fn decode<F: AsRef<[u8]>>(
        &self,
        ask: &Ask<'_, F>,
        room: &Room,
    ) -> Result<Vec<Vec<Output>>, ServeError> {
        let heads = ask
            .wanted
            .iter()
            .map(|wanted| self.version(&wanted.head, wanted.version))
            .collect::<Result<Vec<_>, _>>()?;
        for (wanted, head) in ask.wanted.iter().zip(&heads) {
            output::check(&head.spec, wanted.format)?;
        }
        let distinct = distinct(&heads);
        let permits = distinct.iter().map(|head| {
            let bytes = ask.frames.len() * self.item_bytes(&head.spec);
            head.engine.admit(ask.frames.len(), bytes, ask.terms)
        });
        let permits = permits.collect::<Result<Vec<_>, _>>()?;
        let latents = self.latents(ask.frames, ask.limits)?;
        let inputs = self.inputs(ask, room, &heads[0].spec.name).await?;
        let asked = distinct.iter().zip(permits);
        let ask_one = |(head, permit): (&&Arc<VectorHead>, Permit)| {
            head.engine.ask(permit, latents.question(&head.spec), ask.terms)
        };
        let pending: Vec<Pending> = asked.map(ask_one).collect();
        let mut made = Vec::with_capacity(pending.len());
        for pending in pending {
            made.push(pending.answer().await?);
        }
        let answer = |index: usize| {
            let output = |(wanted, head): (&Wanted, &&Arc<VectorHead>)| {
                let at = distinct.iter().position(|other| Arc::ptr_eq(other, head)).unwrap_or_default();
                let item =
                    Item { bits: latents.bits[index], index, input: inputs.get(index), made: &made[at] };
                let value = self.value(&head.spec, wanted.format, &item)?;
                Ok(Output { head: head.spec.name.clone(), version: head.spec.version, value })
            };
            ask.wanted.iter().zip(&heads).map(output).collect()
        };
        (0..ask.frames.len()).map(answer).collect()
    }

    /// What a head makes of frames, and what their latents cost in bits.
    ///
    /// # Errors
    /// [`ServeError`]; of a bad frame with its index.
    pub(crate) async fn run_frames<F: AsRef<[u8]>>(
        &self,
        head: &VectorHead,
        frames: &[F],
        limits: &Limits,
        terms: Terms,
    ) -> Result<(Share, Vec<f64>), ServeError> {
        let bytes = frames.len() * self.item_bytes(&head.spec);
        let permit = head.engine.admit(frames.len(), bytes, terms)?;
        let Latents { count, layers, bits } = self.latents(frames, limits)?;
        let latents = Latents { count, layers, bits: Vec::new() };
        let share = head.engine.ask(permit, latents.question(&head.spec), terms).answer().await?;
        Ok((share, bits))
    }

    /// What a head makes of the layers that it reads, in the latent's order, each of so many items.
    ///
    /// # Errors
    /// [`ServeError::Overloaded`], [`ServeError::DeadlineExceeded`] or [`ServeError::Internal`].
    pub(crate) async fn run_layers(
        &self,
        head: &VectorHead,
        layers: Vec<Vec<f32>>,
        items: usize,
        terms: Terms,
    ) -> Result<Share, ServeError> {
        let read = self.manifest.latent.iter().filter(|layer| head.spec.inputs.contains(&layer.tensor.name));
        let layer = |(spec, values): (&LatentSpec, Vec<f32>)| input(spec, items, values);
        let layers = read.zip(layers).map(layer).collect();
        head.run(question(&head.spec, layers, items), terms).await
    }

    /// One item of an answer, in a format that the head knows. `bits` is what its latent costs.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    pub(crate) fn value_of(
        &self,
        spec: &HeadSpec,
        format: Format,
        made: &Share,
        index: usize,
        bits: f64,
    ) -> Result<Value, ServeError> {
        self.value(spec, format, &Item { bits, index, input: None, made })
    }

    fn value(&self, spec: &HeadSpec, format: Format, item: &Item<'_>) -> Result<Value, ServeError> {
        let values = item.output(0);
        match &spec.kind {
            HeadKind::Score(score) if format != Format::Tensor => {
                let reconstruction = score.reconstruction.as_ref().map(|_| item.output(1));
                let evidence = Evidence {
                    bits: item.bits,
                    columns: values,
                    compared: item.input.map(Vec::as_slice).zip(reconstruction),
                };
                Ok(Value::Anomaly(anomaly::judge(score, &self.manifest.input, evidence)?))
            }
            _ => output::value(spec, format, values),
        }
    }

    /// Bytes of all tensors of a head, for one frame.
    fn item_bytes(&self, spec: &HeadSpec) -> usize {
        let read = |layer: &&LatentSpec| spec.inputs.contains(&layer.tensor.name);
        let layers = self.manifest.latent.iter().filter(read).map(|layer| &layer.tensor);
        let values: usize = layers.chain(outputs(spec)).map(|tensor| dims(tensor).product::<usize>()).sum();
        values * size_of::<f32>()
    }

    /// The latents of all frames.
    fn latents<F: AsRef<[u8]>>(&self, frames: &[F], limits: &Limits) -> Result<Latents, ServeError> {
        let refused =
            |index: usize, source| ServeError::of_frame(index, source, &self.manifest.name, FRAME_VERSION);
        let decode = |(index, frame): (usize, &F)| {
            self.space.decode(frame.as_ref(), limits).map_err(|source| refused(index, source))
        };
        let integers = frames.iter().enumerate().map(decode).collect::<Result<Vec<_>, _>>()?;
        Latents::new(&self.manifest, &self.space, &integers).map_err(|source| refused(0, source))
    }

    /// The inputs that were sent along, as the encoder saw them. `head` is named when there is no room for them.
    async fn inputs<F>(
        &self,
        ask: &Ask<'_, F>,
        room: &Room,
        head: &str,
    ) -> Result<Vec<Vec<f32>>, ServeError> {
        let mut tensors = Vec::with_capacity(ask.inputs.len());
        for (index, sent) in ask.inputs.iter().enumerate() {
            let Manifest { input, encoder, .. } = &*self.manifest;
            let pixels = sent::pixels(sent, index, input, ask.limits.max_pixels)?;
            if pixels == 0 {
                tensors.push(sent::tensor(sent, index, input, &encoder.input)?);
                continue;
            }
            let place = Arc::new(room.take(pixels, head, ask.terms).await?);
            let (sent, spec, tensor) = (sent.clone(), input.clone(), encoder.input.clone());
            let work = move || sent::tensor(&sent, index, &spec, &tensor);
            tensors.push(blocking(place, work).await??);
        }
        Ok(tensors)
    }
}

/// One frame of a request and what a head made of it.
struct Item<'a> {
    /// What its latent costs.
    bits: f64,
    index: usize,
    input: Option<&'a Vec<f32>>,
    made: &'a Share,
}

impl Item<'_> {
    /// This frame's share of an output.
    fn output(&self, number: usize) -> &[f32] {
        self.made.item(number, self.index)
    }
}

/// Each head once, in the order in which it is first asked for.
fn distinct<'a>(heads: &[&'a Arc<VectorHead>]) -> Vec<&'a Arc<VectorHead>> {
    let mut distinct: Vec<&Arc<VectorHead>> = Vec::with_capacity(heads.len());
    for head in heads {
        if !distinct.iter().any(|other| Arc::ptr_eq(other, head)) {
            distinct.push(head);
        }
    }
    distinct
}

impl Latents {
    fn new(manifest: &Manifest, space: &LatentSpace, integers: &[Vec<i32>]) -> Result<Self, LatentError> {
        let rows = integers.iter().map(|row| space.dequantise(row)).collect::<Result<Vec<_>, _>>()?;
        let bits = integers.iter().map(|row| space.bits(row)).collect::<Result<_, _>>()?;
        let layer = |(number, spec): (usize, &LatentSpec)| {
            let range = space.prefix(number)..space.prefix(number + 1);
            let values = rows.iter().flat_map(|row| row[range.clone()].iter().copied()).collect();
            input(spec, rows.len(), values)
        };
        let layers = manifest.latent.iter().enumerate().map(layer).collect();
        Ok(Self { count: rows.len(), layers, bits })
    }

    fn question(&self, spec: &HeadSpec) -> Question {
        let read = |layer: &&Input| spec.inputs.contains(&layer.name);
        question(spec, self.layers.iter().filter(read).cloned().collect(), self.count)
    }
}

fn question(spec: &HeadSpec, inputs: Vec<Input>, items: usize) -> Question {
    let output_lens = outputs(spec).map(|tensor| items * dims(tensor).product::<usize>()).collect();
    Question { inputs, output_lens }
}

fn input(spec: &LatentSpec, items: usize, values: Vec<f32>) -> Input {
    let shape = std::iter::once(items).chain(dims(&spec.tensor)).collect();
    Input { name: spec.tensor.name.clone(), shape, values: Arc::new(values) }
}

/// What a head's model yields: its output, and what else its kind needs.
pub(crate) fn outputs(spec: &HeadSpec) -> impl Iterator<Item = &TensorSpec> {
    let more = if let HeadKind::Score(score) = &spec.kind { score.reconstruction.as_ref() } else { None };
    std::iter::once(&spec.output).chain(more)
}

/// The dimensions of one item.
pub(crate) fn dims(tensor: &TensorSpec) -> impl Iterator<Item = usize> + use<> {
    tensor.item_dims().unwrap_or_default().into_iter().map(|dim| dim as usize)
}
