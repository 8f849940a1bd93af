//! Settings of the agent, merged from flags, environment variables and the config file, in this order of
//! precedence.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use lopside_capture::{
    command::RestartPolicy,
    folder::DoneAction,
    stream::{RawFormat, RawLayout, StreamFormat},
};
use lopside_delivery::Class;
use lopside_encoder::EncodeOptions;
use serde::Deserialize;

use super::{
    RateBounds,
    update::{UpdateSettings, UpdateTable},
};
use crate::{EdgeError, SecuritySettings, SettingsError};

const DEFAULT_SPOOL: &str = "spool";
const DEFAULT_SPOOL_MEGABYTES: u64 = 256;
const DEFAULT_COMMIT_MS: u64 = 20;
const DEFAULT_PATIENCE_SECONDS: u64 = 30;
const DEFAULT_LONGEST_PAUSE_SECONDS: u64 = 60;
const DEFAULT_SETTLE_SECONDS: f64 = 2.0;
const DEFAULT_SILENCE_SECONDS: f64 = 60.0;
const MAX_NAME_BYTES: usize = 128;

/// Merged and checked settings of the agent.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// The device's name: 1 to 128 visible ASCII characters.
    pub device: String,
    /// Address of the cloud-decoder.
    pub endpoint: String,
    /// TLS and authentication settings.
    pub security: SecuritySettings,
    /// The folder of the spool.
    pub spool: PathBuf,
    /// Budget of the spool, in bytes.
    pub budget_bytes: u64,
    /// Time that a frame waits for others to be committed with.
    pub commit_delay: Duration,
    /// Time limit for an acknowledgement.
    pub ack_timeout: Duration,
    /// The longest pause between two attempts to connect.
    pub max_pause: Duration,
    /// Path of the Unix socket that serves the status; `None` for no socket.
    pub socket: Option<PathBuf>,
    /// Bounds of quality and layers.
    pub bounds: RateBounds,
    /// Settings of updates over the air; `None` disables them.
    pub update: Option<UpdateSettings>,
    /// The sources; at least one.
    pub sources: Vec<SourceSettings>,
}

/// Settings of a source.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// The name of the source in frames, logs and the status.
    pub name: String,
    pub(super) kind: SourceKind,
    pub(super) filters: FilterSettings,
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
pub(super) struct FilterSettings {
    /// Maximum number of inputs per second; `None` for no limit.
    pub(super) max_inputs_per_second: Option<f64>,
    /// Settings of the scene gate: the threshold in grey levels, and the time after which an image passes in
    /// any case. `None` disables the gate.
    pub(super) scene_gate: Option<(f32, Duration)>,
}

/// The table `spool` of the config file.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SpoolTable {
    pub(crate) folder: Option<PathBuf>,
    megabytes: Option<u64>,
    commit_ms: Option<u64>,
}

/// The table `uplink` of the config file.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UplinkTable {
    patience_seconds: Option<u64>,
    longest_pause_seconds: Option<u64>,
}

/// The table `rate` of the config file: bounds between which quality and layers follow the link.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RateTable {
    min_quality: Option<u8>,
    max_quality: Option<u8>,
    min_layers: Option<u8>,
    max_layers: Option<u8>,
}

/// One table `source` of the config file.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SourceTable {
    name: Option<String>,
    folder: Option<PathBuf>,
    after: Option<String>,
    moved_to: Option<PathBuf>,
    settle_seconds: Option<f64>,
    command: Option<Vec<String>>,
    restart: Option<String>,
    stdin: Option<bool>,
    camera: Option<PathBuf>,
    format: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    #[cfg_attr(not(feature = "v4l"), allow(dead_code))]
    fps: Option<u32>,
    max_rate: Option<f64>,
    scene_threshold: Option<f32>,
    scene_silence_seconds: Option<f64>,
    class: Option<String>,
    high_bits: Option<u64>,
}

