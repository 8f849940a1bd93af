//! The thread that owns the spool.
//!
//! Commands arrive over a bounded channel. Appended records wait a short time for others and are committed
//! together; the caller is answered after the commit, also if the record was dropped, because the disk then
//! has the count. If the disk fails, the spool is opened again, and each waiting record is looked up: those
//! that the disk has are left as they are, and the rest are appended again. If a class has an age limit, old
//! records are dropped from time to time.

use std::time::Duration;

use lopside_delivery::Class;
use lopside_spool::{Record, Spool, SpoolError, State, Storage};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    StoreOutcome, StoreSettings, StoreSnapshot, UplinkError,
    append::{Append, PendingAppend},
    clock,
    cloud_report::{CloudReport, Resolution},
};

/// Maximum number of bytes that wait to be committed together.
const MAX_GATHERED_BYTES: usize = 256 << 10;
/// Maximum age of an acknowledgement that is not on the disk.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before a failed disk is tried again.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// Limits of the time between two searches for records that are too old. It is otherwise a part of the age limit.
const EXPIRY_INTERVALS: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];
/// The part of the age limit.
const EXPIRIES_PER_LIMIT: u32 = 32;

/// The records that were read, or the reason why nothing can be sent.
pub(crate) type ReadReply = Result<Vec<Record>, UplinkError>;
/// The answer to a report of the cloud: the settled numbers per class from then on, or the reason why it was not
/// applied.
pub(crate) type ReportReply = Result<[u64; Class::ALL.len()], UplinkError>;

/// A request to the thread.
pub(crate) enum Command {
    Append(Append, oneshot::Sender<StoreOutcome>),
    Read(Class, oneshot::Sender<ReadReply>),
    Acknowledge(Class, u64),
    Checkpoint(oneshot::Sender<()>),
    /// The name of the spool that the report is about, and the report.
    Resolve(u32, CloudReport, oneshot::Sender<ReportReply>),
    Rewind,
    Flush(oneshot::Sender<()>),
}

/// The state of the thread.
pub(crate) struct StoreThread<S: Storage, O> {
    spool: Spool<S>,
    open: O,
    commit_delay: Duration,
    queue: mpsc::Receiver<Command>,
    pending: Vec<PendingAppend>,
    /// Whether the cloud has reported which records it has, since the spool was opened.
    is_resolved: bool,
    /// Whether the spool took a new name because of a report, since the start.
    is_renamed: bool,
    /// Time since which some acknowledgement is not on the disk; `None` if all are.
    unsaved_since: Option<Instant>,
    /// Time between two searches for records that are too old; `None` without an age limit.
    expiry_interval: Option<Duration>,
    /// Time of the next search.
    next_expiry: Instant,
    /// Whether the disk had failed when the last handle was dropped.
    has_given_up: bool,
    published: watch::Sender<StoreSnapshot>,
}

impl<S: Storage, O: Fn(&State) -> Result<Spool<S>, SpoolError>> StoreThread<S, O> {
    /// Creates the thread's state for a spool that was just opened.
    pub(crate) fn new(
        spool: Spool<S>,
        open: O,
        settings: StoreSettings,
        queue: mpsc::Receiver<Command>,
        published: watch::Sender<StoreSnapshot>,
    ) -> Self {
        let [shortest, longest] = EXPIRY_INTERVALS;
        let expiry_interval = settings.shortest_max_age().map(|age| age / EXPIRIES_PER_LIMIT);
        Self {
            spool,
            open,
            commit_delay: settings.commit_delay,
            expiry_interval: expiry_interval.map(|interval| interval.clamp(shortest, longest)),
            next_expiry: Instant::now(),
            queue,
            pending: Vec::new(),
            is_resolved: false,
            is_renamed: false,
            unsaved_since: None,
            has_given_up: false,
            published,
        }
    }

