use std::{num::NonZeroU32, time::Duration};

use clap::Args;
use merge::Merge;
use serde::Deserialize;

use crate::transport::ConnectionLimits;

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

impl ConnectionArgs {
    /// Returns the limits: the options over the defaults.
    pub(super) fn resolve(&self) -> ConnectionLimits {
        let default = ConnectionLimits::default();
        ConnectionLimits {
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
            max_streams: self.max_streams.map_or(default.max_streams, NonZeroU32::get),
            max_header_bytes: self.max_header_bytes.map_or(default.max_header_bytes, NonZeroU32::get),
        }
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
    use super::*;

    #[test]
    fn options_win_over_the_defaults() {
        assert_eq!(ConnectionArgs::default().resolve(), ConnectionLimits::default());
        let args = "max = 9\nmax_streams = 3\nidle_seconds = 60\nmax_connection_age_seconds = 120";
        let args: ConnectionArgs = toml::from_str(args).unwrap();
        let expected = ConnectionLimits {
            max_connections: 9,
            max_streams: 3,
            idle_timeout: Duration::from_mins(1),
            max_age: Some(Duration::from_mins(2)),
            ..ConnectionLimits::default()
        };
        assert_eq!(args.resolve(), expected);
    }
}
