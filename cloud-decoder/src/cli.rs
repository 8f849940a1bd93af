//! The command line. Every option can also be set in the environment or the config file: flags take
//! precedence over the environment, and the environment over the file.

// The doc comments here are the help text, in which backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, rustdoc::invalid_html_tags)]

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use lopside_decoder::Device;
use serde::Deserialize;

use crate::{archive::ArchiveArgs, auth::Scope, transport::FrontArgs};

/// Decode latent frames with ONNX Runtime and serve the results over gRPC and REST on one port.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  cloud-decoder serve --bundle bundles/fashion
  cloud-decoder serve --bundle bundles --listen 0.0.0.0:8080 --device cuda
  cloud-decoder serve --bundle bundles --tls-cert server.pem --tls-key server.key --api-keys keys.toml
  cloud-decoder check --config cloud.toml
  cloud-decoder key line-3 --allow infer,metrics
  curl --data-binary @frame.lps -o picture.png http://127.0.0.1:8080/v1/bundles/fashion/decode
  curl --data-binary @frame.lps 'http://127.0.0.1:8080/v1/bundles/pump/decode?heads=reconstruct,score'
  curl -F frame=@frame.lps -F input=@thumbnail.png 'http://127.0.0.1:8080/v1/bundles/parts/decode?heads=score'"
)]
pub struct Cli {
    /// The subcommand to run
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve bundles until SIGTERM or Ctrl-C, then finish the open requests
    ///
    /// Prints the address that it listens on as the only line on stdout, once the server is ready. gRPC:
    /// lopside.v1.DecoderService, IngestService and BundleService, grpc.health.v1.Health and server
    /// reflection. REST: GET /v1/bundles and /v1/bundles/{name}, POST /v1/bundles/{name}/decode, /healthz and
    /// /readyz. /openapi.json and the page /docs describe the REST interface; /metrics serves metrics in the
    /// Prometheus format. Spans and metrics are exported over OTLP if OTEL_EXPORTER_OTLP_ENDPOINT is set.
    /// RUST_LOG sets the log filter.
    ///
    /// Decoding over REST: the body is a frame, or a multipart form with a frame and, for heads that score,
    /// the input that it was encoded from: a PNG or JPEG file of at most 16 megapixels, or 32-bit
    /// little-endian floats with the content type application/octet-stream. ?head=NAME selects a head other
    /// than the bundle's first one and returns PNG or JSON, according to the Accept header. ?heads=NAME,NAME
    /// selects several heads and returns JSON, with images in base64.
    ///
    /// With --api-keys, every request needs a key, as "Authorization: Bearer KEY" or "x-api-key: KEY", except
    /// for /healthz, /readyz, /v2/health and grpc.health.v1. Errors: 401 or UNAUTHENTICATED without a valid
    /// key; 403 or PERMISSION_DENIED if the key lacks the scope; 429 or RESOURCE_EXHAUSTED, with the time to
    /// wait, above the key's rate or its requests per day. Each server counts rates and days on its own and
    /// starts from zero; a stream counts as one request.
    Serve(ServeArgs),
    /// Load everything that serve would load, report what it would do, and exit with 0 if it would start, 1
    /// if not
    ///
    /// Takes the options of serve. Reads the config file, the certificates, the API keys, ONNX Runtime and
    /// all bundles, and reports every problem. Does not open the port.
    Check(CheckArgs),
    /// Generate an API key
    ///
    /// Prints the key, which is not stored anywhere, and the lines for the file of --api-keys, which contain
    /// only its digest. Further settings of a key: requests_per_second, burst, requests_per_day (from
    /// midnight UTC), expires = 2027-06-30, disabled = true. A running server applies changes within seconds.
    Key(KeyArgs),
    /// Check whether a server accepts requests and exit with 0 if it does, 1 if not
    ///
    /// For health checks of containers that do not contain another client. Uses grpc.health.v1 without TLS.
    Health {
        /// URL of the server
        #[arg(default_value = "http://127.0.0.1:8080", value_name = "URL")]
        url: String,
    },
}

