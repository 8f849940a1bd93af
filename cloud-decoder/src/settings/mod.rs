//! The server's settings.
//!
//! ```text
//! flags, or else environment ─► ServeArgs ─┐
//! config file ────────────────► ServeArgs ─┴─ merge ─► ServeArgs ─ resolve over the defaults ─► Settings
//! ```
//! There is one struct per table of the config file. Its fields are the flags, the environment variables and the
//! keys of the file, and its doc comments are the help text. A new setting is a field of its table's struct and a
//! field of [`Settings`] or of the group's settings within it.

mod archive;
mod batching;
mod connections;
mod front;
mod grpc_compression;
mod log_format;
mod metrics_access;
mod server;
mod tls;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use lopside_decoder::{BatchSettings, DEFAULT_TIMEOUT, Device};
use lopside_latent::Limits;
use merge::Merge as _;

pub use self::{
    archive::ArchiveArgs, connections::ConnectionArgs, grpc_compression::GrpcCompression,
    log_format::LogFormat, server::ServeArgs, tls::TlsArgs,
};
use self::{batching::resolve_batching, front::resolve_front};
use crate::{StartError, archive::ArchiveSettings, transport::FrontSettings};

const DEFAULT_PORT: u16 = 8080;
const DEFAULT_DRAIN_SECONDS: u32 = 30;
const PIXELS_PER_MEGAPIXEL: u64 = 1_000_000;
const DEFAULT_LIBRARY: &str = "libonnxruntime.so";

/// The server's settings, merged from flags, environment, config file and defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Bundles, or folders of bundles; at least one.
    pub bundles: Vec<PathBuf>,
    /// Whether one bundle or folder that cannot be served keeps the server from starting.
    pub strict: bool,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// A separate address for metrics; `None` serves them at `listen`.
    pub metrics_listen: Option<SocketAddr>,
    /// Whether that address serves metrics without a key to everyone who can reach it.
    pub metrics_open: bool,
    /// The device that the heads run on.
    pub device: Device,
    /// The number of the GPU on a machine with several.
    pub gpu: u16,
    /// Path of the ONNX Runtime library.
    pub onnxruntime: PathBuf,
    /// Threads per session.
    pub threads: usize,
    /// Batching of requests, and the limits of the queues.
    pub batching: BatchSettings,
    /// Timeout of requests that do not set one.
    pub request_timeout: Duration,
    /// Interval at which the bundles' folders are checked for changes; `None` never checks them.
    pub watch_interval: Option<Duration>,
    /// The largest image that a frame may contain, in pixels.
    pub max_pixels: u64,
    /// Maximum time to wait for open requests when stopping.
    pub drain_timeout: Duration,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// Whether the log has a line for each request.
    pub access_log: bool,
    /// The archive of frames; `None` without an archive.
    pub archive: Option<ArchiveSettings>,
    /// Path of the channels file; `None` without channels.
    pub channels: Option<PathBuf>,
    /// Connections, TLS and API keys.
    pub front: FrontSettings,
    /// When responses of gRPC are compressed.
    pub grpc_compression: GrpcCompression,
}

impl Settings {
    /// Merges flags and environment, which `args` already combines, with the config file and the defaults.
    ///
    /// # Errors
    /// [`StartError::Config`] for a config file that cannot be read or parsed, [`StartError::InvalidSetting`] for an
    /// invalid value, [`StartError::NoBundles`], [`StartError::IncompleteTls`].
    pub fn merge(mut args: ServeArgs) -> Result<Self, StartError> {
        if let Some(file) = args.config.as_deref().map(read_file).transpose()? {
            args.merge(file);
        }
        Self::resolve(args)
    }

    /// Returns an address as a URL, with the scheme `https` if TLS is on.
    pub(crate) fn url(&self, address: SocketAddr) -> String {
        format!("{}://{address}", if self.front.tls.is_some() { "https" } else { "http" })
    }

