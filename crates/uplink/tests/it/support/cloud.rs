//! The cloud's ingest service over an [`Archive`]: one connection per device, and acknowledgements after the
//! commit. It has its own runtime, so that a kill ends all of it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    ops::RangeInclusive,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use lopside_proto::v1::{
    Ack, Frames, Hello, Known, Lost, NumberRange, SourceReports, UploadRequest, UploadResponse, Welcome,
    ingest_service_server::{IngestService, IngestServiceServer},
    upload_request, upload_response,
};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    sync::{mpsc, oneshot, watch},
    time::sleep,
};
use tokio_stream::{
    Stream,
    wrappers::{ReceiverStream, TcpListenerStream},
};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use super::archive::{Archive, Backup, Sender, check, class_of};

/// Maximum number of messages per connection that wait to be archived.
const MAX_IN_FLIGHT: usize = 8;

/// The speed of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Each commit takes this long.
    Takes(Duration),
    /// No commit completes.
    Held,
}

/// Counts of what the cloud has received.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen {
    /// Number of hellos, including refused ones.
    pub(crate) hellos: u64,
    /// Number of accepted messages.
    pub(crate) messages: u64,
    /// Number of frames in the accepted messages.
    pub(crate) frames: u64,
    /// The last hello.
    pub(crate) hello: Option<Hello>,
    /// All reports about sources.
    pub(crate) reports: Vec<SourceReports>,
}

/// A cloud that can be killed and restarted.
pub(crate) struct Cloud {
    pub(crate) archive: Archive,
    pub(crate) pace: watch::Sender<Pace>,
    seen: watch::Sender<Seen>,
    faults: Arc<Mutex<Faults>>,
    life: Option<Life>,
}

#[derive(Debug, Default)]
struct Faults {
    /// The error that answers every hello; `None` accepts hellos.
    refusal: Option<Status>,
    /// Whether the next commit fails.
    commit_fails: bool,
    /// Whether the welcome does not state any epochs, as that of an older cloud.
    hides_epochs: bool,
    /// Whether reports about sources are accepted, which older clouds do not know.
    accepts_reports: bool,
    /// Losses that every welcome reports in addition.
    invented_losses: Vec<Lost>,
}

struct Life {
    runtime: Runtime,
    address: SocketAddr,
    is_alive: Arc<Mutex<bool>>,
}

/// The state that all connections share until the cloud is killed.
#[derive(Clone)]
struct Ingest {
    archive: Archive,
    seen: watch::Sender<Seen>,
    faults: Arc<Mutex<Faults>>,
    jobs: mpsc::Sender<Job>,
    /// The number of the newest connection of the only device.
    newest: watch::Sender<u64>,
}

struct Job {
    sender: Sender,
    frames: Frames,
    reply: oneshot::Sender<Result<(), Status>>,
}

/// The only task that commits.
struct Writer {
    archive: Archive,
    pace: watch::Receiver<Pace>,
    faults: Arc<Mutex<Faults>>,
    is_alive: Arc<Mutex<bool>>,
}

/// The messages of a connection that are being archived, in order.
type Applying = VecDeque<(Ack, oneshot::Receiver<Result<(), Status>>)>;

impl Cloud {
    /// Starts a cloud with an empty archive, whose commits take no time.
    pub(crate) fn start() -> Self {
        let pace = watch::Sender::new(Pace::Takes(Duration::ZERO));
        let (archive, seen, faults) = (Archive::default(), watch::Sender::default(), Arc::default());
        let mut cloud = Self { archive, pace, seen, faults, life: None };
        cloud.restart();
        cloud
    }

    /// Returns the current address of the server.
    pub(crate) fn address(&self) -> SocketAddr {
        self.life.as_ref().unwrap().address
    }

    /// Returns the counts of received messages, and notifies of each change.
    pub(crate) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// Refuses every hello from now on, or accepts hellos again for `None`.
    pub(crate) fn refuse(&self, refusal: Option<Status>) {
        self.faults.lock().unwrap().refusal = refusal;
    }

    /// Lets the next commit fail.
    pub(crate) fn fail_commit(&self) {
        self.faults.lock().unwrap().commit_fails = true;
    }

    /// Lets the welcomes omit the epochs, as an older cloud does.
    pub(crate) fn hide_epochs(&self) {
        self.faults.lock().unwrap().hides_epochs = true;
    }

