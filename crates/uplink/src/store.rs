//! The thread that owns the spool.
//!
//! Commands arrive over a bounded channel. Appended records wait a short time for others and are committed
//! together; the caller is answered after the commit, also if the record was refused, because the disk then
//! has the count. If the disk fails, the spool is opened again, and each waiting record is looked up: those
//! that the disk has are left as they are, and the rest are appended again.

use std::{
    ops::RangeInclusive,
    thread::{self, JoinHandle},
    time::Duration,
};

use lopside_delivery::{Class, MAX_FRAME_BYTES};
use lopside_spool::{Counters, MachineId, Options, Record, Spool, SpoolError, State, Storage};
use tokio::{
    runtime,
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    StoreOutcome, StoredItems, UplinkError,
    append::{AppendFate, PendingAppend},
};

/// Capacity of the command queue.
const COMMAND_QUEUE: usize = 256;
/// Maximum number of bytes that wait to be committed together.
const MAX_GATHERED_BYTES: usize = 256 << 10;
/// The largest record in bytes: the largest frame that the cloud accepts, and its metadata.
const MAX_RECORD_BYTES: usize = MAX_FRAME_BYTES + 1024;
/// Maximum age of an acknowledgement that is not on the disk.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before a failed disk is tried again.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// Settings of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// Total size of the spool's files, in bytes.
    pub budget_bytes: u64,
    /// Time that a record waits for others to be committed with.
    pub commit_delay: Duration,
    /// The machine of this process; `None` if it is unknown. A spool of another machine takes a new name.
    pub machine: Option<MachineId>,
}

/// The state of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSnapshot {
    /// Counters and number of pending records per class, in the order of [`Class::ALL`].
    pub classes: [(Counters, u64); Class::ALL.len()],
    /// The number per class, in the order of [`Class::ALL`], up to which all records are settled on the disk.
    pub settled: [u64; Class::ALL.len()],
    /// The name of the spool; a different one if another spool was put into its folder.
    pub spool_name: u32,
    /// Number of log ends that were torn by crashes.
    pub torn_logs: u64,
    /// Size of all files, in bytes.
    pub size_bytes: u64,
    /// Bytes of damaged data that are kept for inspection, included in `bytes`.
    pub damaged_bytes: u64,
    /// The reason why the disk currently accepts no writes; `None` if it does.
    pub failure: Option<String>,
}

/// Ranges of record numbers per class, in the order of [`Class::ALL`].
pub(crate) type ReceivedRanges = [Vec<RangeInclusive<u64>>; Class::ALL.len()];

enum Command {
    Append(Class, Vec<u8>, oneshot::Sender<StoreOutcome>),
    Read(Class, oneshot::Sender<Vec<Record>>),
    Acknowledge(Class, u64),
    Resolve(ReceivedRanges, oneshot::Sender<()>),
    Rewind,
    Flush(oneshot::Sender<()>),
}

/// A handle of the thread, which ends after a last commit once the last handle is dropped. If the disk fails
/// at that time, the thread tries once to reopen the spool and then ends in any case.
#[derive(Debug, Clone)]
pub struct Store {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<StoreSnapshot>,
}

