//! The context model and its file: how the expected magnitude of each coefficient follows from its
//! neighbours.
//!
//! The file is little-endian; numbers are LEB128 unless stated otherwise:
//! ```text
//! "LPC" 0x01                       magic and version
//! number of channels               over all layers, coarsest first
//! each channel:
//!   4 predictor weights, i16       left, above, above-left, above-right; 1/256
//!   6 neighbour weights, u16       above, left, above-left, above-right, two above, two left; 1/4096
//!   adaptive weight, u16           1/4096
//!   100 biases, u16                one per quality; 1/4096 of a step
//!   2 odds of a zero plane, u16    of 65536: after a plane that is not zero, and after one that is
//!   number of references           0 ..= 16
//!   each reference: channel (LEB128, an earlier one), weight (u16, 1/4096)
//!   49 table indices               one per class, into the tables below
//! number of layers
//! each layer: 81 odds of a zero row, u16    one per class of the row's energy, of 65536
//! a table file                     the rest of the bytes
//! ```

use crate::{LatentError, Table, Tables, varint};

use super::{CLASSES, QUALITIES, ROW_CLASSES};

/// Number of neighbours whose magnitudes are contexts: above, left, above-left, above-right, two above, two
/// left.
pub const NEIGHBOURS: usize = 6;
const MAGIC: [u8; 4] = *b"LPC\x01";
const FILE_KIND: &str = "context file";
const MAX_REFERENCES: usize = 16;
const MAX_CHANNELS: u32 = 8 * 4096;

/// An earlier channel whose magnitudes are context for this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelReference {
    /// The index of an earlier channel, counted over all layers.
    pub channel: u32,
    /// The weight of the sum of twice its magnitude and the magnitudes of its four neighbours, in 1/4096.
    pub weight: u16,
}

/// The context parameters of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelContext {
    /// Weights of the integers to the left, above, above-left and above-right in the prediction, in 1/256.
    /// The coder writes the difference from the prediction.
    pub predictor: [i16; 4],
    /// Weights of the neighbours' magnitudes, in 1/4096.
    pub neighbour_weights: [u16; NEIGHBOURS],
    /// The weight of the running average of the channel, in 1/4096.
    pub average_weight: u16,
    /// The expected magnitude without any other information, in 1/4096 of a step, one per quality.
    pub biases: Vec<u16>,
    /// The odds, out of 65536, that the whole plane is zero: after a plane that is not zero, and after one
    /// that is.
    pub zero_plane_odds: [u16; 2],
    /// The channels that are context for this one.
    pub references: Vec<ChannelReference>,
    /// The index of each class's table.
    pub tables: Vec<u32>,
}

/// The contexts of all channels.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextModel {
    channels: Vec<ChannelContext>,
    zero_rows: Vec<Vec<u16>>,
    tables: Tables,
}

impl ContextModel {
    /// Creates a model from the channels of all layers, coarsest first; the odds of a zero row, one list per
    /// layer; and the tables that the channels refer to.
    ///
    /// # Errors
    /// Returns [`LatentError::BadContext`] naming the first invalid channel.
    pub fn new(
        channels: Vec<ChannelContext>,
        zero_rows: Vec<Vec<u16>>,
        tables: Tables,
    ) -> Result<Self, LatentError> {
        for (index, channel) in channels.iter().enumerate() {
            channel.check(index, tables.as_slice().len())?;
        }
        if !zero_rows.iter().all(|odds| odds.len() == ROW_CLASSES && odds.iter().all(|&o| o > 0)) {
            return Err(bad_context(0, "the model must have 81 odds of zero rows per layer"));
        }
        Ok(Self { channels, zero_rows, tables })
    }

    /// Returns the channels of all layers, coarsest first.
    #[must_use]
    pub fn channels(&self) -> &[ChannelContext] {
        &self.channels
    }

    pub(crate) fn layer_count(&self) -> usize {
        self.zero_rows.len()
    }

    pub(crate) fn zero_row_odds(&self, layer: usize, class: usize) -> u16 {
        self.zero_rows[layer][class]
    }

    pub(crate) fn tables(&self) -> &[Table] {
        self.tables.as_slice()
    }

    pub(crate) fn table(&self, channel: usize, class: usize) -> &Table {
        &self.tables.as_slice()[self.channels[channel].tables[class] as usize]
    }

