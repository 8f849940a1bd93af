use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    sync::Arc,
};

use tokio::sync::{Mutex, watch};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{
    component::{Component, Service},
    fault::{Fault, FaultKind},
};
use crate::{ServeError, transport::wait_stopping};

/// The health of a server. Clones share the same state.
#[derive(Debug, Clone)]
pub(crate) struct HealthState(Arc<SharedHealth>);

#[derive(Debug)]
struct SharedHealth {
    /// Turns false when the server begins to stop.
    ready: watch::Sender<bool>,
    faults: watch::Sender<FaultTable>,
    publisher: Arc<Publisher>,
    shows_reasons: bool,
}

/// The faults of all components.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultTable {
    is_stopping: bool,
    offered: BTreeSet<Service>,
    components: BTreeMap<Component, Option<Fault>>,
}

/// Reports the services over grpc.health.v1.
#[derive(Debug)]
struct Publisher {
    reporter: HealthReporter,
    services: Vec<(&'static str, Service)>,
    /// Whether each service was reported as serving.
    reported: Mutex<HashMap<&'static str, bool>>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckResult {
    /// The name of a service or of a component.
    pub(crate) name: &'static str,
    /// The kind of the fault; `None` if the check passed.
    pub(crate) fault: Option<String>,
    /// The problem in full; `None` also if clients must not know it.
    pub(crate) reason: Option<String>,
}

impl HealthState {
    /// Creates the state of a server without faults, and reports these gRPC services by their names. With
    /// `shows_reasons`, the results of checks contain the problems in full, with paths.
    ///
    /// The call must be made within a tokio runtime.
    pub(crate) fn new(
        reporter: HealthReporter,
        services: Vec<(&'static str, Service)>,
        shows_reasons: bool,
    ) -> Self {
        let publisher = Arc::new(Publisher { reporter, services, reported: Mutex::default() });
        let faults = watch::Sender::new(FaultTable::default());
        faults.send_modify(|faults| {
            faults.offered.insert(Service::Decoder);
        });
        tokio::spawn(publish_changes(Arc::clone(&publisher), faults.subscribe()));
        Self(Arc::new(SharedHealth { ready: watch::Sender::new(true), faults, publisher, shows_reasons }))
    }

    /// Returns a receiver that turns false when the server begins to stop.
    pub(crate) fn subscribe_ready(&self) -> watch::Receiver<bool> {
        self.0.ready.subscribe()
    }

    pub(super) fn subscribe_faults(&self) -> watch::Receiver<FaultTable> {
        self.0.faults.subscribe()
    }

    /// Declares that the server has this service.
    pub(crate) fn offer(&self, service: Service) {
        self.0.faults.send_modify(|faults| {
            faults.offered.insert(service);
        });
    }

    /// Stores the fault of a component, `None` if it works. A change is logged.
    pub(crate) fn set_fault(&self, component: Component, fault: Option<Fault>) {
        self.0.faults.send_if_modified(|faults| {
            let previous = faults.components.get(&component);
            if previous == Some(&fault) {
                return false;
            }
            let is_stopping = faults.is_stopping;
            match (&fault, previous.and_then(Option::as_ref)) {
                (Some(Fault { kind, reason }), previous) => {
                    if !is_stopping && previous.is_none_or(|previous| previous.kind != *kind) {
                        tracing::error!(%component, fault = %kind, reason, "a component has failed");
                    }
                }
                (None, Some(_)) => tracing::info!(%component, "the component works again"),
                (None, None) => {}
            }
            faults.components.insert(component, fault);
            true
        });
    }

    /// Spawns a task whose end is a fault of the component, unless the server is stopping.
    pub(crate) fn supervise(&self, component: Component, task: impl Future<Output = ()> + Send + 'static) {
        if !self.0.faults.borrow().components.contains_key(&component) {
            self.set_fault(component, None);
        }
        let (task, health) = (tokio::spawn(task), self.clone());
        tokio::spawn(async move {
            let reason = match task.await {
                Ok(()) => "its task has ended: restart the server".to_owned(),
                Err(error) if error.is_panic() => {
                    format!("its task has failed: {error}; restart the server, and report this fault")
                }
                // The runtime ends.
                Err(_) => return,
            };
            if !health.0.faults.borrow().is_stopping {
                health.set_fault(component, Some(Fault::new(FaultKind::TaskEnded, reason)));
            }
        });
    }

    /// Spawns a task whose end is a fault of the component. When the server begins to stop, the task is dropped.
    pub(crate) fn supervise_until_stop(
        &self,
        component: Component,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stopping = wait_stopping(self.subscribe_ready());
        self.supervise(component, async move {
            tokio::select! {
                () = task => {}
                () = stopping => {}
            }
        });
    }

    /// Checks whether load balancers should send requests.
    ///
    /// # Errors
    /// [`ServeError::Stopping`], or [`ServeError::NotReady`] with the kind of the fault.
    pub(crate) fn check_ready(&self) -> Result<(), ServeError> {
        match self.0.faults.borrow().service_fault(Service::Decoder) {
            None => Ok(()),
            Some(Fault { kind: FaultKind::Stopping, .. }) => Err(ServeError::Stopping),
            Some(fault) => Err(ServeError::NotReady(fault.kind.to_string())),
        }
    }

    /// Returns the results of all checks: those of the services that the server has, and those of its components.
    pub(crate) fn check_all(&self) -> Vec<CheckResult> {
        let faults = self.0.faults.borrow();
        let services = faults.offered.iter().map(|&service| (service.name(), faults.service_fault(service)));
        let components = faults.components.iter().map(|(component, fault)| (component.name(), fault.clone()));
        services.chain(components).map(|(name, fault)| self.check_result(name, fault)).collect()
    }

    /// Returns the result of the check with this name, `None` if there is no such check. The services that the server
    /// does not have are checked as well.
    pub(crate) fn check(&self, name: &str) -> Option<CheckResult> {
        let missing = Service::ALL.into_iter().find(|service| service.name() == name).map(|service| {
            let fault = self.0.faults.borrow().service_fault(service);
            self.check_result(service.name(), fault)
        });
        missing.or_else(|| self.check_all().into_iter().find(|result| result.name == name))
    }

    fn check_result(&self, name: &'static str, fault: Option<Fault>) -> CheckResult {
        let reason = fault.as_ref().filter(|_| self.0.shows_reasons).map(|fault| fault.reason.clone());
        CheckResult { name, fault: fault.map(|fault| fault.kind.to_string()), reason }
    }

    /// Reports the current state over grpc.health.v1, and returns when that is done.
    pub(crate) async fn publish(&self) {
        self.0.publisher.publish(&self.0.faults.subscribe()).await;
    }

    /// Reports that the server is stopping, so that load balancers choose another one.
    pub(crate) async fn begin_stop(&self) {
        self.0.faults.send_modify(|faults| faults.is_stopping = true);
        self.0.ready.send_replace(false);
        self.publish().await;
    }
}

impl FaultTable {
    /// Returns the reason why a service does not work; `None` if it does.
    fn service_fault(&self, service: Service) -> Option<Fault> {
        if self.is_stopping {
            return Some(Fault::new(FaultKind::Stopping, "the server is stopping"));
        }
        if !self.offered.contains(&service) {
            return Some(Fault::new(FaultKind::NotConfigured, service.missing_option()));
        }
        service.required_components().iter().find_map(|component| {
            let Fault { kind, reason } = self.components.get(component)?.as_ref()?;
            // As long as keys are accepted, a fault of their file does not keep clients out.
            let has_effect = *component != Component::Keys || *kind == FaultKind::NoKeys;
            has_effect.then(|| Fault::new(*kind, format!("{component}: {reason}")))
        })
    }

