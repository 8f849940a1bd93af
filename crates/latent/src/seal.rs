//! The end of a range-coded stream in as few bytes as possible.
//!
//! After the last symbol, any number in `[lower, lower + range)` identifies the message. The standard ending
//! writes one or two whole words, which is noticeable for a latent of a dozen bytes. Here the number with the
//! most trailing zero bytes is written, and zero bytes at the end of the stream are omitted: the decoder
//! reads zeros past the end.

use constriction::stream::queue::{EncoderSituation, RangeEncoder};

/// The range coder: 16-bit words keep the state's slack small, and a 64-bit state makes 16-bit frequencies
/// exact.
pub(crate) type Encoder = RangeEncoder<u16, u64, Vec<u16>>;

/// Returns the finished stream, with the most significant byte of each word first.
pub(crate) fn finish(encoder: Encoder) -> Vec<u8> {
    let (words, state, situation) = encoder.into_raw_parts();
    let mut bytes = match situation {
        EncoderSituation::Normal => {
            let mut bytes = to_bytes(&words);
            bytes.extend(shortest_bytes(state.lower(), state.range().get()));
            bytes
        }
        // A carry may still propagate into words held back; only the coder's own ending handles this.
        EncoderSituation::Inverted(..) => {
            let sealed = Encoder::from_raw_parts(words, state, situation).into_compressed();
            sealed.map_or_else(|never| match never {}, |words| to_bytes(&words))
        }
    };
    let len = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(len);
    bytes
}

/// Returns the words of a stream that [`finish`] wrote.
pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
}

fn to_bytes(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Returns the leading bytes of the number in `[lower, lower + range)` that needs the fewest. The interval
/// does not wrap.
fn shortest_bytes(lower: u64, range: u64) -> Vec<u8> {
    for count in 0..8_u32 {
        let free_bits = 64 - 8 * count;
        let mask = if free_bits == 64 { u64::MAX } else { (1 << free_bits) - 1 };
        let Some(rounded_up) = lower.checked_add(mask).map(|sum| sum & !mask) else { continue };
        if rounded_up - lower < range {
            return rounded_up.to_be_bytes()[..count as usize].to_vec();
        }
    }
    lower.to_be_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_number_is_found() {
        assert_eq!(shortest_bytes(0, 1 << 48), []);
        assert_eq!(shortest_bytes(1, 1 << 57), [1]);
        assert_eq!(shortest_bytes(0x00ff_0000_0000_0001, 1 << 48), [1]);
        assert_eq!(shortest_bytes(0x1200_0000_0000_0001, 1 << 48), [0x12, 1]);
        assert_eq!(shortest_bytes(u64::MAX - 5, 3), (u64::MAX - 5).to_be_bytes());
    }
}