/// The settings of flags, environment and config file, before they are checked.
#[derive(Debug)]
pub(crate) struct UncheckedSettings<'a> {
    pub(crate) device: Option<String>,
    pub(crate) endpoint: String,
    pub(crate) security: SecuritySettings,
    pub(crate) spool_folder: Option<PathBuf>,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) channel: Option<String>,
    /// The quality that applies without a table `rate`.
    pub(crate) quality: u8,
    pub(crate) layers: Option<u8>,
    /// Encode options of bundles that are installed over the air.
    pub(crate) encode: EncodeOptions,
    pub(crate) spool: &'a SpoolTable,
    pub(crate) uplink: &'a UplinkTable,
    pub(crate) rate: &'a RateTable,
    pub(crate) update: &'a UpdateTable,
    pub(crate) sources: &'a [SourceTable],
}

impl SourceSettings {
    /// Returns the kind of the source.
    pub(crate) fn kind(&self) -> &SourceKind {
        &self.kind
    }
}

impl AgentSettings {
    /// Checks the merged settings.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`], which names the invalid setting.
    pub(crate) fn new(merged: UncheckedSettings<'_>) -> Result<Self, EdgeError> {
        let UncheckedSettings { spool, uplink, rate, update, .. } = merged;
        let budget = spool.megabytes.unwrap_or(DEFAULT_SPOOL_MEGABYTES).saturating_mul(1_000_000);
        let sources: Vec<SourceSettings> =
            merged.sources.iter().map(SourceTable::check_source).collect::<Result<_, _>>()?;
        if sources.is_empty() {
            return Err(invalid_setting(
                "no source is configured: add a table [[source]] with folder, command, stdin or camera",
            ));
        }
        let names = sources.iter().map(|source| &source.name);
        if let Some(twice) =
            names.clone().find(|name| names.clone().filter(|other| other == name).count() > 1)
        {
            return Err(invalid_setting(format!(
                "two sources are named {twice:?}: give each source a unique name"
            )));
        }
        Ok(Self {
            device: device_name(merged.device)?,
            endpoint: merged.endpoint,
            security: merged.security,
            spool: merged
                .spool_folder
                .or_else(|| spool.folder.clone())
                .unwrap_or_else(|| DEFAULT_SPOOL.into()),
            budget_bytes: budget,
            commit_delay: Duration::from_millis(spool.commit_ms.unwrap_or(DEFAULT_COMMIT_MS)),
            ack_timeout: positive_duration(uplink.patience_seconds, DEFAULT_PATIENCE_SECONDS),
            max_pause: positive_duration(uplink.longest_pause_seconds, DEFAULT_LONGEST_PAUSE_SECONDS),
            socket: merged.socket,
            bounds: rate.bounds(merged.quality, merged.layers, budget)?,
            update: update.settings(merged.channel, merged.encode)?,
            sources,
        })
    }
}

impl RateTable {
    fn bounds(&self, quality: u8, layers: Option<u8>, budget: u64) -> Result<RateBounds, EdgeError> {
        let fine = self.max_quality.unwrap_or(quality);
        let coarse = self.min_quality.unwrap_or(fine);
        if !(1..=100).contains(&coarse) || !(coarse..=100).contains(&fine) {
            return Err(invalid_setting(format!(
                "the range of qualities from {coarse} to {fine} is invalid: use 1 to 100, the lower one as min_quality"
            )));
        }
        let many = self.max_layers.or(layers);
        let few = self.min_layers.or(many);
        if few.is_some_and(|few| few == 0 || many.is_some_and(|many| few > many)) {
            return Err(invalid_setting("min_layers must be at least 1 and at most max_layers"));
        }
        Ok(RateBounds { quality: [coarse, fine], layers: [few, many], budget_bytes: budget })
    }
}

