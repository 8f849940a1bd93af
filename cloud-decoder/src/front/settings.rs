//! The front's options: flags and environment, the same in the config file, and what they come to.

// Doc comments here are the help text, where backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, rustdoc::invalid_html_tags)]

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::Args;
use serde::Deserialize;

use super::{ConnectionLimits, TlsFiles};
use crate::StartError;

const DEFAULT_RELOAD_SECONDS: u32 = 5;

/// What stands before the router, after all merging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontSettings {
    /// What connections may cost.
    pub limits: ConnectionLimits,
    /// Certificates; none: no TLS.
    pub tls: Option<TlsFiles>,
    /// The file of API keys; none: everybody may do everything.
    pub api_keys: Option<PathBuf>,
    /// How often certificates, keys and channels are looked at for changes.
    pub reload: Duration,
    /// From "not ready" to the end of accepting connections.
    pub drain_wait: Duration,
}

impl Default for FrontSettings {
    fn default() -> Self {
        Self {
            limits: ConnectionLimits::default(),
            tls: None,
            api_keys: None,
            reload: Duration::from_secs(DEFAULT_RELOAD_SECONDS.into()),
            drain_wait: Duration::ZERO,
        }
    }
}

/// Options of the front, all optional.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Access")]
pub struct FrontArgs {
    /// The server's certificate chain as PEM: turns TLS on, for gRPC and REST. Read anew when it changes
    #[arg(long, env = "LOPSIDE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key as PEM
    #[arg(long, env = "LOPSIDE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Take only clients with a certificate of one of these authorities (mTLS)
    #[arg(long, env = "LOPSIDE_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Take only requests with a key of this file; `cloud-decoder key` makes keys. Read anew when it changes
    #[arg(long, env = "LOPSIDE_API_KEYS", value_name = "FILE")]
    pub api_keys: Option<PathBuf>,
    /// How often certificates, keys and channels are looked at for changes; SIGHUP does so at once [default: 5]
    #[arg(long, env = "LOPSIDE_RELOAD_SECONDS", value_name = "SECONDS")]
    pub reload_seconds: Option<NonZeroU32>,
    /// How long to serve on as not ready before connections are refused when stopping [default: 0]
    ///
    /// Load balancers take this long to look elsewhere. In Kubernetes give 5 to 15, and the pod a
    /// terminationGracePeriodSeconds of more than this and --drain-seconds together.
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
    /// Connections at once in all; further ones are closed [default: 8192]
    #[arg(long = "max-connections", env = "LOPSIDE_MAX_CONNECTIONS", value_name = "N")]
    pub max: Option<NonZeroU32>,
    /// Connections at once of one address, or of one /64 network of IPv6 [default: 4096]
    #[arg(long = "max-connections-per-peer", env = "LOPSIDE_MAX_CONNECTIONS_PER_PEER", value_name = "N")]
    pub max_per_peer: Option<NonZeroU32>,
    /// Requests at once in one HTTP/2 connection [default: 256]
    #[arg(long, env = "LOPSIDE_MAX_STREAMS", value_name = "N")]
    pub max_streams: Option<NonZeroU32>,
    /// The longest header of an HTTP/2 request [default: 16384]
    #[arg(long, env = "LOPSIDE_MAX_HEADER_BYTES", value_name = "BYTES")]
    pub max_header_bytes: Option<NonZeroU32>,
    /// How long a new connection may be silent [default: 10]
    #[arg(long, env = "LOPSIDE_FIRST_BYTE_SECONDS", value_name = "SECONDS")]
    pub first_byte_seconds: Option<NonZeroU32>,
    /// How long a request's header may take; over HTTP/1 also the wait for the next request [default: 30]
    #[arg(long, env = "LOPSIDE_HEADER_SECONDS", value_name = "SECONDS")]
    pub header_seconds: Option<NonZeroU32>,
    /// How long the TLS handshake may take [default: 10]
    #[arg(long, env = "LOPSIDE_HANDSHAKE_SECONDS", value_name = "SECONDS")]
    pub handshake_seconds: Option<NonZeroU32>,
    /// How long a request's body may pause; calls of gRPC may for ever [default: 30]
    #[arg(long, env = "LOPSIDE_BODY_SECONDS", value_name = "SECONDS")]
    pub body_seconds: Option<NonZeroU32>,
    /// How long an HTTP/2 connection may be without requests [default: 300]
    #[arg(long, env = "LOPSIDE_IDLE_SECONDS", value_name = "SECONDS")]
    pub idle_seconds: Option<NonZeroU32>,
    /// How often HTTP/2 clients are asked whether they are there; they have 20 seconds to answer [default: 30]
    #[arg(long, env = "LOPSIDE_PING_SECONDS", value_name = "SECONDS")]
    pub ping_seconds: Option<NonZeroU32>,
    /// How old a connection may grow, give or take a tenth, before its client has to connect anew [default: any age]
    ///
    /// For servers behind a balancer that balances connections: new servers get their share only so.
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
    /// Flags and environment before the file, the file before the defaults.
    pub(crate) fn merge(args: FrontArgs, file: FrontTable) -> Result<Self, StartError> {
        let reload =
            args.reload_seconds.or(file.reload_seconds).map_or(DEFAULT_RELOAD_SECONDS, NonZeroU32::get);
        let drain_wait = args.drain_wait_seconds.or(file.drain_wait_seconds).unwrap_or(0);
        Ok(Self {
            limits: args.connections.or(file.connections),
            tls: tls(
                args.tls_cert.or(file.tls.cert),
                args.tls_key.or(file.tls.key),
                args.tls_client_ca.or(file.tls.client_ca),
            )?,
            api_keys: args.api_keys.or(file.api_keys),
            reload: Duration::from_secs(reload.into()),
            drain_wait: Duration::from_secs(drain_wait.into()),
        })
    }
}

