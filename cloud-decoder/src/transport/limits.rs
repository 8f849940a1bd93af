use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::machine_memory::machine_memory;

/// Files that the server has open in addition to connections: bundles while they are loaded, the library, logs.
const OTHER_OPEN_FILES: u64 = 64;
/// The smallest memory for the bodies of requests, in bytes.
pub const MIN_REQUEST_MEMORY: usize = 128_000_000;
/// The largest memory for the bodies of requests that is chosen without a setting, in bytes.
const MAX_DEFAULT_REQUEST_MEMORY: usize = 1_000_000_000;
/// The memory for the bodies of requests for which a connection may have one more concurrent request, in bytes. The
/// bodies themselves are limited by what they occupy; this bounds what a connection costs apart from them.
const MEMORY_PER_STREAM: usize = 2 << 20;

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
    /// Maximum time within which a request's body, or a message of a gRPC call that has begun, makes progress: by 32 KiB,
    /// or by a sixteenth of what has arrived if that is more. A gRPC stream may pause between two messages.
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
    /// Memory that the bodies of all requests may occupy together, in bytes.
    pub request_memory: usize,
    /// Number of requests of an HTTP/2 connection that its client may cancel within 10 seconds. Beyond it, the
    /// connection is ended, unless a tenth as many were answered.
    pub max_cancels: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        let request_memory = default_request_memory();
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
            max_streams: default_max_streams(request_memory),
            max_header_bytes: 16 << 10,
            request_memory,
            max_cancels: 10_000,
        }
    }
}

/// Returns the number of concurrent requests per HTTP/2 connection for this memory.
pub(crate) fn default_max_streams(request_memory: usize) -> u32 {
    (request_memory / MEMORY_PER_STREAM).clamp(16, 256) as u32
}

/// Returns a quarter of the memory that this process may use, within bounds.
fn default_request_memory() -> usize {
    let quarter =
        machine_memory().map_or(usize::MAX, |bytes| usize::try_from(bytes / 4).unwrap_or(usize::MAX));
    quarter.clamp(MIN_REQUEST_MEMORY, MAX_DEFAULT_REQUEST_MEMORY)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_streams_follows_the_memory() {
        let streams = [0, MIN_REQUEST_MEMORY, MAX_DEFAULT_REQUEST_MEMORY].map(default_max_streams);
        assert_eq!(streams, [16, 61, 256]);
        let memory = ConnectionLimits::default().request_memory;
        assert!((MIN_REQUEST_MEMORY..=MAX_DEFAULT_REQUEST_MEMORY).contains(&memory), "{memory}");
    }
}
