//! What prost makes of the fields of a message. `build.rs` writes the layouts of all messages from their descriptors.

/// A message as prost decodes it.
pub(crate) trait Layout {
    /// The fields with contents outside of the message's struct.
    const FIELDS: &'static [Field];
    /// Whether clients send this message to a server.
    const IS_REQUEST: bool;
}

/// A field with contents outside of its message's struct.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) content: Content,
    pub(crate) repetition: Repetition,
}

/// The contents of one element of a field.
#[derive(Debug)]
pub(crate) enum Content {
    /// A number of variable length on the wire.
    Varint,
    /// A number of this many bytes on the wire.
    Fixed { bytes: usize },
    /// A string, or bytes, which are copied out of the received message.
    Copied,
    /// Bytes that remain a slice of the received message.
    Shared,
    /// A message, or an entry of a map, which is a message with a key and a value.
    Message { fields: &'static [Field] },
}

/// How often a field occurs, and where its elements are.
#[derive(Debug)]
pub(crate) enum Repetition {
    /// The field is one element within its message's struct.
    Once,
    /// The field is a `Vec` of elements of this size.
    List { element_bytes: usize },
    /// The field is a `HashMap` of pairs of this size.
    Map { entry_bytes: usize },
}

include!("../generated/layouts.rs");
