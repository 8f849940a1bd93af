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

use lopside_spool::{Appended, Class, Counters, Options, Reason, Record, Spool, SpoolError, Storage};
use tokio::{
    runtime,
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout_at},
};

use crate::{StoredItems, UplinkError};

/// Capacity of the command queue.
const COMMANDS: usize = 256;
/// Maximum number of bytes that wait to be committed together.
const GATHERED: usize = 256 << 10;
/// The largest record in bytes: the largest frame that the cloud accepts, and its metadata.
const LARGEST: usize = lopside_proto::MAX_FRAME + 1024;
/// Maximum age of an acknowledgement that is not on the disk.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// Pause before a failed disk is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Limits of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// Total size of the spool's files, in bytes.
    pub budget: u64,
    /// Time that a record waits for others to be committed with.
    pub commit_delay: Duration,
}

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The record is on the disk.
    Stored,
    /// The record was refused, because the spool is full or the record too large; the refusal is counted on
    /// the disk.
    Refused,
}

/// The state of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Counters and number of pending records per class, in the order of [`Class::ALL`].
    pub classes: [(Counters, u64); Class::ALL.len()],
    /// The number per class, in the order of [`Class::ALL`], up to which all records are settled on the disk.
    pub settled: [u64; Class::ALL.len()],
    /// The name of the spool; a different one after its folder was emptied.
    pub spool: u32,
    /// Number of log ends that were torn by crashes.
    pub torn: u64,
    /// Size of all files, in bytes.
    pub bytes: u64,
    /// Bytes of damaged data that are kept for inspection, included in `bytes`.
    pub aside: u64,
    /// The reason why the disk currently accepts no writes; `None` if it does.
    pub failure: Option<String>,
}

/// Ranges of record numbers per class, in the order of [`Class::ALL`].
pub(crate) type Received = [Vec<RangeInclusive<u64>>; Class::ALL.len()];

enum Command {
    Append(Class, Vec<u8>, oneshot::Sender<Outcome>),
    Read(Class, oneshot::Sender<Vec<Record>>),
    Acknowledge(Class, u64),
    Resolve(Received, oneshot::Sender<()>),
    Rewind,
    Flush(oneshot::Sender<()>),
}

/// A handle of the thread, which ends after a last commit once the last handle is dropped. If the disk fails
/// at that time, the thread tries once to reopen the spool and then ends in any case.
#[derive(Debug, Clone)]
pub struct Store {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<Snapshot>,
}

impl Store {
    /// Opens the spool and starts the thread; `open` is called again after a disk failure and then begins a
    /// new epoch.
    ///
    /// Also returns the inputs of files that were stored last.
    ///
    /// # Errors
    /// The errors of [`Spool::open`], and [`UplinkError::Stopped`] if the thread cannot be started.
    pub fn start<S: Storage + Send + 'static>(
        storage: impl Fn() -> Result<S, SpoolError> + Send + 'static,
        settings: StoreSettings,
    ) -> Result<(Self, StoredItems, JoinHandle<()>), UplinkError>
    where
        S::File: Send,
    {
        let open = move |show: &mut dyn FnMut(&[u8])| {
            let options = Options::new(settings.budget, rand::random());
            Spool::open_showing(storage()?, Options { largest: LARGEST, ..options }, show)
        };
        let mut items = StoredItems::default();
        let spool = open(&mut |record| items.add(record))?;
        let open = move || open(&mut |_| {});
        let (commands, queue) = mpsc::channel(COMMANDS);
        let (told, state) = watch::channel(snapshot(&spool));
        let delay = settings.commit_delay;
        let waiting = Vec::new();
        let keeper = Keeper { spool, open, delay, queue, waiting, ahead: None, given_up: false, told };
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|_| UplinkError::Stopped)?;
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || runtime.block_on(keeper.run()))
            .map_err(|_| UplinkError::Stopped)?;
        Ok((Self { commands, state }, items, thread))
    }

    /// Appends a record, waiting only for space in the queue. The answer arrives when the record is on the
    /// disk.
    ///
    /// # Errors
    /// [`UplinkError::Stopped`].
    pub async fn append(
        &self,
        class: Class,
        record: Vec<u8>,
    ) -> Result<oneshot::Receiver<Outcome>, UplinkError> {
        let (answer, outcome) = oneshot::channel();
        self.send(Command::Append(class, record, answer)).await?;
        Ok(outcome)
    }

    /// Like [`append`](Self::append), for threads outside a runtime.
    ///
    /// # Errors
    /// [`UplinkError::Stopped`].
    pub fn blocking_append(
        &self,
        class: Class,
        record: Vec<u8>,
    ) -> Result<oneshot::Receiver<Outcome>, UplinkError> {
        let (answer, outcome) = oneshot::channel();
        let command = Command::Append(class, record, answer);
        self.commands.blocking_send(command).map_err(|_| UplinkError::Stopped)?;
        Ok(outcome)
    }

    /// Commits all records that were appended before.
    ///
    /// # Errors
    /// [`UplinkError::Stopped`].
    pub async fn flush(&self) -> Result<(), UplinkError> {
        self.ask(Command::Flush).await
    }

    /// Returns the current state, and notifies of each change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Snapshot> {
        self.state.clone()
    }

    /// Reads the next records of a class, which the caller sends at once.
    pub(crate) async fn read(&self, class: Class) -> Result<Vec<Record>, UplinkError> {
        self.ask(|answer| Command::Read(class, answer)).await
    }

    pub(crate) async fn acknowledge(&self, class: Class, number: u64) -> Result<(), UplinkError> {
        self.send(Command::Acknowledge(class, number)).await
    }

    /// Tells the spool at the start of a connection which records the cloud has.
    pub(crate) async fn resolve(&self, received: Received) -> Result<(), UplinkError> {
        self.ask(|answer| Command::Resolve(received, answer)).await
    }

    /// Rewinds the spool after a connection has ended: records that were read are read again, and may be
    /// evicted until then.
    pub(crate) async fn rewind(&self) -> Result<(), UplinkError> {
        self.send(Command::Rewind).await
    }

    async fn send(&self, command: Command) -> Result<(), UplinkError> {
        self.commands.send(command).await.map_err(|_| UplinkError::Stopped)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, UplinkError> {
        let (answer, asked) = oneshot::channel();
        self.send(command(answer)).await?;
        asked.await.map_err(|_| UplinkError::Interrupted)
    }
}

