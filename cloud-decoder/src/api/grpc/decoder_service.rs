//! The gRPC service `lopside.v1.DecoderService`.

use lopside_bundle::{
    FixedLatentHeadSpec, FixedLatentLayerSpec, FixedLatentManifest, HeadKind, ImageSpec, InputSpec,
    ScorePartSpec, TimeSeriesSpec,
    image_codec::{ImageCodecHeadSpec, ImageCodecLayerSpec},
};
use lopside_decoder::{
    Anomaly, AnomalyPart, DecodeRequest as Call, Decoder, Output, OutputFormat, OutputRequest, OutputValue,
    ReferenceInput, ServedBundle,
};
use lopside_proto::v1::{self, decoder_service_server::DecoderService};
use tonic::{Request, Response, Status};

use crate::{ServeError, api::request_options::DefaultOptions};

/// The gRPC service of a decoder.
#[derive(Debug, Clone)]
pub(crate) struct DecoderGrpc {
    decoder: Decoder,
    default_options: DefaultOptions,
}

impl DecoderGrpc {
    pub(crate) fn new(decoder: Decoder, default_options: DefaultOptions) -> Self {
        Self { decoder, default_options }
    }
}

#[tonic::async_trait]
impl DecoderService for DecoderGrpc {
    async fn decode(
        &self,
        request: Request<v1::DecodeRequest>,
    ) -> Result<Response<v1::DecodeResponse>, Status> {
        let options = self.default_options.read_headers(request.metadata().as_ref())?;
        let v1::DecodeRequest { frames, bundle, outputs, inputs } = request.into_inner();
        let inputs = inputs.into_iter().enumerate().map(input_of).collect::<Result<Vec<_>, _>>()?;
        let wanted: Vec<OutputRequest> = outputs.into_iter().map(wanted_of).collect::<Result<_, _>>()?;
        let request = Call { frames: &frames, bundle: &bundle, inputs: &inputs, outputs: &wanted, options };
        let answers = self.decoder.decode(request).await.map_err(ServeError::from)?;
        let frames = answers
            .into_iter()
            .map(|outputs| v1::DecodedFrame { outputs: outputs.into_iter().map(output_of).collect() })
            .collect();
        Ok(Response::new(v1::DecodeResponse { frames }))
    }

    async fn list_bundles(
        &self,
        _request: Request<v1::ListBundlesRequest>,
    ) -> Result<Response<v1::ListBundlesResponse>, Status> {
        let bundles =
            self.decoder.registry().catalog().newest_bundles().map(|served| bundle_of(served)).collect();
        Ok(Response::new(v1::ListBundlesResponse { bundles }))
    }

    async fn get_bundle(
        &self,
        request: Request<v1::GetBundleRequest>,
    ) -> Result<Response<v1::GetBundleResponse>, Status> {
        let catalog = self.decoder.registry().catalog();
        let served = catalog.by_name(&request.into_inner().name).map_err(ServeError::from)?;
        Ok(Response::new(v1::GetBundleResponse { bundle: Some(bundle_of(served)) }))
    }
}

fn wanted_of(output: v1::OutputRequest) -> Result<OutputRequest, ServeError> {
    let format = match v1::OutputFormat::try_from(output.format) {
        Ok(v1::OutputFormat::Unspecified) => OutputFormat::Natural,
        Ok(v1::OutputFormat::Tensor) => OutputFormat::Tensor,
        Ok(v1::OutputFormat::Png) => OutputFormat::Png,
        Ok(v1::OutputFormat::ClassScores) => OutputFormat::ClassScores,
        Ok(v1::OutputFormat::Anomaly) => OutputFormat::Anomaly,
        Err(_) => return Err(ServeError::InvalidRequest(format!("unknown output format {}", output.format))),
    };
    let version = Some(output.version).filter(|version| *version > 0);
    Ok(OutputRequest { head: output.head, version, format })
}

fn input_of((index, input): (usize, v1::Input)) -> Result<ReferenceInput, ServeError> {
    match input.value {
        Some(v1::input::Value::Picture(bytes)) => Ok(ReferenceInput::Image(bytes)),
        Some(v1::input::Value::Tensor(tensor)) => Ok(ReferenceInput::Values(tensor.values)),
        None => {
            Err(ServeError::InvalidRequest(format!("input {index}: it has neither a picture nor a tensor")))
        }
    }
}

fn anomaly_of(anomaly: Anomaly) -> v1::Anomaly {
    v1::Anomaly {
        score: anomaly.score,
        quantile: anomaly.quantile,
        anomalous: anomaly.anomalous,
        parts: anomaly
            .parts
            .into_iter()
            .map(|AnomalyPart { name, value, quantile }| v1::AnomalyPart { name, value, quantile })
            .collect(),
        heat_map: anomaly.heat_map.unwrap_or_default(),
    }
}

