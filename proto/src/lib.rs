//! The `lopside.v1` protocol and the Open Inference Protocol: messages, clients and servers, generated from
//! the `.proto` files by `generator/`, into `generated/`. Written by hand are the conversions of [`FrameClass`](v1::FrameClass)
//! and [`SourceCondition`](v1::SourceCondition) to and from the types of `lopside_delivery`, and the codec of clients and
//! servers: a message that would occupy far more memory than it is long is refused before it is decoded.

mod codec;
mod frame_class;
mod layout;
mod source_condition;
mod wire_size;

/// The `lopside.v1` protocol: decoding, ingest, and the download of bundles.
#[allow(missing_docs, clippy::pedantic)]
pub mod v1 {
    include!("../generated/lopside.v1.rs");
}

/// The Open Inference Protocol, version 2, with Triton's extensions.
#[allow(missing_docs, clippy::pedantic)]
pub mod inference {
    include!("../generated/inference.rs");
}

/// The compiled `.proto` files as a `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("../generated/descriptors.bin");
