//! The opening of a source. It can be tried again, so that a source that cannot be opened now does not keep the others
//! from working.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lopside_bundle::{InputSpec, TableSpec};
#[cfg(feature = "v4l")]
use lopside_capture::camera::CameraOptions;
use lopside_capture::{
    CaptureError, Source, SourceContext,
    command::{CommandOptions, CommandSource},
    folder::{FolderOptions, FolderSource},
    rows::WindowOptions,
    stream::{ImageStreamOptions, StreamContent, StreamFormat, StreamSource},
    tail::{TailOptions, TailSource},
};
use lopside_encoder::{AnyEncoder, source};
use lopside_uplink::StoredItems;

use super::{FolderSettings, SourceKind, SourceSettings, TailSettings, guard::program_guard};
use crate::{EdgeError, SettingsError};

/// A source, with the inputs of its files that are stored already.
pub(super) type OpenedSource = (Box<dyn Source>, StoredItems);

/// The kind of the files that a bundle takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcceptedFiles {
    Images,
    Numbers,
}

impl AcceptedFiles {
    /// Returns the kind of the files that an encoder with these inputs takes; `None` is an image codec.
    pub(crate) fn of_input(spec: Option<&InputSpec>) -> Self {
        match spec {
            None | Some(InputSpec::Picture(_)) => Self::Images,
            Some(InputSpec::Series(_) | InputSpec::Tensor {}) => Self::Numbers,
        }
    }

    /// Returns whether a file is an input.
    pub(crate) fn accepts(self, path: &Path) -> bool {
        match self {
            Self::Images => source::is_image_file(path),
            Self::Numbers => source::numbers::is_numbers_file(path),
        }
    }

    /// Returns the reason why other files are not read.
    pub(crate) fn refusal(self) -> &'static str {
        match self {
            Self::Images => {
                "it is not an image of a known format: convert it to PNG or JPEG, or keep it in another folder"
            }
            Self::Numbers => {
                "it is neither CSV nor .npy, which the bundle takes: convert it, configure a bundle for images, or keep it in \
                 another folder"
            }
        }
    }
}

/// Everything that is needed to open a source.
pub(super) struct SourceOpener {
    kind: SourceKind,
    /// Time without an input after which a program or a camera is started again; `None` for no limit.
    max_silence: Option<Duration>,
    context: SourceContext,
    files: AcceptedFiles,
    /// The content of a stream; `None` for a source that is not a stream.
    content: Option<StreamContent>,
    /// The inputs of files that were stored before the start, for all sources together.
    items: Arc<Mutex<StoredItems>>,
}

impl SourceOpener {
    /// Checks that the bundle takes what the source yields.
    pub(super) fn new(
        settings: &SourceSettings,
        encoder: &AnyEncoder,
        context: SourceContext,
        items: Arc<Mutex<StoredItems>>,
    ) -> Result<Self, EdgeError> {
        check_table(settings, encoder)?;
        let files = AcceptedFiles::of_input(encoder.input_spec());
        let content = match &settings.kind {
            SourceKind::Folder(_) => None,
            SourceKind::Command { format, .. } | SourceKind::Stdin { format, .. } => {
                Some(stream_content(settings, encoder, *format)?)
            }
            SourceKind::Tail(_) => match window_options(settings, encoder) {
                Some(windows) => Some(StreamContent::Rows(windows)),
                None => return Err(numbers_for_images(&settings.name, encoder)),
            },
            #[cfg(feature = "v4l")]
            SourceKind::Camera(_) if files == AcceptedFiles::Numbers => {
                return Err(images_for_numbers(&settings.name, encoder));
            }
            #[cfg(feature = "v4l")]
            SourceKind::Camera(_) => None,
        };
        if let (AcceptedFiles::Numbers, SourceKind::Command { format, .. } | SourceKind::Stdin { format, .. }) =
            (files, &settings.kind)
            && *format != StreamFormat::Auto
        {
            return Err(images_for_numbers(&settings.name, encoder));
        }
        let (kind, max_silence) = (settings.kind.clone(), settings.silence_limit());
        Ok(Self { kind, max_silence, context, files, content, items })
    }

