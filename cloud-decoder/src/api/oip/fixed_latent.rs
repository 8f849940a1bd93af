//! Inference with heads of fixed latents, on layers or on frames.

use std::sync::Arc;

use lopside_bundle::{FixedLatentHeadSpec, FixedLatentManifest, HeadKind};
use lopside_decoder::{
    self, BatchSlice, FixedLatentHead, FixedLatentService, FrameOutput, OutputFormat, OutputValue,
    RequestOptions, head_outputs, item_dims, offload::offload_if_large, softmax,
};
use lopside_latent::Limits;

use super::{
    inference_request::{InferenceSource, RequestedOutput},
    inputs::RemainingInputs,
    model::{LATENT_INPUT, OipModel, PNG_OUTPUT},
    tensor::{InputTensor, OutputData, OutputTensor},
};
use crate::{ServeError, api::cost::RequestCost};

/// The outputs of a head for the items of a request.
struct HeadOutput {
    manifest: Arc<FixedLatentManifest>,
    head: Arc<FixedLatentHead>,
    slice: BatchSlice,
    /// The cost of each latent in bits; `None` for layers.
    bits: Option<Vec<f64>>,
}

/// Runs the model and returns the requested outputs in order. Without requested outputs, returns the model's
/// own.
///
/// # Errors
/// [`ServeError`]; for an invalid input, with its name.
pub(super) async fn infer(
    service: &FixedLatentService,
    model: &OipModel,
    source: InferenceSource,
    mut requested: Vec<RequestedOutput>,
    (limits, options, cost): (&Limits, RequestOptions, &RequestCost),
) -> Result<Vec<OutputTensor>, ServeError> {
    let head = service.heads.version(&model.head, Some(model.version))?;
    let spec = &head.spec;
    let from_frames = matches!(source, InferenceSource::Frames(_));
    if requested.is_empty() {
        requested.extend(
            head_outputs(spec).map(|tensor| RequestedOutput { name: tensor.name.clone(), classes: None }),
        );
    }
    requested.iter().try_for_each(|output| check_output(model, spec, output, from_frames))?;
    let (slice, bits) = match source {
        InferenceSource::Frames(frames) => {
            cost.charge(|| Ok(spec.cost.macs.saturating_mul(frames.len() as u64)))?;
            let (slice, bits) = service.run_frames(head, &frames, limits, options).await?;
            (slice, Some(bits))
        }
        InferenceSource::Layers(layers) => (run_layers(service, head, layers, (options, cost)).await?, None),
    };
    let output = HeadOutput { manifest: Arc::clone(&service.manifest), head: Arc::clone(head), slice, bits };
    offload_if_large(output.count_converted(&requested), move || {
        requested.iter().map(|requested| output.to_tensor(requested)).collect()
    })
    .await?
}

/// Checks that a head makes an output, before it runs.
fn check_output(
    model: &OipModel,
    spec: &FixedLatentHeadSpec,
    requested: &RequestedOutput,
    from_frames: bool,
) -> Result<(), ServeError> {
    let is_model_output = head_outputs(spec).any(|tensor| tensor.name == requested.name);
    if !is_model_output && !model.outputs().iter().any(|output| output.name == requested.name) {
        return Err(model.no_output(&requested.name));
    }
    if !is_model_output && !from_frames && matches!(spec.kind, HeadKind::Score(_)) {
        let reason = format!(
            "output {:?} is computed from the size of a frame in bits: send frames instead of layers",
            requested.name
        );
        return Err(ServeError::InvalidRequest(reason));
    }
    Ok(())
}

async fn run_layers(
    service: &FixedLatentService,
    head: &FixedLatentHead,
    inputs: Vec<InputTensor>,
    (options, cost): (RequestOptions, &RequestCost),
) -> Result<BatchSlice, ServeError> {
    let names = &head.spec.inputs;
    let mut inputs = RemainingInputs::new(inputs);
    if let [only] = &service.manifest.latent[..] {
        inputs.rename(LATENT_INPUT, &only.tensor.name);
    }
    let mut layers = Vec::with_capacity(names.len());
    let mut items = None;
    for layer in service.manifest.latent.iter().filter(|layer| names.contains(&layer.tensor.name)) {
        let name = &layer.tensor.name;
        let input = inputs.take(name)?;
        if *items.get_or_insert(input.items()?) != input.items()? {
            return Err(ServeError::InvalidRequest(format!(
                "input {name:?} has a different batch size than the others"
            )));
        }
        layers.push(input.into_floats(&item_dims(&layer.tensor).collect::<Vec<_>>())?);
    }
    inputs.check_empty(names)?;
    let items = items.unwrap_or(0);
    cost.charge(|| Ok(head.spec.cost.macs.saturating_mul(items as u64)))?;
    Ok(service.run_layers(head, layers, items, options).await?)
}

impl HeadOutput {
    /// Returns the number of values that must be converted to another format.
    fn count_converted(&self, requested: &[RequestedOutput]) -> usize {
        let converted = requested.iter().filter(|output| !self.is_unconverted(output)).count();
        converted * self.slice.first_output().len()
    }

