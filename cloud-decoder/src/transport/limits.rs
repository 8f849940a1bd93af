use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that the server has open in addition to connections: bundles while they are loaded, the library, logs.
const OTHER_OPEN_FILES: u64 = 64;

/// Limits on connections and on the time that a client may take, shared by all connections of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Maximum number of open connections; further ones are closed at once.
    pub max_connections: usize,
    /// Maximum number of open connections per peer: an IPv4 address, or the first 64 bits of an IPv6 address.
    pub max_connections_per_peer: usize,
    /// Maximum time from the connection (with TLS, from the end of the handshake) to the first byte.
    pub first_byte_timeout: Duration,
    /// Maximum time from the first byte to the last byte of a request's header. A kept-alive HTTP/1 connection
    /// waits as long for the next request.
    pub header_timeout: Duration,
    /// Maximum time of the TLS handshake.
    pub handshake_timeout: Duration,
    /// Maximum time between two pieces of a request's body. It does not apply to gRPC calls, because a stream
    /// may pause.
    pub body_timeout: Duration,
    /// Maximum time that an HTTP/2 connection may be open without a request.
    pub idle_timeout: Duration,
    /// Time between two pings of an open HTTP/2 connection.
    pub ping_interval: Duration,
    /// Maximum time to answer a ping.
    pub ping_timeout: Duration,
    /// Age, plus or minus a tenth, at which a connection is closed after its open requests. `None` is unlimited.
    pub max_age: Option<Duration>,
    /// Maximum number of concurrent requests per HTTP/2 connection.
    pub max_streams: u32,
    /// Maximum size of a request's header in HTTP/2, in bytes.
    pub max_header_bytes: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 8192,
            max_connections_per_peer: 4096,
            first_byte_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(5),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            max_age: None,
            max_streams: 256,
            max_header_bytes: 16 << 10,
        }
    }
}

/// Raises this process's limit of open files and sockets to the maximum that the system allows, and logs a
/// warning if that is too low for these limits.
pub fn raise_file_limit(limits: &ConnectionLimits) {
    let allowed = set_max_open_files();
    if allowed < limits.max_connections as u64 + OTHER_OPEN_FILES {
        tracing::warn!(
            allowed,
            connections = limits.max_connections,
            "the limit of open files is too low for --max-connections: raise it (ulimit -n, LimitNOFILE=), or lower \
             --max-connections"
        );
    }
}

fn set_max_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` means unlimited.
    if current.is_some() && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        return current.unwrap_or(u64::MAX);
    }
    maximum.unwrap_or(u64::MAX)
}
