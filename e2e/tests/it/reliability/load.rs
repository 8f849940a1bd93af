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
    answered: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<Vec<Duration>>>,
}

impl Load {
    /// Starts this number of clients of a server. Each expects the same bytes in every response; `excused`
    /// selects the errors that may occur.
    pub(crate) fn start(url: &str, callers: usize, excused: fn(&Status) -> bool) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let caller = |_| {
            let channel = Channel::from_shared(url.to_owned()).unwrap().connect_lazy();
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(call(GrpcInferenceServiceClient::new(channel), stop, answered, excused))
        };
        let callers = (0..callers).map(caller).collect();
        Self { stop, answered, callers }
    }

    /// Returns the number of responses so far.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until this number of further requests has been answered.
    pub(crate) async fn wait(&self, more: usize) {
        let until = self.answered() + more;
        while self.answered() < until {
            assert!(!self.callers.iter().any(JoinHandle::is_finished), "a client has failed");
            tokio::task::yield_now().await;
        }
    }

    /// Stops the clients and returns the time of every response.
    pub(crate) async fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for caller in self.callers {
            times.extend(caller.await.unwrap());
        }
        times
    }
}

/// Returns whether an error means that the server does not run or ended during the request.
pub(crate) fn away(status: &Status) -> bool {
    // A connection that breaks during a response leads to different codes.
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
        && status.metadata().is_empty()
}

async fn call(
    mut client: GrpcInferenceServiceClient<Channel>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    excused: fn(&Status) -> bool,
) -> Vec<Duration> {
    let (mut first, mut times) = (None, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        match client.model_infer(request()).await {
            Ok(answer) => {
                times.push(start.elapsed());
                let bytes = answer.into_inner().raw_output_contents.swap_remove(0);
                assert_eq!(bytes.len(), 4 * 784);
                assert_eq!(*first.get_or_insert_with(|| bytes.clone()), bytes);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => assert!(excused(&status), "{status}"),
        }
    }
    times
}
