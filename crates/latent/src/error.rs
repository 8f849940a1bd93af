use crate::{LatentSpaceId, Shape};

/// Why a latent, a table or a frame was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LatentError {
    /// The bytes end before the frame or table does.
    #[error("the {what} ends early, in its {field}: the data was cut off on the way")]
    Truncated {
        /// `frame` or `table file`.
        what: &'static str,
        /// The field that could not be read whole.
        field: &'static str,
    },
    /// The first byte is not a frame's.
    #[error("not a frame: it starts with byte {found:#04x} instead of 0x4c ('L')")]
    Magic {
        /// The byte found.
        found: u8,
    },
    /// A frame version that this build does not know.
    #[error("frame version {found} is not supported (this build reads versions 1 and 2): update the decoder")]
    Version {
        /// The version found.
        found: u8,
    },
    /// Reserved flag bits are set.
    #[error("reserved bits {found:#04x} are set in the frame's flags")]
    Reserved {
        /// The reserved bits found.
        found: u8,
    },
    /// The frame carries no latent-space id and the session has fixed none.
    #[error("the frame names no latent space and the session has fixed none: name the bundle or send the id")]
    NoLatentSpace,
    /// The frame belongs to another latent space.
    #[error("the frame is of latent space {found}, not {expected}")]
    OtherLatentSpace {
        /// The id in the frame.
        found: LatentSpaceId,
        /// The id of the latent space that was asked to decode it.
        expected: LatentSpaceId,
    },
    /// The frame's shape is not the latent space's.
    #[error("the frame's latent has shape {found}, the latent space has {expected}")]
    OtherShape {
        /// The shape in the frame.
        found: Shape,
        /// The shape of the latent space.
        expected: Shape,
    },
    /// A shape with no dimension, too many, or an empty or too large one.
    #[error("a latent has 1 to 4 dimensions of 1 to 16777216, not {found:?}")]
    BadShape {
        /// The dimensions as given.
        found: Vec<u32>,
    },
    /// A declared limit was exceeded.
    #[error("the {what} is {found}, over the limit of {limit}")]
    Limit {
        /// What was measured.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The limit in force.
        limit: u64,
    },
    /// The checksum does not match: the bytes were damaged, or belong to another latent space.
    #[error(
        "the frame's checksum is {found:#010x}, its bytes give {computed:#010x}: it was damaged on the way"
    )]
    Checksum {
        /// The checksum in the frame.
        found: u32,
        /// The checksum of the bytes received.
        computed: u32,
    },
    /// Bytes follow the end of the frame or table file.
    #[error("{count} bytes follow the end of the {what}")]
    Trailing {
        /// `frame` or `table file`.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// A number in the header is not in its shortest form or too large.
    #[error("the {field} is not a well-formed number")]
    Varint {
        /// The field.
        field: &'static str,
    },
    /// The payload is no output of the encoder for these tables.
    #[error("the frame's payload does not decode with the tables of its latent space")]
    Payload,
    /// A table file does not start with its magic and version.
    #[error("not a table file of version 1")]
    TableMagic,
    /// A table that cannot drive the entropy coder.
    #[error("table {index}: {reason}")]
    BadTable {
        /// Which table, from 0.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Gains, tables and shape disagree about the number of values.
    #[error("the {what} has {found} entries, the latent has {expected} values")]
    Count {
        /// What was counted.
        what: &'static str,
        /// Its count.
        found: usize,
        /// The number of values of the latent.
        expected: usize,
    },
    /// A layer's gains do not share its values evenly.
    #[error("layer {index} has {values} values and {gains} gains: the gains must divide the values evenly")]
    Runs {
        /// Which layer, from 0.
        index: usize,
        /// Its values.
        values: usize,
        /// Its gains.
        gains: usize,
    },
    /// A gain that is not a positive, finite number.
    #[error("gain {index} is {value}, it must be positive and finite")]
    BadGain {
        /// Which gain, from 0.
        index: usize,
        /// The gain, printed.
        value: String,
    },
    /// The encoder produced a value that cannot be quantised.
    #[error("latent value {index} is {value}: the encoder's output is not finite")]
    NotFinite {
        /// Which value, from 0.
        index: usize,
        /// The value, printed.
        value: String,
    },
    /// Layers that no picture can have.
    #[error("a picture's layout: {reason}")]
    BadLayout {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A context model that cannot drive the entropy coder.
    #[error("context of channel {channel}: {reason}")]
    BadContext {
        /// Which channel, from 0.
        channel: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A picture's header says something impossible.
    #[error("the frame's {field} is {found}")]
    BadHeader {
        /// The field.
        field: &'static str,
        /// What it says.
        found: u64,
    },
    /// A latent-space id that is not 16 hexadecimal digits.
    #[error("a latent-space id is 16 hexadecimal digits, not {found:?}")]
    BadId {
        /// The text given.
        found: String,
    },
}