impl SourceTable {
    fn check_source(&self) -> Result<SourceSettings, EdgeError> {
        let (default, kind) = self.kind()?;
        let name = self.name.clone().unwrap_or(default);
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
            return Err(invalid_setting(format!(
                "{name:?} is not a valid name of a source: use 1 to {MAX_NAME_BYTES} printable bytes"
            )));
        }
        let class = self.class.as_deref().unwrap_or("normal");
        let class = Class::ALL.into_iter().find(|known| known.name() == class);
        let class = class
            .ok_or_else(|| invalid_setting(format!("source {name:?}: class must be low, normal or high")))?;
        let silence = duration_from_seconds(
            "scene_silence_seconds",
            self.scene_silence_seconds,
            DEFAULT_SILENCE_SECONDS,
        )?;
        let pace = FilterSettings {
            max_inputs_per_second: self.max_rate,
            scene_gate: self.scene_threshold.map(|threshold| (threshold, silence)),
        };
        Ok(SourceSettings { name, kind, filters: pace, class, min_high_bits: self.high_bits })
    }

    fn kind(&self) -> Result<(String, SourceKind), EdgeError> {
        let stdin = self.stdin.filter(|stdin| *stdin);
        match (&self.folder, &self.command, stdin, &self.camera) {
            (Some(path), None, None, None) => {
                let settle =
                    duration_from_seconds("settle_seconds", self.settle_seconds, DEFAULT_SETTLE_SECONDS)?;
                let name =
                    path.file_name().map_or("folder".into(), |name| name.to_string_lossy().into_owned());
                Ok((name, SourceKind::Folder { path: path.clone(), after: self.done_action(path)?, settle }))
            }
            (None, Some(argv), None, None) => {
                let program =
                    argv.first().ok_or_else(|| invalid_setting("command does not name a program"))?;
                let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
                let kind = SourceKind::Command {
                    argv: argv.clone(),
                    restart: self.restart()?,
                    format: self.format()?,
                };
                Ok((name, kind))
            }
            (None, None, Some(_), None) => Ok(("stdin".into(), SourceKind::Stdin { format: self.format()? })),
            (None, None, None, Some(device)) => camera(self, device),
            _ => Err(invalid_setting(
                "a source must have exactly one of folder, command, stdin = true and camera",
            )),
        }
    }

    fn done_action(&self, folder: &Path) -> Result<DoneAction, EdgeError> {
        match self.after.as_deref().unwrap_or("move") {
            "move" => Ok(DoneAction::Move(self.moved_to.clone().unwrap_or_else(|| folder.join("done")))),
            "remember" => Ok(DoneAction::Remember(folder.join(".lopside-done"))),
            "delete" => Ok(DoneAction::Delete),
            other => {
                Err(invalid_setting(format!("after = {other:?} is not one of move, remember or delete")))
            }
        }
    }

    fn restart(&self) -> Result<RestartPolicy, EdgeError> {
        match self.restart.as_deref().unwrap_or("always") {
            "always" => Ok(RestartPolicy::Always),
            "on-failure" => Ok(RestartPolicy::OnFailure),
            "never" => Ok(RestartPolicy::Never),
            other => {
                Err(invalid_setting(format!("restart = {other:?} is not one of always, on-failure or never")))
            }
        }
    }

    fn format(&self) -> Result<StreamFormat, EdgeError> {
        match self.format.as_deref().unwrap_or("auto") {
            "auto" => Ok(StreamFormat::Auto),
            "mjpeg" => Ok(StreamFormat::Mjpeg),
            "pnm" => Ok(StreamFormat::Pnm),
            "grey8" => self.raw_format(RawFormat::Grey8),
            "rgb24" => self.raw_format(RawFormat::Rgb24),
            "yuv420p" => self.raw_format(RawFormat::Yuv420p),
            other => Err(invalid_setting(format!(
                "format = {other:?} is not one of auto, mjpeg, pnm, grey8, rgb24 or yuv420p"
            ))),
        }
    }

    fn raw_format(&self, format: RawFormat) -> Result<StreamFormat, EdgeError> {
        let (Some(width), Some(height)) = (self.width, self.height) else {
            return Err(invalid_setting("raw images need width and height"));
        };
        Ok(StreamFormat::Raw(RawLayout::new(width, height, format)?))
    }
}

#[cfg(feature = "v4l")]
fn camera(table: &SourceTable, device: &Path) -> Result<(String, SourceKind), EdgeError> {
    let (Some(width), Some(height)) = (table.width, table.height) else {
        return Err(invalid_setting("a camera needs width and height"));
    };
    let (device, fps) = (device.to_owned(), table.fps.unwrap_or(30));
    let options = lopside_capture::camera::CameraOptions { device, width, height, fps };
    Ok(("camera".into(), SourceKind::Camera(options)))
}

