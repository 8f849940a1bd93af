//! Messages and bodies that would occupy far more memory than they are long. The server refuses them before it decodes
//! them, or skips what it does not need. In both cases its memory grows by no more than a few times their length.

use http_body_util::BodyExt as _;
use hyper::Request;
use tokio::net::TcpStream;
use tonic::{Code, Status};

use super::{
    process::ServerProcess,
    support::Http2,
    uploads::{INFER, STREAM, Upload, grpc_call, grpc_status, prefix},
};

const LOAD: &str = "/inference.GRPCInferenceService/RepositoryModelLoad";
const DECODE: &str = "/lopside.v1.DecoderService/Decode";
const UPLOAD: &str = "/lopside.v1.IngestService/Upload";
const INFER_PATH: &str = "/v2/models/fashion/infer";
const LOAD_PATH: &str = "/v2/repository/models/fashion/load";

/// Approximate length of each message and body.
const WIRE_BYTES: usize = 4_000_000;
/// Bound on the growth of the server's peak memory by one of them, in multiples of its length. Decoded, most of them
/// would occupy 16 to 200 times their length.
const MAX_GROWTH: u64 = 8;

/// A server with an archive, and a connection to it.
struct Target {
    server: ServerProcess,
    client: Http2,
}

impl Target {
    async fn start(archive: &str) -> Self {
        let server = ServerProcess::start(&["--archive", archive, "--archive-scores=false"]);
        let address = server.url.strip_prefix("http://").unwrap();
        let client = Http2::over(TcpStream::connect(address).await.unwrap()).await;
        Self { server, client }
    }

    /// Sends a message, and returns the status of the call.
    async fn call(&self, method: &str, message: &[u8]) -> Status {
        let call = Upload::start(&self.client, grpc_call(method));
        call.send([&prefix(0, message.len())[..], message].concat()).await;
        grpc_status(call.finish().await).await
    }

    /// Sends a body, and returns the status and the body of the response.
    async fn post(&self, path: &str, body: &str) -> (u16, String) {
        let request = Upload::start(&self.client, Request::post(format!("http://x{path}")));
        request.send(body.as_bytes().to_vec()).await;
        let (head, body) = request.finish().await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    fn peak_memory(&self) -> u64 {
        self.server.status_bytes("VmHWM:")
    }

    /// Checks that the peak memory has grown little since it had this value.
    fn assert_little_growth(&self, name: &str, peak_before: u64) {
        // The system counts memory per thread and adds it up late, so that the peak can be a page lower.
        let growth = self.peak_memory().saturating_sub(peak_before);
        assert!(growth <= MAX_GROWTH * WIRE_BYTES as u64, "{name}: {growth} bytes");
    }
}

/// Returns a field of a message with a length and these contents.
fn field(number: u8, contents: &[u8]) -> Vec<u8> {
    let mut field = vec![(number << 3) | 2];
    let mut len = contents.len();
    while len >= 0x80 {
        field.push(len as u8 | 0x80);
        len >>= 7;
    }
    field.push(len as u8);
    field.extend_from_slice(contents);
    field
}

fn repeated(part: &[u8]) -> Vec<u8> {
    part.repeat(WIRE_BYTES / part.len())
}

/// Returns entries of a map with distinct keys.
fn entries(number: u8) -> Vec<u8> {
    let entry = |index: usize| field(number, &field(1, format!("{index:06}").as_bytes()));
    (0..WIRE_BYTES / 10).flat_map(entry).collect()
}

/// Returns a JSON list.
fn list(element: &str) -> String {
    format!("[{}]", vec![element; WIRE_BYTES / (element.len() + 1)].join(","))
}

/// Returns a JSON request with one input.
fn input(shape: &str, data: &str) -> String {
    format!(r#"{{"inputs":[{{"name":"latent","datatype":"FP32","shape":{shape},"data":{data}}}]}}"#)
}

#[tokio::test]
async fn messages_of_many_small_elements_are_refused_before_they_are_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(&format!("sqlite:{}", folder.path().join("archive.db").display())).await;

    // As many numbers as the message has room for are read, and do not fit the shape.
    let contents = field(6, &vec![0; WIRE_BYTES]);
    let tensor = [field(1, b"latent"), field(2, b"FP32"), field(3, &[1, 32]), field(5, &contents)].concat();
    let status = target.call(INFER, &[field(1, b"fashion"), field(5, &tensor)].concat()).await;
    assert!(status.code() == Code::InvalidArgument && status.message().contains("its shape"), "{status}");

    let dimensions = field(3, &vec![1; WIRE_BYTES]);
    let byte_strings = field(5, &repeated(&field(8, &[])));
    for (name, method, message) in [
        ("inputs", INFER, repeated(&field(5, &[]))),
        ("inputs in a stream", STREAM, repeated(&field(5, &[]))),
        ("outputs", INFER, repeated(&field(6, &[]))),
        ("raw contents", INFER, repeated(&field(7, &[]))),
        ("parameters", INFER, entries(4)),
        ("dimensions", INFER, field(5, &dimensions)),
        ("byte strings", INFER, field(5, &byte_strings)),
        ("load parameters", LOAD, entries(3)),
        ("reference inputs", DECODE, repeated(&field(4, &[]))),
        ("origins", UPLOAD, field(2, &repeated(&field(10, &[])))),
        ("traces", UPLOAD, field(2, &repeated(&field(11, &[])))),
        ("lanes", UPLOAD, field(1, &repeated(&field(2, &[])))),
    ] {
        let peak_before = target.peak_memory();
        let status = target.call(method, &message).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status}");
        assert!(status.message().contains("bytes of memory"), "{name}: {status}");
        target.assert_little_growth(name, peak_before);
    }
}

#[tokio::test]
async fn json_of_many_small_elements_is_refused_or_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(&format!("sqlite:{}", folder.path().join("archive.db").display())).await;

    // As many numbers as the body has room for are read, and do not fit the shape.
    let (status, error) = target.post(INFER_PATH, &input("[1,32]", &list("0"))).await;
    assert!(status == 400 && error.contains("does not match its shape"), "{status} {error}");

    let empty_input = r#"{"name":"","shape":[],"datatype":""}"#;
    let names: Vec<String> = (0..WIRE_BYTES / 10).map(|index| format!(r#""{index:06}":0"#)).collect();
    for (name, path, body, expected) in [
        ("inputs", INFER_PATH, format!(r#"{{"inputs":{}}}"#, list(empty_input)), "at most 64 elements"),
        (
            "outputs",
            INFER_PATH,
            format!(r#"{{"outputs":{}}}"#, list(r#"{"name":""}"#)),
            "at most 64 elements",
        ),
        ("dimensions", INFER_PATH, input(&list("0"), "[]"), "at most 64 elements"),
        ("strings", INFER_PATH, input("[1]", &list(r#""""#)), "more than 256 strings"),
        ("empty lists", INFER_PATH, input("[1,32]", &list("[]")), "does not match its shape"),
        ("a parameter", INFER_PATH, format!(r#"{{"parameters":{{"a":{}}}}}"#, list("[]")), "latent"),
        ("load parameters", LOAD_PATH, format!(r#"{{"parameters":{{{}}}}}"#, names.join(",")), "000000"),
    ] {
        let peak_before = target.peak_memory();
        let (status, error) = target.post(path, &body).await;
        assert!(status == 400 && error.contains(expected), "{name}: {status} {error}");
        target.assert_little_growth(name, peak_before);
    }
}
