//! Refuses requests of HTTP/1 that another server could understand differently.
//!
//! If a proxy and this server disagree about where a request ends, or about the host that it is for, one client can
//! smuggle a part of its request into the request of another client (RFC 9112, sections 2.2, 3.2, 6.3 and 11.2). The
//! HTTP library refuses most of these requests: lengths that differ or are not numbers, a last encoding other than
//! `chunked`, folded lines, spaces before a colon, chunks without CR LF. It accepts lines of a head that end with a
//! bare LF, requests of HTTP/1.1 without `Host` or with two of them, and `Content-Length` next to
//! `Transfer-Encoding`.
//!
//! [`StrictHttp1`] therefore follows the bytes of a connection from request to request. At the first violation, it
//! replaces the rest of the input by bytes that the library answers with 400. HTTP/2 passes unchanged.
//!
//! ```text
//! request line ─► fields ─► empty line ─┬─────────────► body of Content-Length bytes ─────────────┬─► request line
//!                                       └─► size line ─► chunk ─► … ─► size 0 ─► trailer ─► empty ┘
//! ```

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Input that the HTTP library refuses in every part of a head, and that completes the head.
const REFUSED_INPUT: &[u8] = b"\0\r\n\r\n";
/// Number of bytes of a line that are kept. A length, and every name that is examined, fits.
const KEPT_BYTES: usize = 64;
/// Maximum number of hexadecimal digits in the size of a chunk.
const MAX_SIZE_DIGITS: usize = 16;

/// A connection's stream whose input is checked.
#[derive(Debug)]
pub(crate) struct StrictHttp1<S> {
    stream: S,
    scanner: Scanner,
    /// The rest of [`REFUSED_INPUT`], after which the input ends; `None` before a violation.
    refused: Option<&'static [u8]>,
}

/// The position in the requests of a connection.
#[derive(Debug)]
struct Scanner {
    /// Number of bytes of a body that come before the next line.
    skipped: u64,
    /// The kind of the next line.
    expected: LineKind,
    line: Line,
    head: Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineKind {
    /// The first line of a request, or an empty line before it.
    Request,
    /// A field, or the empty line that ends the head.
    Field,
    /// The size of a chunk.
    ChunkSize,
    /// A field after the last chunk, or the empty line that ends the body.
    Trailer,
    /// The input is not HTTP/1 and is not examined.
    Other,
}

/// The content of the fields of a head so far.
#[derive(Debug, Default)]
struct Head {
    needs_host: bool,
    hosts: u32,
    length: Option<u64>,
    is_encoded: bool,
}

/// A line up to its LF, of which only the beginning and the end are kept.
#[derive(Debug)]
struct Line {
    start: [u8; KEPT_BYTES],
    /// The last bytes, as a big-endian number.
    end: u128,
    len: usize,
}

impl<S> StrictHttp1<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, scanner: Scanner::new(), refused: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictHttp1<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.refused.is_none() {
            let filled_before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            let Some(violation) = self.scanner.find_violation(&buffer.filled()[filled_before..]) else {
                return Poll::Ready(Ok(()));
            };
            buffer.set_filled(filled_before + violation);
            self.refused = Some(REFUSED_INPUT);
        }
        let rest = self.refused.unwrap_or_default();
        let (input, rest) = rest.split_at(rest.len().min(buffer.remaining()));
        buffer.put_slice(input);
        self.refused = Some(rest);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictHttp1<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Scanner {
    fn new() -> Self {
        Self { skipped: 0, expected: LineKind::Request, line: Line::EMPTY, head: Head::default() }
    }

    /// Follows the next bytes of the connection. Returns the position of the LF at which a violation is known.
    fn find_violation(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut position = 0;
        while position < bytes.len() && self.expected != LineKind::Other {
            let rest = &bytes[position..];
            if self.skipped > 0 {
                let len = usize::try_from(self.skipped).unwrap_or(usize::MAX).min(rest.len());
                self.skipped -= len as u64;
                position += len;
                continue;
            }
            let Some(len) = rest.iter().position(|&byte| byte == b'\n') else {
                self.line.push(rest);
                return None;
            };
            self.line.push(&rest[..len]);
            let line = mem::replace(&mut self.line, Line::EMPTY);
            if !self.end_line(&line) {
                return Some(position + len);
            }
            position += len + 1;
        }
        None
    }

    /// Moves on to the part of the request that follows a line. Returns false for a violation.
    fn end_line(&mut self, line: &Line) -> bool {
        if !line.ends_with(b"\r") {
            return false;
        }
        match self.expected {
            // Empty lines before a request are ignored (RFC 9112, section 2.2).
            LineKind::Request if line.is_blank() => {}
            LineKind::Request if line.kept() == b"PRI * HTTP/2.0\r" => self.expected = LineKind::Other,
            LineKind::Request => {
                self.head = Head { needs_host: line.ends_with(b" HTTP/1.1\r"), ..Head::default() };
                self.expected = LineKind::Field;
            }
            LineKind::Field if line.is_blank() => return self.end_head(),
            LineKind::Field => return self.head.add_field(line),
            LineKind::ChunkSize => match line.chunk_size() {
                None => return false,
                Some(0) => self.expected = LineKind::Trailer,
                // A chunk ends with CR LF.
                Some(size) => self.skipped = size.saturating_add(2),
            },
            LineKind::Trailer if line.is_blank() => self.expected = LineKind::Request,
            LineKind::Trailer | LineKind::Other => {}
        }
        true
    }

    /// Moves on to the body, or to the next request. Returns false for a violation.
    fn end_head(&mut self) -> bool {
        let Head { needs_host, hosts, length, is_encoded } = mem::take(&mut self.head);
        self.expected = if is_encoded { LineKind::ChunkSize } else { LineKind::Request };
        self.skipped = length.unwrap_or(0);
        hosts <= 1 && (hosts == 1 || !needs_host) && !(is_encoded && length.is_some())
    }
}

impl Head {
    /// Adds a field that says where the request ends or for which host it is. Returns false for a violation.
    fn add_field(&mut self, line: &Line) -> bool {
        // The library refuses a line without a colon; a longer name is none of those that count.
        let Some((name, value)) = line.field() else { return true };
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts = self.hosts.saturating_add(1);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_encoded = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.length = value.and_then(parse_length);
            return self.length.is_some();
        }
        true
    }
}

