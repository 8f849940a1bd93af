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
use lopside_archive::{Archive, FrameMeta, FramesSince};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;

use super::{
    super::{ApiState, flag::Flag},
    ArchiveExtractor,
    queries::MinScore,
};
use crate::{
    ServeError,
    api::{error_http::ApiError, extract::QueryParams, openapi_errors},
    archive::{ServerArchive, record::FrameRecord, scoring::ScoredFrame, times::now_us},
    transport::wait_stopping,
};

/// Capacity of the event queue of one client, in addition to the archive's feed.
const EVENT_CAPACITY: usize = 16;
/// Maximum number of past frames that are sent to a client that reconnects.
const MAX_RESUMED_FRAMES: u32 = 1000;
/// Maximum duration of a commit, in microseconds. Frames carry the time at which their commit began, so a commit
/// that is running when a client connects began at most this long before.
const MAX_COMMIT_US: i64 = 10_000_000;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Headers that make proxies pass on each event at once: nginx reads the first, caches read the second.
const UNBUFFERED: [(&str, &str); 2] = [("x-accel-buffering", "no"), ("cache-control", "no-cache")];

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api::rest) struct LiveQuery {
    /// Only frames of this device.
    #[param(nullable = false)]
    device: Option<String>,
    /// Only frames with at least this score. Frames are then sent after they have been scored.
    #[param(value_type = Option<f64>, nullable = false)]
    min_score: Option<MinScore>,
    /// Only frames of inputs that the device found damaged, or with `false` only the others. The name alone means true.
    #[param(value_type = Flag, inline, required = false)]
    damaged: Option<Flag>,
}

/// Streams frames as they are archived, until the server stops.
#[utoipa::path(
    get,
    path = "/v1/live",
    operation_id = "stream_frames",
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
        openapi_errors::ArchiveErrors,
    )
)]
pub(in crate::api::rest) async fn stream_frames(
    ArchiveExtractor(server_archive): ArchiveExtractor,
    State(api): State<ApiState>,
    QueryParams(LiveQuery { device, min_score, damaged }): QueryParams<LiveQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let last = headers.get(LAST_EVENT_ID).map(parse_event_id).transpose()?;
    // Subscribed before past frames are listed, so that frames archived in between are not missed.
    let feed = FrameFeed::subscribe_to(&server_archive, min_score)?;
    let since = match last {
        Some(id) => server_archive
            .archive
            .frames_since(id, device.as_deref(), MAX_RESUMED_FRAMES)
            .await
            .map_err(ServeError::from)?,
        None => FramesSince::default(),
    };
    let (events, stream) = mpsc::channel(EVENT_CAPACITY);
    let listed_ids = since.frames.iter().map(|meta| meta.id).collect();
    let live = LiveClient {
        archive: server_archive.archive,
        device,
        damaged: damaged.map(|Flag(damaged)| damaged),
        feed,
        listed_ids,
        lower_bound: LowerBound::after_id(last),
        events,
    };
    tokio::spawn(live.run_until_stop(api.ready, since));
    let stream = Sse::new(ReceiverStream::new(stream)).keep_alive(KeepAlive::default());
    Ok((UNBUFFERED, stream).into_response())
}

/// The feed of frames that a client follows.
enum FrameFeed {
    /// All frames, as they are committed.
    Committed(broadcast::Receiver<std::sync::Arc<FrameMeta>>),
    /// Frames with at least this score, as they are scored.
    Scored(broadcast::Receiver<ScoredFrame>, f64),
}

/// The lower bound of new frames.
#[derive(Clone, Copy)]
enum LowerBound {
    /// Frames with larger ids.
    AfterId(i64),
    /// Frames archived at this time or later, in Unix microseconds.
    AtTime(i64),
}

/// One connected client.
struct LiveClient {
    archive: Archive,
    device: Option<String>,
    /// Whether the frames must be of damaged inputs, or of undamaged ones; `None` for all.
    damaged: Option<bool>,
    feed: FrameFeed,
    /// Ids of listed frames, which may arrive again from the feed.
    listed_ids: HashSet<i64>,
    lower_bound: LowerBound,
    events: mpsc::Sender<Result<Event, axum::Error>>,
}

/// The client has disconnected, or the server is stopping.
struct Disconnected;

