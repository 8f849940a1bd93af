use std::{collections::VecDeque, mem::size_of};

use lopside_archive::NewRecord;

use crate::transport::{HeldMemory, StreamMemory};

/// The memory of the messages of a connection that are being committed.
///
/// The last message is part of the connection's body until the next one is awaited. It may be awaited as soon as there is
/// memory for the last one apart from the body. If there is none, the connection waits until it has nothing to commit: the
/// device is slowed down instead of refused.
#[derive(Debug)]
pub(super) struct PendingMemory {
    memory: StreamMemory,
    /// In the order of the messages.
    held: VecDeque<Option<HeldMemory>>,
    /// Number of bytes of the last message, if it is part of the body.
    last: Option<usize>,
}

/// Returns the memory of a message with this number of records in bytes: as it was received, of which the records are
/// slices, and as a batch.
pub(super) fn message_memory(message_bytes: usize, records: usize) -> usize {
    message_bytes.saturating_add(records.saturating_mul(size_of::<NewRecord>()))
}

impl PendingMemory {
    pub(super) fn new(memory: StreamMemory) -> Self {
        Self { memory, held: VecDeque::new(), last: None }
    }

    /// Adds the message that has just been received.
    pub(super) fn push(&mut self, bytes: usize) {
        self.held.push_back(None);
        self.last = Some(bytes);
    }

    /// Returns the memory of the oldest message.
    pub(super) fn pop(&mut self) {
        self.held.pop_front();
        if self.held.is_empty() {
            self.last = None;
        }
    }

    /// Returns whether the next message may be awaited.
    pub(super) fn is_ready(&mut self) -> bool {
        let Some(bytes) = self.last else { return true };
        let Ok(held) = self.memory.try_hold(bytes) else { return false };
        if let Some(last) = self.held.back_mut() {
            *last = held;
        }
        self.last = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Arc};

    use axum::http::Extensions;

    use super::*;
    use crate::transport::{BodyPermit, RequestMemory};

    const LIMIT: usize = 100_000;

    fn permit() -> Arc<BodyPermit> {
        let memory = RequestMemory::new(LIMIT, Arc::default());
        Arc::new(memory.of_peer(Ipv4Addr::LOCALHOST.into()).new_permit())
    }

    fn pending(permit: &Arc<BodyPermit>) -> PendingMemory {
        let mut extensions = Extensions::new();
        extensions.insert(Arc::clone(permit));
        PendingMemory::new(StreamMemory::of_request(&extensions))
    }

    #[test]
    fn the_next_message_waits_until_there_is_memory_or_nothing_to_commit() {
        let permit = permit();
        let mut pending = pending(&permit);
        assert!(pending.is_ready(), "before the first message");
        // Half of the limit belongs to one peer.
        pending.push(30_000);
        assert!(pending.is_ready() && pending.is_ready(), "the memory is held once");
        pending.push(30_000);
        assert!(!pending.is_ready());
        pending.pop();
        assert!(pending.is_ready(), "the first message has been committed");
        pending.push(LIMIT);
        assert!(!pending.is_ready());
        pending.pop();
        assert!(!pending.is_ready());
        pending.pop();
        assert!(pending.is_ready(), "nothing is left to commit");
    }

    #[test]
    fn all_memory_is_returned() {
        let permit = permit();
        let mut first = pending(&permit);
        first.push(50_000);
        assert!(first.is_ready());
        let mut second = pending(&permit);
        second.push(1);
        assert!(!second.is_ready());
        drop(first);
        assert!(second.is_ready());
    }
}
