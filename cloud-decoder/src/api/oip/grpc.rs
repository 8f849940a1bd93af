//! The gRPC service `inference.GRPCInferenceService`.

use std::{collections::HashMap, pin::Pin};

use axum::body::Bytes;
use futures_util::{Stream, StreamExt as _};
use lopside_decoder::RequestOptions;
use lopside_proto::inference::{
    self as pb, InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
    grpc_inference_service_server::GrpcInferenceService,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    model_infer_response::InferOutputTensor,
};
use tonic::{Request, Response, Status, Streaming};

use super::{
    EXTENSIONS, OipService, PLATFORM,
    inference_request::{InferRequest, InferResponse, Parameters, RequestedOutput},
    model::TensorInfo,
    tensor::{InputData, InputTensor},
};
use crate::{
    ServeError,
    auth::{Access, Scope, ServiceAccess},
};

/// Maximum number of concurrent requests per stream; the next one is read when one is done.
const STREAM_WIDTH: usize = 64;

/// The access of the methods: probes are open, and changes of the repository are for administrators.
pub(crate) const GRPC_ACCESS: ServiceAccess = ServiceAccess {
    default: Access::Needs(Scope::Infer),
    methods: &[
        ("ServerLive", Access::Open),
        ("ServerReady", Access::Open),
        ("RepositoryModelLoad", Access::Needs(Scope::Admin)),
        ("RepositoryModelUnload", Access::Needs(Scope::Admin)),
    ],
};

type ResponseStream = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

#[tonic::async_trait]
impl GrpcInferenceService for OipService {
    type ModelStreamInferStream = ResponseStream;

