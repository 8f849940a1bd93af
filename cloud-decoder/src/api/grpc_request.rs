//! The messages of a gRPC request as the library gets them: decompressed, and with the reason if they are refused.
//!
//! The library could decompress messages itself, but on the thread of the connection, and without regard to the memory
//! for requests.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body};

use super::compression::{Encoding, InflateError, inflate};
use crate::{
    ServeError,
    transport::{BodyPermit, BodyRefusal, MessagePrefix, MessageScanner},
};

/// The flag of a compressed message.
const COMPRESSED: u8 = 1;

/// The body of a request.
pub(crate) struct RequestMessages {
    body: Body,
    inflation: Option<MessageInflation>,
}

/// The decompression of a body, message by message.
struct MessageInflation {
    encoding: Encoding,
    max_bytes: usize,
    permit: Option<Arc<BodyPermit>>,
    scanner: MessageScanner,
    /// What has arrived and was not examined.
    input: Bytes,
    /// The current message, if it is compressed.
    compressed: Vec<u8>,
    work: Option<BoxFuture<'static, Result<Bytes, InflateError>>>,
    output: VecDeque<Bytes>,
}

impl RequestMessages {
    /// Wraps a body whose compressed messages have this encoding, and at most `max_bytes` each.
    pub(crate) fn new(
        body: Body,
        encoding: Option<Encoding>,
        max_bytes: usize,
        permit: Option<Arc<BodyPermit>>,
    ) -> Self {
        let inflation = encoding.map(|encoding| MessageInflation {
            encoding,
            max_bytes,
            permit,
            scanner: MessageScanner::default(),
            input: Bytes::new(),
            compressed: Vec::new(),
            work: None,
            output: VecDeque::new(),
        });
        Self { body, inflation }
    }
}

impl MessageInflation {
    /// Moves through the input to the end of its first message.
    fn read_part(&mut self) -> Result<(), Status> {
        let part = self.scanner.next_part(&self.input);
        let data = self.input.split_to(part.len).slice(part.prefix_len..);
        let Some(prefix) = self.scanner.prefix() else { return Ok(()) };
        if prefix.flag == COMPRESSED {
            if prefix.len > self.max_bytes {
                let (len, max) = (prefix.len, self.max_bytes);
                let reason = format!("a message has {len} bytes, but at most {max} are allowed");
                return Err(Status::out_of_range(reason));
            }
            self.compressed.extend_from_slice(&data);
            if part.is_last {
                let data = mem::take(&mut self.compressed).into();
                self.work = Some(inflate(self.encoding, data, self.max_bytes, self.permit.clone()).boxed());
            }
        } else {
            if part.prefix_len > 0 {
                self.push(&prefix);
            }
            if !data.is_empty() {
                self.output.push_back(data);
            }
        }
        if part.is_last {
            self.scanner.finish_message();
        }
        Ok(())
    }

    fn push(&mut self, prefix: &MessagePrefix) {
        self.output.push_back(Bytes::copy_from_slice(&prefix.to_bytes()));
    }

    /// Returns the next piece of output, after the work for it; `None` if more input is needed.
    fn poll_output(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            if let Some(data) = self.output.pop_front() {
                return Poll::Ready(Ok(Some(data)));
            }
            if let Some(work) = &mut self.work {
                let message = ready!(work.as_mut().poll(context));
                self.work = None;
                let message = message.map_err(inflate_status)?;
                self.push(&MessagePrefix { flag: 0, len: message.len() });
                self.output.push_back(message);
            } else if self.input.is_empty() {
                return Poll::Ready(Ok(None));
            } else {
                self.read_part()?;
            }
        }
    }
}