    /// Executes commands until the last handle is dropped.
    pub(crate) async fn run(mut self) {
        while let Some(command) = self.next_command().await {
            let mut flush_reply = self.handle_command(command).await;
            let deadline = Instant::now() + self.commit_delay;
            while !self.pending.is_empty()
                && flush_reply.is_none()
                && self.gathered_bytes() < MAX_GATHERED_BYTES
            {
                match timeout_at(deadline, self.queue.recv()).await {
                    Ok(Some(command)) => flush_reply = self.handle_command(command).await,
                    Ok(None) | Err(_) => break,
                }
            }
            self.commit().await;
            if let Some(flush_reply) = flush_reply.filter(|_| !self.has_given_up) {
                let _ = flush_reply.send(());
            }
        }
        self.commit().await;
        self.checkpoint().await;
    }

    /// Receives the next command. Meanwhile acknowledgements are written to the disk once they are old enough, and
    /// records that are too old are dropped.
    async fn next_command(&mut self) -> Option<Command> {
        loop {
            let checkpoint_at = self.unsaved_since.map(|since| since + CHECKPOINT_INTERVAL);
            let expiry_at = self.expiry_interval.map(|_| self.next_expiry);
            let Some(deadline) = checkpoint_at.into_iter().chain(expiry_at).min() else {
                return self.queue.recv().await;
            };
            if deadline > Instant::now()
                && let Ok(command) = timeout_at(deadline, self.queue.recv()).await
            {
                return command;
            }
            if checkpoint_at == Some(deadline) {
                self.checkpoint().await;
            } else {
                self.expire().await;
            }
            if self.has_given_up {
                return self.queue.recv().await;
            }
        }
    }

    /// Drops the records that are older than the limit of their class.
    async fn expire(&mut self) {
        self.next_expiry = Instant::now() + self.expiry_interval.unwrap_or_default();
        self.spool.set_time(clock::trusted_unix_s());
        match self.spool.expire() {
            Ok(0) => {}
            Ok(expired) => {
                tracing::warn!(expired, "frames dropped: they were older than the limit of their class");
            }
            Err(error) => {
                self.recover(&error).await;
            }
        }
        if !self.has_given_up {
            self.publish_state();
        }
    }

    /// Publishes the state if it has changed: a read alone must not wake the subscribers.
    fn publish_state(&self) {
        let current = StoreSnapshot::of_spool(&self.spool);
        self.published.send_if_modified(|published| {
            let is_new = *published != current;
            *published = current;
            is_new
        });
    }

    fn gathered_bytes(&self) -> usize {
        self.pending.iter().map(|pending| pending.append.record.len()).sum()
    }

    /// Executes a command. For a flush, returns the channel to answer after the commit.
    async fn handle_command(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        let result = match command {
            Command::Append(append, reply) => {
                self.append(append, reply).await;
                Ok(())
            }
            // A connection from before the spool was reopened ends: only a new one reports which records the
            // cloud has, and some of them may be missing on the disk.
            Command::Read(..) if !self.is_resolved => Ok(()),
            Command::Read(class, reply) => self.read(class).map(|records| {
                // After the connection has ended the receiver is gone; the next connection reads again.
                let _ = reply.send(records);
            }),
            Command::Acknowledge(class, number) => self.spool.acknowledge(class, number),
            Command::Checkpoint(reply) => self.spool.checkpoint().map(|()| {
                self.unsaved_since = None;
                self.publish_state();
                let _ = reply.send(());
            }),
            // The report is about another spool. The caller's channel closes without an answer.
            Command::Resolve(spool_name, ..) if spool_name != self.spool.name() => Ok(()),
            Command::Resolve(_, report, reply) => self.resolve(&report).map(|answer| {
                // The next hello reads the published state.
                self.publish_state();
                let _ = reply.send(answer);
            }),
            Command::Rewind => {
                for class in Class::ALL {
                    self.spool.rewind(class);
                }
                Ok(())
            }
            Command::Flush(reply) => return Some(reply),
        };
        match result {
            // The caller's channel closes without an answer, and the call is made again on a new connection.
            Ok(()) | Err(SpoolError::InDoubt { .. }) => {}
            Err(error) => {
                self.recover(&error).await;
            }
        }
        None
    }

