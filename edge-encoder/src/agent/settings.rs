//! Checked settings of the agent.

use std::{path::PathBuf, time::Duration};

use lopside_bundle::TableSpec;
use lopside_capture::{
    command::RestartPolicy,
    folder::{DoneAction, KeepBounds},
    stream::StreamFormat,
};
use lopside_delivery::Class;
use lopside_encoder::{EncodeOptions, ImagePolicy};
use lopside_spool::ClassPolicy;

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
    /// Settings of images.
    pub images: ImageSettings,
    /// Settings of updates over the air; `None` disables them.
    pub update: Option<UpdateSettings>,
    /// The sources; at least one.
    pub sources: Vec<SourceSettings>,
}

/// Settings of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSettings {
    /// The rules by which images are read.
    pub policy: ImagePolicy,
    /// Whether the place of capture, which some files state, is sent to the cloud.
    pub keep_location: bool,
    /// The treatment of images that are larger than the cloud decodes.
    pub oversized: OversizedImages,
}

/// The treatment of images that are larger than the cloud decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OversizedImages {
    /// They are refused.
    Refuse,
    /// They are scaled down to the largest size that the cloud decodes.
    Scale,
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
    /// The drop policy and the age limit per class, in the order of [`Class::ALL`].
    pub policies: [ClassPolicy; Class::ALL.len()],
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
    /// The form of the tables that the source yields; keys that are missing are those of the bundle.
    pub(crate) table: TableSpec,
    /// The class of its frames.
    pub class: Class,
    /// Frames of at least this many bits are of the class `high`; `None` disables the rule.
    pub min_high_bits: Option<u64>,
    /// Time without an input after which the source counts as silent: a program or a camera is then started again. Zero
    /// for a source that may be silent; `None` if it is not stated.
    pub max_silence: Option<Duration>,
}

impl SourceSettings {
    /// Returns the time without an input after which the source counts as silent; `None` for no limit.
    pub(crate) fn silence_limit(&self) -> Option<Duration> {
        self.max_silence.filter(|limit| !limit.is_zero())
    }
}

/// The kind of a source, with its parameters.
#[derive(Debug, Clone)]
pub(crate) enum SourceKind {
    Folder(FolderSettings),
    Command {
        argv: Vec<String>,
        restart: RestartPolicy,
        format: StreamFormat,
    },
    Stdin {
        format: StreamFormat,
    },
    Tail(TailSettings),
    #[cfg(feature = "v4l")]
    Camera(lopside_capture::camera::CameraOptions),
}

/// Settings of a growing file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TailSettings {
    pub(crate) path: PathBuf,
    /// The file that keeps the position.
    pub(crate) position_file: PathBuf,
}

/// Settings of a watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FolderSettings {
    pub(crate) path: PathBuf,
    pub(crate) is_recursive: bool,
    pub(crate) after: DoneAction,
    /// Bounds on the files that were moved away because they are done.
    pub(crate) keep_done: KeepBounds,
    /// Bounds on the files that could not be read, and on those that were set aside.
    pub(crate) keep_failed: KeepBounds,
    /// Time for which a file must not change before it is taken.
    pub(crate) settle_time: Duration,
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
