//! One upload connection of a device.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesOrdered};
use lopside_archive::{Applied, Archive, Batch};
use lopside_proto::v1::{
    Ack, Frames, Hello, Known, NumberRange, UploadRequest, UploadResponse, Welcome, upload_request,
    upload_response,
};
use tokio::sync::{mpsc, watch};
use tonic::{Status, Streaming};

use super::{
    places::{Place, Places},
    unpack::{Sender, batch_of, class_of},
};
use crate::{ServeError, front::stopping};

/// Maximum number of batches of a connection that are being committed.
const BATCHES: usize = 8;

/// The state of an upload connection.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) archive: Archive,
    pub(super) places: Arc<Places>,
    pub(super) ready: watch::Receiver<bool>,
    pub(super) answers: mpsc::Sender<Result<UploadResponse, Status>>,
    /// Whether a commit has failed, after which nothing is acknowledged.
    pub(super) failed: bool,
}

/// The pending commit of a message's batch, with its acknowledgement.
type Applying = BoxFuture<'static, (Ack, Result<Applied, ServeError>)>;

impl Upload {
    /// Serves the connection to its end.
    pub(super) async fn run(mut self, mut messages: Streaming<UploadRequest>) {
        if let Err(status) = self.serve(&mut messages).await {
            // Sending fails if the device has disconnected, which is fine.
            let _ = self.answers.send(Err(status)).await;
        }
    }

    async fn serve(&mut self, messages: &mut Streaming<UploadRequest>) -> Result<(), Status> {
        let Some(upload_request::Message::Hello(hello)) =
            messages.message().await?.and_then(|first| first.message)
        else {
            return Err(ServeError::Request("the first message is not a hello".into()).into());
        };
        let mut place = self.places.take(&hello.device);
        let turn = self.archive.arrive(&hello.device).await.map_err(ServeError::from)?;
        let welcome = self.welcome(&hello).await?;
        self.answer(upload_response::Message::Welcome(welcome)).await?;
        tracing::debug!(device = hello.device, "device connected");
        let sender = Sender { device: hello.device, turn, spool: hello.spool };
        let mut applying = FuturesOrdered::new();
        let end = self.take_all(messages, &sender, &mut place, &mut applying).await;
        while let Some(done) = applying.next().await {
            // The reason for the end of the connection is sent only once.
            let _ = self.acknowledge(done).await;
        }
        end
    }

    /// Returns the numbers that the archive has after the settled ones of each class.
    async fn welcome(&self, hello: &Hello) -> Result<Welcome, ServeError> {
        let mut known = Vec::new();
        for lane in &hello.lanes {
            let class = class_of(lane.class)?;
            let ranges =
                self.archive.known(&hello.device, hello.spool, class, lane.settled.saturating_add(1)).await?;
            let ranges =
                ranges.into_iter().map(|range| NumberRange { first: *range.start(), last: *range.end() });
            known.push(Known { class: lane.class, ranges: ranges.collect() });
        }
        Ok(Welcome { known })
    }

    /// Receives messages and acknowledges them until the connection ends, is displaced, or the server begins to
    /// stop.
    async fn take_all(
        &mut self,
        messages: &mut Streaming<UploadRequest>,
        sender: &Sender,
        place: &mut Place,
        applying: &mut FuturesOrdered<Applying>,
    ) -> Result<(), Status> {
        let stopping = stopping(self.ready.clone());
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                message = messages.message(), if applying.len() < BATCHES => match message? {
                    Some(message) => applying.push_back(self.apply(sender, message)?),
                    None => return Ok(()),
                },
                Some(done) = applying.next(), if !applying.is_empty() => self.acknowledge(done).await?,
                () = place.wanted() => return Err(ServeError::Displaced.into()),
                () = &mut stopping => return Err(ServeError::Stopping.into()),
            }
        }
    }

    fn apply(&self, sender: &Sender, message: UploadRequest) -> Result<Applying, ServeError> {
        let Some(upload_request::Message::Frames(frames)) = message.message else {
            return Err(ServeError::Request("only messages with frames may follow the hello".into()));
        };
        let batch = batch_of(sender, &frames)?;
        let ack = ack_of(&frames, &batch)?;
        let archive = self.archive.clone();
        Ok(async move { (ack, archive.apply(batch).await.map_err(ServeError::from)) }.boxed())
    }

    /// Acknowledges a committed message, unless an earlier one has failed.
    async fn acknowledge(
        &mut self,
        (ack, applied): (Ack, Result<Applied, ServeError>),
    ) -> Result<(), Status> {
        self.failed |= applied.is_err();
        applied?;
        if self.failed { Ok(()) } else { self.answer(upload_response::Message::Ack(ack)).await }
    }

    async fn answer(&self, message: upload_response::Message) -> Result<(), Status> {
        let answer = Ok(UploadResponse { message: Some(message) });
        self.answers.send(answer).await.map_err(|_| Status::cancelled("the device has disconnected"))
    }
}

fn ack_of(frames: &Frames, batch: &Batch) -> Result<Ack, ServeError> {
    let number = frames.first.checked_add(batch.records.len() as u64 - 1);
    let number = number.ok_or_else(|| ServeError::Request("the record numbers are too large".into()))?;
    Ok(Ack { class: frames.class, number })
}
