use std::path::{Path, PathBuf};

use lopside_capture::{
    command::RestartPolicy,
    folder::DoneAction,
    stream::{RawFormat, RawLayout, StreamFormat},
};
use lopside_delivery::Class;
use serde::Deserialize;

use super::seconds::duration_from_seconds;
use crate::{
    EdgeError, SettingsError,
    agent::{FilterSettings, SourceKind, SourceSettings},
};

const DEFAULT_SETTLE_SECONDS: f64 = 2.0;
const DEFAULT_SILENCE_SECONDS: f64 = 60.0;
const MAX_NAME_BYTES: usize = 128;

/// One table `source`, which has no flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SourceTable {
    name: Option<String>,
    folder: Option<PathBuf>,
    after: AfterValue,
    moved_to: Option<PathBuf>,
    settle_seconds: Option<f64>,
    command: Option<Vec<String>>,
    restart: RestartValue,
    stdin: Option<bool>,
    camera: Option<PathBuf>,
    format: FormatValue,
    width: Option<u32>,
    height: Option<u32>,
    #[cfg_attr(not(feature = "v4l"), allow(dead_code))]
    fps: Option<u32>,
    max_rate: Option<f64>,
    scene_threshold: Option<f32>,
    scene_silence_seconds: Option<f64>,
    class: ClassValue,
    high_bits: Option<u64>,
}

/// A value of the key `after`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AfterValue {
    #[default]
    Move,
    Remember,
    Delete,
}

/// A value of the key `restart`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RestartValue {
    #[default]
    Always,
    OnFailure,
    Never,
}

/// A value of the key `format`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FormatValue {
    #[default]
    Auto,
    Mjpeg,
    Pnm,
    Grey8,
    Rgb24,
    Yuv420p,
    Yuyv,
}

/// A value of the key `class`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClassValue {
    Low,
    #[default]
    Normal,
    High,
}

/// Returns the settings of the sources.
///
/// # Errors
/// [`SettingsError::Invalid`] for an invalid key, two sources of one name, or no source at all.
pub(crate) fn check_sources(tables: &[SourceTable]) -> Result<Vec<SourceSettings>, EdgeError> {
    let sources: Vec<SourceSettings> =
        tables.iter().map(SourceTable::source_settings).collect::<Result<_, _>>()?;
    if sources.is_empty() {
        return Err(invalid(
            "no source is configured: add a table [[source]] with folder, command, stdin or camera",
        ));
    }
    let names = sources.iter().map(|source| &source.name);
    if let Some(duplicate) =
        names.clone().find(|name| names.clone().filter(|other| other == name).count() > 1)
    {
        return Err(invalid(format!("two sources are named {duplicate:?}: give each source a unique name")));
    }
    Ok(sources)
}

impl SourceTable {
    fn source_settings(&self) -> Result<SourceSettings, EdgeError> {
        let (default, kind) = self.kind()?;
        let name = self.name.clone().unwrap_or(default);
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
            return Err(invalid(format!(
                "{name:?} is not a valid name of a source: use 1 to {MAX_NAME_BYTES} printable bytes"
            )));
        }
        let silence = duration_from_seconds(
            "scene_silence_seconds",
            self.scene_silence_seconds,
            DEFAULT_SILENCE_SECONDS,
        )?;
        let filters = FilterSettings {
            max_inputs_per_second: self.max_rate,
            scene_gate: self.scene_threshold.map(|threshold| (threshold, silence)),
        };
        Ok(SourceSettings { name, kind, filters, class: self.class.into(), min_high_bits: self.high_bits })
    }

    /// Returns the default name of the source and its kind.
    fn kind(&self) -> Result<(String, SourceKind), EdgeError> {
        let stdin = self.stdin.filter(|stdin| *stdin);
        match (&self.folder, &self.command, stdin, &self.camera) {
            (Some(path), None, None, None) => {
                let settle =
                    duration_from_seconds("settle_seconds", self.settle_seconds, DEFAULT_SETTLE_SECONDS)?;
                let name =
                    path.file_name().map_or("folder".into(), |name| name.to_string_lossy().into_owned());
                Ok((name, SourceKind::Folder { path: path.clone(), after: self.done_action(path), settle }))
            }
            (None, Some(argv), None, None) => {
                let program = argv.first().ok_or_else(|| invalid("command does not name a program"))?;
                let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
                let (argv, restart) = (argv.clone(), self.restart.into());
                Ok((name, SourceKind::Command { argv, restart, format: self.stream_format()? }))
            }
            (None, None, Some(_), None) => {
                Ok(("stdin".into(), SourceKind::Stdin { format: self.stream_format()? }))
            }
            (None, None, None, Some(device)) => camera(self, device),
            _ => Err(invalid("a source must have exactly one of folder, command, stdin = true and camera")),
        }
    }

    fn done_action(&self, folder: &Path) -> DoneAction {
        match self.after {
            AfterValue::Move => {
                DoneAction::Move(self.moved_to.clone().unwrap_or_else(|| folder.join("done")))
            }
            AfterValue::Remember => DoneAction::Remember(folder.join(".lopside-done")),
            AfterValue::Delete => DoneAction::Delete,
        }
    }

    fn stream_format(&self) -> Result<StreamFormat, EdgeError> {
        match self.format {
            FormatValue::Auto => Ok(StreamFormat::Auto),
            FormatValue::Mjpeg => Ok(StreamFormat::Mjpeg),
            FormatValue::Pnm => Ok(StreamFormat::Pnm),
            FormatValue::Grey8 => self.raw_format(RawFormat::Grey8),
            FormatValue::Rgb24 => self.raw_format(RawFormat::Rgb24),
            FormatValue::Yuv420p => self.raw_format(RawFormat::Yuv420p),
            FormatValue::Yuyv => self.raw_format(RawFormat::Yuyv),
        }
    }

    fn raw_format(&self, format: RawFormat) -> Result<StreamFormat, EdgeError> {
        let (Some(width), Some(height)) = (self.width, self.height) else {
            return Err(invalid("raw images need width and height"));
        };
        Ok(StreamFormat::Raw(RawLayout::new(width, height, format)?))
    }
}

