//! The thread that owns the spool.
//!
//! Commands come over a bounded channel. Records that are appended wait for each other for a moment and are committed
//! together; then whoever appended them is answered, also whoever was refused: the disk has the count then. When the disk
//! fails the spool is opened again, and what was waiting is looked for: what the disk knows of is left as it is, the rest
//! is appended again.

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

/// Commands that wait.
const COMMANDS: usize = 256;
/// Bytes that wait to be committed together, at most.
const GATHERED: usize = 256 << 10;
/// The largest record: the largest frame that the cloud takes, and what is said of it.
const LARGEST: usize = lopside_proto::MAX_FRAME + 1024;
/// How long what was acknowledged may be unknown to the disk.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// How long a disk that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// What a store may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// Bytes of all its files.
    pub budget: u64,
    /// How long a record waits for others to be committed with.
    pub commit_delay: Duration,
}

/// What became of a record that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The disk has it.
    Stored,
    /// There was no room for it, which is counted on the disk.
    Refused,
}

/// What a store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Of each class, in the order of [`Class::ALL`], what became of its records and how many wait.
    pub classes: [(Counters, u64); Class::ALL.len()],
    /// Of each class, the last record so that nobody asks for it or those before it any more, by what the disk knows.
    pub settled: [u64; Class::ALL.len()],
    /// What the spool is called; another one when its folder was emptied.
    pub spool: u32,
    /// Ends of logs that crashes had torn.
    pub torn: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Of them, bytes of damage that are kept for a look.
    pub aside: u64,
    /// Why the disk does not take anything at the moment.
    pub failure: Option<String>,
}

/// Numbers of each class, in the order of [`Class::ALL`].
pub(crate) type Received = [Vec<RangeInclusive<u64>>; Class::ALL.len()];

enum Command {
    Append(Class, Vec<u8>, oneshot::Sender<Outcome>),
    Read(Class, oneshot::Sender<Vec<Record>>),
    Acknowledge(Class, u64),
    Resolve(Received, oneshot::Sender<()>),
    Rewind,
    Flush(oneshot::Sender<()>),
}

/// A handle of the thread, which ends with the last handle, after a last commit. Where the disk fails at that time the
/// thread tries once to open the spool again, and then ends all the same.
#[derive(Debug, Clone)]
pub struct Store {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<Snapshot>,
}

impl Store {
    /// Opens the spool and starts the thread; `open` is called again when the disk has failed, with a new epoch.
    ///
    /// It comes with the inputs of files that were stored last.
    ///
    /// # Errors
    /// Those of [`Spool::open`], and [`UplinkError::Stopped`] when there is no thread to be had.
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

    /// Appends a record, and waits only for its place in the queue. The answer comes when the disk has it.
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

    /// As [`append`](Self::append), for threads outside of a runtime.
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

    /// Brings all that was appended before to the disk.
    ///
    /// # Errors
    /// [`UplinkError::Stopped`].
    pub async fn flush(&self) -> Result<(), UplinkError> {
        self.ask(Command::Flush).await
    }

    /// What it has now, and each time that this changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Snapshot> {
        self.state.clone()
    }

    /// The next records of a class, which are to be sent at once.
    pub(crate) async fn read(&self, class: Class) -> Result<Vec<Record>, UplinkError> {
        self.ask(|answer| Command::Read(class, answer)).await
    }

    pub(crate) async fn acknowledge(&self, class: Class, number: u64) -> Result<(), UplinkError> {
        self.send(Command::Acknowledge(class, number)).await
    }

    /// A new connection begins, and these the cloud has.
    pub(crate) async fn resolve(&self, received: Received) -> Result<(), UplinkError> {
        self.ask(|answer| Command::Resolve(received, answer)).await
    }

    /// The connection has ended: what was read is to be read again, and may make room until then.
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

/// A record whose fate is not on the disk yet.
struct Waiting {
    class: Class,
    fate: Option<Fate>,
    record: Vec<u8>,
    answer: oneshot::Sender<Outcome>,
}

/// What has become of a record, by a count that the disk keeps: so a disk that failed can be asked whether it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has this number in its class.
    Numbered(u64),
    /// It is the class's refused record of this count.
    Refused(u64),
}

impl Fate {
    /// Gives a record to the spool.
    fn of<S: Storage>(spool: &mut Spool<S>, class: Class, record: &[u8]) -> Result<Self, SpoolError> {
        match spool.append(class, record) {
            Ok(Appended::Number(number)) => return Ok(Self::Numbered(number)),
            Ok(Appended::Refused) => {}
            Err(error @ SpoolError::TooLarge { .. }) => tracing::error!(%error, "a frame is dropped"),
            Err(error) => return Err(error),
        }
        Ok(Self::Refused(spool.counted(class).dropped(Reason::Refused)))
    }

    /// Whether the disk knows, of a spool that was just opened.
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

/// What the thread has.
struct Keeper<S: Storage, O> {
    spool: Spool<S>,
    open: O,
    delay: Duration,
    queue: mpsc::Receiver<Command>,
    waiting: Vec<Waiting>,
    /// Since when the disk does not know of all that was acknowledged.
    ahead: Option<Instant>,
    /// Whether the disk had failed when the last handle went.
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

    /// The next command. What was acknowledged is brought to the disk when it has waited long enough.
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

    /// Tells what there is, if that is new: a read alone wakes nobody.
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

    /// Does what is asked. Whoever asked for all to be brought to the disk comes back.
    async fn take(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        let done = match command {
            Command::Append(class, record, answer) => {
                self.append(class, record, answer).await;
                Ok(())
            }
            Command::Read(class, answer) => self.read(class).map(|records| {
                // Nobody waits for the records of a connection that has ended; the next one begins again.
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
            // Whoever has asked gets no answer, and asks again on a new connection.
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

    /// Brings all that waits to the disk, and says so to those who wait, who find it in the state then. Whoever waits for
    /// a disk that has failed for good is not answered.
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

    /// Opens the spool again, as often as it takes; what was waiting and is not on the disk is appended again. False when
    /// all handles have gone meanwhile: there is nobody left to wait for the disk.
    async fn recover(&mut self, error: &SpoolError) -> bool {
        tracing::error!(%error, "the spool is opened again");
        let mut failure = error.to_string();
        loop {
            self.told.send_modify(|state| state.failure = Some(failure.clone()));
            match (self.open)().and_then(|spool| self.again(spool)) {
                Ok(()) => return true,
                Err(error) => failure = error.to_string(),
            }
            tracing::error!(failure, "the spool cannot be opened");
            if self.queue.is_closed() {
                self.given_up = true;
                return false;
            }
            sleep(PAUSE).await;
        }
    }

    fn again(&mut self, mut spool: Spool<S>) -> Result<(), SpoolError> {
        // First all are looked for: those that are appended have numbers which others had before.
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
