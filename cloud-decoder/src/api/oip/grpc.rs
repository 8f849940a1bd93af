//! The gRPC service `inference.GRPCInferenceService`.

use std::pin::Pin;

use axum::body::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use lopside_decoder::RequestOptions;
use lopside_proto::inference::{
    self as pb, InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
    grpc_inference_service_server::GrpcInferenceService,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    model_infer_response::InferOutputTensor,
};
use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};

use super::{
    EXTENSIONS, OipService, PLATFORM,
    inference_request::{InferRequest, InferResponse, Parameters, RequestedOutput},
    model::TensorInfo,
    parameters::ReadParameters as _,
    repository::{refuse_overrides, refuse_repository},
    tensor::{InputData, InputTensor},
};
use crate::{
    ServeError,
    api::cost::RequestCost,
    audit::Actor,
    auth::{Access, Scope, ServiceAccess},
    transport::{HeldMemory, StreamMemory},
};

/// Maximum number of requests per stream that run or whose answers wait for an earlier one; the next request is
/// read when an answer is sent.
const STREAM_WIDTH: usize = 64;
/// The request parameter that asks for an additional answer, without outputs, if a model ends without saying that an
/// answer is the last one. Every model here answers once and says so; therefore no additional answer is sent.
const EMPTY_FINAL_RESPONSE: &str = "triton_enable_empty_final_response";
/// The response parameter with which an answer of a stream says that it is the last one for its request.
const FINAL_RESPONSE: &str = "triton_final_response";

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
        let cost = RequestCost::from_extensions(request.extensions());
        Ok(Response::new(self.infer_grpc(request.into_inner(), options, &cost).await?))
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<ResponseStream>, Status> {
        // A stream may outlive every deadline, so each of its requests has a deadline of its own.
        let (oip, priority) =
            (self.clone(), self.default_options.read_headers(request.metadata().as_ref())?.priority);
        let cost = RequestCost::from_extensions(request.extensions());
        let memory = StreamMemory::of_request(request.extensions());
        let responses = request.into_inner().map(move |request| {
            let (oip, cost, memory) = (oip.clone(), cost.clone(), memory.clone());
            // From the arrival of the request, also while it is not polled.
            let held = request.as_ref().map_or(Ok(None), |request| memory.hold(request.encoded_len()));
            async move {
                let request = request?;
                let id = request.id.clone();
                let options =
                    RequestOptions { priority, ..RequestOptions::with_timeout(oip.default_options.timeout) };
                let result = match held {
                    Ok(_held) => oip.infer_grpc(request, options, &cost).await,
                    Err(refusal) => Err(refusal.into()),
                };
                Ok(hold_response(&memory, stream_response(id, result)))
            }
        });
        let responses = responses.buffered(STREAM_WIDTH);
        Ok(Response::new(Box::pin(responses.map_ok(|(response, _held)| response))))
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
        let pb::RepositoryIndexRequest { repository_name, ready } = request.into_inner();
        refuse_repository(&repository_name)?;
        let index = self.list_repository(ready).await?;
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
        let actor = Actor::of_request(request.extensions());
        let pb::RepositoryModelLoadRequest { repository_name, model_name, parameters } = request.into_inner();
        refuse_repository(&repository_name)?;
        refuse_overrides(parameters.keys())?;
        self.load_bundle(&model_name, actor).await?;
        Ok(Response::new(pb::RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<pb::RepositoryModelUnloadRequest>,
    ) -> Result<Response<pb::RepositoryModelUnloadResponse>, Status> {
        let actor = Actor::of_request(request.extensions());
        // No model depends on another one, so `unload_dependents` makes no difference.
        let pb::RepositoryModelUnloadRequest { repository_name, model_name, .. } = request.into_inner();
        refuse_repository(&repository_name)?;
        self.unload_bundle(&model_name, actor).await?;
        Ok(Response::new(pb::RepositoryModelUnloadResponse {}))
    }
}

impl OipService {
    async fn infer_grpc(
        &self,
        mut request: ModelInferRequest,
        options: RequestOptions,
        cost: &RequestCost,
    ) -> Result<ModelInferResponse, ServeError> {
        let id = std::mem::take(&mut request.id);
        let request = parse_request(request, options)?;
        Ok(response_message(id, self.infer(request, cost).await?))
    }
}

fn describe_tensor(tensor: TensorInfo) -> pb::model_metadata_response::TensorMetadata {
    let TensorInfo { name, datatype, shape } = tensor;
    pb::model_metadata_response::TensorMetadata { name, datatype: datatype.name().to_owned(), shape }
}

/// Holds memory for an answer that may have to wait for the answers to earlier requests. If there is none, the answer
/// says so instead.
fn hold_response(
    memory: &StreamMemory,
    response: ModelStreamInferResponse,
) -> (ModelStreamInferResponse, Option<HeldMemory>) {
    match memory.hold(response.encoded_len()) {
        Ok(held) => (response, held),
        Err(refusal) => {
            let id = response.infer_response.map(|response| response.id).unwrap_or_default();
            (stream_response(id, Err(refusal.into())), None)
        }
    }
}

/// Returns the only answer to a request of a stream.
fn stream_response(id: String, result: Result<ModelInferResponse, ServeError>) -> ModelStreamInferResponse {
    let (error_message, mut response) = match result {
        Ok(response) => (String::new(), response),
        Err(error) => {
            let response = ModelInferResponse { id, ..ModelInferResponse::default() };
            (Status::from(error).message().to_owned(), response)
        }
    };
    let is_final = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
    response.parameters.insert(FINAL_RESPONSE.to_owned(), is_final);
    ModelStreamInferResponse { error_message, infer_response: Some(response) }
}

pub(super) fn parse_request(
    request: ModelInferRequest,
    options: RequestOptions,
) -> Result<InferRequest, ServeError> {
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
    parameters.boolean(EMPTY_FINAL_RESPONSE)?;
    let parameters =
        Parameters { timeout: parameters.integer("timeout")?, priority: parameters.integer("priority")? };
    Ok(InferRequest {
        model: model_name,
        version: model_version,
        inputs: inputs
            .into_iter()
            .zip(raw)
            .map(|(input, raw)| parse_input(input, raw).check_dims())
            .collect::<Result<_, _>>()?,
        outputs: outputs.into_iter().map(parse_output).collect::<Result<_, _>>()?,
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

fn parse_output(output: InferRequestedOutputTensor) -> Result<RequestedOutput, ServeError> {
    let classes = output.parameters.integer("classification")?.filter(|&classes| classes > 0);
    Ok(RequestedOutput { name: output.name, classes: classes.map(|classes| classes as usize) })
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
