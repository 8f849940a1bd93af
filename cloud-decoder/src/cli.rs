//! The command line. Every option can also come from the environment or the config file; flags win over the
//! environment, the environment over the file.

// Doc comments here are the help text, where backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, rustdoc::invalid_html_tags)]

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;

use crate::{Device, archive::ArchiveArgs, front::FrontArgs, keys::Scope};

/// Decodes latent frames with ONNX Runtime and serves the results over gRPC and REST on one port.
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
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve bundles until SIGTERM or Ctrl-C, then finish what was begun
    ///
    /// Prints the address it listens on as its only line on stdout, once it is ready. gRPC: lopside.v1.DecoderService,
    /// IngestService and BundleService, grpc.health.v1.Health and server reflection. REST: GET /v1/bundles and /v1/bundles/{name}, POST
    /// /v1/bundles/{name}/decode, /healthz and /readyz; /openapi.json and the page /docs describe them, /metrics has metrics for
    /// Prometheus. Spans and metrics go to OTLP when OTEL_EXPORTER_OTLP_ENDPOINT is set; RUST_LOG
    /// picks what is logged.
    ///
    /// Decoding by REST: the body is a frame, or a form of a frame and the input that it was made of, for heads that
    /// score: a PNG or JPEG file of at most 16 megapixels, or 32-bit little-endian floats of the type
    /// application/octet-stream. ?head=NAME asks another head than the bundle's first, as PNG or JSON by the Accept
    /// header; ?heads=NAME,NAME asks several and answers with JSON, pictures in base64.
    ///
    /// With --api-keys, all but /healthz, /readyz, /v2/health and grpc.health.v1 need a key, as "Authorization: Bearer
    /// KEY" or "x-api-key: KEY". Refusals: 401 or UNAUTHENTICATED without a good key, 403 or PERMISSION_DENIED where it
    /// lacks the scope, 429 or RESOURCE_EXHAUSTED, with the time to wait, above its rate or its requests of the day. Rates
    /// and days are counted by each server for itself and begin anew when it starts; a stream counts once.
    Serve(ServeArgs),
    /// Load what serve would load, say what it would do, and end: 0 when it would start, 1 when not
    ///
    /// Takes the options of serve. Reads the config file, certificates, API keys, ONNX Runtime and all bundles, and names
    /// every problem; does not open the port.
    Check(CheckArgs),
    /// Make an API key
    ///
    /// Prints the key, which is stored nowhere, and the lines for the file of --api-keys, which has its digest only. Further
    /// lines of a key: requests_per_second, burst, requests_per_day (from midnight UTC), expires = 2027-06-30, disabled =
    /// true. A server that runs takes changes within seconds.
    Key(KeyArgs),
    /// Ask a server whether it wants requests: 0 when it does, 1 when not
    ///
    /// For health checks of containers that hold no other client. Speaks grpc.health.v1 without TLS.
    Health {
        /// The server
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
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `key`.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Whose key it is, for the log
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What it is for
    #[arg(long, value_enum, value_name = "SCOPE", value_delimiter = ',', default_value = "infer")]
    pub allow: Vec<Scope>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `serve`.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// A TOML file with any of: bundles, watch_seconds, listen, metrics_listen, device, gpu, onnxruntime, threads, instances, max_batch,
    /// max_delay_ms, queue, queue_megabytes, request_timeout_ms, max_megapixels, drain_seconds, log_format, api_keys,
    /// channels, reload_seconds, drain_wait_seconds; the table archive with url, days, megabytes, scores; the table tls with cert, key, client_ca; the table connections with max,
    /// max_per_peer and the other options of that heading
    #[arg(long, env = "LOPSIDE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A bundle, or a folder of bundles; may be given several times
    #[arg(long = "bundle", env = "LOPSIDE_BUNDLES", value_name = "DIR", value_delimiter = ',')]
    pub bundles: Vec<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "LOPSIDE_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where to serve /metrics alone, in place of the address above [default: not apart]
    #[arg(long, env = "LOPSIDE_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// Where the heads run [default: auto]
    #[arg(long, env = "LOPSIDE_DEVICE", value_enum)]
    pub device: Option<Device>,
    /// The number of the GPU, where there are several [default: 0]
    #[arg(long, env = "LOPSIDE_GPU", value_name = "N")]
    pub gpu: Option<u16>,
    /// The ONNX Runtime library, 1.23 or later [default: libonnxruntime.so where the system finds it]
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads inside one session on the CPU [default: the cores, divided by the instances]
    #[arg(long, env = "LOPSIDE_THREADS", value_name = "N")]
    pub threads: Option<usize>,
    /// Sessions of each head, each with its own thread [default: 1]
    #[arg(long, env = "LOPSIDE_INSTANCES", value_name = "N")]
    pub instances: Option<usize>,
    /// Items of one run of a head; requests of the same shape run together [default: measured, up to 32]
    ///
    /// By default each head is tried when it is loaded: twice as many items are taken for as long as an item gets at least
    /// a tenth cheaper.
    #[arg(long, env = "LOPSIDE_MAX_BATCH", value_name = "N")]
    pub max_batch: Option<usize>,
    /// How long a request may be held up for others to join it while the head is idle [default: 1]
    ///
    /// It is held up only when others were lately under way at the same time.
    #[arg(long, env = "LOPSIDE_MAX_DELAY_MS", value_name = "MS")]
    pub max_delay_ms: Option<f64>,
    /// Requests that may wait for a head or run before more are turned away [default: 256]
    #[arg(long, env = "LOPSIDE_QUEUE", value_name = "N")]
    pub queue: Option<usize>,
    /// Megabytes that the tensors of these requests may have [default: 268]
    #[arg(long, env = "LOPSIDE_QUEUE_MEGABYTES", value_name = "N")]
    pub queue_megabytes: Option<usize>,
    /// How long a request has that does not say so itself [default: 30000]
    #[arg(long, env = "LOPSIDE_REQUEST_TIMEOUT_MS", value_name = "MS")]
    pub request_timeout_ms: Option<u64>,
    /// Look at the bundles' folders this often, and load, reload and unload as they change [default: never]
    #[arg(long, env = "LOPSIDE_WATCH_SECONDS", value_name = "SECONDS")]
    pub watch_seconds: Option<u64>,
    /// The largest picture that a frame may have, in megapixels [default: 40]
    ///
    /// A server has at most twice as many pixels in memory at once, padded and enlarged; further pictures wait.
    #[arg(long, env = "LOPSIDE_MAX_MEGAPIXELS", value_name = "N")]
    pub max_megapixels: Option<u32>,
    /// How long to wait for open requests when stopping [default: 30]
    #[arg(long, env = "LOPSIDE_DRAIN_SECONDS", value_name = "SECONDS")]
    pub drain_seconds: Option<u32>,
    /// How log lines look [default: text]
    #[arg(long, env = "LOPSIDE_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Offer devices the encoders of the bundles that this file names, by channel. Read anew when it changes
    ///
    /// Of TOML, a table `[[channel]]` each: name = "stable" and bundle = "photo", a bundle of --bundle; version = 2, or
    /// its newest.
    #[arg(long, env = "LOPSIDE_CHANNELS", value_name = "FILE")]
    pub channels: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub archive: ArchiveArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub front: FrontArgs,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

impl From<LogFormat> for lopside_telemetry::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}
