//! `GET /v1/live`: frames as they are archived, as server-sent events.
//!
//! | event | id | data |
//! |---|---|---|
//! | `frame` | the frame's id | the metadata of the frame |
//! | `missed` | | `{"frames": N}`: N frames were not sent, because the client was too slow or disconnected for too long |
//!
//! With a minimum score, a frame is sent after it has been scored. The stream ends when the server begins to
//! stop. A client that reconnects with the id of the last event first receives the frames archived since then.

use std::collections::HashSet;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use lopside_archive::{Archive, FrameMeta, Since};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;

use super::{super::Api, InArchive, queries::Least};
use crate::{
    ServeError,
    archive::{Kept, record::FrameRecord, scoring::Scored, times::now_us},
    error_http::Refusal,
    extract::InQuery,
    front::stopping,
    openapi,
};

/// Capacity of the event queue of one client, in addition to the archive's feed.
const WAITING: usize = 16;
/// Maximum number of past frames that are sent to a client that reconnects.
const RESUMED: u32 = 1000;
/// Maximum duration of a commit, in microseconds. Frames carry the time at which their commit began, so a commit
/// that is running when a client connects began at most this long before.
const UNDER_WAY_US: i64 = 10_000_000;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct LiveQuery {
    /// Only frames of this device.
    #[param(nullable = false)]
    device: Option<String>,
    /// Only frames with at least this score. Frames are then sent after they have been scored.
    #[param(value_type = Option<f64>, nullable = false)]
    min_score: Option<Least>,
}

/// Streams frames as they are archived, until the server stops.
#[utoipa::path(
    get,
    path = "/v1/live",
    operation_id = "live_frames",
    tag = "archive",
    params(
        LiveQuery,
        ("Last-Event-ID" = Option<i64>, Header, nullable = false, description = "The id of the last received frame"),
    ),
    responses(
        (
            status = 200,
            description = "Events `frame`, each with an object as in `/v1/frames`, and events `missed` with the number of frames that were not sent",
            body = String,
            content_type = "text/event-stream",
        ),
        openapi::Archive,
    )
)]
pub(in crate::http) async fn live(
    InArchive(kept): InArchive,
    State(api): State<Api>,
    InQuery(LiveQuery { device, min_score }): InQuery<LiveQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let last = headers.get(LAST_EVENT_ID).map(id_of).transpose()?;
    // Subscribed before past frames are listed, so that frames archived in between are not missed.
    let feed = Feed::of(&kept, min_score)?;
    let since = match last {
        Some(id) => kept.archive.since(id, device.as_deref(), RESUMED).await.map_err(ServeError::from)?,
        None => Since::default(),
    };
    let (events, stream) = mpsc::channel(WAITING);
    let told = since.frames.iter().map(|meta| meta.id).collect();
    let live = Live { archive: kept.archive, device, feed, told, begins: Begins::after(last), events };
    tokio::spawn(live.until(api.ready, since));
    Ok(Sse::new(ReceiverStream::new(stream)).keep_alive(KeepAlive::default()).into_response())
}

/// The feed of frames that a client follows.
enum Feed {
    /// All frames, as they are committed.
    Committed(broadcast::Receiver<std::sync::Arc<FrameMeta>>),
    /// Frames with at least this score, as they are scored.
    Scored(broadcast::Receiver<Scored>, f64),
}

/// The lower bound of new frames.
#[derive(Clone, Copy)]
enum Begins {
    /// Frames with larger ids.
    AfterId(i64),
    /// Frames archived at this time or later, in Unix microseconds.
    At(i64),
}

/// One connected client.
struct Live {
    archive: Archive,
    device: Option<String>,
    feed: Feed,
    /// Ids of listed frames, which may arrive again from the feed.
    told: HashSet<i64>,
    begins: Begins,
    events: mpsc::Sender<Result<Event, axum::Error>>,
}

