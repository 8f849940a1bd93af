use std::sync::Arc;

use axum::{Router, middleware};
use tokio::sync::watch;

use super::{
    ApiRouter,
    failed_attempts::FailedAttempts,
    guard::{self, GuardState},
    key_changes::KeyFileChanges,
    key_file::{KeyFileState, WatchedKeys},
};
use crate::{
    StartError,
    transport::{FrontSettings, FrontStats},
};

/// The keys of a server, which protect its routers.
#[derive(Debug, Clone)]
pub struct Authenticator {
    /// The keys; `None` if every request is admitted.
    keys: Option<WatchedKeys>,
    /// Whether clients may have certificates.
    has_client_certificates: bool,
    failures: Arc<FailedAttempts>,
    stats: Arc<FrontStats>,
}

impl Authenticator {
    /// Reads the key file, if one is configured, and reads it again after changes.
    ///
    /// # Errors
    /// [`StartError::ApiKeys`] for a file that is missing, invalid, or without keys.
    pub fn start(settings: &FrontSettings, stats: &Arc<FrontStats>) -> Result<Self, StartError> {
        let keys = settings.api_keys.clone();
        let keys = keys
            .map(|path| WatchedKeys::start(path, settings.reload_interval, Arc::clone(stats)))
            .transpose()?;
        Ok(Self {
            failures: if keys.is_some() { FailedAttempts::start() } else { Arc::default() },
            keys,
            has_client_certificates: settings.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
            stats: Arc::clone(stats),
        })
    }

    /// Adds the authentication layer to a finished router. Without a key file, every request is admitted.
    pub fn protect(&self, router: ApiRouter) -> Router {
        let (router, access) = router.into_parts();
        if let Some(keys) = &self.keys {
            let guard = GuardState {
                keys: keys.keys.clone(),
                failures: Arc::clone(&self.failures),
                stats: Arc::clone(&self.stats),
                access: Arc::new(access),
            };
            return router.layer(middleware::from_fn_with_state(guard, guard::check_key));
        }
        if self.has_client_certificates {
            let stats = Arc::clone(&self.stats);
            return router.layer(middleware::map_request_with_state(stats, guard::add_identity));
        }
        router
    }

    /// Returns the changes of the key file from now on; `None` if none is configured.
    pub(crate) fn key_changes(&self) -> Option<KeyFileChanges> {
        self.keys.as_ref().map(KeyFileChanges::new)
    }

    /// Returns a receiver of the state of the key file; `None` if none is configured.
    #[must_use]
    pub fn key_file_state(&self) -> Option<watch::Receiver<KeyFileState>> {
        self.keys.as_ref().map(|keys| keys.state.clone())
    }
}
