//! Inference with heads of fixed latents, on layers or on frames.

use std::sync::Arc;

use lopside_bundle::{HeadKind, HeadSpec, Manifest, TensorSpec};
use lopside_latent::Limits;

use super::{
    infer::{Source, WantedOutput},
    inputs::Inputs,
    model::{LATENT, Model, PNG},
    tensor::{InputTensor, OutputTensor, Values},
};
use crate::{
    Format, ServeError, Terms, Value,
    model::Share,
    offload::offload,
    output,
    vector::{Item, VectorHead, VectorService, dims, outputs},
};

/// The outputs of a head for the items of a request.
struct Made {
    manifest: Arc<Manifest>,
    head: Arc<VectorHead>,
    share: Share,
    /// The cost of each latent in bits; `None` for layers.
    bits: Option<Vec<f64>>,
}

/// Runs the model and returns the requested outputs in order. Without requested outputs, returns the model's
/// own.
///
/// # Errors
/// [`ServeError`]; for an invalid input, with its name.
pub(super) async fn infer(
    service: &VectorService,
    model: &Model,
    source: Source,
    mut wanted: Vec<WantedOutput>,
    (limits, terms): (&Limits, Terms),
) -> Result<Vec<OutputTensor>, ServeError> {
    let head = service.heads.version(&model.head, Some(model.version))?;
    let spec = &head.spec;
    let from_frames = matches!(source, Source::Frames(_));
    if wanted.is_empty() {
        let own = |tensor: &TensorSpec| WantedOutput { name: tensor.name.clone(), classes: None };
        wanted.extend(outputs(spec).map(own));
    }
    wanted.iter().try_for_each(|wanted| check(model, spec, wanted, from_frames))?;
    let (share, bits) = match source {
        Source::Frames(frames) => {
            let (share, bits) = service.run_frames(head, &frames, limits, terms).await?;
            (share, Some(bits))
        }
        Source::Layers(layers) => (run_layers(service, head, layers, terms).await?, None),
    };
    let made = Made { manifest: Arc::clone(&service.manifest), head: Arc::clone(head), share, bits };
    offload(made.values_of(&wanted), move || wanted.iter().map(|wanted| made.output(wanted)).collect())
        .await?
}

/// Checks that a head makes an output, before it runs.
fn check(model: &Model, spec: &HeadSpec, wanted: &WantedOutput, frames: bool) -> Result<(), ServeError> {
    let own = outputs(spec).any(|tensor| tensor.name == wanted.name);
    if !own && !model.outputs().iter().any(|output| output.name == wanted.name) {
        return Err(model.no_output(&wanted.name));
    }
    if !own && !frames && matches!(spec.kind, HeadKind::Score(_)) {
        let reason = format!(
            "output {:?} is computed from the size of a frame in bits: send frames instead of layers",
            wanted.name
        );
        return Err(ServeError::Request(reason));
    }
    Ok(())
}

async fn run_layers(
    service: &VectorService,
    head: &VectorHead,
    inputs: Vec<InputTensor>,
    terms: Terms,
) -> Result<Share, ServeError> {
    let names = &head.spec.inputs;
    let mut inputs = Inputs::new(inputs);
    if let [only] = &service.manifest.latent[..] {
        inputs.rename(LATENT, &only.tensor.name);
    }
    let mut layers = Vec::with_capacity(names.len());
    let mut items = None;
    for layer in service.manifest.latent.iter().filter(|layer| names.contains(&layer.tensor.name)) {
        let name = &layer.tensor.name;
        let input = inputs.take(name)?;
        if *items.get_or_insert(input.items()?) != input.items()? {
            return Err(ServeError::Request(format!(
                "input {name:?} has a different batch size than the others"
            )));
        }
        layers.push(input.floats(&dims(&layer.tensor).collect::<Vec<_>>())?);
    }
    inputs.none_left(names)?;
    service.run_layers(head, layers, items.unwrap_or(0), terms).await
}

impl Made {
    /// Returns the number of values that must be converted to another format.
    fn values_of(&self, wanted: &[WantedOutput]) -> usize {
        let own = |wanted: &&WantedOutput| {
            wanted.classes.is_none() && outputs(&self.head.spec).any(|tensor| tensor.name == wanted.name)
        };
        let formed = wanted.iter().filter(|wanted| !own(wanted)).count();
        formed * self.share.values().len()
    }

