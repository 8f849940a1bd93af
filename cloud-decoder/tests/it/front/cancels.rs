//! Requests over HTTP/2 that their clients cancel, sent as raw frames: a library would not send them so fast.

use std::collections::BTreeSet;

use cloud_decoder::transport::{ConnectionLimits, FrontEvent, FrontSettings};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{connections::without_timeouts, support::RunningFront};

const HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// Flag of the last frame of a stream, and flag of an acknowledgement.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A connection whose client writes its frames itself.
struct RawHttp2 {
    stream: TcpStream,
    next_request: u32,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

impl RawHttp2 {
    async fn connect(front: &RunningFront) -> Self {
        let mut stream = TcpStream::connect(front.address).await.unwrap();
        let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])[..]].concat();
        stream.write_all(&preface).await.unwrap();
        Self { stream, next_request: 1 }
    }

    /// Returns the frame of a request for `/hello`, and its number.
    fn hello(&mut self) -> (u32, Vec<u8>) {
        // `:method GET` and `:scheme http` of the static table, then `:path` and `:authority` with their values.
        let header = b"\x82\x86\x04\x06/hello\x01\x01x";
        let number = self.next_request;
        self.next_request += 2;
        (number, frame(HEADERS, END_HEADERS | END_STREAM, number, header))
    }

    /// Returns the frames of requests that are cancelled at once.
    fn cancelled(&mut self, count: usize) -> Vec<u8> {
        let requests = (0..count).flat_map(|_| {
            let (number, request) = self.hello();
            [request, frame(RST_STREAM, 0, number, &CANCEL.to_be_bytes())].concat()
        });
        requests.collect()
    }

    /// Returns the next frame; `None` when the server has closed the connection.
    async fn next_frame(&mut self) -> Option<Frame> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        if [SETTINGS, PING].contains(&kind) && flags & ACK == 0 {
            let answer = if kind == PING { &payload[..] } else { &[] };
            self.stream.write_all(&frame(kind, ACK, 0, answer)).await.unwrap();
        }
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Reads until all of these requests are answered.
    async fn wait_answered(&mut self, mut requests: BTreeSet<u32>) {
        while !requests.is_empty() {
            let frame = self.next_frame().await.expect("the connection is open");
            assert!(![RST_STREAM, GOAWAY].contains(&frame.kind), "{} {:?}", frame.kind, frame.payload);
            if frame.kind == DATA && frame.flags & END_STREAM != 0 {
                assert_eq!(frame.payload, b"hello");
                assert!(requests.remove(&frame.stream), "{}", frame.stream);
            }
        }
    }
}

fn front_settings(max_cancels: u32) -> FrontSettings {
    let limits = ConnectionLimits { max_cancels, ..without_timeouts() };
    FrontSettings { limits, ..FrontSettings::default() }
}

#[tokio::test]
async fn cancelled_calls_do_not_harm_the_other_calls_of_their_connection() {
    const ROUNDS: usize = 24;
    const CANCELLED: usize = 400;
    let front = RunningFront::start(&front_settings(10_000)).await;
    let mut client = RawHttp2::connect(&front).await;
    for _ in 0..ROUNDS {
        // Everything arrives at once, as on a server that was busy with something else.
        let (first, mut frames) = client.hello();
        frames.extend(client.cancelled(CANCELLED));
        let (last, request) = client.hello();
        frames.extend(request);
        client.stream.write_all(&frames).await.unwrap();
        client.wait_answered([first, last].into()).await;
    }
    assert_eq!(front.count(FrontEvent::Cancelled), (ROUNDS * CANCELLED) as u64);
    assert_eq!(front.count(FrontEvent::CancelFlood), 0);
}

#[tokio::test]
async fn a_client_that_cancels_everything_is_told_to_calm_down() {
    const MAX_CANCELS: u32 = 1000;
    let front = RunningFront::start(&front_settings(MAX_CANCELS)).await;
    let mut client = RawHttp2::connect(&front).await;
    let frames = client.cancelled(MAX_CANCELS as usize);
    client.stream.write_all(&frames).await.unwrap();
    let (number, request) = client.hello();
    client.stream.write_all(&request).await.unwrap();
    client.wait_answered([number].into()).await;
    assert_eq!(front.count(FrontEvent::CancelFlood), 0);

    let one_more = client.cancelled(1);
    client.stream.write_all(&one_more).await.unwrap();
    let mut reason = None;
    while let Some(frame) = client.next_frame().await {
        if frame.kind == GOAWAY {
            reason = frame.payload[4..].first_chunk().map(|code| u32::from_be_bytes(*code));
        }
    }
    assert_eq!(reason, Some(ENHANCE_YOUR_CALM));
    assert_eq!(front.count(FrontEvent::CancelFlood), 1);
    // Other connections of the client are not affected.
    let mut other = RawHttp2::connect(&front).await;
    let (number, request) = other.hello();
    other.stream.write_all(&request).await.unwrap();
    other.wait_answered([number].into()).await;
}