fn output_of(output: Output) -> v1::Output {
    let value = match output.value {
        OutputValue::Tensor { shape, values } => v1::output::Value::Tensor(v1::Tensor { shape, values }),
        OutputValue::Png(png) => v1::output::Value::Png(png),
        OutputValue::Anomaly(anomaly) => v1::output::Value::Anomaly(anomaly_of(anomaly)),
        OutputValue::ClassScores(scores) => v1::output::Value::ClassScores(v1::ClassScores {
            scores: scores
                .into_iter()
                .map(|(label, probability)| v1::ClassScore { label, probability })
                .collect(),
        }),
    };
    v1::Output { head: output.head, head_version: output.version, value: Some(value) }
}

fn bundle_of(served: &ServedBundle) -> v1::Bundle {
    let latent_space = served.latent_space().to_string();
    match served {
        ServedBundle::FixedLatent(service) => v1::Bundle {
            name: service.manifest.name.clone(),
            description: service.manifest.description.clone(),
            latent_space,
            latent_shape: service.space.shape().dims().to_vec(),
            heads: service.heads.newest_versions().map(head_of).collect(),
            layers: service.manifest.latent.iter().map(latent_of).collect(),
            input: Some(input_spec_of(&service.manifest)),
        },
        ServedBundle::ImageCodec(service) => v1::Bundle {
            name: service.manifest.name.clone(),
            description: service.manifest.description.clone(),
            latent_space,
            latent_shape: Vec::new(),
            heads: service.heads.newest_versions().map(picture_head_of).collect(),
            layers: service.manifest.layers.iter().map(layer_of).collect(),
            input: None,
        },
    }
}

fn input_spec_of(manifest: &FixedLatentManifest) -> v1::InputSpec {
    use v1::input_spec::Kind;
    let kind = match &manifest.input {
        InputSpec::Picture(ImageSpec { width, height, channels, .. }) => {
            Kind::Picture(v1::PictureSpec { width: *width, height: *height, channels: channels.count() })
        }
        InputSpec::Series(TimeSeriesSpec { length, stride, channels, .. }) => {
            Kind::Series(v1::SeriesSpec { length: *length, stride: *stride, channels: channels.clone() })
        }
        InputSpec::Tensor {} => {
            let shape = manifest.encoder.input.item_dims().unwrap_or_default();
            Kind::Tensor(v1::TensorSpec { shape })
        }
    };
    v1::InputSpec { kind: Some(kind) }
}

fn part_of(part: &ScorePartSpec) -> v1::ScorePart {
    v1::ScorePart { name: part.name.clone(), weight: part.weight, needs_input: part.source.needs_input() }
}

fn head_of(head: &FixedLatentHeadSpec) -> v1::Head {
    let kind = match &head.kind {
        HeadKind::Reconstruct(_) => v1::HeadKind::Reconstruct,
        HeadKind::Classify { .. } => v1::HeadKind::Classify,
        HeadKind::Series(_) => v1::HeadKind::Series,
        HeadKind::Score(_) => v1::HeadKind::Score,
        HeadKind::Tensor {} => v1::HeadKind::Tensor,
    };
    let labels = if let HeadKind::Classify { labels } = &head.kind { labels.clone() } else { Vec::new() };
    let (threshold, parts) = match &head.kind {
        HeadKind::Score(spec) => (spec.threshold, spec.parts.iter().map(part_of).collect()),
        _ => Default::default(),
    };
    v1::Head {
        name: head.name.clone(),
        version: head.version,
        kind: kind.into(),
        output_shape: head.output.item_dims().unwrap_or_default(),
        labels,
        parameters: head.cost.parameters,
        macs: head.cost.macs,
        threshold,
        parts,
        ..v1::Head::default()
    }
}

fn picture_head_of(head: &ImageCodecHeadSpec) -> v1::Head {
    v1::Head {
        name: head.name.clone(),
        version: head.version,
        kind: v1::HeadKind::Picture.into(),
        parameters: head.cost.parameters,
        scale: head.scale,
        macs_per_pixel: head.cost.macs_per_pixel,
        ..v1::Head::default()
    }
}

fn layer_of(layer: &ImageCodecLayerSpec) -> v1::Layer {
    let ImageCodecLayerSpec { tensor, channels, stride } = layer.clone();
    v1::Layer { tensor, channels, stride, shape: Vec::new() }
}

fn latent_of(layer: &FixedLatentLayerSpec) -> v1::Layer {
    let shape = layer.tensor.item_dims().unwrap_or_default();
    v1::Layer { tensor: layer.tensor.name.clone(), shape, ..v1::Layer::default() }
}
