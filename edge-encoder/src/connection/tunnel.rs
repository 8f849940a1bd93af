//! A tunnel through an HTTP proxy: the method CONNECT (RFC 9110, section 9.3.6).

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{host_and_port::HostAndPort, proxy::ProxyAddress};

/// Upper bound on the head of the proxy's answer, in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Upper bound on the part of an answer in an error message, in bytes.
const MAX_SHOWN_BYTES: usize = 200;

/// Reasons why a proxy does not open a tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// There is no connection to the proxy, or it breaks.
    #[error("no connection to the proxy {proxy}: {source}")]
    Unreachable {
        /// The proxy.
        proxy: ProxyAddress,
        /// The error of the system.
        source: io::Error,
    },
    /// The proxy asks for a user name and a password, or for other ones.
    #[error(
        "the proxy {proxy} asks for another user name or password ({status}): configure it as \
         http://USER:PASSWORD@HOST:PORT, with special characters percent-encoded"
    )]
    Unauthorised {
        /// The proxy.
        proxy: ProxyAddress,
        /// The status line.
        status: String,
    },
    /// The proxy does not permit the tunnel, or cannot reach the server.
    #[error("the proxy {proxy} does not open a tunnel to {target}: {status}")]
    Refused {
        /// The proxy.
        proxy: ProxyAddress,
        /// The host and the port of the server.
        target: String,
        /// The status line.
        status: String,
    },
    /// The answer is not one of an HTTP proxy.
    #[error("{proxy} is not an HTTP proxy: it answered {found:?}")]
    NotAProxy {
        /// The address.
        proxy: ProxyAddress,
        /// The beginning of the answer.
        found: String,
    },
}

/// Connects to a proxy and has it open a tunnel to a server.
pub(super) async fn open_tunnel(proxy: &ProxyAddress, target: &HostAndPort) -> Result<TcpStream, ProxyError> {
    let unreachable = |source| ProxyError::Unreachable { proxy: proxy.clone(), source };
    let mut stream = TcpStream::connect(proxy.host_and_port().to_string()).await.map_err(unreachable)?;
    stream.write_all(connect_request(proxy, target).as_bytes()).await.map_err(unreachable)?;
    let head = read_head(&mut stream).await.map_err(unreachable)?;
    check_head(&head, proxy, target)?;
    Ok(stream)
}

fn connect_request(proxy: &ProxyAddress, target: &HostAndPort) -> String {
    let authorization =
        proxy.authorization().map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n")
}

/// Reads up to the empty line after the head, and not a byte further: the server may already speak. Returns what came if
/// there is no end within the limit or the connection.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while head.len() < MAX_HEAD_BYTES && !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

fn check_head(head: &[u8], proxy: &ProxyAddress, target: &HostAndPort) -> Result<(), ProxyError> {
    let proxy = proxy.clone();
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let status = String::from_utf8_lossy(&line[..line.len().min(MAX_SHOWN_BYTES)]).into_owned();
    let code = status.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse::<u16>().ok());
    match code {
        Some(200..300) if head.ends_with(b"\r\n\r\n") => Ok(()),
        Some(407) => Err(ProxyError::Unauthorised { proxy, status }),
        Some(300..) => Err(ProxyError::Refused { proxy, target: target.to_string(), status }),
        _ => Err(ProxyError::NotAProxy { proxy, found: status }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, task::JoinHandle};

    use super::*;

    /// Starts a proxy that answers one request, and returns its address and a task that returns the request.
    async fn start_proxy(user: &str, answer: &'static str) -> (ProxyAddress, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{user}{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_head(&mut stream).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (ProxyAddress::parse(&address).unwrap(), task)
    }

    fn target() -> HostAndPort {
        HostAndPort { host: "decoder.example".into(), port: 443 }
    }

    #[tokio::test]
    async fn what_the_server_sends_first_is_not_lost() {
        let answer = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello";
        let (proxy, request) = start_proxy("user:word@", answer).await;
        let mut stream = open_tunnel(&proxy, &target()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        assert_eq!(
            request.await.unwrap(),
            "CONNECT decoder.example:443 HTTP/1.1\r\nHost: decoder.example:443\r\n\
             Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_refusal_names_the_proxy_the_cause_and_the_fix() {
        for (answer, parts) in [
            (
                "HTTP/1.1 407 Who are you\r\n\r\n",
                ["user name or password", "407 Who are you", "USER:PASSWORD"],
            ),
            (
                "HTTP/1.1 403 Forbidden\r\n\r\n",
                ["tunnel to decoder.example:443", "403 Forbidden", "http://127"],
            ),
            ("HTTP/1.0 502 Bad Gateway\r\n\r\n", ["tunnel", "502 Bad Gateway", "http://127"]),
            ("SSH-2.0-OpenSSH\r\n", ["not an HTTP proxy", "SSH-2.0-OpenSSH", "http://127"]),
            ("HTTP/1.1 200 OK\r\nbroken off", ["not an HTTP proxy", "200 OK", "http://127"]),
            ("HTTP/1.1 100 Continue\r\n\r\n", ["not an HTTP proxy", "100 Continue", "http://127"]),
            ("", ["not an HTTP proxy", "\"\"", "http://127"]),
        ] {
            let (proxy, request) = start_proxy("", answer).await;
            let error = open_tunnel(&proxy, &target()).await.unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{answer:?}: {error}");
            assert!(!request.await.unwrap().contains("Authorization"));
        }
    }

    #[tokio::test]
    async fn a_proxy_that_does_not_run_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let proxy = ProxyAddress::parse(&address).unwrap();
        let error = open_tunnel(&proxy, &target()).await.unwrap_err().to_string();
        assert!(error.contains("no connection to the proxy") && error.contains(&address), "{error}");
    }
}