    fn output(&self, wanted: &WantedOutput) -> Result<OutputTensor, ServeError> {
        let items = self.share.items() as i64;
        let name = wanted.name.clone();
        if let Some((number, tensor)) =
            outputs(&self.head.spec).enumerate().find(|(_, tensor)| tensor.name == wanted.name)
        {
            let own = Values::Share(self.share.clone(), number);
            if let Some(classes) = wanted.classes {
                return Ok(self.classification(name, &own, classes));
            }
            let shape = std::iter::once(items).chain(dims(tensor).map(|dim| dim as i64)).collect();
            return Ok(OutputTensor { name, shape, values: own });
        }
        let item = |index| self.value(index, Format::Natural);
        let made: Vec<Value> = (0..self.share.items()).map(item).collect::<Result<_, _>>()?;
        let (dims, values) = match wanted.name.as_str() {
            PNG => (vec![1], Values::Texts(made.into_iter().filter_map(png).collect())),
            "probabilities" => self.probabilities(),
            "label" => (vec![1], Values::Texts(made.into_iter().filter_map(label).collect())),
            "series" => series(made),
            other => (vec![1], anomaly(other, &made)),
        };
        let shape = std::iter::once(items).chain(dims).collect();
        Ok(OutputTensor { name, shape, values })
    }

    fn value(&self, index: usize, format: Format) -> Result<Value, ServeError> {
        let bits = self.bits.as_ref().and_then(|bits| bits.get(index)).copied().unwrap_or_default();
        let item = Item { bits, index, input: None, made: &self.share };
        item.value(&self.manifest.input, &self.head.spec, format)
    }

    /// Returns one probability per class, in the order of the labels.
    fn probabilities(&self) -> (Vec<i64>, Values) {
        let items = 0..self.share.items();
        let values: Vec<f32> = items.flat_map(|item| output::softmax(self.share.item(0, item))).collect();
        (vec![(values.len() / self.share.items().max(1)) as i64], Values::Floats(values))
    }

    /// Returns the output of Triton's classification extension: `value:index:label` of the largest values,
    /// largest first.
    fn classification(&self, name: String, own: &Values, classes: usize) -> OutputTensor {
        let items = self.share.items();
        let values = own.floats();
        let each = values.len() / items.max(1);
        let labels = match &self.head.spec.kind {
            HeadKind::Classify { labels } => labels.as_slice(),
            _ => &[],
        };
        let classes = classes.min(each);
        let of_item = |values: &[f32]| {
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
            let text = |&class: &usize| {
                let label = labels.get(class).map(|label| format!(":{label}")).unwrap_or_default();
                format!("{}:{class}{label}", values[class]).into_bytes()
            };
            order.iter().take(classes).map(text).collect::<Vec<_>>()
        };
        let texts = values.chunks_exact(each.max(1)).flat_map(of_item).collect();
        OutputTensor { name, shape: vec![items as i64, classes as i64], values: Values::Texts(texts) }
    }
}

fn png(value: Value) -> Option<Vec<u8>> {
    if let Value::Png(file) = value { Some(file) } else { None }
}

fn label(value: Value) -> Option<Vec<u8>> {
    let Value::ClassScores(scores) = value else { return None };
    scores.into_iter().next().map(|(label, _)| label.into_bytes())
}

fn series(made: Vec<Value>) -> (Vec<i64>, Values) {
    let (mut dims, mut all) = (Vec::new(), Vec::new());
    for value in made {
        if let Value::Tensor { shape, values } = value {
            dims = shape.into_iter().map(i64::from).collect();
            all.extend(values);
        }
    }
    (dims, Values::Floats(all))
}

fn anomaly(output: &str, made: &[Value]) -> Values {
    let anomalies = made
        .iter()
        .filter_map(|value| if let Value::Anomaly(anomaly) = value { Some(anomaly) } else { None });
    match output {
        "score" => Values::Floats(anomalies.map(|anomaly| anomaly.score).collect()),
        "quantile" => Values::Floats(anomalies.map(|anomaly| anomaly.quantile).collect()),
        _ => Values::Bools(anomalies.map(|anomaly| anomaly.anomalous).collect()),
    }
}
