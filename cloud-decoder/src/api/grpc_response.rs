//! The messages of a gRPC response: compressed if the call asked for it, and with corrected trailers.
//!
//! The library could compress messages itself, but on the thread of the connection, on which other calls wait, and
//! however small they are.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{body::Bytes, http::HeaderMap};
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body};

use super::compression::{Encoding, MIN_COMPRESSED_BYTES, compress};
use crate::{
    ServeError,
    transport::{MessagePrefix, MessageScanner},
};

/// The body of a response.
pub(crate) struct ResponseMessages {
    body: Body,
    compression: Option<MessageCompression>,
    correct_trailers: fn(&mut HeaderMap),
}

/// The compression of a body, message by message.
struct MessageCompression {
    encoding: Encoding,
    scanner: MessageScanner,
    /// What the handler has produced and was not examined.
    input: Bytes,
    /// The beginning of a message whose end is not in the input.
    incomplete: Vec<u8>,
    work: Option<BoxFuture<'static, Result<[Bytes; 2], ServeError>>>,
    output: VecDeque<Bytes>,
}

impl ResponseMessages {
    /// Wraps a body whose messages are compressed if an encoding is given, and whose trailers are corrected.
    pub(crate) fn new(body: Body, encoding: Option<Encoding>, correct_trailers: fn(&mut HeaderMap)) -> Self {
        let compression = encoding.map(|encoding| MessageCompression {
            encoding,
            scanner: MessageScanner::default(),
            input: Bytes::new(),
            incomplete: Vec::new(),
            work: None,
            output: VecDeque::new(),
        });
        Self { body, compression, correct_trailers }
    }
}

impl MessageCompression {
    /// Moves through the input to the end of its first message.
    fn read_part(&mut self) {
        let part = self.scanner.next_part(&self.input);
        let data = self.input.split_to(part.len);
        let message = if part.is_last && self.incomplete.is_empty() {
            data
        } else {
            self.incomplete.extend_from_slice(&data);
            if !part.is_last {
                return;
            }
            mem::take(&mut self.incomplete).into()
        };
        self.scanner.finish_message();
        if message.len() < MIN_COMPRESSED_BYTES {
            self.output.push_back(message);
        } else {
            self.work = Some(compress_message(self.encoding, message).boxed());
        }
    }

    /// Returns the next piece of output, after the work for it; `None` if more input is needed.
    fn poll_output(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            if let Some(data) = self.output.pop_front() {
                return Poll::Ready(Ok(Some(data)));
            }
            if let Some(work) = &mut self.work {
                let pieces = ready!(work.as_mut().poll(context));
                self.work = None;
                self.output.extend(pieces?.into_iter().filter(|piece| !piece.is_empty()));
            } else if self.input.is_empty() {
                return Poll::Ready(Ok(None));
            } else {
                self.read_part();
            }
        }
    }
}

/// Compresses a message with its prefix, if that makes it smaller.
async fn compress_message(encoding: Encoding, message: Bytes) -> Result<[Bytes; 2], ServeError> {
    let compressed = compress(encoding, message.slice(MessagePrefix::BYTES..)).await?;
    let Some(compressed) = compressed else { return Ok([message, Bytes::new()]) };
    let prefix = MessagePrefix { flag: 1, len: compressed.len() }.to_bytes();
    Ok([Bytes::copy_from_slice(&prefix), compressed])
}

impl http_body::Body for ResponseMessages {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            if let Some(compression) = &mut this.compression
                && let Some(data) = ready!(compression.poll_output(context))?
            {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(context)) else {
                return Poll::Ready(None);
            };
            match (&mut this.compression, frame?.into_data()) {
                (Some(compression), Ok(data)) => compression.input = data,
                (None, Ok(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                (_, Err(mut other)) => {
                    other.trailers_mut().into_iter().for_each(this.correct_trailers);
                    return Poll::Ready(Some(Ok(other)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.compression.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.compression.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;
    use crate::api::compression::inflate;

    fn message(data: &[u8]) -> Vec<u8> {
        [&MessagePrefix { flag: 0, len: data.len() }.to_bytes()[..], data].concat()
    }

    /// Returns what a client gets of a stream that a handler produces in pieces of this length.
    async fn respond(stream: &[u8], piece_len: usize, encoding: Option<Encoding>) -> Bytes {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("13"));
        let pieces = stream.chunks(piece_len).map(Bytes::copy_from_slice).map(Frame::data);
        let frames: Vec<Result<Frame<Bytes>, Status>> =
            pieces.chain([Frame::trailers(trailers)]).map(Ok).collect();
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let correct = |trailers: &mut HeaderMap| {
            trailers.insert("grpc-status", HeaderValue::from_static("3"));
        };
        let collected = ResponseMessages::new(body, encoding, correct).collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "3");
        collected.to_bytes()
    }

    /// Returns the messages of a response with their flags, decompressed.
    async fn messages(mut stream: Bytes, encoding: Encoding) -> Vec<(u8, Bytes)> {
        let mut found = Vec::new();
        while !stream.is_empty() {
            let mut scanner = MessageScanner::default();
            let part = scanner.next_part(&stream);
            let data = stream.split_to(part.len).slice(part.prefix_len..);
            let flag = scanner.prefix().unwrap().flag;
            let data = if flag == 1 { inflate(encoding, data, 1 << 20, None).await.unwrap() } else { data };
            found.push((flag, data));
        }
        found
    }

    #[tokio::test]
    async fn large_messages_are_compressed_if_that_helps() {
        let noise: Vec<u8> = (0..10_000).map(|_| rand::random::<u8>()).collect();
        let data: [&[u8]; 5] = [b"small", &[7; 5000], &noise, &vec![8; 500_000], b""];
        let stream = data.map(message).concat();
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            for piece_len in [7, 4096, 1 << 20] {
                let response = respond(&stream, piece_len, Some(encoding)).await;
                assert!(response.len() < 20_000, "{}", response.len());
                let found = messages(response, encoding).await;
                let flags: Vec<u8> = found.iter().map(|(flag, _)| *flag).collect();
                assert_eq!(flags, [0, 1, 0, 1, 0]);
                assert!(found.iter().map(|(_, data)| &data[..]).eq(data), "{encoding:?} {piece_len}");
            }
        }
        assert_eq!(respond(&stream, 4096, None).await, stream);
    }
}
