use lopside_decoder::Decoder;
use tokio::sync::watch;

use crate::{
    api::request_options::DefaultOptions, archive::ServerArchive, audit::AuditLog, channels::Channels,
    health::HealthState,
};

/// The state of the handlers.
#[derive(Debug, Clone)]
pub(crate) struct ApiState {
    pub(crate) decoder: Decoder,
    /// The archive; `None` if none is configured.
    pub(crate) archive: Option<ServerArchive>,
    pub(crate) channels: Channels,
    pub(crate) default_options: DefaultOptions,
    /// Whether the server accepts requests; turns false when it begins to stop.
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) health: HealthState,
    pub(crate) audit: AuditLog,
}
