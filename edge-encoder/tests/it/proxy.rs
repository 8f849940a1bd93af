//! An HTTP proxy on the way to the cloud.

use lopside_proto::v1::{
    UploadRequest, UploadResponse,
    ingest_service_server::{IngestService, IngestServiceServer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

use super::update::{
    agent::Home,
    bundles::{Toy, bundle},
};

/// An address that only the proxy can reach.
const CLOUD: &str = "http://decoder.invalid:8080";

/// A cloud that misses the hello of every upload.
#[derive(Debug)]
struct StrictCloud;

#[tonic::async_trait]
impl IngestService for StrictCloud {
    type UploadStream = ReceiverStream<Result<UploadResponse, Status>>;

    async fn upload(
        &self,
        _request: Request<Streaming<UploadRequest>>,
    ) -> Result<Response<Self::UploadStream>, Status> {
        Err(Status::invalid_argument("there is no hello"))
    }
}

/// Starts a cloud, and a proxy that lets every tunnel end there. Returns the proxy's host and port, and the heads of the
/// requests for tunnels.
async fn start_proxy() -> (String, mpsc::Receiver<String>) {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let cloud = incoming.local_addr().unwrap();
    let service = IngestServiceServer::new(StrictCloud);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, heads) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            sender.send(String::from_utf8(head).unwrap()).await.unwrap();
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let mut server = TcpStream::connect(cloud).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    (address, heads)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_is_reached_through_the_proxy_of_the_settings_or_of_the_environment() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let (address, mut heads) = start_proxy().await;
    for (variable, value) in [
        ("LOPSIDE_PROXY", format!("http://gate:word@{address}")),
        ("http_proxy", format!("gate:word@{address}")),
    ] {
        let mut home = Home::new(CLOUD);
        home.set_variable("no_proxy", "other.example");
        home.set_variable(variable, &value);
        let (verdict, found) = home.doctor(&toy, "cloud");
        assert_eq!(verdict, "good", "{variable}: {found}");
        let head = heads.recv().await.unwrap();
        assert!(head.starts_with("CONNECT decoder.invalid:8080 HTTP/1.1\r\n"), "{head}");
        // The Base64 of "gate:word".
        assert!(head.contains("Proxy-Authorization: Basic Z2F0ZTp3b3Jk\r\n"), "{head}");
        let (verdict, found) = home.doctor(&toy, "proxy");
        assert_eq!(verdict, "good");
        assert!(found.contains(&address) && !found.contains("word"), "{found}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_with_the_fix_and_without_its_password() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    for (variable, fix) in [("LOPSIDE_PROXY", "--proxy"), ("all_proxy", "NO_PROXY")] {
        let mut home = Home::new(CLOUD);
        for other in ["http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"] {
            home.set_variable(other, "");
        }
        home.set_variable(variable, "socks5://gate:word@proxy.example:1080");
        let error = home.refused(&toy, &[]);
        let parts = [variable, "socks5://", fix];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(!error.contains("word"), "{error}");
    }
}
