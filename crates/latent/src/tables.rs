//! Integer frequency tables and their file.
//!
//! A table assigns a frequency of at least 1 to every integer `min ..= min + n − 1` and to one escape symbol;
//! the frequencies add up to 2¹⁶. They are counted over a calibration set and shipped as data, and are never
//! recomputed from floats.
//!
//! The file is little-endian; numbers are LEB128 unless stated otherwise:
//! ```text
//! "LPT" 0x01                       magic and version
//! number of tables                 1 ..= 2²⁴
//! each table:
//!   min                            zigzag
//!   n                              1 ..= 4096
//!   n + 1 frequencies, u16         1 ..= 65535, adding up to 65536; the last is the escape's
//! ```

use constriction::stream::model::ContiguousCategoricalEntropyModel;

use crate::{LatentError, varint};

const MAGIC: [u8; 4] = *b"LPT\x01";
const FILE_KIND: &str = "table file";
/// The sum of a table's frequencies.
const TOTAL_FREQUENCY: u64 = 1 << 16;
/// Maximum number of integers that a table lists; all others are escaped.
pub const MAX_TABLE_SYMBOLS: usize = 4096;

/// The integer entropy model: 16-bit frequencies.
pub(crate) type TableModel = ContiguousCategoricalEntropyModel<u16, Vec<u16>, 16>;

/// Frequencies of consecutive integers and of the escape.
#[derive(Debug, Clone)]
pub struct Table {
    min: i32,
    frequencies: Vec<u16>,
    model: TableModel,
}

impl Table {
    /// Creates a table from counts, where `counts[i]` is the number of occurrences of the integer `min + i`.
    /// Every listed integer and the escape get a frequency of at least 1 in 65536, so that every integer can
    /// be coded.
    ///
    /// # Errors
    /// Returns [`LatentError::BadTable`] for an empty list, more than [`MAX_TABLE_SYMBOLS`] counts, counts
    /// above 2⁴⁰, or a range beyond `i32`.
    pub fn from_counts(min: i32, counts: &[u64]) -> Result<Self, LatentError> {
        if counts.is_empty() || counts.len() > MAX_TABLE_SYMBOLS {
            return Err(bad_table("it must list 1 to 4096 integers"));
        }
        if counts.iter().any(|&count| count > 1 << 40) {
            return Err(bad_table("a count exceeds 2^40"));
        }
        Self::from_frequencies(min, apportion_frequencies(counts))
    }

    /// Creates a table from its frequencies, the escape's last.
    fn from_frequencies(min: i32, frequencies: Vec<u16>) -> Result<Self, LatentError> {
        if frequencies.len() < 2 || frequencies.len() > MAX_TABLE_SYMBOLS + 1 {
            return Err(bad_table("it must list 1 to 4096 integers"));
        }
        if min.checked_add(frequencies.len() as i32 - 2).is_none() {
            return Err(bad_table("its integers do not fit into 32 bits"));
        }
        if frequencies.contains(&0) {
            return Err(bad_table("a frequency is 0"));
        }
        if frequencies.iter().map(|&f| u64::from(f)).sum::<u64>() != TOTAL_FREQUENCY {
            return Err(bad_table("its frequencies do not add up to 65536"));
        }
        let model = TableModel::from_nonzero_fixed_point_probabilities(&frequencies, false)
            .map_err(|()| bad_table("its frequencies do not form a distribution"))?;
        Ok(Self { min, frequencies, model })
    }

    /// Returns the smallest listed integer.
    #[must_use]
    pub fn min(&self) -> i32 {
        self.min
    }

    /// Returns the largest listed integer.
    #[must_use]
    pub fn max(&self) -> i32 {
        self.min + (self.frequencies.len() as i32 - 2)
    }

