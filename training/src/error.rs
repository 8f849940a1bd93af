use std::{
    io as std_io,
    path::{Path, PathBuf},
};

/// Why a training step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The data set is not there.
    #[error(
        "no Fashion-MNIST in {}: on Debian run `apt-get install dataset-fashion-mnist`, elsewhere put \
         train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and \
         t10k-labels-idx1-ubyte.gz (github.com/zalandoresearch/fashion-mnist) into a folder and name it with --data",
        folder.display()
    )]
    NoData {
        /// Where it was looked for.
        folder: PathBuf,
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
    /// Photographs were asked for, but the bundle knows none.
    #[error("{} is no photo bundle: `training bundle --preset photo` makes one", folder.display())]
    NoPhotoBundle {
        /// The folder.
        folder: PathBuf,
    },
    /// The device was not built in.
    #[error("this build has no wgpu: build with `--features wgpu`")]
    NoWgpu,
    /// A picture could not be drawn.
    #[error("{}: {reason}", path.display())]
    Draw {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The exported halves do not compute what the whole computes.
    #[error("{what} differs by {difference:e}, over {limit:e}: the halves are not kept")]
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

/// Turns a system error at `path` into a [`TrainingError::Io`].
pub(crate) fn io(path: &Path) -> impl FnOnce(std_io::Error) -> TrainingError {
    let path = path.to_owned();
    move |source| TrainingError::Io { path, source }
}
