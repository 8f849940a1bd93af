//! Clients that send one request after the other and check every response.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use lopside_proto::inference::{
    ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient,
    model_infer_request::InferInputTensor,
};
use tokio::task::JoinHandle;
use tonic::{Code, Status, transport::Channel};

/// Returns a request for the reconstruction of zeros.
pub(crate) fn request() -> ModelInferRequest {
    ModelInferRequest {
        model_name: "fashion.reconstruct".into(),
        inputs: vec![InferInputTensor {
            name: "latent".into(),
            datatype: "FP32".into(),
            shape: vec![1, 32],
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![vec![0; 4 * 32].into()],
        ..ModelInferRequest::default()
    }
}

/// Running clients.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    response_count: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<Duration>>>,
}

impl Load {
    /// Starts this number of clients of a server. Each expects the same bytes in every response; `is_allowed`
    /// selects the errors that may occur.
    pub(crate) fn start(url: &str, clients: usize, is_allowed: fn(&Status) -> bool) -> Self {
        let (stop, response_count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let start_client = |_| {
            let channel = Channel::from_shared(url.to_owned()).unwrap().connect_lazy();
            let (stop, response_count) = (Arc::clone(&stop), Arc::clone(&response_count));
            tokio::spawn(call(GrpcInferenceServiceClient::new(channel), stop, response_count, is_allowed))
        };
        let clients = (0..clients).map(start_client).collect();
        Self { stop, response_count, clients }
    }

    /// Returns the number of responses so far.
    pub(crate) fn response_count(&self) -> usize {
        self.response_count.load(Ordering::Relaxed)
    }

    /// Waits until this number of further requests has been answered.
    pub(crate) async fn wait(&self, count: usize) {
        let target = self.response_count() + count;
        while self.response_count() < target {
            assert!(!self.clients.iter().any(JoinHandle::is_finished), "a client has failed");
            tokio::task::yield_now().await;
        }
    }

    /// Stops the clients and returns the time of every response.
    pub(crate) async fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        for client in self.clients {
            latencies.extend(client.await.unwrap());
        }
        latencies
    }
}

/// Returns whether an error means that the server does not run or ended during the request.
pub(crate) fn is_unavailable(status: &Status) -> bool {
    // A connection that breaks during a response leads to different codes.
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
        && status.metadata().is_empty()
}

async fn call(
    mut client: GrpcInferenceServiceClient<Channel>,
    stop: Arc<AtomicBool>,
    response_count: Arc<AtomicUsize>,
    is_allowed: fn(&Status) -> bool,
) -> Vec<Duration> {
    let (mut first, mut latencies) = (None, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        match client.model_infer(request()).await {
            Ok(response) => {
                latencies.push(start.elapsed());
                let bytes = response.into_inner().raw_output_contents.swap_remove(0);
                assert_eq!(bytes.len(), 4 * 784);
                assert_eq!(*first.get_or_insert_with(|| bytes.clone()), bytes);
                response_count.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => assert!(is_allowed(&status), "{status}"),
        }
    }
    latencies
}