    /// Opens the source.
    pub(super) fn open(&self) -> Result<OpenedSource, CaptureError> {
        let (context, content) = (self.context.clone(), self.content.clone());
        let source: Box<dyn Source> = match (&self.kind, content) {
            (SourceKind::Folder(folder), _) => return self.open_folder(folder),
            (SourceKind::Command { argv, restart, .. }, Some(content)) => {
                let options = CommandOptions {
                    restart: *restart,
                    silence: self.max_silence,
                    guard: program_guard(),
                    ..CommandOptions::new(argv, content)
                };
                Box::new(CommandSource::new(context, options)?)
            }
            (SourceKind::Stdin { .. }, Some(content)) => {
                Box::new(StreamSource::from_stdin(context, content)?)
            }
            (SourceKind::Tail(tail), Some(StreamContent::Rows(windows))) => {
                return self.open_tail(tail, windows);
            }
            (SourceKind::Command { .. } | SourceKind::Stdin { .. } | SourceKind::Tail(_), _) => {
                return Err(CaptureError::InvalidSetting("the stream has no content".to_owned()));
            }
            #[cfg(feature = "v4l")]
            (SourceKind::Camera(options), _) => {
                let options = CameraOptions { silence: self.max_silence, ..options.clone() };
                Box::new(lopside_capture::camera::CameraSource::new(context, options))
            }
        };
        Ok((source, StoredItems::default()))
    }

    /// Opens a growing file. Windows that were stored before the start are not returned again.
    fn open_tail(
        &self,
        settings: &TailSettings,
        windows: WindowOptions,
    ) -> Result<OpenedSource, CaptureError> {
        let TailSettings { path, position_file } = settings.clone();
        let source = TailSource::open(self.context.clone(), TailOptions { path, position_file, windows })?;
        // A panic cannot leave the items half changed.
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        source.skip_stored(&items.take_indices(source.file_key()));
        Ok((Box::new(source), StoredItems::default()))
    }

    fn open_folder(&self, settings: &FolderSettings) -> Result<OpenedSource, CaptureError> {
        let files = self.files;
        let options = FolderOptions {
            is_recursive: settings.is_recursive,
            keep_done: settings.keep_done,
            keep_failed: settings.keep_failed,
            settle_time: settings.settle_time,
            accepts_file: Box::new(move |path| files.accepts(path)),
            refusal: files.refusal().to_owned(),
            ..FolderOptions::new(&settings.path, settings.after.clone())
        };
        let mut folder = FolderSource::open(self.context.clone(), options)?;
        // A panic cannot leave the items half changed.
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let unfinished = folder.finish_stored(|file| items.is_file_stored(file))?;
        Ok((Box::new(folder), items.take_files(&unfinished)))
    }
}

/// Returns the stream content that the encoder accepts.
fn stream_content(
    settings: &SourceSettings,
    encoder: &AnyEncoder,
    format: StreamFormat,
) -> Result<StreamContent, EdgeError> {
    if let Some(windows) = window_options(settings, encoder) {
        return Ok(StreamContent::Rows(windows));
    }
    match encoder.input_spec() {
        None | Some(InputSpec::Picture(_)) => {
            Ok(StreamContent::Images(ImageStreamOptions { format, ..ImageStreamOptions::default() }))
        }
        Some(InputSpec::Series(_) | InputSpec::Tensor {}) => {
            Err(SettingsError::TensorStream { bundle: encoder.name().to_owned() }.into())
        }
    }
}

/// Returns the windows that the encoder accepts, of tables of the form that the source or else the bundle declares; `None`
/// if the encoder does not accept windows.
fn window_options(settings: &SourceSettings, encoder: &AnyEncoder) -> Option<WindowOptions> {
    let Some(InputSpec::Series(spec)) = encoder.input_spec() else { return None };
    Some(WindowOptions {
        channels: spec.channels.clone(),
        window_rows: spec.length as usize,
        stride_rows: spec.stride as usize,
        table: settings.table.merged_over(&encoder.table()),
    })
}

/// Checks that the bundle's windows can come from tables of the form that the source declares.
fn check_table(settings: &SourceSettings, encoder: &AnyEncoder) -> Result<(), EdgeError> {
    let problem = match encoder.input_spec() {
        Some(InputSpec::Series(spec)) => {
            settings.table.merged_over(&encoder.table()).problem(spec.channels.len())
        }
        _ if settings.table == TableSpec::default() => None,
        _ => Some(format!("the bundle {:?} does not take windows of a time series", encoder.name())),
    };
    let name = &settings.name;
    problem.map_or(Ok(()), |problem| {
        Err(SettingsError::Invalid(format!("the table of the source {name:?}: {problem}")).into())
    })
}

/// Returns the error of a source of measurements for a bundle that takes none.
fn numbers_for_images(source: &str, encoder: &AnyEncoder) -> EdgeError {
    let bundle = encoder.name();
    let reason = format!(
        "the source {source:?} follows a file of measurements, but the bundle {bundle:?} does not take windows of a time \
         series: configure another bundle, or a source with folder, command or camera"
    );
    SettingsError::Invalid(reason).into()
}

/// Returns the error of a source of images for a bundle that takes numbers.
fn images_for_numbers(source: &str, encoder: &AnyEncoder) -> EdgeError {
    let bundle = encoder.name();
    let reason = format!(
        "the source {source:?} yields images, but the bundle {bundle:?} takes measurements: configure a bundle for images, \
         or omit format"
    );
    SettingsError::Invalid(reason).into()
}