    /// Returns whether an output is the model's own, without conversion.
    fn is_unconverted(&self, requested: &RequestedOutput) -> bool {
        requested.classes.is_none()
            && head_outputs(&self.head.spec).any(|tensor| tensor.name == requested.name)
    }

    fn to_tensor(&self, requested: &RequestedOutput) -> Result<OutputTensor, ServeError> {
        let items = self.slice.items() as i64;
        let name = requested.name.clone();
        if let Some((number, tensor)) =
            head_outputs(&self.head.spec).enumerate().find(|(_, tensor)| tensor.name == requested.name)
        {
            let values = OutputData::Slice(self.slice.clone(), number);
            if let Some(classes) = requested.classes {
                return Ok(self.classification(name, &values, classes));
            }
            let shape = std::iter::once(items).chain(item_dims(tensor).map(|dim| dim as i64)).collect();
            return Ok(OutputTensor { name, shape, values });
        }
        let outputs: Vec<OutputValue> =
            (0..self.slice.items()).map(|index| self.convert_item(index)).collect::<Result<_, _>>()?;
        let (dims, values) = match requested.name.as_str() {
            PNG_OUTPUT => (vec![1], OutputData::Texts(outputs.into_iter().filter_map(png_file).collect())),
            "probabilities" => self.probabilities(),
            "label" => (vec![1], OutputData::Texts(outputs.into_iter().filter_map(best_label).collect())),
            "series" => join_series(outputs),
            other => (vec![1], anomaly_values(other, &outputs)),
        };
        let shape = std::iter::once(items).chain(dims).collect();
        Ok(OutputTensor { name, shape, values })
    }

    /// Converts the output of one item to the natural format of the head.
    fn convert_item(&self, index: usize) -> Result<OutputValue, ServeError> {
        let bits = self.bits.as_ref().and_then(|bits| bits.get(index)).copied().unwrap_or_default();
        let item = FrameOutput { bits, index, reference_input: None, slice: &self.slice };
        Ok(item.convert_value(&self.manifest.input, &self.head.spec, OutputFormat::Natural)?)
    }

    /// Returns one probability per class, in the order of the labels.
    fn probabilities(&self) -> (Vec<i64>, OutputData) {
        let items = 0..self.slice.items();
        let values: Vec<f32> = items.flat_map(|item| softmax(self.slice.item_values(0, item))).collect();
        (vec![(values.len() / self.slice.items().max(1)) as i64], OutputData::Floats(values))
    }

    /// Returns the output of Triton's classification extension: `value:index:label` of the largest values,
    /// largest first.
    fn classification(&self, name: String, output: &OutputData, classes: usize) -> OutputTensor {
        let items = self.slice.items();
        let values = output.floats();
        let item_len = values.len() / items.max(1);
        let labels = match &self.head.spec.kind {
            HeadKind::Classify { labels } => labels.as_slice(),
            _ => &[],
        };
        let classes = classes.min(item_len);
        let texts = values
            .chunks_exact(item_len.max(1))
            .flat_map(|values| list_largest_classes(values, labels, classes))
            .collect();
        OutputTensor { name, shape: vec![items as i64, classes as i64], values: OutputData::Texts(texts) }
    }
}

/// Returns `value:index:label` of the largest values, largest first.
fn list_largest_classes(values: &[f32], labels: &[String], classes: usize) -> Vec<Vec<u8>> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let texts = order.iter().take(classes).map(|&class| {
        let label = labels.get(class).map(|label| format!(":{label}")).unwrap_or_default();
        format!("{}:{class}{label}", values[class]).into_bytes()
    });
    texts.collect()
}

fn png_file(value: OutputValue) -> Option<Vec<u8>> {
    if let OutputValue::Png(file) = value { Some(file) } else { None }
}

fn best_label(value: OutputValue) -> Option<Vec<u8>> {
    let OutputValue::ClassScores(scores) = value else { return None };
    scores.into_iter().next().map(|(label, _)| label.into_bytes())
}

fn join_series(outputs: Vec<OutputValue>) -> (Vec<i64>, OutputData) {
    let (mut dims, mut joined) = (Vec::new(), Vec::new());
    for output in outputs {
        if let OutputValue::Tensor { shape, values } = output {
            dims = shape.into_iter().map(i64::from).collect();
            joined.extend(values);
        }
    }
    (dims, OutputData::Floats(joined))
}

fn anomaly_values(name: &str, outputs: &[OutputValue]) -> OutputData {
    let anomalies = outputs
        .iter()
        .filter_map(|output| if let OutputValue::Anomaly(anomaly) = output { Some(anomaly) } else { None });
    match name {
        "score" => OutputData::Floats(anomalies.map(|anomaly| anomaly.score).collect()),
        "quantile" => OutputData::Floats(anomalies.map(|anomaly| anomaly.quantile).collect()),
        _ => OutputData::Bools(anomalies.map(|anomaly| anomaly.anomalous).collect()),
    }
}
