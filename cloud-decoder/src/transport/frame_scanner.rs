/// What a client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of the header of a frame: 3 bytes of length, type, flags, 4 bytes of stream number.
pub(super) const FRAME_HEADER_BYTES: usize = 9;
/// The type of a frame that cancels a request.
const RST_STREAM: u8 = 3;

/// The position in the input of a connection, by which frames of HTTP/2 that cancel requests are found.
#[derive(Debug, Default)]
pub(crate) struct FrameScanner {
    expected: Expected,
}

/// The kind of the next bytes.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// The preface, of which this many bytes have arrived.
    Preface(usize),
    /// The header of a frame, with the bytes that have arrived.
    Header([u8; FRAME_HEADER_BYTES], usize),
    /// This many more bytes of a frame.
    Payload { left: usize, is_cancel: bool },
    /// The input is not HTTP/2.
    Other,
}

impl Default for Expected {
    fn default() -> Self {
        Self::Preface(0)
    }
}

impl FrameScanner {
    /// Returns whether the input is not HTTP/2.
    pub(crate) fn is_other_protocol(&self) -> bool {
        matches!(self.expected, Expected::Other)
    }

    /// Moves through the input up to the end of the next cancelling frame, and returns the number of bytes; `None` if
    /// there is no such end in the input, which is then passed.
    pub(crate) fn find_cancel(&mut self, input: &[u8]) -> Option<usize> {
        let mut position = 0;
        while position < input.len() {
            let (len, is_cancel) = self.step(&input[position..]);
            position += len;
            if is_cancel {
                return Some(position);
            }
        }
        None
    }

    /// Consumes bytes of the expected kind. Returns their number, and whether a cancelling frame ends with them.
    fn step(&mut self, input: &[u8]) -> (usize, bool) {
        match self.expected {
            Expected::Preface(arrived) => {
                let len = input.len().min(PREFACE.len() - arrived);
                let is_http2 = input[..len] == PREFACE[arrived..][..len];
                let is_complete = arrived + len == PREFACE.len();
                self.expected = match (is_http2, is_complete) {
                    (true, true) => Expected::next_frame(),
                    (true, false) => Expected::Preface(arrived + len),
                    (false, _) => Expected::Other,
                };
                (len, false)
            }
            Expected::Header(mut header, arrived) => {
                let len = input.len().min(FRAME_HEADER_BYTES - arrived);
                header[arrived..][..len].copy_from_slice(&input[..len]);
                let is_complete = arrived + len == FRAME_HEADER_BYTES;
                self.expected = if is_complete {
                    Expected::payload(header)
                } else {
                    Expected::Header(header, arrived + len)
                };
                (len, false)
            }
            Expected::Payload { left, is_cancel } => {
                let len = input.len().min(left);
                let is_complete = len == left;
                self.expected = if is_complete {
                    Expected::next_frame()
                } else {
                    Expected::Payload { left: left - len, is_cancel }
                };
                (len, is_complete && is_cancel)
            }
            Expected::Other => (input.len(), false),
        }
    }
}

impl Expected {
    fn next_frame() -> Self {
        Self::Header([0; FRAME_HEADER_BYTES], 0)
    }

    /// Returns what follows a header of a frame. A frame without a payload cannot cancel a request.
    fn payload([a, b, c, kind, ..]: [u8; FRAME_HEADER_BYTES]) -> Self {
        let left = u32::from_be_bytes([0, a, b, c]) as usize;
        if left == 0 { Self::next_frame() } else { Self::Payload { left, is_cancel: kind == RST_STREAM } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
        [&[a, b, c, kind, 0, 0, 0, 0, 1][..], payload].concat()
    }

    /// Returns the ends of the cancelling frames in pieces of an input.
    fn cancels<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<usize> {
        let (mut scanner, mut ends, mut start) = (FrameScanner::default(), Vec::new(), 0);
        for mut piece in pieces {
            while let Some(len) = scanner.find_cancel(piece) {
                start += len;
                ends.push(start);
                piece = &piece[len..];
            }
            start += piece.len();
        }
        ends
    }

    #[test]
    fn another_protocol_is_passed() {
        for input in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/1.1\r\n", b"\x16\x03\x01"] {
            let mut scanner = FrameScanner::default();
            assert_eq!(scanner.find_cancel(input), None);
            assert!(scanner.is_other_protocol());
            assert_eq!(scanner.find_cancel(&frame(RST_STREAM, &[0; 4])), None);
        }
    }

    proptest! {
        /// Where the network cuts the input makes no difference.
        #[test]
        fn cancelling_frames_are_found_in_pieces_of_any_length(
            frames in prop::collection::vec((0..10_u8, prop::collection::vec(any::<u8>(), 0..30)), 0..20),
            piece_len in 1..50_usize,
        ) {
            let (mut input, mut expected) = (PREFACE.to_vec(), Vec::new());
            for (kind, payload) in frames {
                input.extend(frame(kind, &payload));
                if kind == RST_STREAM && !payload.is_empty() {
                    expected.push(input.len());
                }
            }
            prop_assert_eq!(cancels(input.chunks(piece_len)), expected);
        }
    }
}
