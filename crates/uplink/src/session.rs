//! One connection: hello, welcome, frames and their acknowledgements, and reports about the sources.

use std::{collections::VecDeque, time::Duration};

use lopside_delivery::Class;
use lopside_proto::v1::{
    Ack, FrameClass, Hello, Lane, UploadRequest, UploadResponse, ingest_service_client::IngestServiceClient,
    upload_request, upload_response,
};
use lopside_spool::Record;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{
    LinkState, SourceStatus, Store, StoreSnapshot, UplinkError, clock,
    cloud_report::CloudReport,
    flow::Flow,
    message,
    report_schedule::{ReportSchedule, wait_report_due},
};

/// Capacity of the queue to HTTP/2 for messages with frames: the maximum number in flight.
const MESSAGE_QUEUE: usize = 64;
/// Further capacity of this queue, for reports about the sources.
const REPORT_QUEUE: usize = 4;

/// Parameters of a connection.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) store: &'a Store,
    pub(crate) device: &'a str,
    pub(crate) bearer: Option<&'a MetadataValue<Ascii>>,
    /// Time limit for an acknowledgement.
    pub(crate) ack_timeout: Duration,
    pub(crate) link: &'a watch::Sender<LinkState>,
    /// The state of the sources; `None` if the cloud is not told of it.
    pub(crate) sources: Option<&'a watch::Receiver<Vec<SourceStatus>>>,
}

/// A connection after the cloud's welcome.
struct OpenSession<'a> {
    store: &'a Store,
    state: watch::Receiver<StoreSnapshot>,
    /// The name of the spool that the hello carried.
    spool_name: u32,
    messages: mpsc::Sender<UploadRequest>,
    flow: Flow,
    /// Messages in flight, in order: the class, and the number of the last frame.
    in_flight: VecDeque<(Class, u64)>,
    /// Records that were read and not sent, by class.
    unsent: [VecDeque<Record>; Class::ALL.len()],
    /// The settled numbers at the start of the connection, or those that the cloud was told since, by class.
    announced_settled: [u64; Class::ALL.len()],
    link: &'a watch::Sender<LinkState>,
    /// The reports about the sources; `None` if the cloud does not accept them.
    reports: Option<ReportSchedule>,
}

impl Session<'_> {
    /// Sends until the connection ends, and returns the reason.
    pub(crate) async fn run(&self, channel: Channel) -> UplinkError {
        let result = timeout(self.ack_timeout, self.open(channel)).await;
        let (mut session, mut responses) = match result {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return error,
            Err(_) => return UplinkError::Stalled(self.ack_timeout),
        };
        self.link.send_modify(LinkState::set_connected);
        match session.run(&mut responses, self.ack_timeout).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn open(
        &self,
        channel: Channel,
    ) -> Result<(OpenSession<'_>, Streaming<UploadResponse>), UplinkError> {
        // The cloud must learn of all acknowledgements: it may have lost the last frames that it has acknowledged.
        self.store.checkpoint().await?;
        let state = self.store.state();
        let hello = self.hello(&state.borrow());
        let spool_name = hello.spool;
        let (messages, queue) = mpsc::channel(MESSAGE_QUEUE + REPORT_QUEUE);
        let hello = UploadRequest { message: Some(upload_request::Message::Hello(hello)) };
        messages.try_send(hello).map_err(|_| UplinkError::StreamEnded)?;
        let request = self.authorise(ReceiverStream::new(queue));
        let mut responses = IngestServiceClient::new(channel).upload(request).await?.into_inner();
        let Some(upload_response::Message::Welcome(welcome)) = next_answer(&mut responses).await? else {
            return Err(UplinkError::UnexpectedAnswer("another message instead of a welcome"));
        };
        self.link.send_modify(|link| link.set_cloud_limit(welcome.max_pixels));
        let sources = self.sources.filter(|_| welcome.accepts_source_reports);
        let reports = sources.map(|sources| ReportSchedule::new(sources.clone()));
        let settled = self.store.resolve(spool_name, CloudReport::parse(welcome)?).await?;
        let unsent = Class::ALL.map(|_| VecDeque::new());
        let (flow, in_flight) = (Flow::new(Instant::now()), VecDeque::new());
        let (store, link) = (self.store, self.link);
        let session = OpenSession {
            store,
            state,
            spool_name,
            messages,
            flow,
            in_flight,
            unsent,
            announced_settled: settled,
            link,
            reports,
        };
        Ok((session, responses))
    }

    /// Returns a request with this body and the API key.
    fn authorise<T>(&self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        if let Some(bearer) = self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }

    fn hello(&self, state: &StoreSnapshot) -> Hello {
        let lanes = Class::ALL.into_iter().map(|class| Lane {
            class: FrameClass::from(class).into(),
            settled: state.settled[class.index()],
            acknowledged: state.acknowledged[class.index()],
        });
        Hello {
            device: self.device.to_owned(),
            lanes: lanes.collect(),
            spool: state.spool_name,
            now_ms: clock::now_ms(),
            clock: clock::clock_quality().into(),
        }
    }
}