/// A record whose result is not on the disk yet.
struct Waiting {
    class: Class,
    fate: Option<Fate>,
    record: Vec<u8>,
    answer: oneshot::Sender<Outcome>,
}

/// The result of an append as a count that the disk keeps, so that a reopened spool can tell whether it has
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has this number in its class.
    Numbered(u64),
    /// The class's count of refused records, this one included.
    Refused(u64),
}

impl Fate {
    /// Appends a record to the spool.
    fn of<S: Storage>(spool: &mut Spool<S>, class: Class, record: &[u8]) -> Result<Self, SpoolError> {
        match spool.append(class, record) {
            Ok(Appended::Number(number)) => return Ok(Self::Numbered(number)),
            Ok(Appended::Refused) => {}
            Err(error @ SpoolError::TooLarge { .. }) => tracing::error!(%error, "frame dropped"),
            Err(error) => return Err(error),
        }
        Ok(Self::Refused(spool.counted(class).dropped(Reason::Refused)))
    }

    /// Returns whether a spool that was just opened has this record or count.
    fn is_kept<S: Storage>(self, spool: &Spool<S>, class: Class) -> bool {
        let counters = spool.counted(class);
        match self {
            Self::Numbered(number) => number <= counters.done + spool.pending(class),
            Self::Refused(count) => count <= counters.dropped(Reason::Refused),
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Numbered(_) => Outcome::Stored,
            Self::Refused(_) => Outcome::Refused,
        }
    }
}

/// The state of the thread.
struct Keeper<S: Storage, O> {
    spool: Spool<S>,
    open: O,
    delay: Duration,
    queue: mpsc::Receiver<Command>,
    waiting: Vec<Waiting>,
    /// Time since which some acknowledgement is not on the disk; `None` if all are.
    ahead: Option<Instant>,
    /// Whether the disk had failed when the last handle was dropped.
    given_up: bool,
    told: watch::Sender<Snapshot>,
}

impl<S: Storage, O: Fn() -> Result<Spool<S>, SpoolError>> Keeper<S, O> {
    async fn run(mut self) {
        while let Some(command) = self.next().await {
            let mut flushed = self.take(command).await;
            let end = Instant::now() + self.delay;
            while !self.waiting.is_empty() && flushed.is_none() && self.gathered() < GATHERED {
                match timeout_at(end, self.queue.recv()).await {
                    Ok(Some(command)) => flushed = self.take(command).await,
                    Ok(None) | Err(_) => break,
                }
            }
            self.commit().await;
            if let Some(flushed) = flushed.filter(|_| !self.given_up) {
                let _ = flushed.send(());
            }
        }
        self.commit().await;
        self.checkpoint().await;
    }

