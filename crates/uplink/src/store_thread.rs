//! The thread that owns the spool.
//!
//! Commands arrive over a bounded channel. Appended records wait a short time for others and are committed
//! together; the caller is answered after the commit, also if the record was dropped, because the disk then
//! has the count. If the disk fails, the spool is opened again, and each waiting record is looked up: those
//! that the disk has are left as they are, and the rest are appended again.

use std::time::Duration;

use lopside_delivery::{Class, MAX_FRAME_BYTES};
use lopside_spool::{DeviceName, NameChange, Options, Record, Spool, SpoolError, State, Storage};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    StoreOutcome, StoreSettings, StoreSnapshot, UplinkError,
    append::{Append, PendingAppend},
    cloud_report::{CloudReport, Resolution},
};

/// Maximum number of bytes that wait to be committed together.
const MAX_GATHERED_BYTES: usize = 256 << 10;
/// The largest record in bytes: the largest frame that the cloud accepts, and its metadata.
const MAX_RECORD_BYTES: usize = MAX_FRAME_BYTES + 1024;
/// Maximum age of an acknowledgement that is not on the disk.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before a failed disk is tried again.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// The answer to a report of the cloud: the settled numbers per class from then on, or the reason why it was not
/// applied.
pub(crate) type ReportReply = Result<[u64; Class::ALL.len()], UplinkError>;

/// A request to the thread.
pub(crate) enum Command {
    Append(Append, oneshot::Sender<StoreOutcome>),
    Read(Class, oneshot::Sender<Vec<Record>>),
    Acknowledge(Class, u64),
    Checkpoint(oneshot::Sender<()>),
    /// The name of the spool that the report is about, and the report.
    Resolve(u32, CloudReport, oneshot::Sender<ReportReply>),
    Rewind,
    Flush(oneshot::Sender<()>),
}

/// Opens the spool with a new epoch, and passes the records that were committed last to `visit`. `last_state`
/// is the state in memory of a spool that has failed.
pub(crate) fn open_spool<S: Storage>(
    storage: &impl Fn() -> Result<S, SpoolError>,
    settings: StoreSettings,
    last_state: Option<&State>,
    visit: &mut dyn FnMut(&[u8]),
) -> Result<Spool<S>, SpoolError> {
    let options = Options {
        keep_delivered_bytes: settings.keep_delivered_bytes,
        max_record_bytes: MAX_RECORD_BYTES,
        machine: settings.machine,
        device: settings.device,
        last_state: last_state.copied(),
        ..Options::new(settings.budget_bytes, rand::random())
    };
    let spool = Spool::open_with_newest(storage()?, options, visit)?;
    if let Some(change) = spool.name_change() {
        warn_about_name(change, spool.name(), settings.device);
    }
    Ok(spool)
}

/// Logs why the spool has taken a new name when it was opened.
fn warn_about_name(change: NameChange, name: u32, device: Option<DeviceName>) {
    let NameChange { previous_name, is_other_machine, other_device } = change;
    if is_other_machine {
        tracing::warn!(
            previous_name,
            name,
            "the spool was last used on another machine; its frames are sent under a new name"
        );
    }
    if let (Some(previous_device), Some(device)) = (other_device, device) {
        tracing::warn!(
            %previous_device,
            %device,
            previous_name,
            name,
            "the device has another name than when the spool was last used; the frames that wait are sent under the new \
             name, and those that were delivered stay in the archive under the previous one"
        );
    }
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
    /// Whether the disk had failed when the last handle was dropped.
    has_given_up: bool,
    published: watch::Sender<StoreSnapshot>,
}

impl<S: Storage, O: Fn(&State) -> Result<Spool<S>, SpoolError>> StoreThread<S, O> {
    /// Creates the thread's state for a spool that was just opened.
    pub(crate) fn new(
        spool: Spool<S>,
        open: O,
        commit_delay: Duration,
        queue: mpsc::Receiver<Command>,
        published: watch::Sender<StoreSnapshot>,
    ) -> Self {
        Self {
            spool,
            open,
            commit_delay,
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

    fn read(&mut self, class: Class) -> Result<Vec<Record>, SpoolError> {
        let records = self.spool.read(class)?;
        if let Some(last) = records.last() {
            self.spool.mark_sending(class, last.number)?;
        }
        Ok(records)
    }

    async fn append(&mut self, append: Append, reply: oneshot::Sender<StoreOutcome>) {
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
