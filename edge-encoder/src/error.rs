use std::{
    io as std_io,
    path::{Path, PathBuf},
};

use lopside_bundle::BundleError;
use lopside_capture::CaptureError;
use lopside_latent::LatentError;
use lopside_quality::QualityError;
use lopside_uplink::UplinkError;

/// Why the edge could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std_io::Error,
    },
    /// A file is no input that can be read.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The inputs hold no picture at all.
    #[error(
        "no pictures in {paths}: PNG, JPEG, WebP, PGM/PPM, .npy and IDX files are read, and folders of them"
    )]
    NoPictures {
        /// The inputs, joined.
        paths: String,
    },
    /// The inputs hold no numbers at all.
    #[error("no numbers in {paths}: CSV and .npy files are read, plain or .gz, and folders of them")]
    NoNumbers {
        /// The inputs, joined.
        paths: String,
    },
    /// The config file is wrong.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A needed setting was given nowhere.
    #[error("{what} is not set: give {flag}, set {env}, or write {key} = … in the config file")]
    Missing {
        /// The setting.
        what: &'static str,
        /// Its flag.
        flag: &'static str,
        /// Its variable.
        env: &'static str,
        /// Its key in the file.
        key: &'static str,
    },
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The latent or frame was refused.
    #[error(transparent)]
    Latent(#[from] LatentError),
    /// The picture has no pixel, or more than a frame can tell.
    #[error(
        "a picture of {width}×{height} pixels does not fit into a frame: its sides are 1 to {limit} pixels"
    )]
    Sides {
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The longest side.
        limit: u32,
    },
    /// The model has not as many layers as were asked for, or none were.
    #[error("a frame of {found} layers cannot be made: the bundle's model has {layers}, give 1 to {layers}")]
    Layers {
        /// How many were asked for.
        found: usize,
        /// How many there are.
        layers: usize,
    },
    /// A picture for a bundle of numbers, or the other way round.
    #[error("{bundle:?} takes {takes}: give it those, or another bundle with --bundle")]
    OtherInput {
        /// The bundle's name.
        bundle: String,
        /// What it takes.
        takes: &'static str,
    },
    /// The bundle says nothing of a fast encoder.
    #[error("{bundle:?} has no fast encoder: leave --fast out, or take a bundle with an encoder-fast.onnx")]
    NotFast {
        /// The bundle's name.
        bundle: String,
    },
    /// An option that the bundle has no use for.
    #[error("{option} is for bundles of photo models, and {bundle:?} is of vector models: leave it out")]
    PhotoOnly {
        /// The option's name.
        option: &'static str,
        /// The bundle's name.
        bundle: String,
    },
    /// Nobody would compare the input that is to go along.
    #[error("--with-input is for bundles with a head that scores, and {bundle:?} has none: leave it out")]
    NoScore {
        /// The bundle's name.
        bundle: String,
    },
    /// A number in the config file is out of its range.
    #[error("{key} = {found} in the config file is out of range: give {allowed}")]
    Range {
        /// The key.
        key: &'static str,
        /// What is there.
        found: u8,
        /// What may be there.
        allowed: &'static str,
    },
    /// A model cannot be run.
    #[error("the model does not run in tract: {0}")]
    Model(String),
    /// The address cannot be used.
    #[error(
        "{endpoint:?} is no address of a cloud-decoder: {reason}; it looks like http://decoder.example:8080 or https://decoder.example"
    )]
    Endpoint {
        /// The address as given.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// The API key cannot be sent.
    #[error(
        "the API key (--api-key, LOPSIDE_API_KEY) holds characters that no key has: is it the right text?"
    )]
    ApiKey,
    /// Certificates were named for a connection without TLS.
    #[error(
        "{endpoint:?} has no TLS, so --ca and --client-cert mean nothing: give an https:// address, or leave them out"
    )]
    NoTls {
        /// The address.
        endpoint: String,
    },
    /// The cloud-decoder cannot be reached.
    #[error("cannot reach {endpoint}: {reason}; is cloud-decoder running there?")]
    Connect {
        /// The address.
        endpoint: String,
        /// What the network said.
        reason: String,
    },
    /// The cloud-decoder refused a request.
    #[error("the cloud-decoder answered {code}: {message}")]
    Remote {
        /// The gRPC code's name.
        code: String,
        /// Its message.
        message: String,
    },
    /// The answer is not what was asked for.
    #[error("the cloud-decoder's answer cannot be used: {0}")]
    Answer(String),
    /// The agent's settings cannot be.
    #[error("{0}")]
    Agent(String),
    /// A bundle has nothing to try its encoder on.
    #[error(
        "{bundle:?} has no golden inputs, so its encoder cannot be tried here: add some with \
         `training golden --bundle DIR INPUT…`, and offer it again"
    )]
    NoGolden {
        /// The bundle's name.
        bundle: String,
    },
    /// An encoder makes something else here than where it was trained.
    #[error(
        "{input} becomes another latent here: {differing} of {values} values differ, by up to {largest} steps; at most \
         {allowed} may, by 1"
    )]
    Golden {
        /// The golden input.
        input: String,
        /// Values that are not the same.
        differing: usize,
        /// Values in all.
        values: usize,
        /// The largest difference.
        largest: u32,
        /// How many may differ.
        allowed: usize,
    },
    /// A bundle takes other inputs than the sources give.
    #[error(
        "it takes {takes}, and the sources give {given}: offer it to other devices, or start this one with it"
    )]
    OtherSources {
        /// What it takes.
        takes: String,
        /// What there is.
        given: String,
    },
    /// What a channel offers cannot be a bundle.
    #[error("what the channel offers cannot be taken: {0}")]
    Offer(String),
    /// A file has not come as it was offered.
    #[error("{path}: {reason}; it is asked for again")]
    Download {
        /// Its path in the bundle.
        path: String,
        /// What was wrong.
        reason: String,
    },
    /// The disk has no room for a bundle.
    #[error("{}: {free} bytes are free, and the channel's bundle needs {needed}: make room", path.display())]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// Bytes that are wanted.
        needed: u64,
        /// Bytes that there are.
        free: u64,
    },
    /// A source does not work.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The spool does not work.
    #[error(transparent)]
    Uplink(#[from] UplinkError),
    /// Nobody reads stdout any more.
    #[error("stdout: {0}")]
    Stdout(std_io::Error),
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signal(std_io::Error),
    /// The system gives no more threads.
    #[error("cannot start a thread: {0}")]
    Thread(std_io::Error),
    /// Tensors do not come in streams.
    #[error("{bundle:?} takes tensors, which come as .npy files: give a folder as the source")]
    NoStream {
        /// The bundle's name.
        bundle: String,
    },
    /// Something keeps an agent from its work.
    #[error("{bad} of these keep the agent from its work")]
    Unfit {
        /// How many.
        bad: usize,
    },
    /// No agent answers.
    #[error(
        "no agent answers at {}: {source}; is it running (`systemctl status lopside-edge`), with this socket in its config file?",
        path.display()
    )]
    NoAgent {
        /// Its socket.
        path: PathBuf,
        /// What the system said.
        source: std_io::Error,
    },
    /// Measuring or drawing failed.
    #[error(transparent)]
    Quality(#[from] QualityError),
    /// The report could not be written as JSON.
    #[error("report: {0}")]
    Json(#[from] serde_json::Error),
}

/// Turns a system error at `path` into an [`EdgeError::Io`].
pub(crate) fn io(path: &Path) -> impl FnOnce(std_io::Error) -> EdgeError {
    let path = path.to_owned();
    move |source| EdgeError::Io { path, source }
}
