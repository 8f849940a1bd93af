//! A healthy client next to an attack: small inferences at a steady rate, each with a time limit.

use std::time::{Duration, Instant};

use lopside_proto::inference::{
    ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient as Client,
    model_infer_request::InferInputTensor,
};
use tokio::{
    task::{JoinError, JoinHandle},
    time::{MissedTickBehavior, interval, timeout},
};
use tonic::{
    Code, Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::{
    BenchError,
    error::{NetworkError, request_error},
    serving::load::{Outcome, OutcomeTally},
};

/// The model, the default head of the bundle that every server of the benches serves.
const MODEL: &str = "fashion";
const INPUT_NAME: &str = "latent";
const INPUT_VALUES: usize = 32;
/// Interval between two calls.
const CALL_INTERVAL: Duration = Duration::from_millis(20);
/// Time after which a call has failed.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Number of calls before the measurement.
const WARM_UP_CALLS: usize = 20;

/// A client that calls the server like any other.
#[derive(Debug)]
pub(super) struct HealthyClient {
    channel: Channel,
    /// The value of the header with the API key.
    authorization: Option<MetadataValue<Ascii>>,
}

impl HealthyClient {
    /// Connects, with an API key if the server requires one.
    pub(super) async fn connect(url: &str, key: Option<&str>) -> Result<Self, BenchError> {
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| {
            NetworkError::InvalidAddress { address: url.to_owned(), reason: error.to_string() }
        })?;
        let channel = endpoint.connect().await.map_err(request_error)?;
        let authorization =
            key.map(|key| format!("Bearer {key}").parse::<MetadataValue<Ascii>>()).transpose();
        Ok(Self { channel, authorization: authorization.map_err(request_error)? })
    }

    /// Returns the client's connection.
    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Sends some calls, so that the server has allocated what every server has.
    pub(super) async fn warm_up(&self) -> Result<(), BenchError> {
        for _ in 0..WARM_UP_CALLS {
            if let Outcome::Failed(reason) = self.call().await {
                return Err(request_error(reason));
            }
        }
        Ok(())
    }

    /// Sends calls until the task ends; returns its result and the outcomes of the calls.
    pub(super) async fn call_while<T>(
        &self,
        mut task: JoinHandle<T>,
    ) -> (Result<T, JoinError>, OutcomeTally) {
        let mut tally = OutcomeTally::default();
        let mut ticks = interval(CALL_INTERVAL);
        // After a slow call, those that it has delayed are not sent at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                result = &mut task => return (result, tally),
                _ = ticks.tick() => {
                    let start = Instant::now();
                    let outcome = self.call().await;
                    tally.count_outcome(outcome, start.elapsed());
                }
            }
        }
    }

    async fn call(&self) -> Outcome {
        let mut request = Request::new(infer_request());
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        let mut client = Client::new(self.channel.clone());
        match timeout(CALL_LIMIT, client.model_infer(request)).await {
            Ok(Ok(_)) => Outcome::Answered,
            Ok(Err(status)) if status.code() == Code::ResourceExhausted => Outcome::Rejected,
            Ok(Err(status)) => Outcome::Failed(format!("{:?}: {}", status.code(), status.message())),
            Err(_) => Outcome::Late,
        }
    }
}

/// Returns a request with a latent of zeros.
fn infer_request() -> ModelInferRequest {
    let input = InferInputTensor {
        name: INPUT_NAME.to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, INPUT_VALUES as i64],
        ..InferInputTensor::default()
    };
    ModelInferRequest {
        model_name: MODEL.to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![vec![0; size_of::<f32>() * INPUT_VALUES].into()],
        ..ModelInferRequest::default()
    }
}
