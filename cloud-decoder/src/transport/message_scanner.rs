/// The position in a stream of gRPC messages, each with a prefix.
#[derive(Debug, Default)]
pub(crate) struct MessageScanner {
    prefix: [u8; MessagePrefix::BYTES],
    prefix_len: usize,
    /// Bytes of the message after the prefix that have not arrived.
    left: usize,
}

/// The part of an input that belongs to one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessagePart {
    /// Number of bytes of the part.
    pub(crate) len: usize,
    /// Number of bytes at its beginning that belong to the prefix.
    pub(crate) prefix_len: usize,
    /// Whether the message ends with this part.
    pub(crate) is_last: bool,
}

/// The prefix of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessagePrefix {
    /// 0 for a message as it is, 1 for a compressed one.
    pub(crate) flag: u8,
    /// Length of the message in bytes.
    pub(crate) len: usize,
}

impl MessageScanner {
    /// Returns whether no byte of another message has arrived.
    pub(crate) fn is_between(&self) -> bool {
        self.prefix_len == 0
    }

    /// Returns the beginning of a non-empty input up to the end of the current message, and moves past it.
    pub(crate) fn next_part(&mut self, input: &[u8]) -> MessagePart {
        let prefix_len = (MessagePrefix::BYTES - self.prefix_len).min(input.len());
        self.prefix[self.prefix_len..][..prefix_len].copy_from_slice(&input[..prefix_len]);
        self.prefix_len += prefix_len;
        if prefix_len > 0 {
            self.left = self.prefix().map_or(0, |prefix| prefix.len);
        }
        let data_len = self.left.min(input.len() - prefix_len);
        self.left -= data_len;
        let is_last = self.prefix_len == MessagePrefix::BYTES && self.left == 0;
        MessagePart { len: prefix_len + data_len, prefix_len, is_last }
    }

    /// Returns the prefix of the message of the last part; `None` if it is incomplete.
    pub(crate) fn prefix(&self) -> Option<MessagePrefix> {
        let [flag, length @ ..] = self.prefix;
        let is_complete = self.prefix_len == MessagePrefix::BYTES;
        is_complete.then(|| MessagePrefix { flag, len: u32::from_be_bytes(length) as usize })
    }

    /// Starts with the next message, after the last part of a message.
    pub(crate) fn finish_message(&mut self) {
        *self = Self::default();
    }
}

impl MessagePrefix {
    /// Number of bytes of a prefix: whether the message is compressed, and its length.
    pub(crate) const BYTES: usize = 5;

    /// Returns the bytes of the prefix. A message has at most 4 GiB.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let [a, b, c, d] = (self.len as u32).to_be_bytes();
        [self.flag, a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(flag: u8, data: &[u8]) -> Vec<u8> {
        [&MessagePrefix { flag, len: data.len() }.to_bytes()[..], data].concat()
    }

    /// Returns the messages that the scanner finds in pieces of a stream, and whether the last one is complete.
    fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
        let (mut scanner, mut messages, mut current) = (MessageScanner::default(), Vec::new(), Vec::new());
        for mut piece in pieces {
            while !piece.is_empty() {
                let part = scanner.next_part(piece);
                assert!(part.len > 0 && part.prefix_len <= part.len, "{part:?}");
                current.extend_from_slice(&piece[..part.len]);
                piece = &piece[part.len..];
                if part.is_last {
                    messages.push(std::mem::take(&mut current));
                    scanner.finish_message();
                }
            }
        }
        messages.push(current);
        let is_complete = scanner.is_between();
        (messages, is_complete)
    }

    #[test]
    fn the_prefix_is_known_when_it_is_complete() {
        let mut scanner = MessageScanner::default();
        assert!(scanner.is_between());
        let part = scanner.next_part(&[1, 0, 0]);
        assert_eq!(part, MessagePart { len: 3, prefix_len: 3, is_last: false });
        assert!(!scanner.is_between() && scanner.prefix().is_none());
        let part = scanner.next_part(&[1, 2, 7, 7, 7]);
        assert_eq!(part, MessagePart { len: 5, prefix_len: 2, is_last: false });
        assert_eq!(scanner.prefix(), Some(MessagePrefix { flag: 1, len: 258 }));
        let part = scanner.next_part(&[7; 300]);
        assert_eq!(part, MessagePart { len: 255, prefix_len: 0, is_last: true });
    }

    proptest! {
        /// Where the network cuts the stream makes no difference.
        #[test]
        fn messages_are_found_in_pieces_of_any_length(
            messages in prop::collection::vec((0..3_u8, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            missing in 0..20_usize,
            piece_len in 1..60_usize,
        ) {
            let mut expected: Vec<Vec<u8>> = messages.iter().map(|(flag, data)| message(*flag, data)).collect();
            let mut stream = expected.concat();
            expected.push(Vec::new());
            prop_assert_eq!(scan(stream.chunks(piece_len)), (expected, true));
            // Also if the end is missing.
            let len = stream.len().saturating_sub(missing);
            stream.truncate(len);
            let (found, _) = scan(stream.chunks(piece_len));
            prop_assert_eq!(found.concat(), stream);
        }
    }
}
