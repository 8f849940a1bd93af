//! The gRPC service `lopside.v1.DecoderService`.

use lopside_decoder::{
    Anomaly, AnomalyPart, BundleDescription, DecodeRequest, Decoder, Output, OutputFormat, OutputRequest,
    OutputValue, ReferenceInput, ServedBundle,
};
use lopside_proto::v1::{self, decoder_service_server::DecoderService};
use tonic::{Request, Response, Status};

use super::bundle_description::bundle_message;
use crate::{
    ServeError,
    api::{cost::RequestCost, request_options::DefaultOptions},
};

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

    fn describe_bundle(&self, served: &ServedBundle) -> v1::Bundle {
        bundle_message(BundleDescription::from(served), self.decoder.limits().max_pixels)
    }
}

#[tonic::async_trait]
impl DecoderService for DecoderGrpc {
    async fn decode(
        &self,
        request: Request<v1::DecodeRequest>,
    ) -> Result<Response<v1::DecodeResponse>, Status> {
        let options = self.default_options.read_headers(request.metadata().as_ref())?;
        let cost = RequestCost::from_extensions(request.extensions());
        let v1::DecodeRequest { frames, bundle, outputs, inputs } = request.into_inner();
        let inputs = inputs.into_iter().enumerate().map(parse_input).collect::<Result<Vec<_>, _>>()?;
        let outputs = outputs.into_iter().map(parse_output_request).collect::<Result<Vec<_>, _>>()?;
        let request =
            DecodeRequest { frames: &frames, bundle: &bundle, inputs: &inputs, outputs: &outputs, options };
        cost.charge_request(&self.decoder, &request)?;
        let decoded = self.decoder.decode(request).await.map_err(ServeError::from)?;
        let frames = decoded
            .into_iter()
            .map(|outputs| v1::DecodedFrame { outputs: outputs.into_iter().map(output_message).collect() })
            .collect();
        Ok(Response::new(v1::DecodeResponse { frames }))
    }

    async fn list_bundles(
        &self,
        _request: Request<v1::ListBundlesRequest>,
    ) -> Result<Response<v1::ListBundlesResponse>, Status> {
        let catalog = self.decoder.registry().catalog();
        let bundles = catalog.newest_bundles().map(|served| self.describe_bundle(served)).collect();
        Ok(Response::new(v1::ListBundlesResponse { bundles }))
    }

    async fn get_bundle(
        &self,
        request: Request<v1::GetBundleRequest>,
    ) -> Result<Response<v1::GetBundleResponse>, Status> {
        let catalog = self.decoder.registry().catalog();
        let served = catalog.by_name(&request.into_inner().name).map_err(ServeError::from)?;
        Ok(Response::new(v1::GetBundleResponse { bundle: Some(self.describe_bundle(served)) }))
    }
}

fn parse_output_request(output: v1::OutputRequest) -> Result<OutputRequest, ServeError> {
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

fn parse_input((index, input): (usize, v1::Input)) -> Result<ReferenceInput, ServeError> {
    match input.value {
        Some(v1::input::Value::Picture(bytes)) => Ok(ReferenceInput::Image(bytes)),
        Some(v1::input::Value::Tensor(tensor)) => Ok(ReferenceInput::Values(tensor.values)),
        None => {
            Err(ServeError::InvalidRequest(format!("input {index}: it has neither a picture nor a tensor")))
        }
    }
}

fn anomaly_message(anomaly: Anomaly) -> v1::Anomaly {
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

fn output_message(output: Output) -> v1::Output {
    let value = match output.value {
        OutputValue::Tensor { shape, values } => v1::output::Value::Tensor(v1::Tensor { shape, values }),
        OutputValue::Png(png) => v1::output::Value::Png(png),
        OutputValue::Anomaly(anomaly) => v1::output::Value::Anomaly(anomaly_message(anomaly)),
        OutputValue::ClassScores(scores) => v1::output::Value::ClassScores(v1::ClassScores {
            scores: scores
                .into_iter()
                .map(|(label, probability)| v1::ClassScore { label, probability })
                .collect(),
        }),
    };
    v1::Output { head: output.head, head_version: output.version, value: Some(value) }
}
