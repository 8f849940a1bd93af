use std::{path::PathBuf, time::Duration};

use super::{ConnectionLimits, TlsFiles};

/// The settings of the layer before the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontSettings {
    /// Limits on connections.
    pub limits: ConnectionLimits,
    /// Certificates; `None` disables TLS.
    pub tls: Option<TlsFiles>,
    /// The API key file; `None` allows every request.
    pub api_keys: Option<PathBuf>,
    /// Time between two checks of certificates, keys and channels for changes.
    pub reload_interval: Duration,
    /// Time from "not ready" to the end of accepting connections.
    pub drain_wait: Duration,
}

impl Default for FrontSettings {
    fn default() -> Self {
        Self {
            limits: ConnectionLimits::default(),
            tls: None,
            api_keys: None,
            reload_interval: Duration::from_secs(5),
            drain_wait: Duration::ZERO,
        }
    }
}