    /// Returns the bytes of the context file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        varint::write(&mut out, self.channels.len() as u32);
        self.channels.iter().for_each(|channel| channel.write(&mut out));
        varint::write(&mut out, self.zero_rows.len() as u32);
        self.zero_rows.iter().flatten().for_each(|odds| out.extend(odds.to_le_bytes()));
        out.extend(self.tables.to_bytes());
        out
    }

    /// Parses a context file and checks all of it.
    ///
    /// # Errors
    /// Returns [`LatentError::BadFileMagic`], [`LatentError::Truncated`], [`LatentError::Varint`],
    /// [`LatentError::Limit`], [`LatentError::BadContext`], or an error of the tables.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LatentError> {
        let mut rest = bytes.strip_prefix(&MAGIC).ok_or(LatentError::BadFileMagic)?;
        let count = varint::read(&mut rest, FILE_KIND, "number of channels")?;
        if count == 0 || count > MAX_CHANNELS {
            return Err(LatentError::Limit {
                what: "number of channels",
                found: count.into(),
                limit: MAX_CHANNELS.into(),
            });
        }
        let channels = (0..count).map(|_| ChannelContext::read(&mut rest)).collect::<Result<_, _>>()?;
        let layers = varint::read(&mut rest, FILE_KIND, "number of layers")?;
        if layers > 8 {
            return Err(LatentError::Limit { what: "number of layers", found: layers.into(), limit: 8 });
        }
        let zero_rows = (0..layers)
            .map(|_| (0..ROW_CLASSES).map(|_| read_u16(&mut rest, "odds of a zero row")).collect())
            .collect::<Result<_, _>>()?;
        Self::new(channels, zero_rows, Tables::from_bytes(rest)?)
    }
}

impl ChannelContext {
    fn check(&self, index: usize, tables: usize) -> Result<(), LatentError> {
        if self.biases.len() != QUALITIES {
            return Err(bad_context(index, "it must have 100 biases, one per quality"));
        }
        if self.tables.len() != CLASSES || self.tables.iter().any(|&table| table as usize >= tables) {
            return Err(bad_context(index, "it must have 49 table indices, each of an existing table"));
        }
        if self.references.len() > MAX_REFERENCES {
            return Err(bad_context(index, "it must have at most 16 references"));
        }
        if self.references.iter().any(|reference| reference.channel as usize >= index) {
            return Err(bad_context(index, "every reference must be an earlier channel"));
        }
        if self.zero_plane_odds.contains(&0) {
            return Err(bad_context(index, "the odds of a zero plane must not be 0"));
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.predictor.iter().flat_map(|weight| weight.to_le_bytes()));
        let words = self
            .neighbour_weights
            .iter()
            .chain([&self.average_weight])
            .chain(&self.biases)
            .chain(&self.zero_plane_odds);
        out.extend(words.flat_map(|word| word.to_le_bytes()));
        varint::write(out, self.references.len() as u32);
        for reference in &self.references {
            varint::write(out, reference.channel);
            out.extend(reference.weight.to_le_bytes());
        }
        self.tables.iter().for_each(|&table| varint::write(out, table));
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, LatentError> {
        let predictor = read_words(bytes, 4)?;
        let neighbour_words = read_words(bytes, NEIGHBOURS)?;
        let average_weight = read_u16(bytes, "channel")?;
        let (biases, zero_plane_words) = (read_words(bytes, QUALITIES)?, read_words(bytes, 2)?);
        let count = varint::read(bytes, FILE_KIND, "number of references")?.min(MAX_REFERENCES as u32 + 1);
        let references = (0..count)
            .map(|_| {
                let channel = varint::read(bytes, FILE_KIND, "reference")?;
                Ok(ChannelReference { channel, weight: read_u16(bytes, "reference")? })
            })
            .collect::<Result<_, _>>()?;
        let tables =
            (0..CLASSES).map(|_| varint::read(bytes, FILE_KIND, "table index")).collect::<Result<_, _>>()?;
        let mut neighbour_weights = [0; NEIGHBOURS];
        neighbour_weights.copy_from_slice(&neighbour_words);
        Ok(Self {
            predictor: [0, 1, 2, 3].map(|i: usize| predictor[i] as i16),
            neighbour_weights,
            average_weight,
            biases,
            zero_plane_odds: [zero_plane_words[0], zero_plane_words[1]],
            references,
            tables,
        })
    }
}

const fn bad_context(channel: usize, reason: &'static str) -> LatentError {
    LatentError::BadContext { channel, reason }
}

/// Reads numbers of a channel.
fn read_words(bytes: &mut &[u8], count: usize) -> Result<Vec<u16>, LatentError> {
    (0..count).map(|_| read_u16(bytes, "channel")).collect()
}

fn read_u16(bytes: &mut &[u8], field: &'static str) -> Result<u16, LatentError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(LatentError::Truncated { what: FILE_KIND, field })?;
    *bytes = rest;
    Ok(u16::from_le_bytes(*head))
}