impl FrameFeed {
    fn subscribe_to(server_archive: &ServerArchive, min_score: Option<MinScore>) -> Result<Self, ServeError> {
        let Some(MinScore(min_score)) = min_score else {
            return Ok(Self::Committed(server_archive.archive.subscribe()));
        };
        let scores = server_archive.score_feed.as_ref().ok_or_else(|| {
            let reason = "this server does not score frames: omit min_score, or start the server without \
                          --archive-scores=false";
            ServeError::InvalidRequest(reason.to_owned())
        })?;
        Ok(Self::Scored(scores.subscribe(), min_score))
    }
}

impl LowerBound {
    fn after_id(last: Option<i64>) -> Self {
        last.map_or_else(|| Self::AtTime(now_us() - MAX_COMMIT_US), Self::AfterId)
    }

    fn is_met(self, meta: &FrameMeta) -> bool {
        match self {
            Self::AfterId(id) => meta.id > id,
            Self::AtTime(time_us) => meta.received_us >= time_us,
        }
    }
}

impl LiveClient {
    /// Sends past and new frames until the client disconnects or the server begins to stop.
    async fn run_until_stop(mut self, ready: tokio::sync::watch::Receiver<bool>, since: FramesSince) {
        let events = self.events.clone();
        tokio::select! {
            _ = self.send_all(since) => {}
            () = wait_stopping(ready) => {}
            () = events.closed() => {}
        }
    }

    async fn send_all(&mut self, since: FramesSince) -> Result<(), Disconnected> {
        for meta in &since.frames {
            if self.reaches_score(meta) && self.has_damage(meta) {
                self.send_frame(meta).await?;
            }
        }
        if since.remaining > 0 {
            self.send_missed(since.remaining).await?;
        }
        loop {
            match self.next_frame().await {
                Ok(Some(meta)) => self.send_frame(&meta).await?,
                Ok(None) => {}
                Err(RecvError::Lagged(frames)) => self.send_missed(frames).await?,
                Err(RecvError::Closed) => return Err(Disconnected),
            }
        }
    }

    /// Returns whether a listed frame has the requested score.
    fn reaches_score(&self, meta: &FrameMeta) -> bool {
        match self.feed {
            FrameFeed::Committed(_) => true,
            FrameFeed::Scored(_, min_score) => {
                meta.score.as_ref().is_some_and(|score| score.score >= min_score)
            }
        }
    }

    /// Returns whether a frame is of an input of the requested kind, damaged or not.
    fn has_damage(&self, meta: &FrameMeta) -> bool {
        self.damaged.is_none_or(|damaged| meta.marks.is_damaged == damaged)
    }

    /// Waits for the next frame of the feed; returns `None` if this client must not receive it.
    async fn next_frame(&mut self) -> Result<Option<FrameMeta>, RecvError> {
        let meta = match &mut self.feed {
            FrameFeed::Committed(feed) => {
                let meta = feed.recv().await?;
                (!self.listed_ids.contains(&meta.id)).then(|| meta.as_ref().clone())
            }
            FrameFeed::Scored(feed, min_score) => {
                let ScoredFrame { id, score } = feed.recv().await?;
                let matches = score >= *min_score && !self.listed_ids.contains(&id);
                let frame =
                    if matches { self.archive.read_frame(id).await.unwrap_or_default() } else { None };
                frame.map(|frame| frame.meta).filter(|meta| self.lower_bound.is_met(meta))
            }
        };
        let of_device =
            meta.filter(|meta| self.device.as_ref().is_none_or(|device| **device == *meta.device));
        Ok(of_device.filter(|meta| self.has_damage(meta)))
    }

    async fn send_frame(&self, meta: &FrameMeta) -> Result<(), Disconnected> {
        let event = Event::default().event("frame").id(meta.id.to_string());
        self.send_event(event.json_data(FrameRecord::from(meta))).await
    }

    async fn send_missed(&self, frames: u64) -> Result<(), Disconnected> {
        self.send_event(Event::default().event("missed").json_data(json!({ "frames": frames }))).await
    }

    async fn send_event(&self, event: Result<Event, axum::Error>) -> Result<(), Disconnected> {
        self.events.send(event).await.map_err(|_| Disconnected)
    }
}

fn parse_event_id(value: &HeaderValue) -> Result<i64, ApiError> {
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    id.ok_or_else(|| {
        let reason =
            "the header Last-Event-ID is not the id of a frame: send the id of the last event".to_owned();
        ApiError::Http(StatusCode::BAD_REQUEST, reason)
    })
}
