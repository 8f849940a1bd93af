//! The command line. Every option can also come from the environment or the config file; flags win over the
//! environment, the environment over the file.

// Doc comments here are the help text, where backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, rustdoc::invalid_html_tags)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::ApiKey;

/// Turns pictures and measurements into compact latent frames and sends them to a cloud-decoder.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  edge-encoder encode --bundle bundles/fashion samples/fashion --out frames
  edge-encoder send --bundle bundles/fashion --endpoint http://127.0.0.1:8080 samples/fashion
  edge-encoder send --bundle bundles/fashion --endpoint https://decoder.example --ca ca.pem samples/fashion
  edge-encoder inspect --bundle bundles/fashion frames/00-ankle-boot.lps
  edge-encoder send --bundle bundles/pump --with-input --endpoint http://127.0.0.1:8080 log.csv
  edge-encoder encode --bundle bundles/photo --quality 70 holiday.jpg
  edge-encoder bench --bundle bundles/fashion
  edge-encoder run --config edge.toml
  edge-encoder run --config edge.toml --channel stable
  edge-encoder status --config edge.toml
  edge-encoder doctor --config edge.toml"
)]
pub struct Cli {
    /// A TOML file with any of: bundle, endpoint, out, quality, timeout_seconds, ca, client_cert, client_key, api_key;
    /// for run also device, socket, the tables spool, uplink, rate and update, and a table source for each source
    #[arg(long, global = true, env = "LOPSIDE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Encode pictures or measurements into .lps frames
    ///
    /// Pictures: PNG, JPEG, WebP, PGM/PPM, .npy (u8, or f32 of 0 to 1) and IDX files, plain or .gz, and folders of
    /// them. A photo model's bundle keeps their size; of others, any size is turned into what the encoder wants.
    /// Measurements, for bundles that take windows of them: CSV files with a row a line, whose header, where there is
    /// one, chooses the columns; .npy files of [rows, channels] or ready windows [n, length, channels]. Windows overlap
    /// as the bundle says, and every row is in one. Tensors, for bundles that take them as they are: .npy files of one or
    /// many.
    Encode(EncodeArgs),
    /// Encode pictures or measurements, have them decoded by a cloud-decoder, and compare
    ///
    /// Asks the bundle's first head and all that classify or score, in one request, or the one of --head. Writes what
    /// comes back: pictures as PNG, with a contact sheet of those as large as the input (input above reconstruction),
    /// numbers as CSV, in the units of the input and beside it; with --with-input a heat map of each picture that is
    /// scored; table.txt and report.json.
    Send(SendArgs),
    /// Run as an agent: encode what the config file's sources give, keep frames on the disk, and send them
    ///
    /// Frames stay in the spool until the cloud-decoder has acknowledged them: through outages, restarts and power cuts.
    /// Sources are the config file's tables named source, each with one of folder, command, stdin and camera; further keys
    /// are explained in /etc/lopside/edge.toml. With a channel the bundle comes from the cloud, is tried before it is used,
    /// and makes room for the one before when it fails. Ends on SIGTERM or SIGINT, when what was captured is stored, or when all
    /// sources have ended.
    Run(RunArgs),
    /// Say how the agent that runs on this machine does
    Status(StatusArgs),
    /// Look at all that an agent needs, and say how to put right what is wrong
    ///
    /// The bundle's digests, the spool's disk, the sources, certificates, the cloud, its channel, the clock. Takes the options of run.
    /// Fails when something keeps the agent from its work.
    Doctor(DoctorArgs),
    /// Say what is in a frame; with the bundle, how many layers it carries and its integers
    Inspect(InspectArgs),
    /// Measure the encoder on this machine: median times a stage, of photo models a megapixel, and the peak memory of
    /// the process
    Bench(BenchArgs),
}

/// Which bundle.
#[derive(Debug, Args)]
pub struct BundleArg {
    /// The bundle's folder; the encoder's part of it is enough
    #[arg(long, env = "LOPSIDE_BUNDLE", value_name = "DIR")]
    pub bundle: Option<PathBuf>,
}

/// How a photo model's bundle encodes. Other bundles have none of these but layers. Flattened last: its heading goes on.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Photo models")]
pub struct PictureArgs {
    /// How finely pictures are quantised, 1 to 100 [default: 50]
    #[arg(long, env = "LOPSIDE_QUALITY", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: Option<u8>,
    /// How many layers a frame has, the base or coarsest first; for other bundles of several layers as well [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub layers: Option<u8>,
    /// Halve the picture first and make only its lowest bands: a fraction of the work, for low qualities
    #[arg(long)]
    pub fast: bool,
    /// How many threads run the encoder [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub threads: Option<u8>,
}