/// The client has disconnected, or the server is stopping.
struct Gone;

impl Feed {
    fn of(kept: &Kept, min_score: Option<Least>) -> Result<Self, ServeError> {
        let Some(Least(least)) = min_score else { return Ok(Self::Committed(kept.archive.subscribe())) };
        let scores = kept.scores.as_ref().ok_or_else(|| {
            let reason = "this server does not score frames: omit min_score, or start the server without \
                          --archive-scores=false";
            ServeError::Request(reason.to_owned())
        })?;
        Ok(Self::Scored(scores.subscribe(), least))
    }
}

impl Begins {
    fn after(last: Option<i64>) -> Self {
        last.map_or_else(|| Self::At(now_us() - UNDER_WAY_US), Self::AfterId)
    }

    fn has(self, meta: &FrameMeta) -> bool {
        match self {
            Self::AfterId(id) => meta.id > id,
            Self::At(time_us) => meta.received_us >= time_us,
        }
    }
}

impl Live {
    /// Sends past and new frames until the client disconnects or the server begins to stop.
    async fn until(mut self, ready: tokio::sync::watch::Receiver<bool>, since: Since) {
        let events = self.events.clone();
        tokio::select! {
            _ = self.tell_all(since) => {}
            () = stopping(ready) => {}
            () = events.closed() => {}
        }
    }

    async fn tell_all(&mut self, since: Since) -> Result<(), Gone> {
        for meta in &since.frames {
            if self.is_unusual(meta) {
                self.tell(meta).await?;
            }
        }
        if since.more > 0 {
            self.missed(since.more).await?;
        }
        loop {
            match self.next().await {
                Ok(Some(meta)) => self.tell(&meta).await?,
                Ok(None) => {}
                Err(RecvError::Lagged(frames)) => self.missed(frames).await?,
                Err(RecvError::Closed) => return Err(Gone),
            }
        }
    }

    /// Returns whether a listed frame has the requested score.
    fn is_unusual(&self, meta: &FrameMeta) -> bool {
        match self.feed {
            Feed::Committed(_) => true,
            Feed::Scored(_, least) => meta.score.as_ref().is_some_and(|score| score.score >= least),
        }
    }

    /// Waits for the next frame of the feed; returns `None` if this client must not receive it.
    async fn next(&mut self) -> Result<Option<FrameMeta>, RecvError> {
        let meta = match &mut self.feed {
            Feed::Committed(feed) => {
                let meta = feed.recv().await?;
                (!self.told.contains(&meta.id)).then(|| meta.as_ref().clone())
            }
            Feed::Scored(feed, least) => {
                let Scored { id, score } = feed.recv().await?;
                let wanted = score >= *least && !self.told.contains(&id);
                let found = if wanted { self.archive.frame(id).await.unwrap_or_default() } else { None };
                found.map(|frame| frame.meta).filter(|meta| self.begins.has(meta))
            }
        };
        let of_device = |meta: &FrameMeta| self.device.as_ref().is_none_or(|device| *device == meta.device);
        Ok(meta.filter(of_device))
    }

    async fn tell(&self, meta: &FrameMeta) -> Result<(), Gone> {
        let event = Event::default().event("frame").id(meta.id.to_string());
        self.send(event.json_data(FrameRecord::from(meta))).await
    }

    async fn missed(&self, frames: u64) -> Result<(), Gone> {
        self.send(Event::default().event("missed").json_data(json!({ "frames": frames }))).await
    }

    async fn send(&self, event: Result<Event, axum::Error>) -> Result<(), Gone> {
        self.events.send(event).await.map_err(|_| Gone)
    }
}

fn id_of(value: &HeaderValue) -> Result<i64, Refusal> {
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    id.ok_or_else(|| {
        let reason =
            "the header Last-Event-ID is not the id of a frame: send the id of the last event".to_owned();
        Refusal::Http(StatusCode::BAD_REQUEST, reason)
    })
}