fn tls(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
) -> Result<Option<TlsFiles>, StartError> {
    match (cert, key, client_ca) {
        (Some(cert), Some(key), client_ca) => Ok(Some(TlsFiles { cert, key, client_ca })),
        (None, None, None) => Ok(None),
        (None, _, _) => Err(StartError::HalfTls { flag: "--tls-cert", env: "LOPSIDE_TLS_CERT", key: "cert" }),
        (_, None, _) => Err(StartError::HalfTls { flag: "--tls-key", env: "LOPSIDE_TLS_KEY", key: "key" }),
    }
}

impl ConnectionArgs {
    fn or(self, file: Self) -> ConnectionLimits {
        let number = |flag: Option<NonZeroU32>, file, default| flag.or(file).map_or(default, NonZeroU32::get);
        let count = |flag: Option<NonZeroU32>, file, default| number(flag, file, default as u32) as usize;
        let time = |flag: Option<NonZeroU32>, file: Option<NonZeroU32>| {
            flag.or(file).map(|seconds| Duration::from_secs(seconds.get().into()))
        };
        let default = ConnectionLimits::default();
        ConnectionLimits {
            connections: count(self.max, file.max, default.connections),
            connections_per_peer: count(self.max_per_peer, file.max_per_peer, default.connections_per_peer),
            first_byte: time(self.first_byte_seconds, file.first_byte_seconds).unwrap_or(default.first_byte),
            header: time(self.header_seconds, file.header_seconds).unwrap_or(default.header),
            handshake: time(self.handshake_seconds, file.handshake_seconds).unwrap_or(default.handshake),
            body: time(self.body_seconds, file.body_seconds).unwrap_or(default.body),
            idle: time(self.idle_seconds, file.idle_seconds).unwrap_or(default.idle),
            ping: time(self.ping_seconds, file.ping_seconds).unwrap_or(default.ping),
            ping_timeout: default.ping_timeout,
            max_age: time(self.max_connection_age_seconds, file.max_connection_age_seconds),
            streams: number(self.max_streams, file.max_streams, default.streams),
            header_bytes: number(self.max_header_bytes, file.max_header_bytes, default.header_bytes),
        }
    }
}