impl OpenSession<'_> {
    async fn run(
        &mut self,
        responses: &mut Streaming<UploadResponse>,
        ack_timeout: Duration,
    ) -> Result<std::convert::Infallible, UplinkError> {
        loop {
            self.state.mark_unchanged();
            if self.state.borrow().spool_name != self.spool_name {
                // Another spool was put into the folder: the cloud's acknowledgements are about other
                // records.
                return Err(UplinkError::SpoolReopened);
            }
            self.send_ready().await?;
            let waiting_since = self.flow.waiting_since();
            let overdue = async {
                match waiting_since {
                    Some(since) => sleep_until(since + ack_timeout).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                response = next_answer(responses) => self.handle_ack(response?).await?,
                changed = self.state.changed() => changed.map_err(|_| UplinkError::StoreStopped)?,
                () = wait_report_due(self.reports.as_mut()) => self.send_report()?,
                () = overdue => return Err(UplinkError::Stalled(ack_timeout)),
            }
        }
    }

    /// Sends all messages that the window admits, the highest class first.
    async fn send_ready(&mut self) -> Result<(), UplinkError> {
        for class in Class::ALL.into_iter().rev() {
            // A record that was read cannot be evicted for a more important one, so nothing is read that has
            // to wait.
            while self.flow.can_send(class == Class::High) {
                self.refill(class).await?;
                if class < Class::High && !self.flow.is_full_message(self.unsent_bytes(class)) {
                    self.refill_below(class).await?;
                }
                if !self.send_message(class)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads more records of a class until they fill a message.
    async fn refill(&mut self, class: Class) -> Result<(), UplinkError> {
        while self.unsent_bytes(class) < self.flow.message_limit()
            && self.state.borrow().classes[class.index()].1 > 0
        {
            let records = self.store.read(class).await?;
            if records.is_empty() {
                break;
            }
            self.unsent[class.index()].extend(records);
        }
        Ok(())
    }

    /// Reads records of the less important classes, which follow those of this class.
    async fn refill_below(&mut self, class: Class) -> Result<(), UplinkError> {
        for lower_class in Class::ALL.into_iter().filter(|lower_class| *lower_class < class) {
            self.refill(lower_class).await?;
        }
        Ok(())
    }

    /// Returns the number of bytes of a class that were read and not sent.
    fn unsent_bytes(&self, class: Class) -> u64 {
        self.unsent[class.index()].iter().map(|record| record.bytes.len() as u64).sum()
    }

    /// Sends one message of a class. Returns false if there is nothing to send, or if it has to wait.
    fn send_message(&mut self, class: Class) -> Result<bool, UplinkError> {
        let max_bytes = self.flow.message_limit();
        // A small message need not wait for more if less important ones would otherwise be sent before it.
        let gathered_bytes = Class::ALL
            .into_iter()
            .filter(|lower_class| *lower_class <= class)
            .map(|lower_class| self.unsent_bytes(lower_class))
            .sum();
        if !self.flow.can_send_message(
            self.unsent_bytes(class).min(max_bytes),
            gathered_bytes,
            class == Class::High,
        ) {
            return Ok(false);
        }
        let records = &mut self.unsent[class.index()];
        let Some(mut message) = message::take_message(class, records, max_bytes)? else { return Ok(false) };
        let settled = self.state.borrow().settled[class.index()];
        if settled > self.announced_settled[class.index()] {
            self.announced_settled[class.index()] = settled;
            message.frames.settled = settled;
        }
        let request = UploadRequest { message: Some(upload_request::Message::Frames(message.frames)) };
        self.messages.try_send(request).map_err(|_| UplinkError::StreamEnded)?;
        self.flow.send(message.size_bytes, Instant::now());
        self.in_flight.push_back((class, message.last_number));
        Ok(true)
    }

    /// Sends the report that is due, unless it could then take the place of a message with frames in the queue.
    fn send_report(&mut self) -> Result<(), UplinkError> {
        let Some(reports) = &mut self.reports else { return Ok(()) };
        let further_messages = MESSAGE_QUEUE.saturating_sub(self.in_flight.len());
        if self.messages.capacity() <= further_messages {
            reports.postpone();
            return Ok(());
        }
        let message = Some(upload_request::Message::SourceReports(reports.take()));
        self.messages.try_send(UploadRequest { message }).map_err(|_| UplinkError::StreamEnded)
    }

    async fn handle_ack(&mut self, response: Option<upload_response::Message>) -> Result<(), UplinkError> {
        let Some(upload_response::Message::Ack(Ack { class, number })) = response else {
            return Err(UplinkError::UnexpectedAnswer("another message instead of an acknowledgement"));
        };
        let class =
            FrameClass::try_from(class).map_err(|_| UplinkError::UnexpectedAnswer("an unknown class"))?;
        let class = Class::from(class);
        // An acknowledgement covers everything sent before it in its class, so a message that it skips would
        // be lost.
        if self.in_flight.pop_front() != Some((class, number)) || !self.flow.acknowledge(Instant::now()) {
            return Err(UplinkError::UnexpectedAnswer("an acknowledgement out of order"));
        }
        let (rate, round_trip) = (self.flow.recent_rate(), self.flow.round_trip());
        self.link.send_modify(|link| link.set_acknowledged(rate, round_trip));
        self.store.acknowledge(class, number).await
    }
}

async fn next_answer(
    responses: &mut Streaming<UploadResponse>,
) -> Result<Option<upload_response::Message>, UplinkError> {
    match responses.message().await? {
        Some(response) => Ok(response.message),
        None => Err(UplinkError::StreamEnded),
    }
}
