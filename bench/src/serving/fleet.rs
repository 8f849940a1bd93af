//! The servers of a run, which all run at the same time with one model, so that they can be measured in
//! turns.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use lopside_proto::inference::{
    ModelReadyRequest, grpc_inference_service_client::GrpcInferenceServiceClient as Client,
};
use tokio::net::TcpStream;

use super::{
    ServingContext,
    load::LoadTarget,
    models::Model,
    peers::{LaunchOptions, Peer, Protocol},
    process::ProcessTree,
    server::{ServerProcess, free_ports},
};
use crate::{
    BenchError,
    error::{NetworkError, ServingError, io_error, request_error},
};

/// Maximum difference between a server's output value and that of ONNX Runtime in this process, relative to
/// the larger of 1 and the expected magnitude. Servers may use other kernels.
const OUTPUT_TOLERANCE: f32 = 1e-3;

/// A running server.
#[derive(Debug)]
pub(crate) struct RunningServer {
    pub(crate) peer: Peer,
    /// The server's name for the model.
    pub(crate) model_name: String,
    /// A request to the server.
    pub(crate) target: Arc<LoadTarget>,
    http_address: SocketAddr,
    server: ServerProcess,
}

impl RunningServer {
    /// Starts a server, waits until it is ready, and checks an output against the expected one.
    pub(crate) fn start(
        peer: Peer,
        model: Model,
        expected: &[f32],
        context: &ServingContext<'_>,
    ) -> Result<Self, BenchError> {
        let ServingContext { options, work_folder, runtime } = context;
        let folder = work_folder.join(format!("{}-{}", peer.name, model.name()));
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        let ports = free_ports().map_err(|source| NetworkError::Socket { source })?;
        let models = work_folder.join("models");
        let launch = LaunchOptions {
            model,
            models: &models,
            work_folder: &folder,
            threads: options.threads.get(),
            ports,
            decoder: options.decoder.as_deref().unwrap_or(Path::new("cloud-decoder")),
            device: options.device.name(),
        };
        let command = peer.command(&launch)?;
        let mut server = ServerProcess::start(peer.name, command, ports[0], &folder.join("log.txt"))?;
        let model_name = peer.model_name(model);
        server.wait(|address| runtime.block_on(check_ready(peer.protocol, address, &model_name)))?;
        let target = LoadTarget::new(server.address, peer, model);
        let http_address = (server.address.ip(), peer.http_port(ports)).into();
        let running_server = Self { peer, model_name, target, http_address, server };
        runtime.block_on(running_server.check_output(expected))?;
        Ok(running_server)
    }

    /// Returns the address on which the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Returns the address on which the server listens for HTTP.
    pub(crate) fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Returns the server's processes.
    pub(crate) fn tree(&self) -> ProcessTree {
        self.server.tree()
    }

    async fn check_output(&self, expected: &[f32]) -> Result<(), BenchError> {
        let found = self.target.connect().await?.fetch_values(&self.target).await?;
        if found.len() != expected.len()
            || found.iter().zip(expected).any(|(a, b)| (a - b).abs() > OUTPUT_TOLERANCE * b.abs().max(1.0))
        {
            return Err(ServingError::WrongOutput { name: self.peer.name.to_owned() }.into());
        }
        Ok(())
    }
}

/// Checks that a server is ready for requests.
async fn check_ready(protocol: Protocol, address: SocketAddr, model: &str) -> Result<(), BenchError> {
    match protocol {
        Protocol::OpenInference => {
            let client = Client::connect(format!("http://{address}")).await;
            let request = ModelReadyRequest { name: model.to_owned(), version: String::new() };
            let mut client = client.map_err(request_error)?;
            let response = client.model_ready(request).await.map_err(|status| match status.code() {
                tonic::Code::Unimplemented => BenchError::from(ServingError::UnsupportedProtocol),
                _ => request_error(status),
            })?;
            if response.into_inner().ready { Ok(()) } else { Err(not_ready("ready = false")) }
        }
        Protocol::Http { ready_path, .. } => {
            let stream = TcpStream::connect(address).await.map_err(request_error)?;
            let handshake = http1::handshake(TokioIo::new(stream)).await;
            let (mut sender, connection) = handshake.map_err(request_error)?;
            tokio::spawn(connection);
            let request =
                Request::get(ready_path).header("host", address.to_string()).body(Empty::<Bytes>::new());
            let request = request.map_err(request_error)?;
            let response = sender.send_request(request).await.map_err(request_error)?;
            let status = response.status();
            response.into_body().collect().await.map_err(request_error)?;
            if status.is_success() { Ok(()) } else { Err(not_ready(&status.to_string())) }
        }
    }
}

fn not_ready(response: &str) -> BenchError {
    ServingError::NotReady { response: response.to_owned() }.into()
}
