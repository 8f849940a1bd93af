//! The command line. Every option can also be set in the environment or the config file: flags take
//! precedence over the environment, and the environment over the file.

// The doc comments here are the help text, in which backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls, rustdoc::invalid_html_tags)]

use clap::{Args, Parser, Subcommand};

use crate::{ServeArgs, auth::Scope};

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
  cloud-decoder key gate-7 --allow ingest --device gate-7
  cloud-decoder health --service lopside.v1.IngestService
  cloud-decoder audit verify --archive sqlite:frames.db
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
    /// /readyz, with /readyz/CHECK for single checks. /openapi.json and the page /docs describe the REST interface; /metrics serves metrics in the
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
    /// wait, above the key's rate or its requests per day, and for an address that keeps sending invalid keys. Each
    /// server counts rates and days on its own and starts from zero; a stream counts as one request. When a key is
    /// removed or disabled, expires, or loses a permission, its open requests end.
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
    /// midnight UTC), gmacs_per_minute (computation), expires = 2027-06-30, disabled = true. A running server
    /// applies changes within seconds, also to open requests.
    Key(KeyArgs),
    /// Check whether a server accepts requests and exit with 0 if it does, 1 if not
    ///
    /// For health checks of containers that do not contain another client. Uses grpc.health.v1 without TLS.
    Health(HealthArgs),
    /// Examine the audit log of an archive
    #[command(subcommand)]
    Audit(AuditCommand),
}

/// The subcommands of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no entry of the audit log was changed, deleted, inserted or moved, and exit with 0 if so, 1 if
    /// not
    ///
    /// Names the first entry that does not fit. The archive may be in use, and is not changed.
    Verify(VerifyArgs),
}

/// Options of `health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// URL of the server
    #[arg(default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub url: String,
    /// gRPC service to check, such as lopside.v1.IngestService [default: the server as a whole]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub service: String,
}

/// Options of `audit verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Database of the archive: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`
    #[arg(long, env = "LOPSIDE_ARCHIVE", value_name = "URL", hide_env_values = true)]
    pub archive: String,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
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
    /// Device that a key with the scope ingest may upload for, with * for any number of characters, such as gate-*;
    /// may be repeated [default: any device]
    #[arg(long = "device", value_name = "PATTERN")]
    pub devices: Vec<String>,
    /// Print the key as JSON
    #[arg(long)]
    pub json: bool,
}
