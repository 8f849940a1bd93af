//! API keys: which requests a client may send, and at which rate.
//!
//! A key is sent as `Authorization: Bearer KEY` or as `x-api-key: KEY`, in HTTP headers or in gRPC metadata;
//! `Authorization` takes precedence. The server stores only the SHA-256 of a key. Keys are long and random, so a
//! plain digest cannot be reversed.

mod api_router;
mod file;
mod generate;
mod guard;
mod usage;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Router, middleware};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub use self::{
    api_router::{Access, AccessTable, ApiRouter, ServiceAccess},
    generate::{GeneratedKey, generate_key},
};
use self::{
    guard::AuthState,
    usage::{CurrentTime, KeyLimits, KeyUsage},
};
use crate::{
    StartError,
    transport::{
        FrontSettings, FrontStats,
        reload::{WatchedFiles, watch_files},
    },
};

/// A permission that a key can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Run heads and list the served bundles
    Infer,
    /// Upload frames into the archive and download encoders
    Ingest,
    /// Read the archive
    Archive,
    /// Load and unload bundles, delete archived frames
    Admin,
    /// Read metrics
    Metrics,
}

/// Adds the authentication layer to a finished router, and reloads the key file after changes. Without a key
/// file, every request is allowed.
///
/// # Errors
/// [`StartError::ApiKeys`] for an invalid file.
pub fn require_keys(
    router: ApiRouter,
    settings: &FrontSettings,
    stats: &Arc<FrontStats>,
) -> Result<Router, StartError> {
    let (router, access) = router.into_parts();
    let Some(path) = settings.api_keys.clone() else { return Ok(router) };
    let watched = WatchedFiles {
        description: "API keys",
        files: vec![path.clone()],
        interval: settings.reload_interval,
    };
    let keys = watch_files(watched, Arc::clone(stats), move |previous| ApiKeys::load(&path, previous))?;
    let guard = AuthState { keys, stats: Arc::clone(stats), access: Arc::new(access) };
    Ok(router.layer(middleware::from_fn_with_state(guard, guard::check_key)))
}

/// All API keys of a server.
#[derive(Debug)]
pub struct ApiKeys(Vec<ApiKey>);

#[derive(Debug)]
struct ApiKey {
    name: Arc<str>,
    digest: [u8; 32],
    scopes: Vec<Scope>,
    limits: KeyLimits,
    expires: Option<SystemTime>,
    disabled: bool,
    usage: Arc<KeyUsage>,
}

/// The name of a request's key, in the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(pub Arc<str>);

/// Reason why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denial {
    #[error("an API key is needed: send it as \"Authorization: Bearer KEY\" or \"x-api-key: KEY\"")]
    Missing,
    #[error("this API key is unknown")]
    Unknown,
    #[error("this API key is no longer accepted: it has expired or was disabled")]
    Inactive,
    #[error("this API key does not permit this request: it needs the scope \"{}\"", scope_name(*.0))]
    MissingScope(Scope),
    #[error("too many requests per second for this API key: try again later")]
    RateLimited(Duration),
    #[error("this API key has used all its requests of today: the count restarts at midnight UTC")]
    QuotaExceeded(Duration),
}

impl ApiKeys {
    /// Returns the number of keys.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Admits a request and counts it, or returns the reason for the refusal. The scope and the limits are
    /// revealed only to clients with a known key.
    fn admit(&self, presented: Option<&[u8]>, scope: Scope, now: CurrentTime) -> Result<KeyName, Denial> {
        let key = self.find_key(presented.ok_or(Denial::Missing)?).ok_or(Denial::Unknown)?;
        if key.disabled || key.expires.is_some_and(|expires| now.date >= expires) {
            return Err(Denial::Inactive);
        }
        if !key.scopes.contains(&scope) {
            return Err(Denial::MissingScope(scope));
        }
        key.usage.count_request(&key.limits, now)?;
        Ok(KeyName(Arc::clone(&key.name)))
    }

    /// Compares the digest with every key; the time does not depend on whether and where one matches.
    fn find_key(&self, presented: &[u8]) -> Option<&ApiKey> {
        let digest: [u8; 32] = Sha256::digest(presented).into();
        self.0
            .iter()
            .fold(None, |found, key| if bool::from(key.digest.ct_eq(&digest)) { Some(key) } else { found })
    }
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Infer => "infer",
        Scope::Ingest => "ingest",
        Scope::Archive => "archive",
        Scope::Admin => "admin",
        Scope::Metrics => "metrics",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_their_digest_and_refused_after_their_end() {
        let generated = generate_key("line-3", &[Scope::Infer, Scope::Metrics]).unwrap();
        let load = |more: &str| file::parse_keys(&format!("{}{more}", generated.toml)).unwrap();
        let admit =
            |keys: &ApiKeys, key: &str, scope| keys.admit(Some(key.as_bytes()), scope, CurrentTime::read());
        let keys = load("");
        assert_eq!(admit(&keys, &generated.key, Scope::Metrics), Ok(KeyName("line-3".into())));
        assert_eq!(admit(&keys, &generated.key, Scope::Admin), Err(Denial::MissingScope(Scope::Admin)));
        assert_eq!(admit(&keys, &generated.sha256, Scope::Infer), Err(Denial::Unknown));
        assert_eq!(keys.admit(None, Scope::Infer, CurrentTime::read()), Err(Denial::Missing));
        for inactive in ["disabled = true", "expires = 2020-01-01"] {
            assert_eq!(
                admit(&load(inactive), &generated.key, Scope::Infer),
                Err(Denial::Inactive),
                "{inactive}"
            );
        }
        assert!(admit(&load("expires = 9999-01-01"), &generated.key, Scope::Infer).is_ok());
    }
}
