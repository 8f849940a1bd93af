use std::thread::{self, JoinHandle};

use lopside_delivery::Class;
use lopside_spool::{Record, SpoolError, State, Storage};
use tokio::{
    runtime,
    sync::{mpsc, oneshot, watch},
};

use crate::{
    RefusalPolicy, StoreOutcome, StoreSettings, StoreSnapshot, StoredItems, UplinkError,
    append::Append,
    cloud_report::CloudReport,
    open_spool::open_spool,
    store_thread::{Command, StoreThread},
};

/// Capacity of the command queue.
const COMMAND_QUEUE: usize = 256;

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
    /// The errors of [`Spool::open`](lopside_spool::Spool::open), and [`UplinkError::StoreStopped`] if the thread
    /// cannot be started.
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
        let (published, state) = watch::channel(StoreSnapshot::of_spool(&spool));
        let open = move |last_state: &State| open_spool(&storage, settings, Some(last_state), &mut |_| {});
        let worker = StoreThread::new(spool, open, settings, queue, published);
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|_| UplinkError::StoreStopped)?;
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || runtime.block_on(worker.run()))
            .map_err(|_| UplinkError::StoreStopped)?;
        Ok((Self { commands, state }, items, thread))
    }

    /// Appends a record, waiting only for space in the queue. The answer arrives when the record is on the
    /// disk. `policy` applies if the spool does not have space for it.
    ///
    /// # Errors
    /// [`UplinkError::StoreStopped`].
    pub async fn append(
        &self,
        class: Class,
        record: Vec<u8>,
        policy: RefusalPolicy,
    ) -> Result<oneshot::Receiver<StoreOutcome>, UplinkError> {
        let (reply, outcome) = oneshot::channel();
        self.send_command(Command::Append(Append { class, record, policy }, reply)).await?;
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
        policy: RefusalPolicy,
    ) -> Result<oneshot::Receiver<StoreOutcome>, UplinkError> {
        let (reply, outcome) = oneshot::channel();
        let command = Command::Append(Append { class, record, policy }, reply);
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
        self.request_reply(|reply| Command::Read(class, reply)).await?
    }

    pub(crate) async fn acknowledge(&self, class: Class, number: u64) -> Result<(), UplinkError> {
        self.send_command(Command::Acknowledge(class, number)).await
    }

    /// Writes all acknowledgements to the disk and publishes the state.
    pub(crate) async fn checkpoint(&self) -> Result<(), UplinkError> {
        self.request_reply(Command::Checkpoint).await
    }

    /// Tells the spool at the start of a connection which records the cloud has. Returns the settled numbers per
    /// class, which are lower than before if the cloud has lost records.
    pub(crate) async fn resolve(
        &self,
        spool_name: u32,
        report: CloudReport,
    ) -> Result<[u64; Class::ALL.len()], UplinkError> {
        self.request_reply(|reply| Command::Resolve(spool_name, report, reply)).await?
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
