use std::sync::Arc;

use axum::http::Extensions;

use super::{
    body_refusal::BodyRefusal,
    request_memory::{BodyPermit, HeldMemory},
};

/// The memory of messages that are still in use when the next message of their stream is awaited.
///
/// The body of a stream counts one message, and returns its memory when the next one is awaited. A handler that works on
/// several messages at a time holds memory for each of them here, from the same shares.
#[derive(Debug, Clone)]
pub(crate) struct StreamMemory(Option<Arc<BodyPermit>>);

impl StreamMemory {
    /// Returns the memory of the stream to which the extensions of a request belong. A request that did not arrive over
    /// a connection has no limits.
    pub(crate) fn of_request(extensions: &Extensions) -> Self {
        Self(extensions.get::<Arc<BodyPermit>>().cloned())
    }

    /// Holds memory for a message until the returned value is dropped. The request is refused if there is none.
    ///
    /// # Errors
    /// The share that is used up; nothing is held in that case.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Option<HeldMemory>, BodyRefusal> {
        let hold = |permit: &Arc<BodyPermit>| permit.hold(bytes).inspect_err(|_| permit.count_refusal());
        self.0.as_ref().map(hold).transpose()
    }

    /// Holds memory for a message like [`hold`](Self::hold), in a stream that can wait if there is none.
    ///
    /// # Errors
    /// As for [`hold`](Self::hold).
    pub(crate) fn try_hold(&self, bytes: usize) -> Result<Option<HeldMemory>, BodyRefusal> {
        self.0.as_ref().map(|permit| permit.hold(bytes)).transpose()
    }
}