/// Options of `check`.
#[derive(Debug, Default, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub serve: ServeArgs,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `key`.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Name of the key, for the log
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Scopes of the key
    #[arg(long, value_enum, value_name = "SCOPE", value_delimiter = ',', default_value = "infer")]
    pub allow: Vec<Scope>,
    /// Print the key as JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `serve`.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// TOML config file with any of the keys bundles, watch_seconds, listen, metrics_listen, device, gpu,
    /// onnxruntime, threads, instances, max_batch, max_delay_ms, queue, queue_megabytes, request_timeout_ms,
    /// max_megapixels, drain_seconds, log_format, api_keys, channels, reload_seconds, drain_wait_seconds; the
    /// table archive with url, days, megabytes, scores; the table tls with cert, key, client_ca; the table
    /// connections with max, max_per_peer and the other options under that heading
    #[arg(long, env = "LOPSIDE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Bundle, or folder of bundles; may be repeated
    #[arg(long = "bundle", env = "LOPSIDE_BUNDLES", value_name = "DIR", value_delimiter = ',')]
    pub bundles: Vec<PathBuf>,
    /// Address to listen on; port 0 selects a free port [default: 127.0.0.1:8080]
    #[arg(long, env = "LOPSIDE_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Separate address for /metrics, which the address above then does not serve [default: none]
    #[arg(long, env = "LOPSIDE_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// Device that the heads run on [default: auto]
    #[arg(long, env = "LOPSIDE_DEVICE", value_enum)]
    pub device: Option<Device>,
    /// Number of the GPU on a machine with several [default: 0]
    #[arg(long, env = "LOPSIDE_GPU", value_name = "N")]
    pub gpu: Option<u16>,
    /// ONNX Runtime library, 1.23 or later [default: libonnxruntime.so on the system's library path]
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads per session on the CPU [default: the number of cores divided by the instances]
    #[arg(long, env = "LOPSIDE_THREADS", value_name = "N")]
    pub threads: Option<usize>,
    /// Sessions per head, each with its own thread [default: 1]
    #[arg(long, env = "LOPSIDE_INSTANCES", value_name = "N")]
    pub instances: Option<usize>,
    /// Maximum number of items per run of a head; requests of the same shape run together [default: measured,
    /// up to 32]
    ///
    /// Without this option, each head is measured when it is loaded: the batch size doubles for as long as
    /// this lowers the time per item by at least a tenth.
    #[arg(long, env = "LOPSIDE_MAX_BATCH", value_name = "N")]
    pub max_batch: Option<usize>,
    /// Maximum time in milliseconds that a request waits for others to join its batch while the head is idle
    /// [default: 1]
    ///
    /// A request waits only if other requests were recently processed at the same time.
    #[arg(long, env = "LOPSIDE_MAX_DELAY_MS", value_name = "MS")]
    pub max_delay_ms: Option<f64>,
    /// Maximum number of requests per head, queued and running; further requests are refused [default: 256]
    #[arg(long, env = "LOPSIDE_QUEUE", value_name = "N")]
    pub queue: Option<usize>,
    /// Maximum size of the tensors of these requests, in megabytes [default: 268]
    #[arg(long, env = "LOPSIDE_QUEUE_MEGABYTES", value_name = "N")]
    pub queue_megabytes: Option<usize>,
    /// Timeout in milliseconds of requests that do not set one [default: 30000]
    #[arg(long, env = "LOPSIDE_REQUEST_TIMEOUT_MS", value_name = "MS")]
    pub request_timeout_ms: Option<u64>,
    /// Interval in seconds at which the bundles' folders are checked, to load, reload and unload bundles as
    /// they change [default: never]
    #[arg(long, env = "LOPSIDE_WATCH_SECONDS", value_name = "SECONDS")]
    pub watch_seconds: Option<u64>,
    /// Largest image that a frame may contain, in megapixels [default: 40]
    ///
    /// The server holds at most twice as many pixels in memory at once, padded and upscaled; further images
    /// wait.
    #[arg(long, env = "LOPSIDE_MAX_MEGAPIXELS", value_name = "N")]
    pub max_megapixels: Option<u32>,
    /// Maximum time in seconds to wait for open requests when stopping [default: 30]
    #[arg(long, env = "LOPSIDE_DRAIN_SECONDS", value_name = "SECONDS")]
    pub drain_seconds: Option<u32>,
    /// Format of log lines [default: text]
    #[arg(long, env = "LOPSIDE_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// File of channels, which offer the encoders of bundles to devices; reloaded when it changes
    ///
    /// A TOML file with one table `[[channel]]` per channel: name = "stable" and bundle = "photo", a bundle
    /// of --bundle; version = 2, or without it the newest version.
    #[arg(long, env = "LOPSIDE_CHANNELS", value_name = "FILE")]
    pub channels: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub archive: ArchiveArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub front: FrontArgs,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people
    Text,
    /// One JSON object per line
    Json,
}

impl From<LogFormat> for lopside_telemetry::LogFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}
