//! `GET /v1/audit`: the audit log, in pages.

use axum::Json;
use lopside_archive::{AuditEntry, AuditEvent};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    ArchiveExtractor,
    queries::{AuditCursorParam, PageLimit},
};
use crate::{
    ServeError,
    api::{extract::QueryParams, openapi_errors},
    archive::times::format_rfc3339,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api::rest) struct AuditQuery {
    /// Entries per page; 100 by default.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, nullable = false)]
    limit: PageLimit,
    /// The value of `next` in the previous page.
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{16}$", nullable = false)]
    after: Option<AuditCursorParam>,
}

/// A page of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLog)]
pub(in crate::api::rest) struct AuditBody {
    entries: Vec<EntryBody>,
    /// The value of `after` for the next page; null on the last page.
    #[schema(required)]
    next: Option<String>,
}

/// A change of something that the server serves or stores.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct EntryBody {
    /// The number of the entry, from 1 on and without gaps.
    number: u64,
    /// Time of the change: RFC 3339, UTC.
    time: String,
    /// `key:NAME`, `anonymous` if the server does not require keys, or `file` for a change of a watched file.
    actor: String,
    /// The subject of the client's certificate.
    #[schema(required)]
    certificate: Option<String>,
    /// The address of the client; of an IPv6 address, its /64 network.
    #[schema(required)]
    peer: Option<String>,
    /// The id of the request, as in the header `x-request-id`.
    #[schema(required)]
    request_id: Option<String>,
    /// The kind of change, such as `bundle.load`.
    action: String,
    /// The thing that was changed.
    subject: String,
    /// `done`, with details, or `refused` with the reason.
    outcome: String,
    /// The hash of this entry and of all entries before it, as 64 hexadecimal digits.
    hash: String,
}

/// Lists who changed what, newest first.
#[utoipa::path(
    get,
    path = "/v1/audit",
    operation_id = "list_audit",
    tag = "operation",
    params(AuditQuery),
    responses((status = 200, description = "A page of the audit log", body = AuditBody), openapi_errors::ArchiveErrors)
)]
pub(in crate::api::rest) async fn list_audit(
    ArchiveExtractor(server_archive): ArchiveExtractor,
    QueryParams(query): QueryParams<AuditQuery>,
) -> Result<Json<AuditBody>, ServeError> {
    let AuditQuery { limit: PageLimit(limit), after } = query;
    let after = after.map(|AuditCursorParam(cursor)| cursor);
    let page = server_archive.archive.list_audit(limit, after).await?;
    let entries = page.entries.into_iter().map(EntryBody::from).collect();
    Ok(Json(AuditBody { entries, next: page.next.map(|next| next.to_string()) }))
}

impl From<AuditEntry> for EntryBody {
    fn from(AuditEntry { number, time_us, event, hash }: AuditEntry) -> Self {
        let AuditEvent { actor, certificate, peer, request_id, action, subject, outcome } = event;
        let (time, hash) = (format_rfc3339(time_us), hash.iter().map(|byte| format!("{byte:02x}")).collect());
        Self { number, time, actor, certificate, peer, request_id, action, subject, outcome, hash }
    }
}