    async fn server_live(
        &self,
        _: Request<pb::ServerLiveRequest>,
    ) -> Result<Response<pb::ServerLiveResponse>, Status> {
        Ok(Response::new(pb::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<pb::ServerReadyRequest>,
    ) -> Result<Response<pb::ServerReadyResponse>, Status> {
        Ok(Response::new(pb::ServerReadyResponse { ready: self.is_ready() }))
    }

    async fn model_ready(
        &self,
        request: Request<pb::ModelReadyRequest>,
    ) -> Result<Response<pb::ModelReadyResponse>, Status> {
        let pb::ModelReadyRequest { name, version } = request.into_inner();
        let ready = self.find_model(&name, &version).is_ok() && self.is_ready();
        Ok(Response::new(pb::ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<pb::ServerMetadataRequest>,
    ) -> Result<Response<pb::ServerMetadataResponse>, Status> {
        Ok(Response::new(pb::ServerMetadataResponse {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<pb::ModelMetadataRequest>,
    ) -> Result<Response<pb::ModelMetadataResponse>, Status> {
        let pb::ModelMetadataRequest { name, version } = request.into_inner();
        let model = self.find_model(&name, &version)?;
        Ok(Response::new(pb::ModelMetadataResponse {
            versions: model.versions().iter().map(ToString::to_string).collect(),
            platform: PLATFORM.to_owned(),
            inputs: model.inputs().into_iter().map(describe_tensor).collect(),
            outputs: model.outputs().into_iter().map(describe_tensor).collect(),
            name: model.name,
        }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let options = self.default_options.read_headers(request.metadata().as_ref())?;
        Ok(Response::new(self.infer_grpc(request.into_inner(), options).await?))
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<ResponseStream>, Status> {
        // A stream may outlive every deadline, so each of its requests has a deadline of its own.
        let (oip, priority) =
            (self.clone(), self.default_options.read_headers(request.metadata().as_ref())?.priority);
        let responses = request.into_inner().map(move |request| {
            let oip = oip.clone();
            async move {
                let request = request?;
                let id = request.id.clone();
                let options =
                    RequestOptions { priority, ..RequestOptions::with_timeout(oip.default_options.timeout) };
                Ok(stream_response(id, oip.infer_grpc(request, options).await))
            }
        });
        Ok(Response::new(Box::pin(responses.buffer_unordered(STREAM_WIDTH))))
    }

    async fn model_config(
        &self,
        request: Request<pb::ModelConfigRequest>,
    ) -> Result<Response<pb::ModelConfigResponse>, Status> {
        let pb::ModelConfigRequest { name, version } = request.into_inner();
        let config = self.describe_config(&self.find_model(&name, &version)?);
        Ok(Response::new(pb::ModelConfigResponse { config: Some(config) }))
    }

    async fn model_statistics(
        &self,
        request: Request<pb::ModelStatisticsRequest>,
    ) -> Result<Response<pb::ModelStatisticsResponse>, Status> {
        let pb::ModelStatisticsRequest { name, version } = request.into_inner();
        let model_stats = self.statistics(&name, &version)?;
        Ok(Response::new(pb::ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(
        &self,
        request: Request<pb::RepositoryIndexRequest>,
    ) -> Result<Response<pb::RepositoryIndexResponse>, Status> {
        let index = self.list_repository(request.into_inner().ready).await?;
        let models = index.into_iter().map(|row| pb::repository_index_response::ModelIndex {
            state: row.state().to_owned(),
            name: row.name,
            version: row.version.to_string(),
            reason: row.reason,
        });
        Ok(Response::new(pb::RepositoryIndexResponse { models: models.collect() }))
    }

    async fn repository_model_load(
        &self,
        request: Request<pb::RepositoryModelLoadRequest>,
    ) -> Result<Response<pb::RepositoryModelLoadResponse>, Status> {
        self.load_bundle(&request.into_inner().model_name).await?;
        Ok(Response::new(pb::RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<pb::RepositoryModelUnloadRequest>,
    ) -> Result<Response<pb::RepositoryModelUnloadResponse>, Status> {
        self.unload_bundle(&request.into_inner().model_name).await?;
        Ok(Response::new(pb::RepositoryModelUnloadResponse {}))
    }
}

impl OipService {
    async fn infer_grpc(
        &self,
        mut request: ModelInferRequest,
        options: RequestOptions,
    ) -> Result<ModelInferResponse, ServeError> {
        let id = std::mem::take(&mut request.id);
        let request = parse_request(request, options)?;
        Ok(response_message(id, self.infer(request).await?))
    }
}

fn describe_tensor(tensor: TensorInfo) -> pb::model_metadata_response::TensorMetadata {
    let TensorInfo { name, datatype, shape } = tensor;
    pb::model_metadata_response::TensorMetadata { name, datatype: datatype.name().to_owned(), shape }
}

fn stream_response(id: String, result: Result<ModelInferResponse, ServeError>) -> ModelStreamInferResponse {
    match result {
        Ok(response) => {
            ModelStreamInferResponse { error_message: String::new(), infer_response: Some(response) }
        }
        Err(error) => {
            let status = Status::from(error);
            let response = ModelInferResponse { id, ..ModelInferResponse::default() };
            ModelStreamInferResponse {
                error_message: status.message().to_owned(),
                infer_response: Some(response),
            }
        }
    }
}

fn parse_request(request: ModelInferRequest, options: RequestOptions) -> Result<InferRequest, ServeError> {
    let ModelInferRequest {
        model_name, model_version, parameters, inputs, outputs, raw_input_contents, ..
    } = request;
    let (input_count, raw_count) = (inputs.len(), raw_input_contents.len());
    if raw_count != 0 && raw_count != input_count {
        let reason = format!(
            "there are {input_count} inputs and {raw_count} raw contents: send one raw content per input, or \
             none"
        );
        return Err(ServeError::InvalidRequest(reason));
    }
    let raw = raw_input_contents.into_iter().map(Some).chain(std::iter::repeat(None));
    let parameters = Parameters {
        timeout: number_parameter(&parameters, "timeout"),
        priority: number_parameter(&parameters, "priority"),
    };
    Ok(InferRequest {
        model: model_name,
        version: model_version,
        inputs: inputs.into_iter().zip(raw).map(|(input, raw)| parse_input(input, raw)).collect(),
        outputs: outputs.into_iter().map(parse_output).collect(),
        options: parameters.apply_to(options),
    })
}

fn parse_input(input: InferInputTensor, raw: Option<Bytes>) -> InputTensor {
    let InferInputTensor { name, datatype, shape, contents, .. } = input;
    let data = match (raw, contents) {
        (Some(raw), _) => InputData::Raw(raw),
        (None, Some(contents)) if datatype == "FP32" => InputData::Floats(contents.fp32_contents),
        (None, Some(contents)) if datatype == "BYTES" => {
            InputData::Texts(contents.bytes_contents.into_iter().map(Bytes::from).collect())
        }
        (None, _) => InputData::Unsupported,
    };
    InputTensor { name, datatype, shape, data }
}

fn parse_output(output: InferRequestedOutputTensor) -> RequestedOutput {
    let classes = number_parameter(&output.parameters, "classification").filter(|&classes| classes > 0);
    RequestedOutput { name: output.name, classes: classes.map(|classes| classes as usize) }
}

fn number_parameter(parameters: &HashMap<String, InferParameter>, name: &str) -> Option<u64> {
    match parameters.get(name)?.parameter_choice.as_ref()? {
        ParameterChoice::Int64Param(number) => u64::try_from(*number).ok(),
        ParameterChoice::Uint64Param(number) => Some(*number),
        ParameterChoice::StringParam(text) => text.parse().ok(),
        ParameterChoice::BoolParam(_) | ParameterChoice::DoubleParam(_) => None,
    }
}

fn response_message(id: String, response: InferResponse) -> ModelInferResponse {
    let raw_output_contents = response.outputs.iter().map(|output| output.values.raw()).collect();
    let outputs = response.outputs.into_iter().map(|output| InferOutputTensor {
        datatype: output.values.datatype().name().to_owned(),
        name: output.name,
        shape: output.shape,
        ..InferOutputTensor::default()
    });
    ModelInferResponse {
        model_name: response.model,
        model_version: response.version.to_string(),
        id,
        outputs: outputs.collect(),
        raw_output_contents,
        ..ModelInferResponse::default()
    }
}
