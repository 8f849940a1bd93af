use crate::{LatentSpaceId, Shape};

/// Errors of latents, tables, context models and frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LatentError {
    /// The bytes end before the frame, table file or context file does.
    #[error("the {what} ends early, in its {field}: the data was truncated")]
    Truncated {
        /// The kind of data: `frame`, `table file` or `context file`.
        what: &'static str,
        /// The field that could not be read completely.
        field: &'static str,
    },
    /// The first byte is not the magic of a frame.
    #[error("not a frame: it starts with byte {found:#04x} instead of 0x4c ('L')")]
    Magic {
        /// The byte found.
        found: u8,
    },
    /// The frame version is unknown to this build.
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
    /// The frame does not carry a latent-space id and the session has not fixed one.
    #[error(
        "the frame carries no latent-space id and the session has not fixed one: name the bundle or send the id"
    )]
    MissingLatentSpace,
    /// The frame belongs to another latent space.
    #[error("the frame belongs to latent space {found}, not {expected}")]
    LatentSpaceMismatch {
        /// The id in the frame.
        found: LatentSpaceId,
        /// The id of the latent space that was to decode it.
        expected: LatentSpaceId,
    },
    /// The frame's shape does not match the latent space.
    #[error("the frame's latent has shape {found}, but the latent space has {expected}")]
    ShapeMismatch {
        /// The shape in the frame.
        found: Shape,
        /// The shape of the latent space.
        expected: Shape,
    },
    /// The shape is empty, has too many dimensions, or has an extent that is 0 or too large.
    #[error("a latent must have 1 to 4 dimensions of 1 to 16777216, not {found:?}")]
    BadShape {
        /// The given dimensions, at most the first five.
        found: Vec<u32>,
    },
    /// A declared limit was exceeded.
    #[error("the {what} is {found}, over the limit of {limit}")]
    Limit {
        /// The measured quantity.
        what: &'static str,
        /// The measured size.
        found: u64,
        /// The limit in force.
        limit: u64,
    },
    /// The checksum does not match: the bytes were damaged, or belong to another latent space.
    #[error(
        "the frame's checksum is {found:#010x}, but its bytes give {computed:#010x}: it was damaged in transit"
    )]
    Checksum {
        /// The checksum in the frame.
        found: u32,
        /// The checksum of the received bytes.
        computed: u32,
    },
    /// Bytes follow the end of the frame or table file.
    #[error("{count} bytes follow the end of the {what}")]
    Trailing {
        /// The kind of data: `frame` or `table file`.
        what: &'static str,
        /// Number of surplus bytes.
        count: usize,
    },
    /// A number in the header is too large or not in its shortest form.
    #[error("the {field} is not a well-formed number")]
    Varint {
        /// The name of the field.
        field: &'static str,
    },
    /// The payload cannot have been encoded with these tables.
    #[error("the frame's payload does not decode with the tables of its latent space")]
    Payload,
    /// A table file or context file does not start with its magic and version.
    #[error("not a table file or context file of version 1")]
    BadFileMagic,
    /// A table is unsuitable for the entropy coder.
    #[error("table {index}: {reason}")]
    BadTable {
        /// The index of the table, from 0.
        index: usize,
        /// The reason why it is invalid.
        reason: &'static str,
    },
    /// The number of entries does not match the latent space or the input.
    #[error("the {what} has {found} entries instead of {expected}")]
    CountMismatch {
        /// The counted entries.
        what: &'static str,
        /// The number found.
        found: usize,
        /// The number expected.
        expected: usize,
    },
    /// A layer's gains do not divide its values evenly.
    #[error("layer {index} has {values} values and {gains} gains: the gains must divide the values evenly")]
    UnevenRuns {
        /// The index of the layer, from 0.
        index: usize,
        /// The number of its values.
        values: usize,
        /// The number of its gains.
        gains: usize,
    },
    /// A gain or step is not positive and finite, or a rounding is out of range.
    #[error(
        "gain, step or rounding {index} is {value}: gains and steps must be positive and finite, roundings 0 to 0.5"
    )]
    BadGain {
        /// The index of the value in its list, from 0.
        index: usize,
        /// The value as text.
        value: String,
    },
    /// The encoder produced a value that cannot be quantised.
    #[error("latent value {index} is {value}: the encoder's output is not finite")]
    NotFinite {
        /// The index of the value, from 0.
        index: usize,
        /// The value as text.
        value: String,
    },
    /// The layers are not valid for any image.
    #[error("invalid image layout: {reason}")]
    BadLayout {
        /// The reason why they are invalid.
        reason: &'static str,
    },
    /// A context model is unsuitable for the entropy coder.
    #[error("context of channel {channel}: {reason}")]
    BadContext {
        /// The index of the channel, from 0, over all layers.
        channel: usize,
        /// The reason why it is invalid.
        reason: &'static str,
    },
    /// The header of an image's frame contains an invalid value.
    #[error("the frame's {field} is {found}, which is invalid")]
    BadHeader {
        /// The name of the field.
        field: &'static str,
        /// The value of the field.
        found: u64,
    },
    /// A text is not a latent-space id, which has 16 hexadecimal digits.
    #[error("a latent-space id must be 16 hexadecimal digits, not {found:?}")]
    BadId {
        /// The given text, truncated.
        found: String,
    },
}
