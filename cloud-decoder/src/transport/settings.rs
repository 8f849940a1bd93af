//! Options of the front: flags and environment variables, the same in the config file, and the merged settings.

// Doc comments here are the help text, in which backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, rustdoc::invalid_html_tags)]

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::Args;
use serde::Deserialize;

use super::{ConnectionLimits, TlsFiles};
use crate::StartError;

const DEFAULT_RELOAD_SECONDS: u32 = 5;

/// The settings of the layer before the router, after merging.
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
            reload_interval: Duration::from_secs(DEFAULT_RELOAD_SECONDS.into()),
            drain_wait: Duration::ZERO,
        }
    }
}

/// Options of the front, all optional.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Access")]
pub struct FrontArgs {
    /// Certificate chain of the server as PEM; enables TLS for gRPC and REST. Reloaded after changes
    #[arg(long, env = "LOPSIDE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate as PEM
    #[arg(long, env = "LOPSIDE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Certificate authorities as PEM; only clients with a certificate of one of them are accepted (mTLS)
    #[arg(long, env = "LOPSIDE_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// API key file; only requests with one of its keys are accepted. `cloud-decoder key` generates keys.
    /// Reloaded after changes
    #[arg(long, env = "LOPSIDE_API_KEYS", value_name = "FILE")]
    pub api_keys: Option<PathBuf>,
    /// Seconds between two checks of certificates, keys and channels for changes; SIGHUP checks at once
    /// [default: 5]
    #[arg(long, env = "LOPSIDE_RELOAD_SECONDS", value_name = "SECONDS")]
    pub reload_seconds: Option<NonZeroU32>,
    /// Seconds to keep serving as not ready before connections are refused at shutdown [default: 0]
    ///
    /// Load balancers need this time to choose another server. In Kubernetes, set it to 5 to 15, and the pod's
    /// terminationGracePeriodSeconds to more than the sum of this and --drain-seconds.
    #[arg(long, env = "LOPSIDE_DRAIN_WAIT_SECONDS", value_name = "SECONDS")]
    pub drain_wait_seconds: Option<u32>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub connections: ConnectionArgs,
}

/// The table `connections` of the config file, and its flags.
#[derive(Debug, Clone, Copy, Default, Args, Deserialize)]
#[command(next_help_heading = "Connections")]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionArgs {
    /// Maximum number of open connections; further ones are closed [default: 8192]
    #[arg(long = "max-connections", env = "LOPSIDE_MAX_CONNECTIONS", value_name = "N")]
    pub max: Option<NonZeroU32>,
    /// Maximum number of open connections per address, or per /64 network of IPv6 [default: 4096]
    #[arg(long = "max-connections-per-peer", env = "LOPSIDE_MAX_CONNECTIONS_PER_PEER", value_name = "N")]
    pub max_per_peer: Option<NonZeroU32>,
    /// Maximum number of concurrent requests per HTTP/2 connection [default: 256]
    #[arg(long, env = "LOPSIDE_MAX_STREAMS", value_name = "N")]
    pub max_streams: Option<NonZeroU32>,
    /// Maximum size of an HTTP/2 request header in bytes [default: 16384]
    #[arg(long, env = "LOPSIDE_MAX_HEADER_BYTES", value_name = "BYTES")]
    pub max_header_bytes: Option<NonZeroU32>,
    /// Maximum seconds until the first byte of a new connection [default: 10]
    #[arg(long, env = "LOPSIDE_FIRST_BYTE_SECONDS", value_name = "SECONDS")]
    pub first_byte_seconds: Option<NonZeroU32>,
    /// Maximum seconds to receive a request header; over HTTP/1 also to wait for the next request [default: 30]
    #[arg(long, env = "LOPSIDE_HEADER_SECONDS", value_name = "SECONDS")]
    pub header_seconds: Option<NonZeroU32>,
    /// Maximum seconds of the TLS handshake [default: 10]
    #[arg(long, env = "LOPSIDE_HANDSHAKE_SECONDS", value_name = "SECONDS")]
    pub handshake_seconds: Option<NonZeroU32>,
    /// Maximum seconds between two pieces of a request body; gRPC calls are exempt [default: 30]
    #[arg(long, env = "LOPSIDE_BODY_SECONDS", value_name = "SECONDS")]
    pub body_seconds: Option<NonZeroU32>,
    /// Maximum seconds without requests on an HTTP/2 connection [default: 300]
    #[arg(long, env = "LOPSIDE_IDLE_SECONDS", value_name = "SECONDS")]
    pub idle_seconds: Option<NonZeroU32>,
    /// Seconds between two HTTP/2 pings; clients have 20 seconds to answer [default: 30]
    #[arg(long, env = "LOPSIDE_PING_SECONDS", value_name = "SECONDS")]
    pub ping_seconds: Option<NonZeroU32>,
    /// Maximum age of a connection in seconds, plus or minus a tenth; its client then has to reconnect [default:
    /// unlimited]
    ///
    /// Use this behind a balancer that balances connections: otherwise new servers do not get their share.
    #[arg(long, env = "LOPSIDE_MAX_CONNECTION_AGE_SECONDS", value_name = "SECONDS")]
    pub max_connection_age_seconds: Option<NonZeroU32>,
}