    /// Returns all components, and whether they work.
    pub(super) fn components(&self) -> impl Iterator<Item = (Component, bool)> {
        self.components.iter().map(|(component, fault)| (*component, fault.is_none()))
    }
}

impl Publisher {
    async fn publish(&self, faults: &watch::Receiver<FaultTable>) {
        // The lock is taken before the faults are read, so that the last report is the newest one.
        let mut reported = self.reported.lock().await;
        let statuses = self.statuses(&faults.borrow());
        for (name, is_serving) in statuses {
            if reported.insert(name, is_serving) != Some(is_serving) {
                let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
                self.reporter.set_service_status(name, status).await;
            }
        }
    }

    /// Returns whether each service works. The empty name is the server as a whole.
    fn statuses(&self, faults: &FaultTable) -> Vec<(&'static str, bool)> {
        let services = [("", Service::Decoder)].into_iter().chain(self.services.iter().copied());
        services.map(|(name, service)| (name, faults.service_fault(service).is_none())).collect()
    }
}

/// Reports every change, for as long as the state exists.
async fn publish_changes(publisher: Arc<Publisher>, mut faults: watch::Receiver<FaultTable>) {
    while faults.changed().await.is_ok() {
        publisher.publish(&faults).await;
    }
}

#[cfg(test)]
mod tests {
    use tonic_health::server::health_reporter;