impl http_body::Body for RequestMessages {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            if let Some(inflation) = &mut this.inflation
                && let Some(data) = ready!(inflation.poll_output(context))?
            {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
            let frame = frame.transpose().map_err(refused_status)?;
            match (&mut this.inflation, frame) {
                (Some(inflation), Some(frame)) => match frame.into_data() {
                    Ok(data) => inflation.input = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                (Some(inflation), None) if !inflation.scanner.is_between() => {
                    let status = Status::invalid_argument("the last message is incomplete");
                    return Poll::Ready(Some(Err(status)));
                }
                (_, frame) => return Poll::Ready(frame.map(Ok)),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inflation.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.inflation.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

/// Returns the status of a refused body, which the library does not know.
fn refused_status(status: Status) -> Status {
    BodyRefusal::find_in(&status).map_or(status, |refusal| ServeError::from(refusal).into())
}

fn inflate_status(error: InflateError) -> Status {
    let message = error.to_string();
    match error {
        InflateError::Invalid(_) => Status::invalid_argument(message),
        InflateError::TooLarge(_) => Status::out_of_range(message),
        InflateError::Refused(refusal) => ServeError::from(refusal).into(),
        InflateError::Failed(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use http_body_util::{BodyExt as _, StreamBody};
    use tonic::Code;

    use super::*;

    const MAX_BYTES: usize = 1 << 20;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn message(flag: u8, data: &[u8]) -> Vec<u8> {
        [&MessagePrefix { flag, len: data.len() }.to_bytes()[..], data].concat()
    }

    /// Returns what the library gets of a stream that arrives in pieces of this length.
    async fn read(stream: &[u8], piece_len: usize) -> Result<Vec<u8>, Status> {
        let pieces = stream.chunks(piece_len).map(|piece| Frame::data(Bytes::copy_from_slice(piece)));
        let pieces: Vec<Result<Frame<Bytes>, Status>> = pieces.map(Ok).collect();
        let body = Body::new(StreamBody::new(futures_util::stream::iter(pieces)));
        let messages = RequestMessages::new(body, Some(Encoding::Gzip), MAX_BYTES, None);
        messages.collect().await.map(|collected| collected.to_bytes().to_vec())
    }

    #[tokio::test]
    async fn compressed_messages_arrive_decompressed_between_others() {
        let long: Vec<u8> = (0..200_000_u32).map(|number| (number % 253) as u8).collect();
        let stream = [
            message(0, b"plain"),
            message(COMPRESSED, &gzip(b"short")),
            message(COMPRESSED, &gzip(&long)),
            message(0, b""),
            message(COMPRESSED, &gzip(b"")),
        ]
        .concat();
        let expected: [&[u8]; 5] = [b"plain", b"short", &long, b"", b""];
        let expected = expected.map(|data| message(0, data)).concat();
        for piece_len in [1, 3, 100, 1 << 20] {
            assert!(read(&stream, piece_len).await.unwrap() == expected, "{piece_len}");
        }
    }

    #[tokio::test]
    async fn invalid_messages_are_errors_of_the_client() {
        let cut_off = message(COMPRESSED, &gzip(b"short"));
        for (stream, code) in [
            (message(COMPRESSED, b"not gzip"), Code::InvalidArgument),
            (cut_off[..cut_off.len() - 1].to_vec(), Code::InvalidArgument),
            (message(COMPRESSED, &gzip(&vec![0; MAX_BYTES + 1])), Code::OutOfRange),
            // Too long to be buffered, of which only the beginning is there.
            (MessagePrefix { flag: COMPRESSED, len: MAX_BYTES + 1 }.to_bytes().to_vec(), Code::OutOfRange),
        ] {
            let status = read(&stream, 100).await.unwrap_err();
            assert_eq!(status.code(), code, "{status}");
        }
    }

    #[tokio::test]
    async fn a_refused_body_has_the_status_of_its_reason() {
        let refused = futures_util::stream::iter([Err::<Frame<Bytes>, _>(BodyRefusal::MemoryInUse)]);
        let body = Body::new(axum::body::Body::new(StreamBody::new(refused)));
        let status = RequestMessages::new(body, None, MAX_BYTES, None).collect().await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
    }
}
