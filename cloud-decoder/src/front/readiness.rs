use tokio::sync::watch;
use tonic_health::{ServingStatus, server::HealthReporter};

/// Whether the server wants requests: what `/readyz` and grpc.health.v1 say.
#[derive(Debug)]
pub struct Readiness {
    ready: watch::Sender<bool>,
    health: HealthReporter,
    services: Vec<&'static str>,
}

impl Readiness {
    /// Ready, in the name of the whole server and of these gRPC services.
    pub async fn on(health: HealthReporter, services: Vec<&'static str>) -> Self {
        let readiness = Self { ready: watch::Sender::new(true), health, services };
        readiness.tell(ServingStatus::Serving).await;
        readiness
    }

    /// Follows it.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Ready no more: load balancers are to look elsewhere.
    pub async fn off(&self) {
        self.ready.send_replace(false);
        self.tell(ServingStatus::NotServing).await;
    }

    async fn tell(&self, status: ServingStatus) {
        // The empty name is the server as a whole.
        for service in std::iter::once("").chain(self.services.iter().copied()) {
            self.health.set_service_status(service, status).await;
        }
    }
}

/// Done when the server begins to stop.
pub(crate) async fn stopping(mut ready: watch::Receiver<bool>) {
    // An error says that the server has gone, which is the same.
    let _ = ready.wait_for(|ready| !ready).await;
}