    /// Accepts reports about sources from now on.
    pub(crate) fn accept_reports(&self) {
        self.faults.lock().unwrap().accepts_reports = true;
    }

    /// Reports these losses in every welcome from now on, in addition to those of the archive.
    pub(crate) fn invent_losses(&self, losses: Vec<Lost>) {
        self.faults.lock().unwrap().invented_losses = losses;
    }

    /// Ends it, and restarts it with the contents of a backup.
    pub(crate) fn restore(&mut self, backup: &Backup) {
        self.kill();
        self.archive.restore(backup);
        self.restart();
    }

    /// Ends it with all connections and all uncommitted messages.
    pub(crate) fn kill(&mut self) {
        let Some(Life { runtime, is_alive, .. }) = self.life.take() else { return };
        *is_alive.lock().unwrap() = false;
        runtime.shutdown_background();
    }

    /// Restarts it with the same archive, at another address.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let is_alive = Arc::new(Mutex::new(true));
        let writer = Writer {
            archive: self.archive.clone(),
            pace: self.pace.subscribe(),
            faults: Arc::clone(&self.faults),
            is_alive: Arc::clone(&is_alive),
        };
        let (jobs, queue) = mpsc::channel(64);
        let (archive, seen, faults) = (self.archive.clone(), self.seen.clone(), Arc::clone(&self.faults));
        let newest = watch::Sender::new(0);
        let ingest = Ingest { archive, seen, faults, jobs, newest };
        runtime.spawn(writer.run(queue));
        runtime.spawn(async move {
            let listener = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            let service = IngestServiceServer::new(ingest).max_decoding_message_size(64 << 20);
            Server::builder().add_service(service).serve_with_incoming(listener).await.unwrap();
        });
        self.life = Some(Life { runtime, address, is_alive });
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(Job { sender, frames, reply }) = queue.recv().await {
            let Ok(pace) = self.pace.wait_for(|pace| *pace != Pace::Held).await.map(|pace| *pace) else {
                return;
            };
            if let Pace::Takes(delay) = pace
                && !delay.is_zero()
            {
                sleep(delay).await;
            }
            let _ = reply.send(self.commit(sender, &frames));
        }
    }

    fn commit(&self, sender: Sender, frames: &Frames) -> Result<(), Status> {
        // The lock is held until the end, so that nothing is committed after a kill has returned.
        let is_alive = self.is_alive.lock().unwrap();
        if !*is_alive || std::mem::take(&mut self.faults.lock().unwrap().commit_fails) {
            return Err(Status::unavailable("the database does not answer"));
        }
        if self.archive.apply(sender, frames) { Ok(()) } else { Err(displaced()) }
    }
}

#[tonic::async_trait]
impl IngestService for Ingest {
    type UploadStream = Pin<Box<dyn Stream<Item = Result<UploadResponse, Status>> + Send>>;

