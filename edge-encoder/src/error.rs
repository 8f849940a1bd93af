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
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The inputs do not contain any image.
    #[error(
        "no images found in {paths}: give PNG, JPEG, WebP, PGM/PPM, .npy or IDX files, or folders of them"
    )]
    NoImages {
        /// The input paths, joined.
        paths: String,
    },
    /// The inputs do not contain any numbers.
    #[error("no numbers found in {paths}: give CSV or .npy files, plain or .gz, or folders of them")]
    NoNumbers {
        /// The input paths, joined.
        paths: String,
    },
    /// Two inputs would write the same output file.
    #[error(
        "{} and {} would write outputs of the same name, and the second would overwrite the first: rename one, or run the \
         command once per folder with another --out", first.display(), second.display()
    )]
    SameOutput {
        /// The first input file.
        first: PathBuf,
        /// The second input file.
        second: PathBuf,
    },
    /// An output would overwrite an input, or another output of the same run.
    #[error("{} already exists as {what}: choose another folder with --out, or rename the input", path.display())]
    Overwrites {
        /// The output file.
        path: PathBuf,
        /// The existing file's role.
        what: &'static str,
    },
    /// The config file is invalid.
    #[error("{}: {reason}", path.display())]
    InvalidConfig {
        /// The file.
        path: PathBuf,
        /// The position and the reason.
        reason: String,
    },
    /// A required setting is missing.
    #[error("{what} is not configured: pass {flag}, set {env}, or write {key} = … in the config file")]
    MissingSetting {
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
        "an image of {width}×{height} pixels does not fit into a frame: each side must be 1 to {limit} pixels"
    )]
    ImageSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The longest side that is allowed, in pixels.
        limit: u32,
    },
    /// The requested number of layers is zero or larger than that of the model.
    #[error("cannot encode a frame of {found} layers: the bundle's model has {layers}; give 1 to {layers}")]
    LayerCount {
        /// The requested number.
        found: usize,
        /// The number of layers of the model.
        layers: usize,
    },
    /// An image was given to a bundle that takes numbers, or numbers to one that takes images.
    #[error(
        "the bundle {bundle:?} takes {takes}: give it such inputs, or select another bundle with --bundle"
    )]
    WrongInputKind {
        /// The name of the bundle.
        bundle: String,
        /// The kind of inputs that it takes.
        takes: &'static str,
    },
    /// The bundle does not have a fast encoder.
    #[error(
        "the bundle {bundle:?} does not have a fast encoder: omit --fast, or use a bundle with an encoder-fast.onnx"
    )]
    NoFastEncoder {
        /// The name of the bundle.
        bundle: String,
    },
    /// The bundle does not support an option.
    #[error(
        "{option} applies to image codecs only, but the bundle {bundle:?} has a fixed-latent model: omit the option"
    )]
    UnsupportedOption {
        /// The option.
        option: &'static str,
        /// The name of the bundle.
        bundle: String,
    },
    /// A reference input was requested for a bundle without a head that uses it.
    #[error(
        "--with-input needs a head that scores, but the bundle {bundle:?} does not have one: omit the option"
    )]
    NoScoringHead {
        /// The name of the bundle.
        bundle: String,
    },
    /// A number in the config file is out of range.
    #[error("{key} = {found} in the config file is out of range: use {allowed}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// The value.
        found: u8,
        /// The allowed range.
        allowed: &'static str,
    },
    /// A model cannot be run.
    #[error("the model cannot be used: {0}")]
    Model(String),
    /// The address is invalid.
    #[error(
        "{endpoint:?} is not the address of a cloud-decoder: {reason}; use an address such as http://decoder.example:8080 or https://decoder.example"
    )]
    InvalidEndpoint {
        /// The address as given.
        endpoint: String,
        /// The reason.
        reason: String,
    },
    /// The API key contains characters that cannot be sent.
    #[error(
        "the API key (--api-key, LOPSIDE_API_KEY) contains characters that are not allowed: check that it is copied correctly"
    )]
    InvalidApiKey,
    /// Certificates were configured for a connection without TLS.
    #[error(
        "{endpoint:?} does not use TLS, so --ca and --client-cert have no effect: use an https:// address, or omit them"
    )]
    TlsRequired {
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
    #[error("cannot process the answer of the cloud-decoder: {0}")]
    UnexpectedAnswer(String),
    /// The agent's settings are invalid.
    #[error("{0}")]
    InvalidSettings(String),
    /// The bundle does not have golden inputs to try its encoder on.
    #[error(
        "the bundle {bundle:?} does not have golden inputs, so its encoder cannot be tested on this device: add some \
         with `training golden --bundle DIR INPUT…`, and offer the bundle again"
    )]
    NoGoldenInputs {
        /// The name of the bundle.
        bundle: String,
    },
    /// An encoder produces another latent here than where it was trained.
    #[error(
        "the encoder produces another latent for {input} on this device: {differing} of {values} values differ, by up \
         to {largest} steps; at most {allowed} values may differ, by 1 step"
    )]
    GoldenMismatch {
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
        "the bundle takes {takes}, but the sources deliver {given}: offer the bundle to other devices, or restart this agent with it"
    )]
    SourceMismatch {
        /// The inputs that it takes.
        takes: String,
        /// The inputs that the sources deliver.
        given: String,
    },
    /// The offer of a channel is invalid.
    #[error("the offer of the channel is invalid: {0}")]
    InvalidOffer(String),
    /// A downloaded file differs from the offer, or the download broke off.
    #[error("cannot download {path}: {reason}; the download is retried")]
    Download {
        /// The path of the file in the bundle.
        path: String,
        /// The reason.
        reason: String,
    },
    /// The disk does not have enough space for a bundle.
    #[error("{}: {free} bytes are free, but the offered bundle needs {needed}: free some disk space", path.display())]
    NotEnoughSpace {
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
    #[error("cannot write to stdout: {0}")]
    Stdout(std_io::Error),
    /// Signal handlers cannot be installed.
    #[error("cannot install signal handlers: {0}")]
    Signal(std_io::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std_io::Error),
    /// A source that is a stream was configured for a bundle that takes tensors.
    #[error(
        "the bundle {bundle:?} takes tensors, which are read from .npy files: configure a folder as the source"
    )]
    TensorStream {
        /// The name of the bundle.
        bundle: String,
    },
    /// Some checks show that the agent cannot work.
    #[error("problems that prevent the agent from working: {bad}; see the findings")]
    FailedChecks {
        /// Number of bad findings.
        bad: usize,
    },
    /// The agent does not answer.
    #[error(
        "no agent answers at {}: {source}; check that it is running (`systemctl status lopside-edge`) and has this socket in its config file",
        path.display()
    )]
    AgentUnreachable {
        /// The socket of the agent.
        path: PathBuf,
        /// The error of the system.
        source: std_io::Error,
    },
    /// Measuring or drawing failed.
    #[error(transparent)]
    Quality(#[from] QualityError),
    /// JSON could not be written or read.
    #[error("cannot read or write the report: {0}")]
    Json(#[from] serde_json::Error),
}

/// Returns a function that turns a system error at `path` into an [`EdgeError::Io`].
pub(crate) fn io_error(path: &Path) -> impl FnOnce(std_io::Error) -> EdgeError {
    let path = path.to_owned();
    move |source| EdgeError::Io { path, source }
}
