//! The entropy coder: integers to payload bytes and back, each with the table of its value.
//!
//! A value that its table lists is one symbol. Any other value is the escape symbol, followed by bits of
//! probability one half in the same range coder: its side (0 above the table, 1 below) and its distance
//! beyond the table's end, as an Exp-Golomb code of order 0.

use std::{borrow::Borrow, num::NonZeroU16};

use constriction::{
    Queue,
    backends::{Cursor, ReadWords},
    stream::{
        Decode, Encode,
        model::{DecoderModel, EncoderModel, EntropyModel},
        queue::RangeDecoder,
    },
};

use crate::{
    LatentError, Table,
    seal::{self, Encoder},
    tables::TableModel,
};

/// Maximum number of bits of an excess after 1 is added.
const MAX_EXCESS_BITS: u32 = 33;

/// Encodes integers to a payload, with the table of each.
pub(crate) fn encode_payload<'a>(
    integers: &[i32],
    tables: impl Iterator<Item = &'a Table>,
) -> Result<Vec<u8>, LatentError> {
    let mut coder = BitEncoder::new();
    for (&value, table) in integers.iter().zip(tables) {
        coder.code(&mut { value }, table)?;
    }
    Ok(coder.finish())
}

/// Decodes the `count` integers of a payload. Accepts exactly the payloads that [`encode_payload`] writes: a
/// different encoding of the same integers or surplus bytes are an error.
pub(crate) fn decode_payload<'a>(
    payload: &[u8],
    count: usize,
    tables: impl Iterator<Item = &'a Table> + Clone,
) -> Result<Vec<i32>, LatentError> {
    let mut coder = BitDecoder::new(payload)?;
    let mut integers = vec![0; count];
    for (value, table) in integers.iter_mut().zip(tables.clone()) {
        coder.code(value, table)?;
    }
    if encode_payload(&integers, tables)? == payload { Ok(integers) } else { Err(LatentError::Payload) }
}

/// One direction of the coder. The encoder reads the coded values and the decoder writes them, so that both
/// walk through a latent with the same code.
pub(crate) trait Coder {
    /// Codes an integer with its table.
    fn code(&mut self, value: &mut i32, table: &Table) -> Result<(), LatentError>;
    /// Codes a flag that is set with probability `odds` / 65536; `odds` must not be 0.
    fn flag(&mut self, flag: &mut bool, odds: u16) -> Result<(), LatentError>;
}

/// The encoder: integers to bytes.
pub(crate) struct BitEncoder {
    coder: Encoder,
}

impl BitEncoder {
    pub(crate) fn new() -> Self {
        Self { coder: Encoder::new() }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        seal::finish(self.coder)
    }

    fn exp_golomb(&mut self, number: u64) -> Result<(), LatentError> {
        let bits = u64::BITS - number.leading_zeros();
        (1..bits).try_for_each(|_| self.encode_bit(false))?;
        (0..bits).rev().try_for_each(|i| self.encode_bit(number >> i & 1 == 1))
    }

    fn encode_bit(&mut self, bit: bool) -> Result<(), LatentError> {
        self.coder.encode_symbol(bit, Odds::EVEN).map_err(|_| LatentError::Payload)
    }

    fn encode_symbol(&mut self, symbol: usize, model: &TableModel) -> Result<(), LatentError> {
        self.coder.encode_symbol(symbol, model.as_view()).map_err(|_| LatentError::Payload)
    }
}

impl Coder for BitEncoder {
    fn code(&mut self, value: &mut i32, table: &Table) -> Result<(), LatentError> {
        let value = *value;
        if (table.min()..=table.max()).contains(&value) {
            return self.encode_symbol(value.abs_diff(table.min()) as usize, table.model());
        }
        self.encode_symbol(table.escape_symbol(), table.model())?;
        let is_below = value < table.min();
        let edge = if is_below { table.min() } else { table.max() };
        self.encode_bit(is_below)?;
        // The distance to the edge is excess + 1, the number that Exp-Golomb encodes.
        self.exp_golomb(u64::from(value.abs_diff(edge)))
    }

    fn flag(&mut self, flag: &mut bool, odds: u16) -> Result<(), LatentError> {
        self.coder.encode_symbol(*flag, Odds(odds)).map_err(|_| LatentError::Payload)
    }
}

/// The decoder: bytes to integers.
pub(crate) struct BitDecoder {
    coder: RangeDecoder<u16, u64, Cursor<u16, Vec<u16>>>,
}

impl BitDecoder {
    pub(crate) fn new(payload: &[u8]) -> Result<Self, LatentError> {
        let words: Vec<u16> = seal::words(payload).collect();
        let coder = RangeDecoder::from_compressed(words).map_err(|never| match never {})?;
        Ok(Self { coder })
    }

    /// Returns whether the whole payload was read. The decoder reads a few words ahead, so this detects a
    /// payload that is much too long, but not another encoding of the same integers.
    pub(crate) fn fully_read(self) -> bool {
        let (words, ..) = self.coder.into_raw_parts();
        ReadWords::<u16, Queue>::maybe_exhausted(&words)
    }

