//! Checked settings of the agent.

use std::{path::PathBuf, time::Duration};

use lopside_capture::{command::RestartPolicy, folder::DoneAction, stream::StreamFormat};
use lopside_delivery::Class;
use lopside_encoder::EncodeOptions;

use super::rate_control::RateBounds;
use crate::{SecuritySettings, TrialLimits};

/// Settings of the agent.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// The device's name: 1 to 128 visible ASCII characters.
    pub device: String,
    /// Address of the cloud-decoder.
    pub endpoint: String,
    /// TLS and authentication settings.
    pub security: SecuritySettings,
    /// Settings of the spool.
    pub spool: SpoolSettings,
    /// Time limits of the uplink.
    pub uplink: UplinkTimeouts,
    /// Path of the Unix socket that serves the status; `None` for no socket.
    pub socket: Option<PathBuf>,
    /// Bounds of quality and layers.
    pub bounds: RateBounds,
    /// Settings of updates over the air; `None` disables them.
    pub update: Option<UpdateSettings>,
    /// The sources; at least one.
    pub sources: Vec<SourceSettings>,
}

/// Settings of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The folder of the spool.
    pub folder: PathBuf,
    /// Budget of the spool, in bytes.
    pub budget_bytes: u64,
    /// Upper bound on the bytes of delivered frames that the spool keeps while it has space, in case the archive
    /// loses them.
    pub keep_delivered_bytes: u64,
    /// Time that a frame waits for others to be committed with.
    pub commit_delay: Duration,
    /// The file with the id of this machine: a spool that comes from another machine takes a new name.
    pub machine_id_file: PathBuf,
}

/// Time limits of the uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UplinkTimeouts {
    /// Time limit for an acknowledgement.
    pub ack_timeout: Duration,
    /// The longest pause between two attempts to connect.
    pub max_pause: Duration,
}

/// Settings of updates over the air.
#[derive(Debug, Clone)]
pub struct UpdateSettings {
    /// The channel's name: 1 to 64 visible ASCII characters.
    pub channel: String,
    /// The folder for installed bundles.
    pub folder: PathBuf,
    /// Approximate interval between polls of the channel.
    pub poll_interval: Duration,
    /// Encode options of the installed bundles.
    pub encode: EncodeOptions,
    /// Limits of the trial of a bundle.
    pub trial: TrialLimits,
}

/// Settings of a source.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// The name of the source in frames, logs and the status.
    pub name: String,
    pub(crate) kind: SourceKind,
    pub(crate) filters: FilterSettings,
    /// The class of its frames.
    pub class: Class,
    /// Frames of at least this many bits are of the class `high`; `None` disables the rule.
    pub min_high_bits: Option<u64>,
}

/// The kind of a source, with its parameters.
#[derive(Debug, Clone)]
pub(crate) enum SourceKind {
    Folder {
        path: PathBuf,
        after: DoneAction,
        settle: Duration,
    },
    Command {
        argv: Vec<String>,
        restart: RestartPolicy,
        format: StreamFormat,
    },
    Stdin {
        format: StreamFormat,
    },
    #[cfg(feature = "v4l")]
    Camera(lopside_capture::camera::CameraOptions),
}

/// Filters that decide which inputs are passed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterSettings {
    /// Maximum number of inputs per second; `None` for no limit.
    pub(crate) max_inputs_per_second: Option<f64>,
    /// Settings of the scene gate: the threshold in grey levels, and the time after which an image passes in
    /// any case. `None` disables the gate.
    pub(crate) scene_gate: Option<(f32, Duration)>,
}
