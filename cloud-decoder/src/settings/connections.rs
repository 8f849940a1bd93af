use std::{num::NonZeroU32, time::Duration};

use clap::Args;
use merge::Merge;
use serde::Deserialize;

use super::grpc_compression::GrpcCompression;
use crate::{
    StartError,
    transport::{ConnectionLimits, MIN_REQUEST_MEMORY, default_max_streams},
};

/// The name of the flag of the memory for requests.
const MAX_REQUEST_MEMORY: &str = "--max-request-memory";
const BYTES_PER_MEGABYTE: usize = 1_000_000;

/// Options of connections, as flags, environment variables and the config file's table `connections`.
#[derive(Debug, Default, Args, Deserialize, Merge)]
#[command(next_help_heading = "Connections")]
#[serde(default, deny_unknown_fields)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct ConnectionArgs {
    /// Maximum number of open connections; further ones are closed [default: 8192]
    #[arg(long = "max-connections", env = "LOPSIDE_MAX_CONNECTIONS", value_name = "N")]
    pub max: Option<NonZeroU32>,
    /// Maximum number of open connections per address, or per /64 network of IPv6 [default: 4096]
    #[arg(long = "max-connections-per-peer", env = "LOPSIDE_MAX_CONNECTIONS_PER_PEER", value_name = "N")]
    pub max_per_peer: Option<NonZeroU32>,
    /// Maximum memory in megabytes that the bodies of all requests may occupy together [default: a quarter of the
    /// memory of the machine or of the control group, from 128 to 1000]
    ///
    /// Every byte counts twice: as it was received, and in the message that is made of it. One address and one API
    /// key may hold at most half. Requests above it are refused, with the time to wait before a retry.
    #[arg(long, env = "LOPSIDE_MAX_REQUEST_MEMORY", value_name = "MEGABYTES")]
    pub max_request_memory: Option<NonZeroU32>,
    /// When responses of gRPC are compressed [default: on-request]
    #[arg(long, env = "LOPSIDE_GRPC_COMPRESSION", value_enum, value_name = "WHEN")]
    pub grpc_compression: Option<GrpcCompression>,
    /// Maximum number of concurrent requests per HTTP/2 connection [default: 256; fewer with less than 537 megabytes
    /// of --max-request-memory]
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
    /// Maximum seconds until a request body, or a gRPC message that has begun, makes progress [default: 30]
    ///
    /// Progress is 32 KiB, or a sixteenth of what has arrived if that is more. A gRPC stream may pause between two
    /// messages.
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

impl ConnectionArgs {
    /// Returns the limits: the options over the defaults.
    ///
    /// # Errors
    /// [`StartError::InvalidSetting`] for too little memory.
    pub(super) fn resolve(&self) -> Result<ConnectionLimits, StartError> {
        let default = ConnectionLimits::default();
        let request_memory = self.request_memory()?.unwrap_or(default.request_memory);
        Ok(ConnectionLimits {
            max_connections: count(self.max).unwrap_or(default.max_connections),
            max_connections_per_peer: count(self.max_per_peer).unwrap_or(default.max_connections_per_peer),
            first_byte_timeout: seconds(self.first_byte_seconds).unwrap_or(default.first_byte_timeout),
            header_timeout: seconds(self.header_seconds).unwrap_or(default.header_timeout),
            handshake_timeout: seconds(self.handshake_seconds).unwrap_or(default.handshake_timeout),
            body_timeout: seconds(self.body_seconds).unwrap_or(default.body_timeout),
            idle_timeout: seconds(self.idle_seconds).unwrap_or(default.idle_timeout),
            ping_interval: seconds(self.ping_seconds).unwrap_or(default.ping_interval),
            ping_timeout: default.ping_timeout,
            max_age: seconds(self.max_connection_age_seconds),
            max_streams: self
                .max_streams
                .map_or_else(|| default_max_streams(request_memory), NonZeroU32::get),
            max_header_bytes: self.max_header_bytes.map_or(default.max_header_bytes, NonZeroU32::get),
            request_memory,
            max_cancels: default.max_cancels,
        })
    }

    fn request_memory(&self) -> Result<Option<usize>, StartError> {
        let memory = count(self.max_request_memory).map(|mega| mega.saturating_mul(BYTES_PER_MEGABYTE));
        if memory.is_some_and(|bytes| bytes < MIN_REQUEST_MEMORY) {
            let minimum = MIN_REQUEST_MEMORY / BYTES_PER_MEGABYTE;
            let reason = format!("the memory for requests must have at least {minimum} megabytes");
            return Err(StartError::InvalidSetting { name: MAX_REQUEST_MEMORY, reason });
        }
        Ok(memory)
    }
}

fn count(option: Option<NonZeroU32>) -> Option<usize> {
    option.map(|count| count.get() as usize)
}

fn seconds(option: Option<NonZeroU32>) -> Option<Duration> {
    option.map(|seconds| Duration::from_secs(seconds.get().into()))
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;

    #[test]
    fn options_win_over_the_defaults() {
        assert_eq!(ConnectionArgs::default().resolve().unwrap(), ConnectionLimits::default());
        let args = "max = 9\nmax_streams = 3\nidle_seconds = 60\nmax_connection_age_seconds = 120";
        let args: ConnectionArgs = toml::from_str(args).unwrap();
        let expected = ConnectionLimits {
            max_connections: 9,
            max_streams: 3,
            idle_timeout: Duration::from_mins(1),
            max_age: Some(Duration::from_mins(2)),
            ..ConnectionLimits::default()
        };
        assert_eq!(args.resolve().unwrap(), expected);
    }

    #[test]
    fn the_memory_for_requests_also_sets_the_number_of_streams() {
        let resolve = |args: &str| toml::from_str::<ConnectionArgs>(args).unwrap().resolve();
        let limits = resolve("max_request_memory = 200").unwrap();
        assert_eq!((limits.request_memory, limits.max_streams), (200_000_000, 95));
        let limits = resolve("max_request_memory = 4000\nmax_streams = 7").unwrap();
        assert_eq!((limits.request_memory, limits.max_streams), (4_000_000_000, 7));
        let error = resolve("max_request_memory = 127").unwrap_err().to_string();
        assert!(error.contains("--max-request-memory") && error.contains("at least 128"), "{error}");
    }

    #[test]
    fn the_new_options_are_flags_and_keys_of_the_file() {
        let flags = ["serve", "--max-request-memory", "300", "--grpc-compression", "off"];
        let matches = ConnectionArgs::augment_args(Command::new("serve")).get_matches_from(flags);
        let from_flags = ConnectionArgs::from_arg_matches(&matches).unwrap();
        let file = "max_request_memory = 300\ngrpc_compression = 'off'";
        let from_file: ConnectionArgs = toml::from_str(file).unwrap();
        for args in [from_flags, from_file] {
            assert_eq!(args.max_request_memory, NonZeroU32::new(300));
            assert_eq!(args.grpc_compression, Some(GrpcCompression::Off));
        }
        let unknown =
            toml::from_str::<ConnectionArgs>("grpc_compression = 'sometimes'").unwrap_err().to_string();
        assert!(unknown.contains("on-request"), "{unknown}");
    }
}
