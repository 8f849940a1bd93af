//! Files that wait because the spool did not have space for them.
//!
//! The space may come from the cloud, which acknowledges frames, or from another program, which frees some of the disk.
//! The agent learns only of the first, so it also tries one file of each source from time to time. If that file is
//! stored, all others are tried.

use std::time::Duration;

use lopside_spool::{Counters, DropReason};
use lopside_uplink::StoreSnapshot;
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{input::EncodeJob, source_state::SourceState};

/// Returns waiting files to the encoder.
#[derive(Debug, Clone)]
pub(super) struct Retries {
    store: watch::Receiver<StoreSnapshot>,
    inputs: mpsc::WeakSender<EncodeJob>,
    /// Number of files that were stored after they had waited.
    stored_files: watch::Sender<u64>,
    /// Time after which a file is tried although nothing shows that there is space.
    interval: Duration,
}

impl Retries {
    pub(super) fn new(
        store: watch::Receiver<StoreSnapshot>,
        inputs: mpsc::WeakSender<EncodeJob>,
        interval: Duration,
    ) -> Self {
        Self { store, inputs, stored_files: watch::Sender::new(0), interval }
    }

    /// Reports that a file was stored that had waited: there may be space for the others.
    pub(super) fn report_stored(&self) {
        self.stored_files.send_modify(|stored_files| *stored_files += 1);
    }

    /// Starts a task that returns a file to the encoder once there may be space for it. `settled_before` is the
    /// [number of settled records](count_settled) before the file was refused.
    pub(super) fn start(&self, job: EncodeJob, settled_before: u64) {
        let retries = self.clone();
        let stored_before = *self.stored_files.borrow();
        tokio::spawn(async move {
            let may_have_space = retries.wait_for_space(&job.source, settled_before, stored_before).await;
            if may_have_space && let Some(inputs) = retries.inputs.upgrade() {
                let _ = inputs.send(job).await;
            }
        });
    }

    /// Waits until the number of settled records or of stored files is another one than before, or until it is the
    /// turn of this file. The spool may be empty by now, so waiting for yet another record could take for ever.
    /// Returns false if the store has ended.
    async fn wait_for_space(&self, source: &SourceState, settled_before: u64, stored_before: u64) -> bool {
        let (mut store, mut stored_files) = (self.store.clone(), self.stored_files.subscribe());
        let delivery = async { store.wait_for(|state| count_settled(state) != settled_before).await.is_ok() };
        let other_file = async { stored_files.wait_for(|stored| *stored != stored_before).await.is_ok() };
        tokio::select! {
            is_open = delivery => is_open,
            is_open = other_file => is_open,
            () = self.wait_for_turn(source) => true,
        }
    }

    /// Waits until the files of a source that were refused before have been tried, and then for the interval.
    async fn wait_for_turn(&self, source: &SourceState) {
        let _turn = source.retry_turn.lock().await;
        sleep(self.interval).await;
    }
}

/// Returns the number of records that have made room for others: they were delivered, found damaged on the disk, or older
/// than the limit of their class. Evicted ones have made room only for the record that they were evicted for.
pub(super) fn count_settled(state: &StoreSnapshot) -> u64 {
    let settled = |counters: &Counters| {
        let [damaged, expired] =
            [DropReason::Damaged, DropReason::Expired].map(|reason| counters.dropped(reason));
        counters.delivered + damaged + expired
    };
    state.classes.iter().map(|(counters, _)| settled(counters)).sum()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::UNIX_EPOCH};

    use lopside_capture::CapturedWindow;
    use tokio::time::Instant;

    use super::*;
    use crate::agent::{input::JobInput, rate_control::tests::state, source_state::tests::source};

    const INTERVAL: Duration = Duration::from_secs(5);
    const LONG: Duration = Duration::from_hours(1000);

    fn job(source: &Arc<SourceState>) -> EncodeJob {
        let source = Arc::clone(source);
        let window = CapturedWindow { values: Vec::new(), measured_at: None };
        EncodeJob { input: JobInput::Window(window), captured_at: UNIX_EPOCH, source }
    }

    #[tokio::test]
    async fn a_delivery_before_the_wait_is_not_missed() {
        let (mut state, _) = state(0, 0.0);
        state.classes[0].0.delivered = 5;
        let (published, store) = watch::channel(state);
        let (inputs, mut queue) = mpsc::channel(1);
        let retries = Retries::new(store, inputs.downgrade(), LONG);
        // Of the five deliveries, one came after the refused append and before this wait.
        retries.start(job(&source()), 4);
        assert!(queue.recv().await.is_some());

        retries.start(job(&source()), 5);
        published.send_modify(|state| state.classes[2].0.delivered = 1);
        assert!(queue.recv().await.is_some());
    }

    #[tokio::test]
    async fn room_that_expired_records_have_made_is_used_and_that_of_evicted_ones_is_not() {
        for (reason, wakes) in DropReason::ALL.into_iter().zip([false, false, true, true]) {
            let (mut state, _) = state(0, 0.0);
            let settled_before = count_settled(&state);
            let index = DropReason::ALL.iter().position(|&known| known == reason).unwrap();
            state.classes[1].0.dropped[index] = 1;
            assert_eq!(count_settled(&state) != settled_before, wakes, "{reason:?}");
            if wakes {
                let (_published, store) = watch::channel(state);
                let (inputs, mut queue) = mpsc::channel(1);
                Retries::new(store, inputs.downgrade(), LONG).start(job(&source()), settled_before);
                assert!(queue.recv().await.is_some(), "{reason:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_files_of_a_source_are_tried_in_turn_although_nothing_is_delivered() {
        let (_published, store) = watch::channel(state(0, 0.0).0);
        let (inputs, mut queue) = mpsc::channel(3);
        let retries = Retries::new(store, inputs.downgrade(), INTERVAL);
        let start = Instant::now();
        let (first, second) = (source(), source());
        for source in [&first, &first, &second] {
            retries.start(job(source), 0);
        }
        let mut is_of_first = Vec::new();
        for turn in [1, 1, 2] {
            let job = queue.recv().await.unwrap();
            assert_eq!(start.elapsed().as_secs(), turn * INTERVAL.as_secs());
            is_of_first.push(Arc::ptr_eq(&job.source, &first));
        }
        assert_eq!(is_of_first.iter().filter(|is_of_first| **is_of_first).count(), 2);
        assert!(is_of_first[2], "the second file of the first source waits for the first one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_stored_after_it_has_waited_wakes_the_others() {
        let (_published, store) = watch::channel(state(0, 0.0).0);
        let (inputs, mut queue) = mpsc::channel(3);
        let retries = Retries::new(store, inputs.downgrade(), INTERVAL);
        let (start, source) = (Instant::now(), source());
        for _ in 0..3 {
            retries.start(job(&source), 0);
        }
        assert!(queue.recv().await.is_some());
        // The task of another file may not have run yet.
        retries.report_stored();
        for _ in 0..2 {
            assert!(queue.recv().await.is_some());
        }
        assert_eq!(start.elapsed().as_secs(), INTERVAL.as_secs());
    }

    #[tokio::test]
    async fn a_file_does_not_keep_the_encoder_from_ending() {
        let (_published, store) = watch::channel(state(0, 0.0).0);
        let (inputs, mut queue) = mpsc::channel(1);
        let retries = Retries::new(store, inputs.downgrade(), LONG);
        retries.start(job(&source()), 0);
        drop(inputs);
        assert!(queue.recv().await.is_none());
    }
}
