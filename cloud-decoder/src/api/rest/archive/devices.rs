//! `GET /v1/devices`: the devices of the archive, in pages, with what they report of their sources.

use axum::Json;
use lopside_archive::Device;
use lopside_delivery::SourceCondition;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    ArchiveExtractor,
    queries::{DeviceCursorParam, PageLimit},
};
use crate::{
    ServeError,
    api::{extract::QueryParams, openapi_errors},
    archive::{
        device_reports::{DeviceReport, DeviceReports, ReportedSource},
        record::ClockName,
        times::format_rfc3339,
    },
};

/// Lists the devices that have sent frames.
#[utoipa::path(
    get,
    path = "/v1/devices",
    operation_id = "list_devices",
    tag = "archive",
    params(DevicesQuery),
    responses((status = 200, description = "A page of the devices, sorted by name", body = Devices), openapi_errors::ArchiveErrors)
)]
pub(in crate::api::rest) async fn list_devices(
    ArchiveExtractor(server_archive): ArchiveExtractor,
    QueryParams(query): QueryParams<DevicesQuery>,
) -> Result<Json<Devices>, ServeError> {
    let DevicesQuery { limit: PageLimit(limit), after } = query;
    let after = after.map(|DeviceCursorParam(cursor)| cursor);
    let page = server_archive.archive.list_devices(limit, after.as_ref()).await?;
    let reports = &server_archive.reports;
    let devices = page.devices.into_iter().map(|device| DeviceBody::new(device, reports)).collect();
    Ok(Json(Devices { devices, next: page.next.map(|next| next.to_string()) }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api::rest) struct DevicesQuery {
    /// Devices per page; 100 by default.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, nullable = false)]
    limit: PageLimit,
    /// The value of `next` in the previous page.
    #[param(value_type = Option<String>, pattern = "^([0-9a-f]{2}){1,128}$", nullable = false)]
    after: Option<DeviceCursorParam>,
}

/// A page of devices.
#[derive(Serialize, ToSchema)]
pub(in crate::api::rest) struct Devices {
    devices: Vec<DeviceBody>,
    /// The value of `after` for the next page; null on the last page.
    #[schema(required)]
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Device)]
struct DeviceBody {
    name: String,
    /// Time of arrival of the device's first frames: RFC 3339, UTC.
    first_seen: String,
    /// Time of arrival of the device's last frames: RFC 3339, UTC.
    last_seen: String,
    /// Number of frames in the archive.
    frames: u64,
    /// Total size of these frames in bytes.
    bytes: u64,
    /// Approximate bytes that these frames occupy on disk, with their rows and the names of their sources. Quotas and
    /// the limit of the archive's size count these bytes.
    stored_bytes: u64,
    /// Number of frames ever archived, including deleted ones.
    applied: u64,
    /// Number of uploads that were refused because a frame in them is archived with other contents: look for a
    /// second device with this name, or for a spool that was copied or set back.
    conflicts: u64,
    /// Number of uploads of an older epoch of a spool next to a newer one: two devices work with copies of the
    /// spool. Their frames are archived.
    alternations: u64,
    /// Number of connections that a newer connection of the device has displaced.
    displaced: u64,
    /// Number of frames that were acknowledged before the archive was restored from a backup, and that have not
    /// come again. Frames that the device dropped among them are included.
    lost: u64,
    /// How far the clock of the device could be trusted when it connected last, as the device said.
    clock: ClockName,
    /// The server's time minus the device's time when the device connected last, in milliseconds; null if the device
    /// did not state its time.
    #[schema(required)]
    clock_offset_ms: Option<i64>,
    /// The last report of the device about its sources to this server, which keeps it in memory; null if there was none.
    #[schema(required)]
    report: Option<ReportBody>,
}

/// What a device has reported of its sources.
#[derive(Serialize, ToSchema)]
#[schema(as = DeviceReport)]
struct ReportBody {
    /// Time of arrival: RFC 3339, UTC.
    received: String,
    /// Whether the device is still connected to this server. If not, the report may be out of date.
    current: bool,
    /// The sources; those that do not work come first.
    sources: Vec<SourceBody>,
    /// Number of sources that are not in the list.
    omitted: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeviceSource)]
struct SourceBody {
    name: String,
    condition: ConditionName,
    /// Number of times since the start of the agent that the source was started again because it was silent.
    restarts: u64,
    /// Time of the last input before the report, by the server's clock: RFC 3339, UTC; null before the first input.
    #[schema(required)]
    last_input: Option<String>,
    /// The most recent problem of the source.
    #[schema(required)]
    problem: Option<String>,
}

/// The condition of a source. `working`: it works, as far as the device can tell. `silent`: it has not delivered an input
/// for longer than its `silence_seconds`. `ended`: it has ended and is not started again. `unknown`: the device says
/// something that this server does not know.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SourceCondition)]
enum ConditionName {
    Unknown,
    Working,
    Silent,
    Ended,
}

impl DeviceBody {
    fn new(device: Device, reports: &DeviceReports) -> Self {
        let report = reports.find(&device.name);
        Self {
            name: device.name,
            first_seen: format_rfc3339(device.first_seen_us),
            last_seen: format_rfc3339(device.last_seen_us),
            frames: device.frames,
            bytes: device.bytes,
            stored_bytes: device.stored_bytes,
            applied: device.applied,
            conflicts: device.conflicts,
            alternations: device.alternations,
            displaced: device.displaced,
            lost: device.lost,
            clock: device.clock.quality.into(),
            clock_offset_ms: device.clock.offset_ms,
            report: report.map(|(report, is_current)| ReportBody::new(&report, is_current)),
        }
    }
}

impl ReportBody {
    fn new(report: &DeviceReport, is_current: bool) -> Self {
        Self {
            received: format_rfc3339(report.received_us),
            current: is_current,
            sources: report.sources.iter().map(SourceBody::from).collect(),
            omitted: report.omitted,
        }
    }
}

impl From<&ReportedSource> for SourceBody {
    fn from(source: &ReportedSource) -> Self {
        Self {
            name: source.name.clone(),
            condition: source.condition.into(),
            restarts: source.restarts,
            last_input: source.last_input_us.map(format_rfc3339),
            problem: source.problem.clone(),
        }
    }
}

impl From<SourceCondition> for ConditionName {
    fn from(condition: SourceCondition) -> Self {
        match condition {
            SourceCondition::Unknown => Self::Unknown,
            SourceCondition::Working => Self::Working,
            SourceCondition::Silent => Self::Silent,
            SourceCondition::Ended => Self::Ended,
        }
    }
}