    /// Applies a report of the cloud. Only the disk's errors are returned as such.
    fn resolve(&mut self, report: &CloudReport) -> Result<ReportReply, SpoolError> {
        // A spool that has just taken a new name cannot have been set back once more.
        let acknowledged = Class::ALL.map(|class| self.spool.acknowledged_on_disk(class));
        if self.is_renamed && report.has_implausible_loss(acknowledged) {
            return Ok(Err(UplinkError::UnexpectedAnswer("a loss of frames that it has never acknowledged")));
        }
        self.is_resolved = false;
        match report.apply(&mut self.spool)? {
            Resolution::Resolved => {
                self.is_resolved = true;
                Ok(Ok(Class::ALL.map(|class| self.spool.settled_on_disk(class))))
            }
            Resolution::Renamed { previous_name, name } => {
                self.is_renamed = true;
                Ok(Err(UplinkError::SpoolSetBack { previous_name, name }))
            }
        }
    }

    /// Reads records that are about to be sent. Only the disk's errors are returned as such.
    fn read(&mut self, class: Class) -> Result<ReadReply, SpoolError> {
        let records = self.spool.read(class)?;
        let Some(last) = records.last() else { return Ok(Ok(records)) };
        match self.spool.mark_sending(class, last.number) {
            Ok(()) => Ok(Ok(records)),
            Err(SpoolError::InDoubt { class }) => Ok(Err(UplinkError::EvictedInFlight { class })),
            Err(error) => Err(error),
        }
    }

    async fn append(&mut self, append: Append, reply: oneshot::Sender<StoreOutcome>) {
        self.spool.set_time(clock::trusted_unix_s());
        let fate = append.apply(&mut self.spool);
        let (fate, failure) = fate.map_or_else(|error| (None, Some(error)), |fate| (Some(fate), None));
        self.pending.push(PendingAppend { append, fate, reply });
        if let Some(error) = failure {
            self.recover(&error).await;
        }
    }

    /// Commits all waiting records, publishes the state and then answers the callers. They are not answered
    /// if the disk has failed for good.
    async fn commit(&mut self) {
        self.spool.set_time(clock::trusted_unix_s());
        while let Err(error) = self.spool.commit() {
            if !self.recover(&error).await {
                break;
            }
        }
        self.unsaved_since = if self.spool.has_unsaved_acknowledgements() {
            self.unsaved_since.or_else(|| Some(Instant::now()))
        } else {
            None
        };
        if !self.has_given_up {
            self.publish_state();
        }
        for pending in self.pending.drain(..) {
            if let Some(fate) = pending.fate.filter(|_| !self.has_given_up) {
                let _ = pending.reply.send(fate.outcome());
            }
        }
    }

    async fn checkpoint(&mut self) {
        while let Err(error) = self.spool.checkpoint() {
            if !self.recover(&error).await {
                return;
            }
        }
        self.unsaved_since = None;
        self.publish_state();
    }

    /// Reopens the spool, as often as it takes, and appends waiting records again that are not on the disk.
    /// Returns false if all handles were dropped meanwhile, because then no caller waits for the disk any
    /// longer.
    async fn recover(&mut self, error: &SpoolError) -> bool {
        tracing::error!(%error, "the spool has failed; reopening it");
        let mut failure = error.to_string();
        // The folder can be locked only once. Its files may be gone, but not the state in memory.
        let last_state = self.spool.close();
        loop {
            self.published.send_modify(|state| state.failure = Some(failure.clone()));
            match (self.open)(&last_state).and_then(|spool| self.replace_spool(spool)) {
                Ok(()) => return true,
                Err(error) => failure = error.to_string(),
            }
            tracing::error!(failure, "cannot reopen the spool");
            if self.queue.is_closed() {
                self.has_given_up = true;
                return false;
            }
            sleep(REOPEN_PAUSE).await;
        }
    }

    fn replace_spool(&mut self, mut spool: Spool<S>) -> Result<(), SpoolError> {
        spool.set_time(clock::trusted_unix_s());
        // All waiting records are looked up first, because records appended now reuse the numbers of others.
        for PendingAppend { append, fate, .. } in &mut self.pending {
            fate.take_if(|fate| !fate.is_on_disk(&spool, append.class));
        }
        for PendingAppend { append, fate, .. } in &mut self.pending {
            if fate.is_none() {
                *fate = Some(append.apply(&mut spool)?);
            }
        }
        (self.spool, self.is_resolved) = (spool, false);
        Ok(())
    }
}
