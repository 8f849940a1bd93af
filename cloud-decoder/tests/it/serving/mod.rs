//! The model server: batches, bundles that change, the Open Inference Protocol.

mod batching;
mod bundles;
mod protocol;
mod repository;
mod support;
