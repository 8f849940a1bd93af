//! The command line. Many options can also come from the environment or the config file; flags take
//! precedence over the environment, and the environment over the file.

// Doc comments here are the help text, where backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, rustdoc::invalid_html_tags)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

#[cfg(feature = "send")]
use crate::settings::{ApiKeyArg, CaArg, ClientCertArg, ClientKeyArg, EndpointArg, ProxyArg, TimeoutArg};
use crate::settings::{
    BackgroundArg, BundleArg, DamagedImagesArg, ImageCodecArgs, OutArg, RootTable, SocketArg,
};

/// Encode images and measurements into compact latent frames and send them to a cloud-decoder.
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
  edge-encoder doctor --config edge.toml

Exit status: 0 if all inputs were processed, 1 for an error of the whole command, 2 for invalid options,
3 if encode or send has gone through all inputs and some of them failed"
)]
pub struct Cli {
    /// TOML config file with any of: bundle, endpoint, out, quality, background, damaged_images,
    /// timeout_seconds, ca, client_cert, client_key, api_key, proxy; for run also device, socket, the tables
    /// spool, uplink, rate, images and update, and one table source per source
    #[arg(long, global = true, env = "LOPSIDE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Command to run
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Encode images or measurements into .lps frames
    ///
    /// Images: PNG, JPEG, WebP, BMP, TIFF, GIF, QOI, PGM/PPM, .npy (u8, or f32 of 0 to 1) and IDX files, plain
    /// or .gz, and folders of them. Image codecs keep the size of an image; for other bundles, images of any
    /// size are converted to the encoder's input size. Measurements, for bundles that take windows of time
    /// series: CSV files with one row per line, where an optional header selects the columns; .npy files of
    /// [rows, channels] or of complete windows [n, length, channels]. The bundle determines how windows
    /// overlap, and every row is in a window. Tensors, for bundles that take them directly: .npy files of one
    /// or more tensors.
    ///
    /// The content of a file decides what it is, and its name only where the content does not say it. A frame is
    /// named after its input; where several have one name, also after the ending (pic.jpg.lps) or the folder
    /// (north/IMG_1.lps). Files of earlier runs are replaced. An input that fails does not end the run: the
    /// failures are listed at the end, and the exit status is 3.
    Encode(EncodeArgs),
    /// Encode images or measurements, have a cloud-decoder decode them, and compare the results
    ///
    /// Requests the bundle's first head and all heads that classify or score, in one request, or only the
    /// head of --head. Writes the results: images as PNG, with a contact sheet of those of the input's size
    /// (input above reconstruction); numbers as CSV, in the units of the input and beside it; with
    /// --with-input a heat map of each scored image; table.txt and report.json. Names and failures are as for
    /// encode; the reports are also written if inputs fail.
    #[cfg(feature = "send")]
    Send(SendArgs),
    /// Run as an agent: encode the inputs of the config file's sources, store the frames on disk, and send
    /// them
    ///
    /// Frames stay in the spool until the cloud-decoder has acknowledged them, through outages, restarts and
    /// power cuts. Sources are the config file's tables named source, each with one of folder, command, stdin
    /// and camera; further keys are explained in /etc/lopside/edge.toml. With a channel, the bundle comes
    /// from the cloud, is tried before use, and is replaced by the previous one if it fails. Ends on SIGTERM
    /// or SIGINT once captured inputs are stored, or when all sources have ended.
    Run(RootTable),
    /// Show the status of the agent that runs on this machine
    Status(StatusArgs),
    /// Check everything that an agent needs, and suggest a fix for each problem
    ///
    /// Checks the bundle's digests, the spool's disk, the machine's id, the sources, certificates, the cloud,
    /// the channel and the clock. Takes the options of run. Fails if a problem prevents the agent from working.
    Doctor(DoctorArgs),
    /// Show the contents of a frame; with the bundle also its number of layers and its integers
    Inspect(InspectArgs),
    /// Measure the encoder on this machine: median times per stage, for image codecs per megapixel, and the
    /// peak memory of the process
    Bench(BenchArgs),
    /// Try a bundle within limits; the agent starts this command for bundles over the air
    #[command(hide = true)]
    TryBundle(TryBundleArgs),
    /// End the programs of the agent if it is killed; the agent starts this command
    #[command(hide = true)]
    GuardPrograms,
}