    async fn upload(
        &self,
        request: Request<Streaming<UploadRequest>>,
    ) -> Result<Response<Self::UploadStream>, Status> {
        let refusal = self.faults.lock().unwrap().refusal.clone();
        if let Some(refusal) = refusal {
            self.seen.send_modify(|seen| seen.hellos += 1);
            return Err(refusal);
        }
        let (responses, stream) = mpsc::channel(16);
        let ingest = self.clone();
        tokio::spawn(async move {
            if let Err(status) = ingest.serve(request.into_inner(), &responses).await {
                let _ = responses.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

impl Ingest {
    async fn serve(
        &self,
        mut messages: Streaming<UploadRequest>,
        responses: &mpsc::Sender<Result<UploadResponse, Status>>,
    ) -> Result<(), Status> {
        let first = messages.message().await?.and_then(|first| first.message);
        let Some(upload_request::Message::Hello(hello)) = first else {
            return Err(Status::invalid_argument("the first message is no hello"));
        };
        self.seen.send_modify(|seen| {
            seen.hellos += 1;
            seen.hello = Some(hello.clone());
        });
        let sender = Sender { spool: hello.spool, connection: self.archive.register_connection() };
        self.newest.send_if_modified(|newest| {
            let is_newer = sender.connection > *newest;
            *newest = sender.connection.max(*newest);
            is_newer
        });
        let mut newest = self.newest.subscribe();
        send_response(responses, upload_response::Message::Welcome(self.welcome(&hello)?)).await?;
        let mut applying = Applying::new();
        let result = tokio::select! {
            result = self.take_all(&mut messages, responses, sender, &mut applying) => result.map(|never| match never {}),
            _ = newest.wait_for(|newest| *newest != sender.connection) => Err(displaced()),
        };
        // A message whose commit failed was removed before; messages after it are not acknowledged.
        for (ack, outcome) in applying {
            if result.is_ok() && matches!(outcome.await, Ok(Ok(()))) {
                let _ = send_response(responses, upload_response::Message::Ack(ack)).await;
            }
        }
        result
    }

    fn welcome(&self, hello: &Hello) -> Result<Welcome, Status> {
        let hides_epochs = self.faults.lock().unwrap().hides_epochs;
        let (mut known, mut lost) = (Vec::new(), Vec::new());
        for lane in &hello.lanes {
            let class = class_of(lane.class)?;
            for (epoch, ranges) in self.archive.known(hello.spool, class, lane.settled + 1) {
                let ranges = ranges.iter().map(number_range).collect();
                known.push(Known { class: lane.class, ranges, epoch: if hides_epochs { 0 } else { epoch } });
            }
            let ranges = self.archive.find_lost(hello.spool, class, lane.acknowledged);
            lost.extend(
                ranges.iter().map(|range| Lost { class: lane.class, range: Some(number_range(range)) }),
            );
        }
        let faults = self.faults.lock().unwrap();
        lost.extend_from_slice(&faults.invented_losses);
        let accepts_source_reports = faults.accepts_reports;
        Ok(Welcome { known, lost, accepts_source_reports, ..Welcome::default() })
    }

    async fn take_all(
        &self,
        messages: &mut Streaming<UploadRequest>,
        responses: &mpsc::Sender<Result<UploadResponse, Status>>,
        sender: Sender,
        applying: &mut Applying,
    ) -> Result<Infallible, Status> {
        loop {
            tokio::select! {
                message = messages.message(), if applying.len() < MAX_IN_FLIGHT => {
                    let message = message?.ok_or_else(|| Status::cancelled("the device has gone"))?;
                    if let Some(upload_request::Message::SourceReports(reports)) = message.message {
                        self.keep_reports(reports)?;
                    } else {
                        applying.push_back(self.apply(sender, message).await?);
                    }
                }
                outcome = first_done(applying), if !applying.is_empty() => {
                    let ack = applying.pop_front().map(|(ack, _)| ack).unwrap();
                    outcome?;
                    send_response(responses, upload_response::Message::Ack(ack)).await?;
                }
            }
        }
    }

    fn keep_reports(&self, reports: SourceReports) -> Result<(), Status> {
        if !self.faults.lock().unwrap().accepts_reports {
            return Err(Status::invalid_argument("this cloud does not know reports about sources"));
        }
        self.seen.send_modify(|seen| seen.reports.push(reports));
        Ok(())
    }

    async fn apply(
        &self,
        sender: Sender,
        message: UploadRequest,
    ) -> Result<(Ack, oneshot::Receiver<Result<(), Status>>), Status> {
        let Some(upload_request::Message::Frames(frames)) = message.message else {
            return Err(Status::invalid_argument("only frames come after the hello"));
        };
        check(&frames)?;
        let count = frames.lengths.len() as u64;
        let ack = Ack { class: frames.class, number: frames.first + count - 1 };
        let (reply, applied) = oneshot::channel();
        let job = Job { sender, frames, reply };
        self.jobs.send(job).await.map_err(|_| Status::unavailable("the archive is closed"))?;
        self.seen.send_modify(|seen| {
            seen.messages += 1;
            seen.frames += count;
        });
        Ok((ack, applied))
    }
}

fn number_range(range: &RangeInclusive<u64>) -> NumberRange {
    NumberRange { first: *range.start(), last: *range.end() }
}

/// Waits for the result of the oldest message, which stays in the queue.
async fn first_done(applying: &mut Applying) -> Result<(), Status> {
    match applying.front_mut() {
        Some((_, outcome)) => {
            outcome.await.unwrap_or_else(|_| Err(Status::unavailable("the archive is closed")))
        }
        None => Ok(()),
    }
}

async fn send_response(
    responses: &mpsc::Sender<Result<UploadResponse, Status>>,
    message: upload_response::Message,
) -> Result<(), Status> {
    let response = UploadResponse { message: Some(message) };
    responses.send(Ok(response)).await.map_err(|_| Status::cancelled("the device has gone"))
}

fn displaced() -> Status {
    Status::aborted("the device has come on a newer connection")
}