    /// Receives the next command. Acknowledgements are written to the disk once they are old enough.
    async fn next(&mut self) -> Option<Command> {
        match self.ahead {
            Some(since) if since.elapsed() >= CHECKPOINT => self.checkpoint().await,
            Some(since) => match timeout_at(since + CHECKPOINT, self.queue.recv()).await {
                Ok(command) => return command,
                Err(_) => self.checkpoint().await,
            },
            None => {}
        }
        self.queue.recv().await
    }

    /// Publishes the state if it has changed: a read alone must not wake the subscribers.
    fn tell(&self) {
        let now = snapshot(&self.spool);
        self.told.send_if_modified(|told| {
            let is_new = *told != now;
            *told = now;
            is_new
        });
    }

    fn gathered(&self) -> usize {
        self.waiting.iter().map(|waiting| waiting.record.len()).sum()
    }

    /// Executes a command. For a flush, returns the channel to answer after the commit.
    async fn take(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        let done = match command {
            Command::Append(class, record, answer) => {
                self.append(class, record, answer).await;
                Ok(())
            }
            Command::Read(class, answer) => self.read(class).map(|records| {
                // After the connection has ended the receiver is gone; the next connection reads again.
                let _ = answer.send(records);
            }),
            Command::Acknowledge(class, number) => self.spool.acknowledge(class, number),
            Command::Resolve(received, answer) => {
                let mut received = Class::ALL.into_iter().zip(&received);
                let done = received.try_for_each(|(class, ranges)| self.spool.resolve(class, ranges));
                done.map(|()| {
                    let _ = answer.send(());
                })
            }
            Command::Rewind => {
                for class in Class::ALL {
                    self.spool.rewind(class);
                }
                Ok(())
            }
            Command::Flush(answer) => return Some(answer),
        };
        match done {
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
            self.spool.sending(class, last.number)?;
        }
        Ok(records)
    }

    async fn append(&mut self, class: Class, record: Vec<u8>, answer: oneshot::Sender<Outcome>) {
        let fate = Fate::of(&mut self.spool, class, &record);
        let (fate, failure) = fate.map_or_else(|error| (None, Some(error)), |fate| (Some(fate), None));
        self.waiting.push(Waiting { class, fate, record, answer });
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
        self.ahead = if self.spool.is_ahead() { self.ahead.or_else(|| Some(Instant::now())) } else { None };
        if !self.given_up {
            self.tell();
        }
        for waiting in self.waiting.drain(..) {
            if let Some(fate) = waiting.fate.filter(|_| !self.given_up) {
                let _ = waiting.answer.send(fate.outcome());
            }
        }
    }

    async fn checkpoint(&mut self) {
        while let Err(error) = self.spool.checkpoint() {
            if !self.recover(&error).await {
                return;
            }
        }
        self.ahead = None;
        self.tell();
    }

    /// Reopens the spool, as often as it takes, and appends waiting records again that are not on the disk.
    /// Returns false if all handles were dropped meanwhile, because then no caller waits for the disk any
    /// longer.
    async fn recover(&mut self, error: &SpoolError) -> bool {
        tracing::error!(%error, "the spool has failed; reopening it");
        let mut failure = error.to_string();
        loop {
            self.told.send_modify(|state| state.failure = Some(failure.clone()));
            match (self.open)().and_then(|spool| self.again(spool)) {
                Ok(()) => return true,
                Err(error) => failure = error.to_string(),
            }
            tracing::error!(failure, "cannot reopen the spool");
            if self.queue.is_closed() {
                self.given_up = true;
                return false;
            }
            sleep(PAUSE).await;
        }
    }

    fn again(&mut self, mut spool: Spool<S>) -> Result<(), SpoolError> {
        // All waiting records are looked up first, because records appended now reuse the numbers of others.
        for Waiting { class, fate, .. } in &mut self.waiting {
            fate.take_if(|fate| !fate.is_kept(&spool, *class));
        }
        for Waiting { class, fate, record, .. } in &mut self.waiting {
            if fate.is_none() {
                *fate = Some(Fate::of(&mut spool, *class, record)?);
            }
        }
        self.spool = spool;
        Ok(())
    }
}

fn snapshot<S: Storage>(spool: &Spool<S>) -> Snapshot {
    Snapshot {
        classes: Class::ALL.map(|class| (spool.counted(class), spool.pending(class))),
        settled: Class::ALL.map(|class| spool.settled(class)),
        spool: spool.name(),
        torn: spool.torn(),
        bytes: spool.bytes(),
        aside: spool.aside(),
        failure: None,
    }
}