    /// Returns the cost of an integer in bits; for an unlisted integer, the cost of the escape symbol alone.
    #[must_use]
    pub fn symbol_bits(&self, integer: i32) -> f32 {
        let is_listed = (self.min..=self.max()).contains(&integer);
        let symbol = if is_listed { (integer - self.min) as usize } else { self.escape_symbol() };
        16.0 - f32::from(self.frequencies[symbol]).log2()
    }

    /// Returns the cost of an integer in bits, including all that the coder writes for an unlisted integer.
    pub(crate) fn cost_bits(&self, integer: i32) -> f64 {
        let distance =
            (i64::from(integer) - i64::from(self.max())).max(i64::from(self.min()) - i64::from(integer));
        // One bit for the side, and the Exp-Golomb code of the distance.
        let excess = if distance > 0 { 1 + 2 * distance.ilog2() + 1 } else { 0 };
        f64::from(self.symbol_bits(integer)) + f64::from(excess)
    }

    pub(crate) fn model(&self) -> &TableModel {
        &self.model
    }

    /// Returns the symbol of the escape, which follows those of the listed integers.
    pub(crate) fn escape_symbol(&self) -> usize {
        self.frequencies.len() - 1
    }

    fn write(&self, out: &mut Vec<u8>) {
        varint::write(out, varint::zigzag(self.min));
        varint::write(out, self.escape_symbol() as u32);
        out.extend(self.frequencies.iter().flat_map(|f| f.to_le_bytes()));
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, LatentError> {
        let min = varint::unzigzag(varint::read(bytes, FILE_KIND, "smallest integer")?);
        let size = varint::read(bytes, FILE_KIND, "table size")? as usize;
        if size > MAX_TABLE_SYMBOLS {
            return Err(bad_table("it must list 1 to 4096 integers"));
        }
        let truncated = LatentError::Truncated { what: FILE_KIND, field: "frequencies" };
        let (raw, rest) = bytes.split_at_checked(2 * (size + 1)).ok_or(truncated)?;
        *bytes = rest;
        Self::from_frequencies(
            min,
            raw.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(),
        )
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.min == other.min && self.frequencies == other.frequencies
    }
}

/// The tables of a latent space, one per run of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables(Vec<Table>);

impl Tables {
    /// Creates a list of tables, in the order of the latent's runs.
    ///
    /// # Errors
    /// Returns [`LatentError::Limit`] for an empty list or more than 2²⁴ tables.
    pub fn new(tables: Vec<Table>) -> Result<Self, LatentError> {
        check_count(tables.len() as u64)?;
        Ok(Self(tables))
    }

    /// Returns the tables, in the order of the latent's runs.
    #[must_use]
    pub fn as_slice(&self) -> &[Table] {
        &self.0
    }

    /// Returns the bytes of the table file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        varint::write(&mut out, self.0.len() as u32);
        self.0.iter().for_each(|table| table.write(&mut out));
        out
    }

    /// Parses a table file and checks all of it.
    ///
    /// # Errors
    /// Returns [`LatentError::BadFileMagic`], [`LatentError::Truncated`], [`LatentError::Varint`],
    /// [`LatentError::Limit`], [`LatentError::BadTable`] with the index of the table, or
    /// [`LatentError::Trailing`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LatentError> {
        let mut rest = bytes.strip_prefix(&MAGIC).ok_or(LatentError::BadFileMagic)?;
        let count = varint::read(&mut rest, FILE_KIND, "number of tables")?;
        check_count(u64::from(count))?;
        let mut tables = Vec::new();
        for index in 0..count as usize {
            tables.push(Table::read(&mut rest).map_err(|error| with_index(error, index))?);
        }
        match rest.len() {
            0 => Ok(Self(tables)),
            count => Err(LatentError::Trailing { what: FILE_KIND, count }),
        }
    }
}

fn check_count(found: u64) -> Result<(), LatentError> {
    let limit = 1 << 24;
    if (1..=limit).contains(&found) {
        Ok(())
    } else {
        Err(LatentError::Limit { what: "number of tables", found, limit })
    }
}

