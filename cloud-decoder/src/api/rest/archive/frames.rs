//! `GET /v1/frames`, and `GET` and `DELETE /v1/frames/{id}`.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use lopside_archive::FrameQuery;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{ApiState, accept::accepts, flag::Flag},
    ArchiveExtractor,
    queries::{MinScore, PageCursorParam, PageLimit, frame_query},
};
use crate::{
    ServeError,
    api::{
        extract::{PathParams, QueryParams},
        openapi_errors, openapi_schemas,
    },
    archive::{
        ServerArchive,
        record::{FrameRecord, WholeRecord},
        times::QueryTime,
    },
    audit::{Actor, Change},
};

const OCTET_STREAM: &str = "application/octet-stream";

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api::rest) struct ListQuery {
    /// Only frames of this device.
    #[param(nullable = false)]
    device: Option<String>,
    /// Only frames captured at this time or later, by the corrected time.
    #[param(value_type = openapi_schemas::Time, required = false, nullable = false)]
    from: Option<QueryTime>,
    /// Only frames captured before this time, by the corrected time.
    #[param(value_type = openapi_schemas::Time, required = false, nullable = false)]
    to: Option<QueryTime>,
    /// Only frames with at least this score.
    #[param(value_type = Option<f64>, nullable = false)]
    min_score: Option<MinScore>,
    /// Only frames of inputs that the device found damaged, or with `false` only the others. The name alone means true.
    #[param(value_type = Flag, inline, required = false)]
    damaged: Option<Flag>,
    /// Frames per page; 100 by default.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, nullable = false)]
    limit: PageLimit,
    /// The value of `next` in the previous page.
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{32}$", nullable = false)]
    after: Option<PageCursorParam>,
}

/// A page of archived frames.
#[derive(Serialize, ToSchema)]
#[schema(as = Frames)]
pub(in crate::api::rest) struct FramesBody {
    frames: Vec<FrameRecord>,
    /// The value of `after` for the next page; null on the last page.
    #[schema(required)]
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api::rest) struct OneFrameQuery {
    /// Whether to return only the bytes of the frame, as with `Accept: application/octet-stream`. The name alone
    /// means true.
    #[param(value_type = Flag, inline, required = false)]
    raw: Option<Flag>,
}

/// Lists archived frames, newest captured first.
#[utoipa::path(
    get,
    path = "/v1/frames",
    operation_id = "list_frames",
    tag = "archive",
    params(ListQuery),
    responses((status = 200, description = "A page of the matching frames", body = FramesBody), openapi_errors::ArchiveErrors)
)]
pub(in crate::api::rest) async fn list_frames(
    ArchiveExtractor(server_archive): ArchiveExtractor,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<FramesBody>, ServeError> {
    let ListQuery { device, from, to, min_score, damaged, limit: PageLimit(limit), after } = query;
    let after = after.map(|PageCursorParam(cursor)| cursor);
    let query = FrameQuery { limit, after, ..frame_query(device, [from, to], min_score, damaged) };
    let page = server_archive.archive.list_frames(&query).await?;
    let frames = page.frames.iter().map(FrameRecord::from).collect();
    Ok(Json(FramesBody { frames, next: page.next.map(|next| next.to_string()) }))
}

/// Returns an archived frame.
#[utoipa::path(
    get,
    path = "/v1/frames/{id}",
    operation_id = "get_frame",
    tag = "archive",
    params(("id" = i64, Path, description = "The frame's id"), OneFrameQuery),
    responses(
        (status = 200, description = "The record of the frame, and its bytes", content(
            (WholeRecord = "application/json"),
            (openapi_schemas::Octets = "application/octet-stream"),
        )),
        openapi_errors::ArchiveErrors,
    )
)]
pub(in crate::api::rest) async fn get_frame(
    ArchiveExtractor(server_archive): ArchiveExtractor,
    PathParams(id): PathParams<i64>,
    QueryParams(query): QueryParams<OneFrameQuery>,
    headers: HeaderMap,
) -> Result<Response, ServeError> {
    let frame = server_archive.archive.read_frame(id).await?.ok_or(ServeError::UnknownFrame(id))?;
    let raw = match query.raw {
        Some(Flag(raw)) => raw,
        None => accepts(&headers, OCTET_STREAM),
    };
    let vary = [(header::VARY, "accept")];
    Ok(if raw {
        (vary, [(header::CONTENT_TYPE, OCTET_STREAM)], frame.bytes).into_response()
    } else {
        (vary, Json(WholeRecord::from(&frame))).into_response()
    })
}

/// Deletes an archived frame. It is not archived again if its device sends it again.
#[utoipa::path(
    delete,
    path = "/v1/frames/{id}",
    operation_id = "delete_frame",
    tag = "archive",
    params(("id" = i64, Path, description = "The frame's id")),
    responses((status = 204, description = "The frame was deleted"), openapi_errors::ArchiveErrors)
)]
pub(in crate::api::rest) async fn delete_frame(
    ArchiveExtractor(ServerArchive { archive, .. }): ArchiveExtractor,
    State(api): State<ApiState>,
    actor: Actor,
    PathParams(id): PathParams<i64>,
) -> Result<StatusCode, ServeError> {
    let change = Change { actor, action: "frame.delete", subject: format!("frame {id}") };
    let delete = async move {
        archive.delete(id).await?.then_some(StatusCode::NO_CONTENT).ok_or(ServeError::UnknownFrame(id))
    };
    api.audit.perform(change, delete).await
}
