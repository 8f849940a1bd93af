//! A server in this process, and its clients.

use std::{env, net::Ipv4Addr, path::Path, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use cloud_decoder::{
    ServeArgs, Settings,
    serve::{self, Server},
};
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use lopside_decoder::Device;
use lopside_proto::inference::{
    ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient,
    model_infer_request::InferInputTensor,
};
use serde_json::Value;
use tokio::sync::oneshot;
use tonic::transport::Channel;

/// A running server; stopped when dropped.
pub(crate) struct Cloud {
    pub(crate) url: String,
    pub(crate) registry: Arc<lopside_decoder::Registry>,
    _stop: oneshot::Sender<()>,
}

/// A REST response.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Returns options for a server of these bundles, on the CPU with one thread per session.
pub(crate) fn options(bundles: &Path) -> ServeArgs {
    let library = env::var_os("ORT_DYLIB_PATH");
    ServeArgs {
        bundles: vec![bundles.to_owned()],
        listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
        device: Some(Device::Cpu),
        onnxruntime: Some(library.expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`").into()),
        threads: Some(1),
        ..ServeArgs::default()
    }
}

impl Cloud {
    pub(crate) async fn start(bundles: &Path) -> Self {
        Self::start_with(options(bundles)).await
    }

    pub(crate) async fn start_with(options: ServeArgs) -> Self {
        let server: Server = serve::start_server(&Settings::merge(options).unwrap()).await.unwrap();
        let (url, registry) = (server.url().to_owned(), server.registry());
        let (stop, stop_receiver) = oneshot::channel::<()>();
        tokio::spawn(server.run_until(async {
            let _ = stop_receiver.await;
        }));
        Self { url, registry, _stop: stop }
    }

    pub(crate) async fn client(&self) -> GrpcInferenceServiceClient<Channel> {
        GrpcInferenceServiceClient::connect(self.url.clone()).await.unwrap()
    }

    /// Returns a client that does not enforce deadlines itself.
    pub(crate) fn client_without_deadlines(
        &self,
    ) -> GrpcInferenceServiceClient<Client<HttpConnector, tonic::body::Body>> {
        let transport = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        GrpcInferenceServiceClient::with_origin(transport, self.url.parse().unwrap())
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> HttpResponse {
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        let (parts, body) = request.into_parts();
        let mut request = Request::from_parts(parts, body);
        *request.uri_mut() = format!("{}{}", self.url, request.uri()).parse().unwrap();
        let (parts, body) = client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        HttpResponse { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> HttpResponse {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> HttpResponse {
        self.send(Request::builder().method(Method::POST).uri(path).body(body.into()).unwrap()).await
    }

    /// Returns the statistics of a model.
    pub(crate) async fn statistics(&self, model: &str) -> Value {
        self.get(&format!("/v2/models/{model}/stats")).await.json()["model_stats"][0].clone()
    }
}

impl HttpResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

/// Returns a request that runs a model on latents.
pub(crate) fn infer(model: &str, latents: &[[f32; 2]]) -> ModelInferRequest {
    let bytes: Vec<u8> = latents.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    ModelInferRequest {
        model_name: model.into(),
        inputs: vec![InferInputTensor {
            name: "latent".into(),
            datatype: "FP32".into(),
            shape: vec![latents.len() as i64, 2],
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![bytes.into()],
        ..ModelInferRequest::default()
    }
}

/// Parses raw 32-bit floats.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}