    fn exp_golomb(&mut self) -> Result<u64, LatentError> {
        let mut bits = 0;
        while !self.decode_bit()? {
            bits += 1;
            if bits == MAX_EXCESS_BITS {
                return Err(LatentError::Payload);
            }
        }
        (0..bits).try_fold(1, |number, _| Ok(number << 1 | u64::from(self.decode_bit()?)))
    }

    fn decode_bit(&mut self) -> Result<bool, LatentError> {
        self.coder.decode_symbol(Odds::EVEN).map_err(|_| LatentError::Payload)
    }
}

impl Coder for BitDecoder {
    fn code(&mut self, value: &mut i32, table: &Table) -> Result<(), LatentError> {
        let symbol = self.coder.decode_symbol(table.model().as_view()).map_err(|_| LatentError::Payload)?;
        if symbol < table.escape_symbol() {
            *value = table.min() + symbol as i32;
            return Ok(());
        }
        let is_below = self.decode_bit()?;
        let distance = self.exp_golomb()? as i64;
        let integer =
            if is_below { i64::from(table.min()) - distance } else { i64::from(table.max()) + distance };
        *value = i32::try_from(integer).map_err(|_| LatentError::Payload)?;
        Ok(())
    }

    fn flag(&mut self, flag: &mut bool, odds: u16) -> Result<(), LatentError> {
        *flag = self.coder.decode_symbol(Odds(odds)).map_err(|_| LatentError::Payload)?;
        Ok(())
    }
}

/// The odds, out of 65536, that a flag is set: 1 to 65535. The interval of a clear flag comes first.
#[derive(Debug, Clone, Copy)]
struct Odds(u16);

impl Odds {
    const EVEN: Self = Self(1 << 15);

    fn set_and_clear(self) -> Option<[NonZeroU16; 2]> {
        Some([NonZeroU16::new(self.0)?, NonZeroU16::new(self.0.wrapping_neg())?])
    }
}

impl EntropyModel<16> for Odds {
    type Symbol = bool;
    type Probability = u16;
}

impl EncoderModel<16> for Odds {
    fn left_cumulative_and_probability(&self, symbol: impl Borrow<bool>) -> Option<(u16, NonZeroU16)> {
        let [set, clear] = self.set_and_clear()?;
        Some(if *symbol.borrow() { (clear.get(), set) } else { (0, clear) })
    }
}

impl DecoderModel<16> for Odds {
    fn quantile_function(&self, quantile: u16) -> (bool, u16, NonZeroU16) {
        let [set, clear] = self.set_and_clear().unwrap_or([NonZeroU16::MIN; 2]);
        if quantile < clear.get() { (false, 0, clear) } else { (true, clear.get(), set) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tables(count: usize) -> Vec<Table> {
        let counts = [1, 3, 9, 27, 9, 3, 1];
        (0..count).map(|i| Table::from_counts(i as i32 - 7, &counts).unwrap()).collect()
    }

    fn there_and_back(integers: &[i32], tables: &[Table]) -> Result<Vec<i32>, LatentError> {
        decode_payload(&encode_payload(integers, tables.iter())?, integers.len(), tables.iter())
    }

    proptest! {
        #[test]
        fn any_integers_survive_a_round_trip(integers in proptest::collection::vec(any::<i32>(), 1..80)) {
            let tables = tables(integers.len());
            prop_assert_eq!(there_and_back(&integers, &tables), Ok(integers));
        }

        #[test]
        fn likely_integers_survive_a_round_trip(integers in proptest::collection::vec(-9_i32..9, 1..300)) {
            let tables = tables(integers.len());
            prop_assert_eq!(there_and_back(&integers, &tables), Ok(integers));
        }

        #[test]
        fn a_payload_has_one_encoding(payload in proptest::collection::vec(any::<u8>(), 0..40)) {
            let tables = tables(12);
            if let Ok(integers) = decode_payload(&payload, 12, tables.iter()) {
                prop_assert_eq!(encode_payload(&integers, tables.iter()).unwrap(), payload);
            }
        }
    }

    #[test]
    fn extreme_integers_survive_a_round_trip() {
        for (min, values) in [(i32::MIN, [i32::MIN, i32::MAX]), (i32::MAX - 2, [i32::MAX, i32::MIN])] {
            let table = Table::from_counts(min, &[1, 1, 1]).unwrap();
            assert_eq!(there_and_back(&values, &[table.clone(), table]).unwrap(), values);
        }
    }

    #[test]
    fn the_payload_is_close_to_the_entropy() {
        // 1,000 symbols of a known distribution: seal and coder together may cost 1 % and two bytes.
        let counts = [1, 3, 9, 27, 9, 3, 1];
        let sequence: Vec<i32> =
            counts.iter().enumerate().flat_map(|(i, &n)| vec![i as i32; n as usize]).collect();
        let integers: Vec<i32> = (0..1000).map(|i| sequence[i * 31 % sequence.len()]).collect();
        let tables = vec![Table::from_counts(0, &counts.map(u64::from)).unwrap(); 1000];
        let total: u32 = counts.iter().sum();
        let bits: f64 =
            integers.iter().map(|&value| (f64::from(total) / f64::from(counts[value as usize])).log2()).sum();
        let bytes = encode_payload(&integers, tables.iter()).unwrap().len() as f64;
        assert!(bytes <= bits / 8.0 * 1.01 + 2.0, "{bytes} bytes for {bits} bits");
    }
}
