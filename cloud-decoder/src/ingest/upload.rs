//! One connection of a device.

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
    places::{Held, Places},
    unpack::{batch_of, class_of},
};
use crate::{ServeError, front::stopping};

/// Batches of a device that are on their way into the archive.
const BATCHES: usize = 8;

/// What a connection needs.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) archive: Archive,
    pub(super) places: Arc<Places>,
    pub(super) ready: watch::Receiver<bool>,
    pub(super) answers: mpsc::Sender<Result<UploadResponse, Status>>,
}

/// What the archive said of a message's batch, and how it is acknowledged.
type Applying = BoxFuture<'static, (Ack, Result<Applied, ServeError>)>;

impl Upload {
    /// Serves the connection to its end.
    pub(super) async fn run(mut self, mut messages: Streaming<UploadRequest>) {
        if let Err(status) = self.serve(&mut messages).await {
            // Who has gone need not hear it.
            let _ = self.answers.send(Err(status)).await;
        }
    }

    async fn serve(&mut self, messages: &mut Streaming<UploadRequest>) -> Result<(), Status> {
        let Some(upload_request::Message::Hello(hello)) =
            messages.message().await?.and_then(|first| first.message)
        else {
            return Err(ServeError::Request("the first message is no hello".into()).into());
        };
        let mut place = self.places.take(&hello.device).await.ok_or_else(displaced)?;
        let welcome = self.welcome(&hello).await?;
        self.answer(upload_response::Message::Welcome(welcome)).await?;
        tracing::debug!(device = hello.device, "a device has come");
        let mut applying = FuturesOrdered::new();
        let end = self.take_all(messages, &hello.device, &mut place, &mut applying).await;
        // What was taken is committed or has failed before the place is left.
        while let Some((ack, applied)) = applying.next().await {
            if applied.is_ok() {
                let _ = self.answer(upload_response::Message::Ack(ack)).await;
            }
        }
        end
    }

    /// What the archive has, after it has been told what is settled.
    async fn welcome(&self, hello: &Hello) -> Result<Welcome, ServeError> {
        let mut known = Vec::new();
        for lane in &hello.lanes {
            let class = class_of(lane.class)?;
            let ranges = self.archive.known(&hello.device, class, lane.settled.saturating_add(1)).await?;
            let ranges =
                ranges.into_iter().map(|range| NumberRange { first: *range.start(), last: *range.end() });
            known.push(Known { class: lane.class, ranges: ranges.collect() });
        }
        Ok(Welcome { known })
    }

    /// Takes messages and acknowledges them, until the connection ends or has to.
    async fn take_all(
        &mut self,
        messages: &mut Streaming<UploadRequest>,
        device: &str,
        place: &mut Held,
        applying: &mut FuturesOrdered<Applying>,
    ) -> Result<(), Status> {
        let stopping = stopping(self.ready.clone());
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                message = messages.message(), if applying.len() < BATCHES => match message? {
                    Some(message) => applying.push_back(self.apply(device, message)?),
                    None => return Ok(()),
                },
                Some((ack, applied)) = applying.next(), if !applying.is_empty() => {
                    applied?;
                    self.answer(upload_response::Message::Ack(ack)).await?;
                }
                () = place.wanted() => return Err(displaced()),
                () = &mut stopping => return Err(ServeError::Stopping.into()),
            }
        }
    }

    fn apply(&self, device: &str, message: UploadRequest) -> Result<Applying, ServeError> {
        let Some(upload_request::Message::Frames(frames)) = message.message else {
            return Err(ServeError::Request("only frames come after the hello".into()));
        };
        let batch = batch_of(device, &frames)?;
        let ack = ack_of(&frames, &batch)?;
        let archive = self.archive.clone();
        Ok(async move { (ack, archive.apply(batch).await.map_err(ServeError::from)) }.boxed())
    }

    async fn answer(&self, message: upload_response::Message) -> Result<(), Status> {
        let answer = Ok(UploadResponse { message: Some(message) });
        self.answers.send(answer).await.map_err(|_| Status::cancelled("the device has gone"))
    }
}

fn ack_of(frames: &Frames, batch: &Batch) -> Result<Ack, ServeError> {
    let number = frames.first.checked_add(batch.records.len() as u64 - 1);
    let number = number.ok_or_else(|| ServeError::Request("the numbers are too large".into()))?;
    Ok(Ack { class: frames.class, number })
}

fn displaced() -> Status {
    Status::aborted("the device has come on a newer connection")
}
