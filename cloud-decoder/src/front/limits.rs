use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the server has open beside connections: bundles while they are loaded, the library, logs.
const FILES_BESIDE: u64 = 64;

/// What connections may cost, and how long a client may take. All connections of a server share one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open connections in all; further ones are closed at once.
    pub connections: usize,
    /// Open connections of one peer: an IPv4 address, or the first 64 bits of an IPv6 address.
    pub connections_per_peer: usize,
    /// From the connection (with TLS, from the end of the handshake) to the first byte.
    pub first_byte: Duration,
    /// From the first byte to the last of a request's header. A kept-alive HTTP/1 connection waits as long for the
    /// next request.
    pub header: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// Between two pieces of a request's body; calls of gRPC have none, for a stream may rest.
    pub body: Duration,
    /// How long an HTTP/2 connection may be open without a request.
    pub idle: Duration,
    /// Between two pings of an open HTTP/2 connection.
    pub ping: Duration,
    /// How long the answer to a ping may take.
    pub ping_timeout: Duration,
    /// After this time, give or take a tenth, a connection ends after the requests that it has. None: never.
    pub max_age: Option<Duration>,
    /// Requests at once in one HTTP/2 connection.
    pub streams: u32,
    /// The header of a request in HTTP/2, in bytes.
    pub header_bytes: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_peer: 4096,
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_mins(5),
            ping: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            max_age: None,
            streams: 256,
            header_bytes: 16 << 10,
        }
    }
}

/// Raises the number of files and sockets that this process may have open to what the system allows it; says so where
/// that is too little for these limits.
pub fn make_room(limits: &ConnectionLimits) {
    let allowed = raise_open_files();
    if allowed < limits.connections as u64 + FILES_BESIDE {
        tracing::warn!(
            allowed,
            connections = limits.connections,
            "the system allows fewer open files than connections: raise it (ulimit -n, LimitNOFILE=), or lower \
             --max-connections"
        );
    }
}

fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is no limit at all.
    if current.is_some() && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        return current.unwrap_or(u64::MAX);
    }
    maximum.unwrap_or(u64::MAX)
}
