//! The model server: batching, changes of bundles, and the Open Inference Protocol.

mod batching;
mod bundles;
mod grpc;
mod protocol;
mod repository;
mod streams;
mod support;
