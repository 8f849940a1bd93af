use tokio::sync::watch;
use tonic_health::{ServingStatus, server::HealthReporter};

/// Whether the server accepts requests, as reported by `/readyz` and grpc.health.v1.
#[derive(Debug)]
pub struct Readiness {
    ready: watch::Sender<bool>,
    health: HealthReporter,
    services: Vec<&'static str>,
}

impl Readiness {
    /// Reports the whole server and these gRPC services as ready.
    pub async fn new_ready(health: HealthReporter, services: Vec<&'static str>) -> Self {
        let readiness = Self { ready: watch::Sender::new(true), health, services };
        readiness.report_status(ServingStatus::Serving).await;
        readiness
    }

    /// Returns a receiver of the readiness.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Reports the server as not ready, so that load balancers choose another one.
    pub async fn set_not_ready(&self) {
        self.ready.send_replace(false);
        self.report_status(ServingStatus::NotServing).await;
    }

    async fn report_status(&self, status: ServingStatus) {
        // The empty name is the server as a whole.
        for service in std::iter::once("").chain(self.services.iter().copied()) {
            self.health.set_service_status(service, status).await;
        }
    }
}

/// Waits until the server begins to stop.
pub(crate) async fn wait_stopping(mut ready: watch::Receiver<bool>) {
    // An error means that the server has ended, which has the same effect.
    let _ = ready.wait_for(|ready| !ready).await;
}
