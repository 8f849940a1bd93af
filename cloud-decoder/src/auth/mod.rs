//! API keys: which requests a client may send, for which devices, and at which rate.
//!
//! A key is sent as `Authorization: Bearer KEY` or as `x-api-key: KEY`, in HTTP headers or in gRPC metadata;
//! `Authorization` takes precedence. The server stores only the SHA-256 of a key. Keys are long and random, so a
//! plain digest cannot be reversed.
//!
//! ```text
//! key file ─► keys ─┬─► guard: admitted? ─► handler ─► response
//!                   │     no: 401, 403, 429     └─► identity: may the client speak for this device?
//!                   └─► lease: ends both bodies of a request together with the validity of its key
//! ```

mod api_router;
mod authenticator;
mod device_patterns;
mod failed_attempts;
mod file;
mod generate;
mod guard;
mod identity;
mod key_changes;
mod key_file;
mod keys;
mod lease;
mod leased_body;
mod usage;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::{
    api_router::{Access, AccessTable, ApiRouter, ServiceAccess},
    authenticator::Authenticator,
    file::KeyFileFault,
    generate::{GeneratedKey, generate_device_key, generate_key},
    key_file::KeyFileState,
    keys::KeyName,
};
pub(crate) use self::{
    identity::ClientIdentity,
    key_changes::KeyFileChanges,
    key_file::load_keys,
    usage::{CostBudget, CostRefusal},
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

/// Reason why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denial {
    #[error("an API key is needed: send it as \"Authorization: Bearer KEY\" or \"x-api-key: KEY\"")]
    Missing,
    #[error("this API key is unknown")]
    Unknown,
    #[error("this API key is no longer accepted: it has expired or was disabled")]
    Inactive,
    /// The key was valid when the request began.
    #[error(
        "the API key of this request is no longer accepted: it has expired, was disabled or removed, or its \
         permissions have changed"
    )]
    Revoked,
    /// The client has sent too many invalid keys.
    #[error("too many invalid API keys from this address: try again later, with a valid key")]
    TooManyFailures(Duration),
    #[error("this API key does not permit this request: it needs the scope \"{}\"", scope_name(*.0))]
    MissingScope(Scope),
    #[error("too many requests per second for this API key: try again later")]
    RateLimited(Duration),
    #[error("this API key has used all its requests of today: the count restarts at midnight UTC")]
    QuotaExceeded(Duration),
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