    /// Sets the defaults and checks the values.
    fn resolve(args: ServeArgs) -> Result<Self, StartError> {
        let batching = resolve_batching(&args)?;
        if args.bundles.is_empty() {
            return Err(StartError::NoBundles);
        }
        let front = resolve_front(&args)?;
        let threads = args.threads.unwrap_or_else(|| core_count().div_ceil(batching.instances));
        let watch_seconds = args.watch_seconds.filter(|seconds| *seconds > 0);
        Ok(Self {
            bundles: args.bundles,
            strict: args.strict.unwrap_or(false),
            listen: args.listen.unwrap_or((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into()),
            metrics_listen: args.metrics_listen,
            metrics_open: args.metrics_open.unwrap_or(false),
            device: args.device.unwrap_or(Device::Auto),
            gpu: args.gpu.unwrap_or(0),
            onnxruntime: args.onnxruntime.unwrap_or(DEFAULT_LIBRARY.into()),
            threads: threads.max(1),
            batching,
            request_timeout: args.request_timeout_ms.map_or(DEFAULT_TIMEOUT, Duration::from_millis),
            watch_interval: watch_seconds.map(Duration::from_secs),
            max_pixels: args
                .max_megapixels
                .map_or(Limits::default().max_pixels, |mega| u64::from(mega) * PIXELS_PER_MEGAPIXEL),
            drain_timeout: Duration::from_secs(args.drain_seconds.unwrap_or(DEFAULT_DRAIN_SECONDS).into()),
            log_format: args.log_format.unwrap_or(LogFormat::Text),
            access_log: args.access_log.unwrap_or(false),
            archive: args.archive.resolve()?,
            channels: args.channels,
            front,
            grpc_compression: args.connections.grpc_compression.unwrap_or_default(),
        })
    }
}

fn read_file(path: &Path) -> Result<ServeArgs, StartError> {
    let text = fs::read_to_string(path).map_err(|error| config_error(path, &error))?;
    toml::from_str(&text).map_err(|error| config_error(path, &error))
}

fn config_error(path: &Path, error: &impl ToString) -> StartError {
    StartError::Config { path: path.to_owned(), reason: error.to_string() }
}

fn core_count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = "bundles = ['a', 'b']\nqueue = 7\nmax_megapixels = 12\nlisten = '127.0.0.1:1'\ndevice = 'cpu'\n\
                    channels = 'c'";
        let args = ServeArgs { queue: Some(9), ..ServeArgs::default() };
        let settings = merge_over_file(args, file).unwrap();
        assert_eq!(settings.bundles, [PathBuf::from("a"), PathBuf::from("b")]);
        assert_eq!(
            (settings.batching.max_jobs, settings.listen.port(), settings.device),
            (9, 1, Device::Cpu)
        );
        assert_eq!((settings.max_pixels, settings.channels), (12_000_000, Some("c".into())));
        assert_eq!(settings.drain_timeout, Duration::from_secs(30));

        let args = ServeArgs { bundles: vec!["c".into()], ..ServeArgs::default() };
        assert_eq!(merge_over_file(args, file).unwrap().bundles, [PathBuf::from("c")]);
    }

    #[test]
    fn connections_certificates_and_the_archive_come_from_their_tables_and_flags_win() {
        let file = "bundles = ['a']\napi_keys = 'keys'\ndrain_wait_seconds = 5\n[tls]\ncert = 'c'\nkey = 'k'\n\
                    [connections]\nmax = 9\nidle_seconds = 60\n[archive]\nurl = 'sqlite:a'\n";
        let mut args = ServeArgs::default();
        args.connections.max = NonZeroU32::new(7);
        args.tls.key = Some("other".into());
        args.archive.megabytes = Some(3);
        let Settings { front, archive, .. } = merge_over_file(args, file).unwrap();
        assert_eq!((front.limits.max_connections, front.limits.idle_timeout), (7, Duration::from_mins(1)));
        assert_eq!(front.tls.map(|tls| (tls.cert, tls.key)), Some(("c".into(), "other".into())));
        assert_eq!((front.api_keys, front.drain_wait), (Some("keys".into()), Duration::from_secs(5)));
        let archive = archive.map(|archive| (archive.url, archive.max_bytes));
        assert_eq!(archive, Some(("sqlite:a".into(), Some(3_000_000))));
    }

    #[test]
    fn a_server_without_bundles_or_with_a_misspelt_key_does_not_start() {
        assert!(matches!(Settings::merge(ServeArgs::default()), Err(StartError::NoBundles)));
        let cases = [
            ("bundels = ['a']", "bundels"),
            ("config = 'other.toml'", "config"),
            ("[tls]\ncret = 'c'", "cret"),
            ("[connections]\nmax_connections = 1", "max_connections"),
            ("[archive]\nadress = 'a'", "adress"),
        ];
        for (file, key) in cases {
            let error = merge_over_file(ServeArgs::default(), file).unwrap_err().to_string();
            assert!(error.contains(&format!("unknown field `{key}`, expected one of")), "{error}");
        }
    }

    fn merge_over_file(args: ServeArgs, file: &str) -> Result<Settings, StartError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloud.toml");
        fs::write(&path, file).unwrap();
        Settings::merge(ServeArgs { config: Some(path), ..args })
    }
}
