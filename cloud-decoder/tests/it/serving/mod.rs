//! The model server: batching, changes of bundles, and the Open Inference Protocol.

mod batching;
mod bundles;
mod damaged;
mod grpc;
mod protocol;
mod repository;
mod several_heads;
mod streams;
mod support;
