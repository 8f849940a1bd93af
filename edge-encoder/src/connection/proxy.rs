//! The HTTP proxy on the way to a cloud-decoder.
//!
//! It is that of the settings or, without one, that of the environment: `https_proxy` for `https://` addresses,
//! `http_proxy` for `http://` addresses, otherwise `all_proxy`, each also in capitals. The environment does not apply to
//! this machine, nor to the hosts that `no_proxy` [lists](super::no_proxy).

use std::{
    fmt::{self, Display, Formatter},
    net::IpAddr,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use tonic::transport::Uri;

use super::{host_and_port::HostAndPort, no_proxy::lists_host};
use crate::{EdgeError, error::ConnectionError};

/// The choice of a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// The proxy that the environment names for an address, if it names one.
    #[default]
    Environment,
    /// No proxy.
    Direct,
    /// This proxy for every address.
    Address(ProxyAddress),
}

/// The address of a proxy. Its user name and password are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    host_and_port: HostAndPort,
    /// The value of the header `proxy-authorization`.
    authorization: Option<String>,
}

impl ProxyAddress {
    /// Parses an address: `[http://][USER:PASSWORD@]HOST[:PORT]`, where the user name and the password are
    /// percent-encoded. Returns the reason if it cannot be used; the reason does not contain the password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = url.parse().map_err(|error| format!("it is not a URL ({error})"))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if scheme != "http" {
            return Err(format!("proxies with {scheme}:// are not supported, only those with http://"));
        }
        let host_and_port = HostAndPort::of_uri(&uri).ok_or("it does not contain a host and a valid port")?;
        let user = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
        Ok(Self { host_and_port, authorization: user.map(|(user, _)| basic_authorization(user)) })
    }

    /// Returns the host and the port of the proxy.
    pub(super) fn host_and_port(&self) -> &HostAndPort {
        &self.host_and_port
    }

    /// Returns the value of the header `proxy-authorization`; `None` without a user name.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl Display for ProxyAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.host_and_port)
    }
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyAddress({self})")
    }
}

impl ProxyChoice {
    /// Returns the proxy on the way to an address, or `None` without one. `variable` returns the value of an environment
    /// variable.
    ///
    /// # Errors
    /// [`ConnectionError::InvalidProxy`] for a variable that cannot be used.
    pub(super) fn proxy_for(
        &self,
        uri: &Uri,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<ProxyAddress>, EdgeError> {
        match self {
            Self::Environment => environment_proxy(uri, variable),
            Self::Direct => Ok(None),
            Self::Address(proxy) => Ok(Some(proxy.clone())),
        }
    }
}

fn environment_proxy(
    uri: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<ProxyAddress>, EdgeError> {
    let find = |name: &str| {
        let names = [name.to_owned(), name.to_ascii_uppercase()];
        names.into_iter().find_map(|name| {
            let value = variable(&name).filter(|value| !value.trim().is_empty())?;
            Some((name, value))
        })
    };
    let Some(HostAndPort { host, port }) = HostAndPort::of_uri(uri) else { return Ok(None) };
    let is_listed = find("no_proxy").is_some_and(|(_, list)| lists_host(&list, &host, port));
    if is_listed || is_this_machine(&host) {
        return Ok(None);
    }
    let scheme_variable = if uri.scheme_str() == Some("https") { "https_proxy" } else { "http_proxy" };
    let Some((name, value)) = find(scheme_variable).or_else(|| find("all_proxy")) else { return Ok(None) };
    let proxy = ProxyAddress::parse(&value);
    proxy.map(Some).map_err(|reason| ConnectionError::InvalidProxy { variable: name, reason }.into())
}

/// Returns whether a host is this machine itself, so that what is sent to it does not leave the machine.
pub(super) fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
        || name == "localhost"
        || name.ends_with(".localhost")
}

/// Returns the header's value for a percent-encoded `USER:PASSWORD`.
fn basic_authorization(user: &str) -> String {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut credentials: Vec<u8> = percent_decode_str(name).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(password));
    format!("Basic {}", BASE64_STANDARD.encode(credentials))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        let proxy = ProxyChoice::Environment.proxy_for(&url.parse().unwrap(), variable);
        proxy.map(|proxy| proxy.map(|proxy| proxy.to_string())).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_names_the_proxy_of_the_scheme() {
        let both = [("https_proxy", "http://secure:1"), ("HTTP_PROXY", "plain:2"), ("ALL_PROXY", "all:3")];
        let secure = found("https://decoder.example", &both).unwrap();
        assert_eq!(secure.as_deref(), Some("http://secure:1"));
        assert_eq!(found("http://decoder.example", &both).unwrap().as_deref(), Some("http://plain:2"));
        let all = found("https://decoder.example", &both[2..]).unwrap();
        assert_eq!(all.as_deref(), Some("http://all:3"));
        assert_eq!(found("https://decoder.example", &[("https_proxy", " ")]).unwrap(), None);
        assert_eq!(found("https://decoder.example", &[]).unwrap(), None);
    }

    #[test]
    fn listed_hosts_and_this_machine_need_no_proxy() {
        let variables = [("all_proxy", "proxy:3128"), ("NO_PROXY", "decoder.example,192.0.2.0/24")];
        for url in [
            "https://decoder.example",
            "http://192.0.2.7:8080",
            "http://127.0.0.1:8080",
            "https://[::1]",
            "http://localhost",
        ] {
            assert_eq!(found(url, &variables).unwrap(), None, "{url}");
        }
        assert!(found("https://other.example", &variables).unwrap().is_some());
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_named_without_its_password() {
        for (value, expected) in [
            ("socks5://user:secret@proxy:1080", "socks5://"),
            ("https://user:secret@proxy", "https://"),
            ("http://", "URL"),
            ("user:secret@proxy:99999", "valid port"),
        ] {
            let error = found("https://decoder.example", &[("ALL_PROXY", value)]).unwrap_err();
            let parts = ["ALL_PROXY", expected, "NO_PROXY", "proxy = \"none\""];
            assert!(parts.iter().all(|part| error.contains(part)), "{value}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_password_is_sent_and_not_shown() {
        let proxy = ProxyAddress::parse("http://gate%40site:p%3Ass@proxy.example:3128/").unwrap();
        // The Base64 of "gate@site:p:ss".
        assert_eq!(proxy.authorization(), Some("Basic Z2F0ZUBzaXRlOnA6c3M="));
        assert_eq!(
            (proxy.to_string(), proxy.host_and_port().port),
            ("http://proxy.example:3128".into(), 3128)
        );
        assert!(!format!("{proxy:?}").contains("ss@"));
        assert_eq!(ProxyAddress::parse("proxy").unwrap().to_string(), "http://proxy:80");
        assert_eq!(
            ProxyAddress::parse("[2001:db8::1]:3128").unwrap().to_string(),
            "http://[2001:db8::1]:3128"
        );
        assert_eq!(ProxyAddress::parse("proxy:1").unwrap().authorization(), None);
    }
}