impl Line {
    const EMPTY: Self = Self { start: [0; KEPT_BYTES], end: 0, len: 0 };

    fn push(&mut self, bytes: &[u8]) {
        let free = &mut self.start[self.len.min(KEPT_BYTES)..];
        let kept = bytes.len().min(free.len());
        free[..kept].copy_from_slice(&bytes[..kept]);
        self.len = self.len.saturating_add(bytes.len());
        for &byte in &bytes[bytes.len().saturating_sub(size_of::<u128>())..] {
            self.end = (self.end << 8) | u128::from(byte);
        }
    }

    /// Returns the beginning of the line, or the whole line if it is short.
    fn kept(&self) -> &[u8] {
        &self.start[..self.len.min(KEPT_BYTES)]
    }

    /// Returns whether the line has only a CR.
    fn is_blank(&self) -> bool {
        self.len == 1
    }

    fn ends_with(&self, text: &[u8]) -> bool {
        self.len >= text.len() && self.end.to_be_bytes().ends_with(text)
    }

    /// Returns the name and the value of a field; no value if the line is long.
    fn field(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let kept = self.kept();
        let colon = kept.iter().position(|&byte| byte == b':')?;
        let value = (self.len <= KEPT_BYTES).then(|| kept[colon + 1..].trim_ascii());
        Some((&kept[..colon], value))
    }

    /// Returns the size at the beginning of the line; `None` without one, or for one that is unreasonably long.
    fn chunk_size(&self) -> Option<u64> {
        let digits = self.kept().iter().map_while(|&byte| char::from(byte).to_digit(16));
        let count = digits.clone().count();
        (1..=MAX_SIZE_DIGITS)
            .contains(&count)
            .then(|| digits.fold(0, |size, digit| (size << 4) | u64::from(digit)))
    }
}

/// Parses digits, without a sign.
fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: [&str; 8] = [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nhost:x\r\nx-list: a:b\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:  8 \r\n\r\na\nb\r\n\n\nc",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHOST: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n\
         3;name=value\r\n\na\n\r\n0A \r\n0123456789\r\n000\r\nx-sum: 1\r\n\r\n",
        "GET /a-path-that-is-much-longer-than-the-part-of-a-line-that-is-kept-for-names-and-lengths HTTP/1.1\r\n\
         Host: x\r\nX-Field-With-A-Name-That-Is-Much-Longer-Than-The-Part-Of-A-Line-That-Is-Kept: 1\r\n\r\n",
    ];

    /// Requests with a violation; `|` stands before the LF at which it is known.
    const INVALID: [&str; 12] = [
        "GET / HTTP/1.1|\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x|\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n|\n",
        "|\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r|\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r|\n",
        "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r|\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r|\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r|\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r|\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3|\nabc\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: 1|\n\r\n",
    ];

    /// Returns the position of the first violation in pieces of a connection's input.
    fn violation<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<usize> {
        let (mut scanner, mut start) = (Scanner::new(), 0);
        for piece in pieces {
            if let Some(position) = scanner.find_violation(piece) {
                return Some(start + position);
            }
            start += piece.len();
        }
        None
    }

    #[test]
    fn a_violation_is_found_at_the_end_of_its_line_and_nothing_else_is_one() {
        for request in VALID {
            assert_eq!(violation([request.repeat(2).as_bytes()]), None, "{request:?}");
        }
        for request in INVALID {
            let expected = request.find('|').unwrap();
            let request = request.replace('|', "");
            assert_eq!(violation([request.as_bytes()]), Some(expected), "{request:?}");
        }
    }

    #[test]
    fn http2_is_not_examined() {
        assert_eq!(violation([&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n\n"[..]]), None);
    }

    #[test]
    fn a_size_that_does_not_fit_is_refused() {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        for size in ["", "x", "00000000000000000", &"0".repeat(100)] {
            assert!(violation([format!("{head}{size}\r\n").as_bytes()]).is_some(), "{size:?}");
        }
    }

    proptest! {
        /// Where the network cuts the input makes no difference.
        #[test]
        fn pieces_are_scanned_like_the_whole(
            requests in prop::collection::vec(prop::sample::select(VALID.to_vec()), 0..5),
            last in prop::option::of(prop::sample::select(INVALID.to_vec())),
            piece_len in 1..40_usize,
        ) {
            let valid = requests.concat();
            let expected = last.and_then(|last| last.find('|')).map(|position| valid.len() + position);
            let input = valid + &last.unwrap_or_default().replace('|', "");
            prop_assert_eq!(violation(input.as_bytes().chunks(piece_len)), expected);
        }
    }
}
