//! The validity of a key during a request.
//!
//! A request that was admitted holds a [`KeyLease`] until its last byte. The lease ends when the key file no longer
//! permits the request (the key was removed or disabled, lost the scope, or its devices changed) and when the key
//! expires. [`LeasedBody`](super::leased_body::LeasedBody) then ends the request.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::sleep};

use super::{
    Scope,
    device_patterns::DevicePatterns,
    keys::{ApiKey, ApiKeys, KeyDigest},
};
use crate::transport::{FrontEvent, FrontStats};

/// Maximum time between two looks at the calendar, which may be set while a request waits for the end of its key.
const CALENDAR_INTERVAL: Duration = Duration::from_mins(1);

/// The permission of a request by its key. Clones share the same state.
#[derive(Debug, Clone)]
pub(crate) struct KeyLease(Arc<LeaseState>);

#[derive(Debug)]
struct LeaseState {
    key: Arc<str>,
    digest: KeyDigest,
    scope: Scope,
    devices: Option<Arc<DevicePatterns>>,
    expires: Option<SystemTime>,
    /// The keys; the last version that was seen is the one that admitted the request.
    keys: watch::Receiver<Arc<ApiKeys>>,
    stats: Arc<FrontStats>,
    is_end_recorded: AtomicBool,
}

impl KeyLease {
    /// Creates the lease of a request that `key` has admitted. `keys` has seen the version that contains the key.
    pub(super) fn new(
        key: &ApiKey,
        scope: Scope,
        keys: watch::Receiver<Arc<ApiKeys>>,
        stats: Arc<FrontStats>,
    ) -> Self {
        Self(Arc::new(LeaseState {
            key: Arc::clone(&key.name),
            digest: key.digest,
            scope,
            devices: key.devices.clone(),
            expires: key.expires,
            keys,
            stats,
            is_end_recorded: AtomicBool::new(false),
        }))
    }

    /// Returns the name of the key.
    pub(super) fn key_name(&self) -> &str {
        &self.0.key
    }

    /// Returns the devices that the key may speak for; `None` is any device.
    pub(super) fn devices(&self) -> Option<&DevicePatterns> {
        self.0.devices.as_deref()
    }

    /// Returns whether the key has lost its validity for the request. While the keys are unchanged, this costs two
    /// comparisons.
    pub(super) fn has_ended(&self) -> bool {
        let LeaseState { expires, keys, .. } = &*self.0;
        match keys.has_changed() {
            Ok(false) => expires.is_some_and(|expires| expires <= SystemTime::now()),
            // The server ends and does not watch the file any more; the last version remains valid.
            Ok(true) | Err(_) => self.0.find_key(&keys.borrow()).is_none(),
        }
    }

    /// Waits until the key loses its validity for the request.
    pub(crate) async fn revoked(&self) {
        let mut keys = self.0.keys.clone();
        loop {
            let expires = match self.0.find_key(&keys.borrow_and_update()) {
                Some(key) => key.expires,
                None => return,
            };
            tokio::select! {
                () = wait_changed(&mut keys) => {}
                () = wait_expired(expires) => {}
            }
        }
    }

    /// Counts the request as cut off by the end of its key, once.
    pub(super) fn record_end(&self) {
        if !self.0.is_end_recorded.swap(true, Ordering::Relaxed) {
            self.0.stats.count(FrontEvent::Revoked);
            tracing::debug!(key = self.key_name(), "request cut off: its API key is no longer valid");
        }
    }
}

impl LeaseState {
    /// Returns the key if it still permits the request.
    fn find_key<'a>(&self, keys: &'a ApiKeys) -> Option<&'a ApiKey> {
        let key = keys.find_by_digest(&self.digest)?;
        let is_valid = key.is_active(SystemTime::now())
            && key.scopes.contains(&self.scope)
            && key.devices == self.devices;
        is_valid.then_some(key)
    }
}