/// Options of `encode`.
#[derive(Debug, Args)]
#[command(mut_arg("out", |arg| arg.help("Folder for the frames [default: out]")))]
pub struct EncodeArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bundle: BundleArg,
    /// Images or measurements, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub out: OutArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub background: BackgroundArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub damaged_images: DamagedImagesArg,
    /// Omit the 8-byte latent-space id: readers need the bundle to decode the frame
    #[arg(long)]
    pub no_id: bool,
    /// Print one JSON object instead of one line per frame
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub image_codec: ImageCodecArgs,
}

/// Options of `send`.
#[cfg(feature = "send")]
#[derive(Debug, Args)]
pub struct SendArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bundle: BundleArg,
    /// Images or measurements, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub endpoint: EndpointArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub out: OutArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub background: BackgroundArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub damaged_images: DamagedImagesArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub timeout: TimeoutArg,
    /// Request only this head, for example --head upscale for images of twice the size [default: the first
    /// head, and all heads that classify or score]
    #[arg(long, value_name = "NAME")]
    pub head: Option<String>,
    /// Send the encoder's input along with the frame, so that a scoring head can use the reconstruction error
    /// and draw its heat map
    #[arg(long)]
    pub with_input: bool,
    /// Print the report as JSON instead of the table
    #[arg(long)]
    pub json: bool,
    #[command(flatten, next_help_heading = "Security")]
    #[allow(missing_docs)]
    pub ca: CaArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub client_cert: ClientCertArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub client_key: ClientKeyArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub api_key: ApiKeyArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub proxy: ProxyArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub image_codec: ImageCodecArgs,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub run: RootTable,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `status`.
#[derive(Debug, Args)]
#[command(mut_arg("socket", |arg| {
    arg.help("Unix socket of the agent [default: the config file's socket, otherwise /run/lopside/edge.sock]")
}))]
pub struct StatusArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub socket: SocketArg,
    /// Keep running: print the status again whenever it changes, and wait for an agent that does not answer
    #[arg(long)]
    pub follow: bool,
    /// Print JSON; with --follow one object per line
    #[arg(long)]
    pub json: bool,
}

/// Options of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bundle: BundleArg,
    /// Frame to inspect
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
    /// Images or measurements to encode [default: one synthetic input of the encoder's own size; for image
    /// codecs one megapixel]
    #[arg(value_name = "FILE|DIR")]
    pub inputs: Vec<PathBuf>,
    /// Number of times that each input is encoded [default: 1000; for image codecs 10]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub runs: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub image_codec: ImageCodecArgs,
}

/// Options of `try-bundle`.
#[derive(Debug, Args)]
pub struct TryBundleArgs {
    /// Folder of the bundle
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Memory that the trial may take, in bytes
    #[arg(long, value_name = "N")]
    pub memory_bytes: u64,
    /// Time limit, in seconds
    #[arg(long, value_name = "N")]
    pub seconds: u64,
    /// Number of threads that run the encoder
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub threads: u8,
    /// Use the fast encoder
    #[arg(long)]
    pub fast: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_options_of_each_command_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_shared_option_has_the_help_and_the_heading_of_its_command() {
        let cli = Cli::command();
        for (command, option, help, heading) in [
            ("encode", "out", "Folder for the frames", None),
            ("status", "socket", "Unix socket of the agent", None),
            ("run", "socket", "Unix socket on which", None),
            ("run", "spool", "Folder of the spool", None),
            ("run", "ca", "Trust certificates", Some("Security")),
            ("run", "api_key", "API key", Some("Security")),
            ("run", "quality", "Quality", Some("Image codecs")),
            #[cfg(feature = "send")]
            ("send", "out", "Folder for the results", None),
            #[cfg(feature = "send")]
            ("send", "client_key", "Private key", Some("Security")),
        ] {
            let mut options = cli.find_subcommand(command).unwrap().get_arguments();
            let found = options.find(|found| found.get_id() == option).unwrap();
            assert!(found.get_help().unwrap().to_string().starts_with(help), "{command} {option}");
            assert_eq!(found.get_help_heading(), heading, "{command} {option}");
        }
    }
}
