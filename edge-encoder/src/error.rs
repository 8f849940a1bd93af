use std::{
    io as std_io,
    path::{Path, PathBuf},
};

use lopside_bundle::BundleError;
use lopside_capture::CaptureError;
use lopside_latent::LatentError;
use lopside_quality::QualityError;
use lopside_uplink::UplinkError;

/// Errors of the edge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std_io::Error,
    },
    /// A file cannot be used, because of its content or its name.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The inputs do not contain any image.
    #[error(
        "no pictures in {paths}: PNG, JPEG, WebP, PGM/PPM, .npy and IDX files are read, and folders of them"
    )]
    NoPictures {
        /// The input paths, joined.
        paths: String,
    },
    /// The inputs do not contain any numbers.
    #[error("no numbers in {paths}: CSV and .npy files are read, plain or .gz, and folders of them")]
    NoNumbers {
        /// The input paths, joined.
        paths: String,
    },
    /// The config file is invalid.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The position and the reason.
        reason: String,
    },
    /// A required setting is missing.
    #[error("{what} is not set: give {flag}, set {env}, or write {key} = … in the config file")]
    Missing {
        /// The setting.
        what: &'static str,
        /// The flag that sets it.
        flag: &'static str,
        /// The environment variable that sets it.
        env: &'static str,
        /// The key that sets it in the config file.
        key: &'static str,
    },
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The latent or frame was refused.
    #[error(transparent)]
    Latent(#[from] LatentError),
    /// The image is empty, or larger than a frame can represent.
    #[error(
        "a picture of {width}×{height} pixels does not fit into a frame: its sides are 1 to {limit} pixels"
    )]
    Sides {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The longest side that is allowed, in pixels.
        limit: u32,
    },
    /// The requested number of layers is zero or larger than that of the model.
    #[error("a frame of {found} layers cannot be made: the bundle's model has {layers}, give 1 to {layers}")]
    Layers {
        /// The requested number.
        found: usize,
        /// The number of layers of the model.
        layers: usize,
    },
    /// An image was given to a bundle that takes numbers, or numbers to one that takes images.
    #[error("{bundle:?} takes {takes}: give it those, or another bundle with --bundle")]
    OtherInput {
        /// The name of the bundle.
        bundle: String,
        /// The kind of inputs that it takes.
        takes: &'static str,
    },
    /// The bundle does not have a fast encoder.
    #[error("{bundle:?} has no fast encoder: leave --fast out, or take a bundle with an encoder-fast.onnx")]
    NotFast {
        /// The name of the bundle.
        bundle: String,
    },
    /// The bundle does not support an option.
    #[error("{option} is for bundles of photo models, and {bundle:?} is of vector models: leave it out")]
    PhotoOnly {
        /// The option.
        option: &'static str,
        /// The name of the bundle.
        bundle: String,
    },
    /// A reference input was requested for a bundle without a head that uses it.
    #[error("--with-input is for bundles with a head that scores, and {bundle:?} has none: leave it out")]
    NoScore {
        /// The name of the bundle.
        bundle: String,
    },
    /// A number in the config file is out of range.
    #[error("{key} = {found} in the config file is out of range: give {allowed}")]
    Range {
        /// The key.
        key: &'static str,
        /// The value.
        found: u8,
        /// The allowed range.
        allowed: &'static str,
    },
    /// A model cannot be run.
    #[error("the model does not run in tract: {0}")]
    Model(String),
    /// The address is invalid.
    #[error(
        "{endpoint:?} is no address of a cloud-decoder: {reason}; it looks like http://decoder.example:8080 or https://decoder.example"
    )]
    Endpoint {
        /// The address as given.
        endpoint: String,
        /// The reason.
        reason: String,
    },
    /// The API key contains characters that cannot be sent.
    #[error(
        "the API key (--api-key, LOPSIDE_API_KEY) holds characters that no key has: is it the right text?"
    )]
    ApiKey,
    /// Certificates were configured for a connection without TLS.
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
        /// The cause, as a message of the network or TLS layer.
        reason: String,
    },
    /// The cloud-decoder refused a request.
    #[error("the cloud-decoder answered {code}: {message}")]
    Remote {
        /// The name of the gRPC status code.
        code: String,
        /// The message of the cloud-decoder.
        message: String,
    },
    /// The answer does not match the request.
    #[error("the cloud-decoder's answer cannot be used: {0}")]
    Answer(String),
    /// The agent's settings are invalid.
    #[error("{0}")]
    Agent(String),
    /// The bundle does not have golden inputs to try its encoder on.
    #[error(
        "{bundle:?} has no golden inputs, so its encoder cannot be tried here: add some with \
         `training golden --bundle DIR INPUT…`, and offer it again"
    )]
    NoGolden {
        /// The name of the bundle.
        bundle: String,
    },
    /// An encoder produces another latent here than where it was trained.
    #[error(
        "{input} becomes another latent here: {differing} of {values} values differ, by up to {largest} steps; at most \
         {allowed} may, by 1"
    )]
    Golden {
        /// The golden input.
        input: String,
        /// Number of values that differ.
        differing: usize,
        /// Number of all values.
        values: usize,
        /// The largest difference, in quantisation steps.
        largest: u32,
        /// Number of values that may differ.
        allowed: usize,
    },
    /// A bundle takes other inputs than the sources deliver.
    #[error(
        "it takes {takes}, and the sources give {given}: offer it to other devices, or start this one with it"
    )]
    OtherSources {
        /// The inputs that it takes.
        takes: String,
        /// The inputs that the sources deliver.
        given: String,
    },
    /// The offer of a channel is invalid.
    #[error("what the channel offers cannot be taken: {0}")]
    Offer(String),
    /// A downloaded file differs from the offer, or the download broke off.
    #[error("{path}: {reason}; it is asked for again")]
    Download {
        /// The path of the file in the bundle.
        path: String,
        /// The reason.
        reason: String,
    },
    /// The disk does not have enough space for a bundle.
    #[error("{}: {free} bytes are free, and the channel's bundle needs {needed}: make room", path.display())]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// Number of bytes needed.
        needed: u64,
        /// Number of bytes free.
        free: u64,
    },
    /// A source failed.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The uplink or the spool failed.
    #[error(transparent)]
    Uplink(#[from] UplinkError),
    /// Writing to stdout failed, for example because its reader has ended.
    #[error("stdout: {0}")]
    Stdout(std_io::Error),
    /// Signal handlers cannot be installed.
    #[error("cannot catch signals: {0}")]
    Signal(std_io::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std_io::Error),
    /// A source that is a stream was configured for a bundle that takes tensors.
    #[error("{bundle:?} takes tensors, which come as .npy files: give a folder as the source")]
    NoStream {
        /// The name of the bundle.
        bundle: String,
    },
    /// Some checks show that the agent cannot work.
    #[error("{bad} of these keep the agent from its work")]
    Unfit {
        /// Number of bad findings.
        bad: usize,
    },
    /// The agent does not answer.
    #[error(
        "no agent answers at {}: {source}; is it running (`systemctl status lopside-edge`), with this socket in its config file?",
        path.display()
    )]
    NoAgent {
        /// The socket of the agent.
        path: PathBuf,
        /// The error of the system.
        source: std_io::Error,
    },
    /// Measuring or drawing failed.
    #[error(transparent)]
    Quality(#[from] QualityError),
    /// JSON could not be written or read.
    #[error("report: {0}")]
    Json(#[from] serde_json::Error),
}

/// Returns a function that turns a system error at `path` into an [`EdgeError::Io`].
pub(crate) fn io(path: &Path) -> impl FnOnce(std_io::Error) -> EdgeError {
    let path = path.to_owned();
    move |source| EdgeError::Io { path, source }
}
