use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use lopside_bundle::TableSpec;
use lopside_capture::{command::RestartPolicy, folder::DoneAction, stream::StreamFormat};
use lopside_delivery::Class;
use serde::Deserialize;

use super::{
    folder::{FolderKeys, check_nesting},
    seconds::duration_from_seconds,
    stream::{FormatValue, MatrixValue, RangeValue, StreamKeys},
    tail::tail_kind,
};
use crate::{
    EdgeError, SettingsError,
    agent::{FilterSettings, FolderSettings, SourceKind, SourceSettings},
};

const DEFAULT_SILENCE_SECONDS: f64 = 60.0;
/// Time without an image after which a camera is opened again.
const CAMERA_SILENCE_SECONDS: f64 = 60.0;
const MAX_NAME_BYTES: usize = 128;
const KIND_RULE: &str = "a source must have exactly one of folder, tail, command, stdin = true and camera";

/// One table `source`, which has no flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SourceTable {
    name: Option<String>,
    folder: Option<PathBuf>,
    after: AfterValue,
    moved_to: Option<PathBuf>,
    remembered_in: Option<PathBuf>,
    recursive: Option<bool>,
    done_days: Option<f64>,
    done_megabytes: Option<f64>,
    failed_days: Option<f64>,
    failed_megabytes: Option<f64>,
    settle_seconds: Option<f64>,
    command: Option<Vec<String>>,
    restart: RestartValue,
    stdin: Option<bool>,
    tail: Option<PathBuf>,
    position_file: Option<PathBuf>,
    table: TableSpec,
    camera: Option<PathBuf>,
    format: FormatValue,
    width: Option<u32>,
    height: Option<u32>,
    #[cfg_attr(not(feature = "v4l"), allow(dead_code))]
    fps: Option<u32>,
    max_rate: Option<f64>,
    scene_threshold: Option<f32>,
    scene_silence_seconds: Option<f64>,
    silence_seconds: Option<f64>,
    yuv_matrix: MatrixValue,
    yuv_range: RangeValue,
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
            "no source is configured: add a table [[source]] with folder, tail, command, stdin or camera",
        ));
    }
    let names = sources.iter().map(|source| &source.name);
    if let Some(duplicate) =
        names.clone().find(|name| names.clone().filter(|other| other == name).count() > 1)
    {
        return Err(invalid(format!("two sources are named {duplicate:?}: give each source a unique name")));
    }
    check_nesting(&sources)?;
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
        Ok(SourceSettings {
            name,
            kind,
            filters,
            table: self.table.clone(),
            class: self.class.into(),
            min_high_bits: self.high_bits,
            max_silence: self.max_silence()?,
        })
    }

    /// Returns the default name of the source and its kind.
    fn kind(&self) -> Result<(String, SourceKind), EdgeError> {
        let stdin = self.stdin.filter(|stdin| *stdin);
        if let Some(path) = &self.tail {
            let others =
                [self.folder.is_some(), self.command.is_some(), stdin.is_some(), self.camera.is_some()];
            if others.contains(&true) {
                return Err(invalid(KIND_RULE));
            }
            return Ok(tail_kind(path, self.position_file.as_deref()));
        }
        if self.position_file.is_some() {
            return Err(invalid("position_file has an effect only with tail"));
        }
        match (&self.folder, &self.command, stdin, &self.camera) {
            (Some(path), None, None, None) => {
                let name =
                    path.file_name().map_or("folder".into(), |name| name.to_string_lossy().into_owned());
                Ok((name, SourceKind::Folder(self.folder_settings(path)?)))
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
            _ => Err(invalid(KIND_RULE)),
        }
    }

    fn folder_settings(&self, folder: &Path) -> Result<FolderSettings, EdgeError> {
        if self.remembered_in.is_some() && !matches!(self.after, AfterValue::Remember) {
            return Err(invalid("remembered_in has an effect only with after = \"remember\""));
        }
        let after = match self.after {
            AfterValue::Move => {
                DoneAction::Move(self.moved_to.clone().unwrap_or_else(|| folder.join("done")))
            }
            AfterValue::Remember => DoneAction::Remember(
                self.remembered_in.clone().unwrap_or_else(|| folder.join(".lopside-done")),
            ),
            AfterValue::Delete => DoneAction::Delete,
        };
        let keys = FolderKeys {
            recursive: self.recursive,
            settle_seconds: self.settle_seconds,
            done: [self.done_days, self.done_megabytes],
            failed: [self.failed_days, self.failed_megabytes],
        };
        keys.into_settings(folder, after)
    }

    fn stream_format(&self) -> Result<StreamFormat, EdgeError> {
        let Self { format, width, height, yuv_matrix, yuv_range, .. } = *self;
        StreamKeys { format, width, height, yuv_matrix, yuv_range }.stream_format()
    }

    /// Returns the limit on silence, if it is stated. A camera delivers all the time, and a program may not.
    fn max_silence(&self) -> Result<Option<Duration>, SettingsError> {
        let default = self.camera.as_ref().map(|_| CAMERA_SILENCE_SECONDS);
        let seconds = self.silence_seconds.or(default);
        seconds.map(|seconds| duration_from_seconds("silence_seconds", Some(seconds), 0.0)).transpose()
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
    let options = lopside_capture::camera::CameraOptions { device, width, height, fps, silence: None };
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
    use lopside_bundle::{ColumnRef, DecimalMark, Separator, TimeFormat, TimeZone};

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
        let SourceKind::Folder(settings) = folder.kind else { panic!("{:?}", folder.kind) };
        assert_eq!(settings.after, DoneAction::Move("/var/lib/inbox/done".into()));
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
            ("remember'\nremembered_in = 'b/list", DoneAction::Remember("b/list".into())),
        ] {
            let kind = source(&format!("folder = 'a'\nafter = '{text}'")).unwrap().kind;
            let SourceKind::Folder(settings) = kind else { panic!("{kind:?}") };
            assert_eq!(settings.after, expected);
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
        for class in Class::ALL {
            let text = format!("stdin = true\nclass = '{}'", class.name());
            assert_eq!(source(&text).unwrap().class, class);
        }
    }

    #[test]
    fn the_limit_on_silence_is_stated_or_unknown() {
        let limit = |text: &str| source(text).unwrap().max_silence;
        assert_eq!(limit("command = ['a']"), None);
        assert_eq!(limit("command = ['a']\nsilence_seconds = 0.0"), Some(Duration::ZERO));
        assert_eq!(limit("folder = 'a'\nsilence_seconds = 90.0"), Some(Duration::from_secs(90)));
        let explicit = source("command = ['a']\nsilence_seconds = 0.0").unwrap();
        assert_eq!(explicit.silence_limit(), None);
    }

    #[test]
    fn the_form_of_a_table_is_declared() {
        let text = "tail = '/var/log/meter.csv'\n[table]\ncolumns = ['u', 3]\ntime = ['Date', 'Time']\n\
                    time_format = 'dmy'\ntime_zone = '+01:00'\nmax_gap_seconds = 90\nmax_held_rows = 2\nmissing = ['-9999']\n\
                    separator = ';'\ndecimal = ','\n";
        let settings = source(text).unwrap();
        assert_eq!(settings.name, "meter.csv");
        let name = |name: &str| ColumnRef::Name(name.into());
        let expected = TableSpec {
            columns: Some(vec![name("u"), ColumnRef::Number(3)]),
            time: Some(vec![name("Date"), name("Time")]),
            time_format: Some(TimeFormat::Dmy),
            time_zone: TimeZone::try_from("+01:00".to_owned()).ok(),
            max_gap_seconds: Some(90.0),
            max_held_rows: Some(2),
            missing: Some(vec!["-9999".into()]),
            separator: Some(Separator::Semicolon),
            decimal: Some(DecimalMark::Comma),
        };
        assert_eq!(settings.table, expected);
        assert_eq!(source("folder = 'a'").unwrap().table, TableSpec::default());
    }

    #[test]
    fn an_invalid_source_is_refused_with_the_reason() {
        for (text, expected) in [
            ("name = 'x'", "exactly one"),
            ("stdin = true\nfolder = 'a'", "exactly one"),
            ("tail = 'a.csv'\nstdin = true", "exactly one of folder, tail"),
            ("folder = 'a'\nposition_file = 'b'", "only with tail"),
            ("tail = 'a.csv'\ntable = { tme = ['t'] }", "tme"),
            ("tail = 'a.csv'\ntable = { separator = ':' }", "`,`, `;`"),
            ("tail = 'a.csv'\ntable = { time_zone = 'CET' }", "write UTC, or the distance"),
            ("folder = 'a'\nafter = 'keep'", "`move`, `remember`, `delete`"),
            ("command = ['a']\nrestart = 'often'", "`always`, `on-failure`, `never`"),
            ("stdin = true\nformat = 'rgb24'", "width and height"),
            ("stdin = true\nformat = 'avi'", "mjpeg"),
            ("stdin = true\nyuv_range = 'half'", "`limited` or `full`"),
            ("stdin = true\nsilence_seconds = -1.0", "silence_seconds"),
            ("command = []", "does not name a program"),
            ("stdin = true\nclass = 'urgent'", "`low`, `normal`, `high`"),
            ("stdin = true\nclas = 'low'", "clas"),
            ("folder = 'a'\nsettle_seconds = -1.0", "settle_seconds"),
            ("folder = 'a'\ndone_days = -1.0", "done_days"),
            ("folder = 'a'\nremembered_in = 'b'", "remember"),
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
        let nested = [table("folder = 'a'"), table("folder = 'a/x'")];
        assert!(refused(&nested).contains("recursive = false"));
        let flat = [table("folder = 'a'\nrecursive = false"), table("folder = 'a/x'")];
        assert_eq!(check_sources(&flat).unwrap().len(), 2);
    }
}
