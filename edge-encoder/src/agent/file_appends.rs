//! The appends of the inputs of a file, and their outcomes.

use std::collections::VecDeque;

use lopside_uplink::StoreOutcome;
use tokio::sync::oneshot::{self, error::TryRecvError};

/// The appends of the inputs of a file.
#[derive(Debug, Default)]
pub(super) struct FileAppends {
    /// The index of each input in the file, and its outcome, which has not arrived yet.
    pending: VecDeque<(usize, oneshot::Receiver<StoreOutcome>)>,
    outcomes: FileOutcomes,
}

/// The outcomes of the appends of the inputs of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileOutcomes {
    /// The indices of the inputs that are stored or were dropped.
    pub(super) finished_inputs: Vec<usize>,
    /// Whether an input was dropped, because its frame is too large.
    pub(super) has_dropped_input: bool,
    /// Whether an input was refused, because the spool is full.
    pub(super) is_refused: bool,
    /// Whether the store has ended without an answer.
    pub(super) has_store_ended: bool,
}

impl FileAppends {
    /// Adds the append of an input.
    pub(super) fn push(&mut self, index: usize, outcome: oneshot::Receiver<StoreOutcome>) {
        self.pending.push_back((index, outcome));
    }

    /// Returns whether an input is known to have been refused, without waiting for outcomes.
    pub(super) fn has_refusal(&mut self) -> bool {
        while let Some((index, outcome)) = self.pending.front_mut() {
            let (index, outcome) = (*index, outcome.try_recv());
            if outcome == Err(TryRecvError::Empty) {
                break;
            }
            self.pending.pop_front();
            self.outcomes.note(index, outcome.ok());
        }
        self.outcomes.is_refused
    }

    /// Waits for the other outcomes, and returns all of them.
    pub(super) async fn finish(self) -> FileOutcomes {
        let Self { pending, mut outcomes } = self;
        for (index, outcome) in pending {
            outcomes.note(index, outcome.await.ok());
        }
        outcomes
    }
}

impl FileOutcomes {
    /// Notes the outcome of an input; `None` if the store has ended.
    fn note(&mut self, index: usize, outcome: Option<StoreOutcome>) {
        match outcome {
            Some(StoreOutcome::Stored) => self.finished_inputs.push(index),
            Some(StoreOutcome::TooLarge) => {
                self.finished_inputs.push(index);
                self.has_dropped_input = true;
            }
            Some(StoreOutcome::Refused) => self.is_refused = true,
            None => self.has_store_ended = true,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns appends with these outcomes, of which all have arrived.
    pub(in crate::agent) fn answered(outcomes: &[StoreOutcome]) -> FileAppends {
        let mut appends = FileAppends::default();
        for (index, outcome) in outcomes.iter().enumerate() {
            let (reply, receiver) = oneshot::channel();
            reply.send(*outcome).unwrap();
            appends.push(index, receiver);
        }
        appends
    }

    #[tokio::test]
    async fn outcomes_are_the_same_whether_or_not_they_were_asked_for_before() {
        use StoreOutcome::{Refused, Stored, TooLarge};
        for is_asked in [false, true] {
            let mut appends = answered(&[Stored, TooLarge, Refused, Stored]);
            let (reply, receiver) = oneshot::channel();
            appends.push(4, receiver);
            if is_asked {
                assert!(appends.has_refusal());
            }
            reply.send(Stored).unwrap();
            let expected = FileOutcomes {
                finished_inputs: vec![0, 1, 3, 4],
                has_dropped_input: true,
                is_refused: true,
                has_store_ended: false,
            };
            assert_eq!(appends.finish().await, expected);
        }
    }

    #[tokio::test]
    async fn the_end_of_the_store_is_noticed() {
        for is_asked in [false, true] {
            let mut appends = FileAppends::default();
            let (reply, receiver) = oneshot::channel();
            appends.push(0, receiver);
            assert!(!appends.has_refusal(), "it has not arrived");
            drop(reply);
            if is_asked {
                assert!(!appends.has_refusal());
            }
            assert_eq!(
                appends.finish().await,
                FileOutcomes { has_store_ended: true, ..FileOutcomes::default() }
            );
        }
    }
}