async fn wait_changed(keys: &mut watch::Receiver<Arc<ApiKeys>>) {
    // An error means that the keys cannot change any more.
    if keys.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// Waits until a key expires, or until the calendar has to be read again.
async fn wait_expired(expires: Option<SystemTime>) {
    let Some(expires) = expires else { return pending().await };
    let remaining = expires.duration_since(SystemTime::now()).unwrap_or_default();
    sleep(remaining.min(CALENDAR_INTERVAL)).await;
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::auth::{GeneratedKey, file::parse_keys, generate_key};

    /// The keys of a server, one of which has leases.
    struct Keys {
        leased: GeneratedKey,
        sender: watch::Sender<Arc<ApiKeys>>,
        stats: Arc<FrontStats>,
    }

    impl Keys {
        fn new(more: &str) -> Self {
            let leased = generate_key("gate-7", &[Scope::Ingest, Scope::Infer]).unwrap();
            let keys = parse_keys(&format!("{}{more}", leased.toml)).unwrap();
            Self { leased, sender: watch::Sender::new(Arc::new(keys)), stats: Arc::default() }
        }

        fn key(&self) -> ApiKey {
            let keys = parse_keys(&self.leased.toml).unwrap();
            let now = crate::auth::usage::CurrentTime::read();
            let digest = keys.admit(Some(self.leased.key.as_bytes()), Scope::Ingest, now).unwrap().digest;
            self.sender.borrow().find_by_digest(&digest).unwrap().clone()
        }

        fn lease(&self) -> KeyLease {
            KeyLease::new(&self.key(), Scope::Ingest, self.sender.subscribe(), Arc::clone(&self.stats))
        }

        fn replace(&self, toml: &str) {
            self.sender.send_replace(Arc::new(parse_keys(toml).unwrap()));
        }
    }

    #[tokio::test]
    async fn a_lease_ends_with_the_permission_of_its_key() {
        let other = generate_key("other", &[Scope::Ingest]).unwrap().toml;
        let keys = Keys::new("");
        let toml = &keys.leased.toml;
        let valid = format!("{toml}devices = ['gate-*']\n");
        for end in [
            other.clone(),
            format!("{valid}disabled = true\n"),
            format!("{valid}expires = 2020-01-01\n"),
            valid.replace("\"ingest\", ", ""),
            format!("{toml}devices = ['gate-1']\n"),
            toml.clone(),
        ] {
            keys.replace(&valid);
            let lease = keys.lease();
            let mut revoked = Box::pin(lease.revoked());
            assert!(revoked.as_mut().now_or_never().is_none() && !lease.has_ended());
            keys.replace(&format!("{valid}requests_per_second = 5\n{other}"));
            assert!(
                revoked.as_mut().now_or_never().is_none() && !lease.has_ended(),
                "other changes do not end a lease"
            );
            keys.replace(&end);
            assert!(lease.has_ended(), "{end}");
            revoked.await;
        }
    }

    #[tokio::test]
    async fn a_lease_ends_at_the_expiry_of_its_key() {
        let keys = Keys::new("");
        let expires = Some(SystemTime::now() + Duration::from_millis(50));
        let expiring = ApiKeys::new(vec![ApiKey { expires, ..keys.key() }]);
        keys.sender.send_replace(Arc::new(expiring));
        let lease = keys.lease();
        lease.revoked().await;
        assert!(lease.has_ended());
    }

    #[tokio::test]
    async fn a_lease_outlives_the_task_that_watches_the_file() {
        let keys = Keys::new("");
        let lease = keys.lease();
        drop(keys);
        assert!(!lease.has_ended());
        assert!(lease.revoked().now_or_never().is_none());
    }

    #[test]
    fn an_end_is_counted_once_for_all_parts_of_a_request() {
        let keys = Keys::new("");
        let lease = keys.lease();
        lease.clone().record_end();
        lease.record_end();
        assert_eq!(keys.stats.snapshot().count_of(FrontEvent::Revoked), 1);
    }
}