impl From<RestartValue> for RestartPolicy {
    fn from(value: RestartValue) -> Self {
        match value {
            RestartValue::Always => Self::Always,
            RestartValue::OnFailure => Self::OnFailure,
            RestartValue::Never => Self::Never,
        }
    }
}

impl From<ClassValue> for Class {
    fn from(value: ClassValue) -> Self {
        match value {
            ClassValue::Low => Self::Low,
            ClassValue::Normal => Self::Normal,
            ClassValue::High => Self::High,
        }
    }
}

#[cfg(feature = "v4l")]
fn camera(table: &SourceTable, device: &Path) -> Result<(String, SourceKind), EdgeError> {
    let (Some(width), Some(height)) = (table.width, table.height) else {
        return Err(invalid("a camera needs width and height"));
    };
    let (device, fps) = (device.to_owned(), table.fps.unwrap_or(30));
    let options = lopside_capture::camera::CameraOptions { device, width, height, fps };
    Ok(("camera".into(), SourceKind::Camera(options)))
}

#[cfg(not(feature = "v4l"))]
fn camera(_: &SourceTable, device: &Path) -> Result<(String, SourceKind), EdgeError> {
    Err(invalid(format!(
        "{}: this edge-encoder was built without the feature v4l; use a command such as rpicam-vid or ffmpeg instead",
        device.display()
    )))
}

fn invalid(reason: impl Into<String>) -> EdgeError {
    SettingsError::Invalid(reason.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<SourceSettings, String> {
        let table: SourceTable = toml::from_str(text).map_err(|error| error.to_string())?;
        table.source_settings().map_err(|error| error.to_string())
    }

    #[test]
    fn a_source_has_a_default_name_and_class() {
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
    fn every_value_of_an_enumerated_key_has_its_meaning() {
        for (text, expected) in [
            ("move", DoneAction::Move("a/done".into())),
            ("remember", DoneAction::Remember("a/.lopside-done".into())),
            ("delete", DoneAction::Delete),
        ] {
            let kind = source(&format!("folder = 'a'\nafter = '{text}'")).unwrap().kind;
            let SourceKind::Folder { after, .. } = kind else { panic!("{kind:?}") };
            assert_eq!(after, expected);
        }
        for (text, expected) in [
            ("always", RestartPolicy::Always),
            ("on-failure", RestartPolicy::OnFailure),
            ("never", RestartPolicy::Never),
        ] {
            let kind = source(&format!("command = ['a']\nrestart = '{text}'")).unwrap().kind;
            let SourceKind::Command { restart, .. } = kind else { panic!("{kind:?}") };
            assert_eq!(restart, expected);
        }
        let raw = |format| StreamFormat::Raw(RawLayout::new(4, 2, format).unwrap());
        for (text, expected) in [
            ("auto", StreamFormat::Auto),
            ("mjpeg", StreamFormat::Mjpeg),
            ("pnm", StreamFormat::Pnm),
            ("grey8", raw(RawFormat::Grey8)),
            ("rgb24", raw(RawFormat::Rgb24)),
            ("yuv420p", raw(RawFormat::Yuv420p)),
            ("yuyv", raw(RawFormat::Yuyv)),
        ] {
            let kind =
                source(&format!("stdin = true\nformat = '{text}'\nwidth = 4\nheight = 2")).unwrap().kind;
            let SourceKind::Stdin { format } = kind else { panic!("{kind:?}") };
            assert_eq!(format, expected);
        }
        for class in Class::ALL {
            let text = format!("stdin = true\nclass = '{}'", class.name());
            assert_eq!(source(&text).unwrap().class, class);
        }
    }

    #[test]
    fn an_invalid_source_is_refused_with_the_reason() {
        for (text, expected) in [
            ("name = 'x'", "exactly one"),
            ("stdin = true\nfolder = 'a'", "exactly one"),
            ("folder = 'a'\nafter = 'keep'", "`move`, `remember`, `delete`"),
            ("command = ['a']\nrestart = 'often'", "`always`, `on-failure`, `never`"),
            ("stdin = true\nformat = 'rgb24'", "width and height"),
            ("stdin = true\nformat = 'png'", "mjpeg"),
            ("command = []", "does not name a program"),
            ("stdin = true\nclass = 'urgent'", "`low`, `normal`, `high`"),
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
    fn sources_are_required_and_have_unique_names() {
        let table = |text| toml::from_str::<SourceTable>(text).unwrap();
        let refused = |tables: &[SourceTable]| check_sources(tables).unwrap_err().to_string();
        assert!(refused(&[]).contains("no source is configured"));
        let duplicates = [table("folder = 'a/x'"), table("folder = 'b/x'")];
        assert!(refused(&duplicates).contains("two sources are named \"x\""));
        assert_eq!(check_sources(&duplicates[..1]).unwrap().len(), 1);
    }
}
