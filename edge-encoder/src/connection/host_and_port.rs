use std::fmt::{self, Display, Formatter};

use tonic::transport::Uri;

/// The host and the TCP port of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostAndPort {
    /// The name or the address; an IPv6 address is in brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl HostAndPort {
    /// Returns the host and the port, by default that of the scheme; `None` without a host or with an invalid port.
    pub(super) fn of_uri(uri: &Uri) -> Option<Self> {
        let host = uri.host().filter(|host| !host.is_empty())?;
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let authority = uri.authority()?.as_str();
        let without_user = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
        // `Uri` takes a port that is too large for none.
        let port = match without_user.strip_prefix(host)? {
            "" | ":" => default,
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        Some(Self { host: host.to_owned(), port })
    }
}

impl Display for HostAndPort {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_by_default_that_of_the_scheme() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://x", "x:80"),
            ("https://x", "x:443"),
            ("https://x:8443", "x:8443"),
            ("https://[::1]", "[::1]:443"),
            ("http://user:1@x:8080", "x:8080"),
        ] {
            assert_eq!(HostAndPort::of_uri(&url.parse().unwrap()).unwrap().to_string(), expected);
        }
        assert_eq!(HostAndPort::of_uri(&"http://x:99999".parse().unwrap()), None);
    }
}