#[cfg(not(feature = "v4l"))]
fn camera(_: &SourceTable, device: &Path) -> Result<(String, SourceKind), EdgeError> {
    Err(invalid_setting(format!(
        "{}: this edge-encoder was built without the feature v4l; use a command such as rpicam-vid or ffmpeg instead",
        device.display()
    )))
}

/// Returns the device's name, by default the host name.
fn device_name(name: Option<String>) -> Result<String, EdgeError> {
    let name = name.unwrap_or_else(|| gethostname::gethostname().to_string_lossy().into_owned());
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(name);
    }
    Err(invalid_setting(format!(
        "{name:?} is not a valid device name: set device, LOPSIDE_DEVICE_NAME or --device to 1 to {MAX_NAME_BYTES} visible \
         ASCII characters"
    )))
}

/// Returns the given number of seconds, or else the default; at least one second.
fn positive_duration(seconds: Option<u64>, default: u64) -> Duration {
    Duration::from_secs(seconds.unwrap_or(default).max(1))
}

fn duration_from_seconds(key: &str, given: Option<f64>, default: f64) -> Result<Duration, EdgeError> {
    let given = given.unwrap_or(default);
    Duration::try_from_secs_f64(given).map_err(|_| {
        invalid_setting(format!("{key} = {given} is invalid: use a number of seconds, 0 or more"))
    })
}

pub(super) fn invalid_setting(what: impl Into<String>) -> EdgeError {
    SettingsError::Invalid(what.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<SourceSettings, String> {
        let table: SourceTable = toml::from_str(text).map_err(|error| error.to_string())?;
        table.check_source().map_err(|error| error.to_string())
    }

    #[test]
    fn a_source_is_one_thing_with_a_name() {
        let folder = source("folder = '/var/lib/inbox'\nhigh_bits = 900").unwrap();
        assert_eq!(
            (&folder.name[..], folder.class, folder.min_high_bits),
            ("inbox", Class::Normal, Some(900))
        );
        let SourceKind::Folder { after, .. } = folder.kind else { panic!("{:?}", folder.kind) };
        assert_eq!(after, DoneAction::Move("/var/lib/inbox/done".into()));
        let command = source("command = ['/usr/bin/rpicam-vid', '-t', '0']\nclass = 'low'").unwrap();
        assert_eq!((&command.name[..], command.class), ("rpicam-vid", Class::Low));
        assert_eq!(source("stdin = true\nname = 'gate'").unwrap().name, "gate");
    }

    #[test]
    fn a_source_that_cannot_be_is_refused_with_the_reason() {
        for (text, expected) in [
            ("name = 'x'", "exactly one"),
            ("stdin = true\nfolder = 'a'", "exactly one"),
            ("folder = 'a'\nafter = 'keep'", "move, remember or delete"),
            ("stdin = true\nformat = 'rgb24'", "width and height"),
            ("stdin = true\nformat = 'png'", "mjpeg"),
            ("command = []", "does not name a program"),
            ("stdin = true\nclass = 'urgent'", "low, normal or high"),
            ("stdin = true\nclas = 'low'", "clas"),
            ("folder = 'a'\nsettle_seconds = -1.0", "settle_seconds"),
            #[cfg(not(feature = "v4l"))]
            ("camera = '/dev/video0'", "v4l"),
        ] {
            let error = source(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn quality_follows_the_link_only_where_bounds_are_given() {
        let bounds = |text: &str| {
            let table: RateTable = toml::from_str(text).unwrap();
            table.bounds(60, None, 1).map(|bounds| bounds.quality).map_err(|error| error.to_string())
        };
        assert_eq!(bounds("").unwrap(), [60, 60]);
        assert_eq!(bounds("min_quality = 20").unwrap(), [20, 60]);
        assert_eq!(bounds("min_quality = 20\nmax_quality = 90").unwrap(), [20, 90]);
        assert!(bounds("min_quality = 70").unwrap_err().contains("from 70 to 60"));
    }
}