impl Store {
    /// Opens the spool and starts the thread; `open` is called again after a disk failure and then begins a
    /// new epoch.
    ///
    /// Also returns the inputs of files that were stored last.
    ///
    /// # Errors
    /// The errors of [`Spool::open`], and [`UplinkError::StoreStopped`] if the thread cannot be started.
    pub fn start<S: Storage + Send + 'static>(
        storage: impl Fn() -> Result<S, SpoolError> + Send + 'static,
        settings: StoreSettings,
    ) -> Result<(Self, StoredItems, JoinHandle<()>), UplinkError>
    where
        S::File: Send,
    {
        let mut items = StoredItems::default();
        let spool = open_spool(&storage, settings, None, &mut |record| items.add(record))?;
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let (published, state) = watch::channel(snapshot(&spool));
        let commit_delay = settings.commit_delay;
        let pending = Vec::new();
        let store_thread = StoreThread {
            spool,
            open: move |last_state: &State| open_spool(&storage, settings, Some(last_state), &mut |_| {}),
            commit_delay,
            queue,
            pending,
            is_resolved: false,
            unsaved_since: None,
            has_given_up: false,
            published,
        };
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|_| UplinkError::StoreStopped)?;
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || runtime.block_on(store_thread.run()))
            .map_err(|_| UplinkError::StoreStopped)?;
        Ok((Self { commands, state }, items, thread))
    }

    /// Appends a record, waiting only for space in the queue. The answer arrives when the record is on the
    /// disk.
    ///
    /// # Errors
    /// [`UplinkError::StoreStopped`].
    pub async fn append(
        &self,
        class: Class,
        record: Vec<u8>,
    ) -> Result<oneshot::Receiver<StoreOutcome>, UplinkError> {
        let (reply, outcome) = oneshot::channel();
        self.send_command(Command::Append(class, record, reply)).await?;
        Ok(outcome)
    }

    /// Like [`append`](Self::append), for threads outside a runtime.
    ///
    /// # Errors
    /// [`UplinkError::StoreStopped`].
    pub fn blocking_append(
        &self,
        class: Class,
        record: Vec<u8>,
    ) -> Result<oneshot::Receiver<StoreOutcome>, UplinkError> {
        let (reply, outcome) = oneshot::channel();
        let command = Command::Append(class, record, reply);
        self.commands.blocking_send(command).map_err(|_| UplinkError::StoreStopped)?;
        Ok(outcome)
    }

    /// Commits all records that were appended before.
    ///
    /// # Errors
    /// [`UplinkError::StoreStopped`].
    pub async fn flush(&self) -> Result<(), UplinkError> {
        self.request_reply(Command::Flush).await
    }

    /// Returns the current state, and notifies of each change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<StoreSnapshot> {
        self.state.clone()
    }

    /// Reads the next records of a class, which the caller sends at once.
    pub(crate) async fn read(&self, class: Class) -> Result<Vec<Record>, UplinkError> {
        self.request_reply(|reply| Command::Read(class, reply)).await
    }

    pub(crate) async fn acknowledge(&self, class: Class, number: u64) -> Result<(), UplinkError> {
        self.send_command(Command::Acknowledge(class, number)).await
    }

    /// Tells the spool at the start of a connection which records the cloud has.
    pub(crate) async fn resolve(&self, received: ReceivedRanges) -> Result<(), UplinkError> {
        self.request_reply(|reply| Command::Resolve(received, reply)).await
    }

    /// Rewinds the spool after a connection has ended: records that were read are read again, and may be
    /// evicted until then.
    pub(crate) async fn rewind(&self) -> Result<(), UplinkError> {
        self.send_command(Command::Rewind).await
    }

    async fn send_command(&self, command: Command) -> Result<(), UplinkError> {
        self.commands.send(command).await.map_err(|_| UplinkError::StoreStopped)
    }

    async fn request_reply<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, UplinkError> {
        let (reply, response) = oneshot::channel();
        self.send_command(command(reply)).await?;
        response.await.map_err(|_| UplinkError::SpoolReopened)
    }
}

/// Opens the spool with a new epoch, and passes the records that were committed last to `visit`. `last_state`
/// is the state in memory of a spool that has failed.
fn open_spool<S: Storage>(
    storage: &impl Fn() -> Result<S, SpoolError>,
    settings: StoreSettings,
    last_state: Option<&State>,
    visit: &mut dyn FnMut(&[u8]),
) -> Result<Spool<S>, SpoolError> {
    let options = Options {
        max_record_bytes: MAX_RECORD_BYTES,
        machine: settings.machine,
        last_state: last_state.copied(),
        ..Options::new(settings.budget_bytes, rand::random())
    };
    let spool = Spool::open_with_newest(storage()?, options, visit)?;
    if let Some(previous_name) = spool.renamed_from() {
        tracing::warn!(
            previous_name,
            name = spool.name(),
            "the spool was last used on another machine; its frames are sent under a new name"
        );
    }
    Ok(spool)
}

