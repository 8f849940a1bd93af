//! `GET /v1/export`: all matching frames as one file.

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    super::flag::Flag,
    ArchiveExtractor,
    queries::{MinScore, frame_query},
};
use crate::{
    ServeError,
    api::{extract::QueryParams, openapi_errors, openapi_schemas},
    archive::{export::Export, times::QueryTime},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api::rest) struct ExportQuery {
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
    /// The file format; NDJSON by default.
    #[serde(default)]
    #[param(required = false)]
    format: FileFormat,
}

/// A format of exported files.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ExportFormat)]
pub(in crate::api::rest) enum FileFormat {
    #[default]
    Ndjson,
    Parquet,
}

/// Exports archived frames with their bytes as one file, newest captured first.
///
/// If the response is interrupted, the file is incomplete; send the request again.
#[utoipa::path(
    get,
    path = "/v1/export",
    operation_id = "export_frames",
    tag = "archive",
    params(ExportQuery),
    responses(
        (status = 200, description = "All matching frames: one JSON object per line, as in `/v1/frames/{id}`, or a Parquet file", content(
            (openapi_schemas::Octets = "application/x-ndjson"),
            (openapi_schemas::Octets = "application/vnd.apache.parquet"),
        )),
        openapi_errors::ArchiveErrors,
    )
)]
pub(in crate::api::rest) async fn export_frames(
    ArchiveExtractor(server_archive): ArchiveExtractor,
    QueryParams(query): QueryParams<ExportQuery>,
) -> Result<Response, ServeError> {
    let ExportQuery { device, from, to, min_score, damaged, format } = query;
    let query = frame_query(device, [from, to], min_score, damaged);
    let mut export = match format {
        FileFormat::Ndjson => Export::start_ndjson(server_archive.archive, query),
        FileFormat::Parquet => Export::start_parquet(server_archive.archive, query)?,
    };
    // An error in the first group can still be sent with its own status.
    let first = export.next_bytes().await?;
    let rest = stream::try_unfold(export, |mut export| async move {
        Ok::<_, ServeError>(export.next_bytes().await?.map(|bytes| (bytes, export)))
    });
    let file = stream::iter(first.map(Ok)).chain(rest.inspect_err(log_failure));
    Ok((format.response_headers(), Body::from_stream(file)).into_response())
}

impl FileFormat {
    fn response_headers(self) -> [(header::HeaderName, &'static str); 2] {
        let (kind, file) = match self {
            Self::Ndjson => ("application/x-ndjson", "attachment; filename=\"frames.ndjson\""),
            Self::Parquet => ("application/vnd.apache.parquet", "attachment; filename=\"frames.parquet\""),
        };
        [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, file)]
    }
}

/// Logs an error. The status of the response has already been sent, so the client does not receive the reason.
fn log_failure(error: &ServeError) {
    match error {
        ServeError::ArchiveUnavailable(reason) | ServeError::Internal(reason) => {
            tracing::error!(reason, "an export was interrupted");
        }
        error => tracing::warn!(%error, "an export was interrupted"),
    }
}