const fn bad_table(reason: &'static str) -> LatentError {
    LatentError::BadTable { index: 0, reason }
}

fn with_index(error: LatentError, index: usize) -> LatentError {
    match error {
        LatentError::BadTable { reason, .. } => LatentError::BadTable { index, reason },
        other => other,
    }
}

/// Distributes 65536 among the counts and an escape of count 0: each entry gets 1, and the rest is
/// distributed in proportion to the counts (largest remainder method), in integers, with ties to the smaller
/// index.
fn apportion_frequencies(counts: &[u64]) -> Vec<u16> {
    let entries = counts.len() + 1;
    let distributed = u128::from(TOTAL_FREQUENCY - entries as u64);
    let sum: u64 = counts.iter().sum();
    let divisor = u128::from(sum.max(1));
    let mut frequencies: Vec<u64> =
        counts.iter().map(|&count| 1 + (u128::from(count) * distributed / divisor) as u64).collect();
    frequencies.push(1);
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|&i| (std::cmp::Reverse(u128::from(counts[i]) * distributed % divisor), i));
    let leftover = TOTAL_FREQUENCY - frequencies.iter().sum::<u64>();
    if sum == 0 {
        // Without any occurrences, all integers are equally likely.
        let (quotient, remainder) = (leftover / counts.len() as u64, leftover % counts.len() as u64);
        for (i, frequency) in frequencies.iter_mut().take(counts.len()).enumerate() {
            *frequency += quotient + u64::from((i as u64) < remainder);
        }
    } else {
        by_remainder.iter().take(leftover as usize).for_each(|&i| frequencies[i] += 1);
    }
    // There are at least two entries, each at least 1, so that none reaches 65536.
    frequencies.iter().map(|&frequency| frequency as u16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_counts_make_a_table_that_survives_its_file(
            min in -5000_i32..5000,
            counts in proptest::collection::vec(0_u64..1_000_000, 1..300),
        ) {
            let table = Table::from_counts(min, &counts).unwrap();
            prop_assert_eq!((table.min(), table.max()), (min, min + counts.len() as i32 - 1));
            let tables = Tables::new(vec![table.clone(), table]).unwrap();
            prop_assert_eq!(Tables::from_bytes(&tables.to_bytes()), Ok(tables));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Tables::from_bytes(&bytes);
            let _ = Tables::from_bytes(&[&MAGIC[..], &bytes].concat());
        }
    }

    #[test]
    fn frequencies_follow_counts() {
        let table = Table::from_counts(0, &[3, 1]).unwrap();
        assert_eq!(table.frequencies, [49151, 16384, 1]);
        assert_eq!(Table::from_counts(0, &[0, 0]).unwrap().frequencies, [32768, 32767, 1]);
        assert_eq!(Table::from_counts(0, &[9]).unwrap().frequencies, [65535, 1]);
    }

    #[test]
    fn each_defect_of_a_file_is_named() {
        let tables = Tables::new(vec![Table::from_counts(-1, &[1, 2, 1]).unwrap()]).unwrap();
        let valid = tables.to_bytes();
        assert_eq!(Tables::from_bytes(b"LPT\x02"), Err(LatentError::BadFileMagic));
        assert!(matches!(
            Tables::from_bytes(&valid[..valid.len() - 1]),
            Err(LatentError::Truncated { what: "table file", field: "frequencies" })
        ));
        let mut longer = valid.clone();
        longer.push(0);
        assert_eq!(Tables::from_bytes(&longer), Err(LatentError::Trailing { what: "table file", count: 1 }));
        let mut skewed = valid.clone();
        skewed[7] ^= 1;
        assert!(matches!(Tables::from_bytes(&skewed), Err(LatentError::BadTable { index: 0, .. })));
        assert!(Table::from_counts(i32::MAX, &[1, 1]).is_err());
        assert!(Table::from_counts(0, &[]).is_err());
        assert!(Tables::new(Vec::new()).is_err());
    }
}
