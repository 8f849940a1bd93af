//! Inference with heads of image codecs, on frames or on feature maps.
//!
//! Feature maps do not describe any padding: their output has the full size that the strides imply, in
//! colour.

use lopside_decoder::{
    DecodeRequest, Decoder, FeatureMaps, ImageCodecService, Output, OutputFormat, OutputRequest, OutputValue,
    RequestOptions, check_frames,
};
use lopside_latent::image_codec::Quality;

use super::{
    inference_request::{InferenceSource, RequestedOutput},
    inputs::RemainingInputs,
    model::{LATENT_INPUT, OipModel, PNG_OUTPUT},
    tensor::{InputTensor, OutputData, OutputTensor},
};
use crate::{ServeError, api::cost::RequestCost};

const EMPTY_VALUE: OutputValue = OutputValue::Png(Vec::new());

/// Runs the model and returns the requested outputs in order: PNG files, or one tensor if all images have the
/// same size. Without requested outputs, returns the tensor.
///
/// # Errors
/// [`ServeError`]; for an invalid input, with its name.
pub(super) async fn infer(
    decoder: &Decoder,
    service: &ImageCodecService,
    model: &OipModel,
    source: InferenceSource,
    outputs: &[RequestedOutput],
    (options, cost): (RequestOptions, &RequestCost),
) -> Result<Vec<OutputTensor>, ServeError> {
    let spec = &service.heads.version(&model.head, Some(model.version))?.spec.entry;
    let tensor_output = spec.output.as_str();
    let names: Vec<&str> = match outputs {
        [] => vec![tensor_output],
        outputs => outputs.iter().map(|output| output.name.as_str()).collect(),
    };
    let requested = names
        .iter()
        .map(|name| requested_output(model, tensor_output, name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut decoded = match source {
        InferenceSource::Frames(frames) => {
            let request = DecodeRequest {
                frames: &frames,
                bundle: &model.bundle,
                inputs: &[],
                outputs: &requested,
                options,
            };
            cost.charge_request(decoder, &request)?;
            decoder.decode(request).await?
        }
        InferenceSource::Layers(layers) => {
            let maps = read_maps(service, model, &spec.quality, layers)?;
            let headers: Vec<_> = maps.iter().map(|maps| maps.header).collect();
            cost.charge(|| service.macs_of_images(&headers, &requested))?;
            service.run_maps(maps, &requested, (decoder.limits(), options), decoder.memory_budget()).await?
        }
    };
    let tensors = names.iter().enumerate().map(|(index, name)| {
        let values = decoded.iter_mut().map(|outputs| take_value(outputs, index));
        join_values(name, values.collect())
    });
    tensors.collect()
}

/// Returns the output of the head to request for an output name of the protocol.
fn requested_output(model: &OipModel, tensor_output: &str, name: &str) -> Result<OutputRequest, ServeError> {
    let format = match name {
        PNG_OUTPUT => OutputFormat::Png,
        name if name == tensor_output => OutputFormat::Tensor,
        name => return Err(model.no_output(name)),
    };
    Ok(OutputRequest { head: model.head.clone(), version: Some(model.version), format })
}

/// Returns the feature maps of each item: all layers of one image size, and the quality.
fn read_maps(
    service: &ImageCodecService,
    model: &OipModel,
    quality: &str,
    layers: Vec<InputTensor>,
) -> Result<Vec<FeatureMaps>, ServeError> {
    let coarsest = &service.manifest.layers[0].tensor;
    let mut inputs = RemainingInputs::new(layers);
    if service.manifest.layers.len() == 1 {
        inputs.rename(LATENT_INPUT, coarsest);
    }
    let (items, extents) = inputs.get(coarsest)?.extents()?;
    check_frames(items)?;
    let qualities = inputs.take(quality)?;
    let qualities = parse_qualities(quality, qualities.into_floats(&[1])?)?;
    let headers = qualities.iter().map(|&quality| {
        service.codec.header(extents, quality).ok_or_else(|| {
            ServeError::InvalidRequest(format!(
                "input {coarsest:?}: no image can have so many rows and columns"
            ))
        })
    });
    let headers = headers.collect::<Result<Vec<_>, _>>()?;
    let mut maps = vec![Vec::with_capacity(service.manifest.layers.len()); items];
    let Some(&first) = headers.first() else { return Ok(Vec::new()) };
    for (name, shape) in service.codec.shapes(first) {
        let values = inputs.take(name)?.into_floats(&shape)?;
        let item_len = shape.iter().product::<usize>();
        if values.len() != items * item_len || headers.len() != items {
            return Err(ServeError::InvalidRequest(format!(
                "input {name:?} has a different batch size than the others"
            )));
        }
        let rows = values.chunks_exact(item_len.max(1)).map(<[f32]>::to_vec);
        maps.iter_mut().zip(rows).for_each(|(maps, row)| maps.push(row));
    }
    let input_names: Vec<String> = model.inputs().into_iter().map(|input| input.name).collect();
    inputs.check_empty(&input_names)?;
    Ok(headers.into_iter().zip(maps).map(|(header, maps)| service.codec.named_maps(header, maps)).collect())
}

/// Converts values to qualities, which are whole numbers from 1 to 100.
fn parse_qualities(name: &str, values: Vec<f32>) -> Result<Vec<Quality>, ServeError> {
    let qualities = values.into_iter().map(|value| {
        let integer = (value.fract() == 0.0).then_some(value as u8);
        integer.and_then(Quality::new).ok_or_else(|| {
            ServeError::InvalidRequest(format!(
                "input {name:?}: a quality is a whole number from 1 to 100, not {value}"
            ))
        })
    });
    qualities.collect()
}

fn take_value(outputs: &mut [Output], index: usize) -> OutputValue {
    outputs.get_mut(index).map_or(EMPTY_VALUE, |output| std::mem::replace(&mut output.value, EMPTY_VALUE))
}

/// Joins the values of all items to one output tensor.
fn join_values(name: &str, values: Vec<OutputValue>) -> Result<OutputTensor, ServeError> {
    let (items, mut shape, mut joined, mut files) = (values.len() as i64, None, Vec::new(), Vec::new());
    for value in values {
        match value {
            OutputValue::Tensor { shape: item_shape, values } => {
                if *shape.get_or_insert(item_shape.clone()) != item_shape {
                    let reason = "the images of the frames have different sizes: request png, or send the frames one by one";
                    return Err(ServeError::InvalidRequest(reason.into()));
                }
                joined.extend(values);
            }
            OutputValue::Png(file) => files.push(file),
            OutputValue::ClassScores(_) | OutputValue::Anomaly(_) => {}
        }
    }
    let dims = shape.unwrap_or(vec![1]).into_iter().map(i64::from);
    let shape = std::iter::once(items).chain(dims).collect();
    let values = if files.is_empty() { OutputData::Floats(joined) } else { OutputData::Texts(files) };
    Ok(OutputTensor { name: name.to_owned(), shape, values })
}
