//! `GET /v1/devices`: the devices of the archive.

use axum::Json;
use lopside_archive::Device;
use serde::Serialize;
use utoipa::ToSchema;

use super::ArchiveExtractor;
use crate::{ServeError, api::openapi_errors, archive::times::format_rfc3339};

/// Lists the devices that have sent frames.
#[utoipa::path(
    get,
    path = "/v1/devices",
    operation_id = "devices",
    tag = "archive",
    responses((status = 200, description = "All devices, sorted by name", body = Devices), openapi_errors::ArchiveErrors)
)]
pub(in crate::api::rest) async fn list_devices(
    ArchiveExtractor(server_archive): ArchiveExtractor,
) -> Result<Json<Devices>, ServeError> {
    let devices = server_archive.archive.devices().await?;
    Ok(Json(Devices { devices: devices.into_iter().map(DeviceBody::from).collect() }))
}

#[derive(Serialize, ToSchema)]
pub(in crate::api::rest) struct Devices {
    devices: Vec<DeviceBody>,
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
    /// Number of frames ever archived, including deleted ones.
    applied: u64,
}

impl From<Device> for DeviceBody {
    fn from(device: Device) -> Self {
        Self {
            name: device.name,
            first_seen: format_rfc3339(device.first_seen_us),
            last_seen: format_rfc3339(device.last_seen_us),
            frames: device.frames,
            bytes: device.bytes,
            applied: device.applied,
        }
    }
}
