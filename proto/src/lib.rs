//! The `lopside.v1` protocol and the Open Inference Protocol: messages, clients and servers generated from the `.proto`
//! files. No logic.

/// Version 1.
#[allow(missing_docs, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("lopside.v1");
}

/// The Open Inference Protocol, version 2, with what Triton adds to it.
#[allow(missing_docs, clippy::pedantic)]
pub mod inference {
    tonic::include_proto!("inference");
}

/// Bytes of the largest frame that an archive takes.
pub const MAX_FRAME: usize = 16 << 20;

/// The compiled `.proto` files, a `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