/// The front's part of the config file.
#[derive(Debug, Default)]
pub(crate) struct FrontTable {
    pub(crate) tls: TlsTable,
    pub(crate) connections: ConnectionArgs,
    pub(crate) api_keys: Option<PathBuf>,
    pub(crate) reload_seconds: Option<NonZeroU32>,
    pub(crate) drain_wait_seconds: Option<u32>,
}

/// The table `tls` of the config file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TlsTable {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
}

impl FrontSettings {
    /// Merges flags and environment variables over the config file, and the config file over the defaults.
    pub(crate) fn merge(args: FrontArgs, file: FrontTable) -> Result<Self, StartError> {
        let reload =
            args.reload_seconds.or(file.reload_seconds).map_or(DEFAULT_RELOAD_SECONDS, NonZeroU32::get);
        let drain_wait = args.drain_wait_seconds.or(file.drain_wait_seconds).unwrap_or(0);
        Ok(Self {
            limits: args.connections.resolve_limits(file.connections),
            tls: tls_files(
                args.tls_cert.or(file.tls.cert),
                args.tls_key.or(file.tls.key),
                args.tls_client_ca.or(file.tls.client_ca),
            )?,
            api_keys: args.api_keys.or(file.api_keys),
            reload_interval: Duration::from_secs(reload.into()),
            drain_wait: Duration::from_secs(drain_wait.into()),
        })
    }
}

fn tls_files(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
) -> Result<Option<TlsFiles>, StartError> {
    match (cert, key, client_ca) {
        (Some(cert), Some(key), client_ca) => Ok(Some(TlsFiles { cert, key, client_ca })),
        (None, None, None) => Ok(None),
        (None, _, _) => {
            Err(StartError::IncompleteTls { flag: "--tls-cert", env: "LOPSIDE_TLS_CERT", key: "cert" })
        }
        (_, None, _) => {
            Err(StartError::IncompleteTls { flag: "--tls-key", env: "LOPSIDE_TLS_KEY", key: "key" })
        }
    }
}

impl ConnectionArgs {
    fn resolve_limits(self, file: Self) -> ConnectionLimits {
        let default = ConnectionLimits::default();
        ConnectionLimits {
            max_connections: merge_count(self.max, file.max, default.max_connections),
            max_connections_per_peer: merge_count(
                self.max_per_peer,
                file.max_per_peer,
                default.max_connections_per_peer,
            ),
            first_byte_timeout: merge_seconds(self.first_byte_seconds, file.first_byte_seconds)
                .unwrap_or(default.first_byte_timeout),
            header_timeout: merge_seconds(self.header_seconds, file.header_seconds)
                .unwrap_or(default.header_timeout),
            handshake_timeout: merge_seconds(self.handshake_seconds, file.handshake_seconds)
                .unwrap_or(default.handshake_timeout),
            body_timeout: merge_seconds(self.body_seconds, file.body_seconds).unwrap_or(default.body_timeout),
            idle_timeout: merge_seconds(self.idle_seconds, file.idle_seconds).unwrap_or(default.idle_timeout),
            ping_interval: merge_seconds(self.ping_seconds, file.ping_seconds)
                .unwrap_or(default.ping_interval),
            ping_timeout: default.ping_timeout,
            max_age: merge_seconds(self.max_connection_age_seconds, file.max_connection_age_seconds),
            max_streams: merge_number(self.max_streams, file.max_streams, default.max_streams),
            max_header_bytes: merge_number(
                self.max_header_bytes,
                file.max_header_bytes,
                default.max_header_bytes,
            ),
        }
    }
}

/// Returns the flag, or else the value of the config file, or else the default.
fn merge_number(flag: Option<NonZeroU32>, file: Option<NonZeroU32>, default: u32) -> u32 {
    flag.or(file).map_or(default, NonZeroU32::get)
}

fn merge_count(flag: Option<NonZeroU32>, file: Option<NonZeroU32>, default: usize) -> usize {
    merge_number(flag, file, default as u32) as usize
}

/// Returns the time of the flag, or else of the config file.
fn merge_seconds(flag: Option<NonZeroU32>, file: Option<NonZeroU32>) -> Option<Duration> {
    flag.or(file).map(|seconds| Duration::from_secs(seconds.get().into()))
}