/// Options of `encode`.
#[derive(Debug, Args)]
pub struct EncodeArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bundle: BundleArg,
    /// Pictures or measurements, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    pub inputs: Vec<PathBuf>,
    /// Where the frames go [default: out]
    #[arg(long, env = "LOPSIDE_OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Leave the 8-byte latent-space id out: the reader must know the bundle
    #[arg(long)]
    pub no_id: bool,
    /// Print one JSON object instead of a line a frame
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub picture: PictureArgs,
}

/// Options of `send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bundle: BundleArg,
    /// Pictures or measurements, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    pub inputs: Vec<PathBuf>,
    /// The cloud-decoder, as in http://decoder.example:8080 or https://decoder.example
    #[arg(long, env = "LOPSIDE_ENDPOINT", value_name = "URL")]
    pub endpoint: Option<String>,
    /// Where the results go [default: out]
    #[arg(long, env = "LOPSIDE_OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How long a request may take [default: 10]
    #[arg(long, env = "LOPSIDE_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub timeout_seconds: Option<u32>,
    /// Ask this head alone, as in --head upscale for pictures of twice the size [default: the first, and all that
    /// classify or score]
    #[arg(long, value_name = "NAME")]
    pub head: Option<String>,
    /// Send what the encoder sees along with the frame, so that a head that scores knows the error of the reconstruction
    /// and draws where it lies
    #[arg(long)]
    pub with_input: bool,
    /// Print the report as JSON instead of the table
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub security: SecurityArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub picture: PictureArgs,
}

/// Whom a connection trusts, and who it says it is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Security")]
pub struct SecurityArgs {
    /// Trust certificates of these authorities, as PEM [default: the authorities that Mozilla trusts, built in]
    #[arg(long, env = "LOPSIDE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The certificate to show to a server that asks for one (mTLS), as PEM
    #[arg(long, env = "LOPSIDE_CLIENT_CERT", value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
    /// The key of that certificate, as PEM
    #[arg(long, env = "LOPSIDE_CLIENT_KEY", value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// The API key; better in the variable or the config file, for others see a command line. Readable on the way over
    /// http://
    #[arg(long, env = "LOPSIDE_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub api_key: Option<ApiKey>,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bundle: BundleArg,
    /// The cloud-decoder, as in http://decoder.example:8080 or https://decoder.example
    #[arg(long, env = "LOPSIDE_ENDPOINT", value_name = "URL")]
    pub endpoint: Option<String>,
    /// The device's name [default: the host's]
    #[arg(long, env = "LOPSIDE_DEVICE_NAME", value_name = "NAME")]
    pub device: Option<String>,
    /// The spool's folder [default: spool]
    #[arg(long, env = "LOPSIDE_SPOOL", value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// The channel whose bundle the cloud-decoder gives to this device over the air [default: none, the bundle stays]
    #[arg(long, env = "LOPSIDE_CHANNEL", value_name = "NAME")]
    pub channel: Option<String>,
    /// Where to answer `edge-encoder status` [default: nowhere]
    #[arg(long, env = "LOPSIDE_SOCKET", value_name = "SOCKET")]
    pub socket: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub security: SecurityArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub picture: PictureArgs,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub run: RunArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Where the agent answers [default: the config file's socket, else /run/lopside/edge.sock]
    #[arg(long, env = "LOPSIDE_SOCKET", value_name = "SOCKET")]
    pub socket: Option<PathBuf>,
    /// Go on: say it again whenever something has changed, and wait for an agent that does not answer
    #[arg(long)]
    pub follow: bool,
    /// Print JSON; with --follow an object a line
    #[arg(long)]
    pub json: bool,
}

/// Options of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bundle: BundleArg,
    /// The frame
    #[arg(value_name = "FRAME")]
    pub frame: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bundle: BundleArg,
    /// Pictures or measurements to encode [default: one made up, of the encoder's own size; for photo models a megapixel]
    #[arg(value_name = "FILE|DIR")]
    pub inputs: Vec<PathBuf>,
    /// How often each input is encoded [default: 1000; for photo models 10]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub runs: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub picture: PictureArgs,
}
