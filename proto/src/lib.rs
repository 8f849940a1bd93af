//! The `lopside.v1` protocol: messages, client and server generated from the `.proto` files. No logic.

/// Version 1.
#[allow(missing_docs, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("lopside.v1");
}

/// The compiled `.proto` files, a `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