/// The state of the thread.
struct StoreThread<S: Storage, O> {
    spool: Spool<S>,
    open: O,
    commit_delay: Duration,
    queue: mpsc::Receiver<Command>,
    pending: Vec<PendingAppend>,
    /// Whether the cloud has reported which records it has, since the spool was opened.
    is_resolved: bool,
    /// Time since which some acknowledgement is not on the disk; `None` if all are.
    unsaved_since: Option<Instant>,
    /// Whether the disk had failed when the last handle was dropped.
    has_given_up: bool,
    published: watch::Sender<StoreSnapshot>,
}

impl<S: Storage, O: Fn(&State) -> Result<Spool<S>, SpoolError>> StoreThread<S, O> {
    async fn run(mut self) {
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

    /// Receives the next command. Acknowledgements are written to the disk once they are old enough.
    async fn next_command(&mut self) -> Option<Command> {
        match self.unsaved_since {
            Some(since) if since.elapsed() >= CHECKPOINT_INTERVAL => self.checkpoint().await,
            Some(since) => match timeout_at(since + CHECKPOINT_INTERVAL, self.queue.recv()).await {
                Ok(command) => return command,
                Err(_) => self.checkpoint().await,
            },
            None => {}
        }
        self.queue.recv().await
    }

    /// Publishes the state if it has changed: a read alone must not wake the subscribers.
    fn publish_state(&self) {
        let current = snapshot(&self.spool);
        self.published.send_if_modified(|published| {
            let is_new = *published != current;
            *published = current;
            is_new
        });
    }

    fn gathered_bytes(&self) -> usize {
        self.pending.iter().map(|pending| pending.record.len()).sum()
    }

    /// Executes a command. For a flush, returns the channel to answer after the commit.
    async fn handle_command(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        let result = match command {
            Command::Append(class, record, reply) => {
                self.append(class, record, reply).await;
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
            Command::Resolve(received, reply) => {
                let mut received = Class::ALL.into_iter().zip(&received);
                let result =
                    received.try_for_each(|(class, ranges)| self.spool.resolve_received(class, ranges));
                result.map(|()| {
                    self.is_resolved = true;
                    let _ = reply.send(());
                })
            }
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

    fn read(&mut self, class: Class) -> Result<Vec<Record>, SpoolError> {
        let records = self.spool.read(class)?;
        if let Some(last) = records.last() {
            self.spool.mark_sending(class, last.number)?;
        }
        Ok(records)
    }

    async fn append(&mut self, class: Class, record: Vec<u8>, reply: oneshot::Sender<StoreOutcome>) {
        let fate = AppendFate::append_record(&mut self.spool, class, &record);
        let (fate, failure) = fate.map_or_else(|error| (None, Some(error)), |fate| (Some(fate), None));
        self.pending.push(PendingAppend { class, fate, record, reply });
        if let Some(error) = failure {
            self.recover(&error).await;
        }
    }

    /// Commits all waiting records, publishes the state and then answers the callers. They are not answered
    /// if the disk has failed for good.
    async fn commit(&mut self) {
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
        // All waiting records are looked up first, because records appended now reuse the numbers of others.
        for PendingAppend { class, fate, .. } in &mut self.pending {
            fate.take_if(|fate| !fate.is_on_disk(&spool, *class));
        }
        for PendingAppend { class, fate, record, .. } in &mut self.pending {
            if fate.is_none() {
                *fate = Some(AppendFate::append_record(&mut spool, *class, record)?);
            }
        }
        (self.spool, self.is_resolved) = (spool, false);
        Ok(())
    }
}

fn snapshot<S: Storage>(spool: &Spool<S>) -> StoreSnapshot {
    StoreSnapshot {
        classes: Class::ALL.map(|class| (spool.class_counters(class), spool.pending_records(class))),
        settled: Class::ALL.map(|class| spool.settled_on_disk(class)),
        spool_name: spool.name(),
        torn_logs: spool.torn_ends(),
        size_bytes: spool.bytes(),
        damaged_bytes: spool.damage_bytes(),
        failure: None,
    }
}
