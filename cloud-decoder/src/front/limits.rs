use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that the server has open in addition to connections: bundles while they are loaded, the library, logs.
const FILES_BESIDE: u64 = 64;

/// Limits on connections and on the time that a client may take, shared by all connections of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Maximum number of open connections; further ones are closed at once.
    pub connections: usize,
    /// Maximum number of open connections per peer: an IPv4 address, or the first 64 bits of an IPv6 address.
    pub connections_per_peer: usize,
    /// Maximum time from the connection (with TLS, from the end of the handshake) to the first byte.
    pub first_byte: Duration,
    /// Maximum time from the first byte to the last byte of a request's header. A kept-alive HTTP/1 connection
    /// waits as long for the next request.
    pub header: Duration,
    /// Maximum time of the TLS handshake.
    pub handshake: Duration,
    /// Maximum time between two pieces of a request's body. It does not apply to gRPC calls, because a stream
    /// may pause.
    pub body: Duration,
    /// Maximum time that an HTTP/2 connection may be open without a request.
    pub idle: Duration,
    /// Time between two pings of an open HTTP/2 connection.
    pub ping: Duration,
    /// Maximum time to answer a ping.
    pub ping_timeout: Duration,
    /// Age, plus or minus a tenth, at which a connection is closed after its open requests. `None` is unlimited.
    pub max_age: Option<Duration>,
    /// Maximum number of concurrent requests per HTTP/2 connection.
    pub streams: u32,
    /// Maximum size of a request's header in HTTP/2, in bytes.
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

/// Raises this process's limit of open files and sockets to the maximum that the system allows, and logs a
/// warning if that is too low for these limits.
pub fn make_room(limits: &ConnectionLimits) {
    let allowed = raise_open_files();
    if allowed < limits.connections as u64 + FILES_BESIDE {
        tracing::warn!(
            allowed,
            connections = limits.connections,
            "the limit of open files is too low for --max-connections: raise it (ulimit -n, LimitNOFILE=), or lower \
             --max-connections"
        );
    }
}

fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` means unlimited.
    if current.is_some() && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        return current.unwrap_or(u64::MAX);
    }
    maximum.unwrap_or(u64::MAX)
}
