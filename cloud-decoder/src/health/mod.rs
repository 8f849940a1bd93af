//! The health of the server, by service and by component.
//!
//! ```text
//! archive: last write, regular check ─┐
//! tasks: ended or panicked ───────────┼─► faults of components ─► services ─┬─► grpc.health.v1
//! key file: no key is accepted ───────┘                                     ├─► /readyz, /readyz/{check}
//!                                                          begin of a stop ─┘   lopside_component_up
//! ```
//! A component is a part that can fail by itself; a service is what clients use, and needs some of the components:
//!
//! | service | over gRPC | needs |
//! |---|---|---|
//! | decoder | `DecoderService`, `GRPCInferenceService`, the server as a whole | accepted keys |
//! | ingest | `IngestService` | accepted keys, the archive |
//! | channels | `BundleService` | accepted keys |
//!
//! A server that is stopping serves none of them. A server without bundles serves the decoder: bundles can be loaded at
//! any time.

mod archive_monitor;
mod client;
mod component;
mod fault;
mod key_file;
mod metrics;
mod state;

pub use self::client::check_server;
pub(crate) use self::{
    archive_monitor::monitor_archive,
    component::{Component, Service},
    fault::{Fault, FaultKind},
    key_file::follow_key_file,
    metrics::register_health_metrics,
    state::{CheckResult, HealthState},
};