    use super::*;

    fn state(shows_reasons: bool) -> HealthState {
        HealthState::new(health_reporter().0, Vec::new(), shows_reasons)
    }

    fn fault_of(health: &HealthState, name: &str) -> Option<String> {
        health.check(name).unwrap().fault
    }

    fn fault(kind: FaultKind) -> Fault {
        Fault::new(kind, "in /srv/secret")
    }

    #[tokio::test]
    async fn a_failing_archive_stops_uploads_and_nothing_else() {
        let health = state(true);
        health.offer(Service::Ingest);
        health.offer(Service::Channels);
        health.set_fault(Component::Archive, None);
        for name in ["decoder", "ingest", "channels", "archive"] {
            assert_eq!(fault_of(&health, name), None, "{name}");
        }
        health.set_fault(Component::Archive, Some(fault(FaultKind::DiskFull)));
        let faults = ["decoder", "ingest", "channels", "archive"].map(|name| fault_of(&health, name));
        let full = Some("disk full".to_owned());
        assert_eq!(faults, [None, full.clone(), None, full]);
        assert_eq!(health.check("ingest").unwrap().reason.as_deref(), Some("archive: in /srv/secret"));
        assert_eq!(health.check_ready(), Ok(()));
        health.set_fault(Component::Archive, None);
        assert_eq!(fault_of(&health, "ingest"), None);
    }

    #[tokio::test]
    async fn without_accepted_keys_nothing_works_but_an_invalid_file_is_only_reported() {
        let health = state(false);
        health.set_fault(Component::Keys, Some(fault(FaultKind::InvalidFile)));
        assert_eq!(health.check_ready(), Ok(()));
        assert_eq!(fault_of(&health, "keys").as_deref(), Some("invalid file"));
        health.set_fault(Component::Keys, Some(fault(FaultKind::NoKeys)));
        assert_eq!(health.check_ready(), Err(ServeError::NotReady("no key is accepted".to_owned())));
        assert_eq!(fault_of(&health, "decoder").as_deref(), Some("no key is accepted"));
        assert_eq!(health.check("keys").unwrap().reason, None, "paths are not for everyone");
    }

    #[tokio::test]
    async fn a_service_that_is_not_configured_has_a_check_but_is_not_listed() {
        let health = state(true);
        assert_eq!(fault_of(&health, "ingest").as_deref(), Some("not configured"));
        assert_eq!(health.check_all().iter().map(|check| check.name).collect::<Vec<_>>(), ["decoder"]);
        assert_eq!(health.check("archive"), None);
        assert_eq!(health.check("anything"), None);
        health.begin_stop().await;
        assert_eq!(health.check_ready(), Err(ServeError::Stopping));
        assert!(!*health.subscribe_ready().borrow());
        assert_eq!(fault_of(&health, "decoder").as_deref(), Some("stopping"));
    }

    #[tokio::test]
    async fn the_end_of_a_task_is_a_fault_unless_the_server_is_stopping() {
        let health = state(true);
        let mut faults = health.subscribe_faults();
        health.supervise(Component::Scorer, async { panic!("a fault of the program") });
        faults.wait_for(|faults| faults.components.get(&Component::Scorer) != Some(&None)).await.unwrap();
        let check = health.check("scorer").unwrap();
        assert_eq!(check.fault.as_deref(), Some("task ended"));
        assert!(check.reason.as_deref().unwrap().contains("a fault of the program"), "{check:?}");
        health.supervise(Component::Retention, async {});
        let is_ended =
            |faults: &FaultTable| faults.components.get(&Component::Retention).is_some_and(Option::is_some);
        faults.wait_for(is_ended).await.unwrap();

        let health = state(true);
        let (held, end) = tokio::sync::oneshot::channel::<()>();
        health.supervise_until_stop(Component::Scorer, async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        health.begin_stop().await;
        end.await.unwrap_err();
        tokio::task::yield_now().await;
        assert_eq!(fault_of(&health, "scorer"), None);
    }
}
