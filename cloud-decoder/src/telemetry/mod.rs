//! What the server records about itself: spans and durations of calls, and counters of the whole server.
//! The metrics of a head belong to the decoder.

pub(crate) mod access_log;
mod call_instruments;
pub(crate) mod calls;
pub(crate) mod ingest;
pub(crate) mod metrics;
pub(crate) mod request_context;
