use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use lopside_decoder::{BatchSettings, DEFAULT_TIMEOUT, Device};
use lopside_latent::Limits;
use serde::Deserialize;

use crate::{
    StartError,
    archive::{ArchiveArgs, ArchiveSettings},
    cli::{LogFormat, ServeArgs},
    transport::{ConnectionArgs, FrontSettings, FrontTable, TlsTable},
};

const DEFAULT_PORT: u16 = 8080;
const DEFAULT_DRAIN_SECONDS: u32 = 30;
const PIXELS_PER_MEGAPIXEL: u64 = 1_000_000;
const DEFAULT_LIBRARY: &str = "libonnxruntime.so";

/// The server's settings, merged from flags, environment, config file and defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Bundles, or folders of bundles; at least one.
    pub bundles: Vec<PathBuf>,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// A separate address for metrics; `None` serves them at `listen`.
    pub metrics_listen: Option<SocketAddr>,
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
    /// The archive of frames; `None` without an archive.
    pub archive: Option<ArchiveSettings>,
    /// Path of the channels file; `None` without channels.
    pub channels: Option<PathBuf>,
    /// Connections, TLS and API keys.
    pub front: FrontSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default)]
    bundles: Vec<PathBuf>,
    listen: Option<SocketAddr>,
    metrics_listen: Option<SocketAddr>,
    device: Option<Device>,
    gpu: Option<u16>,
    onnxruntime: Option<PathBuf>,
    threads: Option<usize>,
    queue: Option<usize>,
    queue_megabytes: Option<usize>,
    max_batch: Option<usize>,
    max_delay_ms: Option<f64>,
    instances: Option<usize>,
    request_timeout_ms: Option<u64>,
    watch_seconds: Option<u64>,
    max_megapixels: Option<u32>,
    drain_seconds: Option<u32>,
    log_format: Option<LogFormat>,
    channels: Option<PathBuf>,
    #[serde(default)]
    archive: ArchiveArgs,
    #[serde(default)]
    tls: TlsTable,
    #[serde(default)]
    connections: ConnectionArgs,
    api_keys: Option<PathBuf>,
    reload_seconds: Option<NonZeroU32>,
    drain_wait_seconds: Option<u32>,
}

impl Settings {
    /// Merges flags and environment, which `args` already combines, with the config file and the defaults.
    ///
    /// # Errors
    /// [`StartError::Config`] for a config file that cannot be read or parsed, [`StartError::InvalidSetting`] for an
    /// invalid value, [`StartError::NoBundles`], [`StartError::IncompleteTls`].
    pub fn merge(args: ServeArgs) -> Result<Self, StartError> {
        let file = args.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let batching = merge_batching(&args, &file)?;
        let request_timeout = args.request_timeout_ms.or(file.request_timeout_ms);
        let watch = args.watch_seconds.or(file.watch_seconds);
        let front = FrontTable {
            tls: file.tls,
            connections: file.connections,
            api_keys: file.api_keys,
            reload_seconds: file.reload_seconds,
            drain_wait_seconds: file.drain_wait_seconds,
        };
        let bundles = if args.bundles.is_empty() { file.bundles } else { args.bundles };
        if bundles.is_empty() {
            return Err(StartError::NoBundles);
        }
        let drain = args.drain_seconds.or(file.drain_seconds).unwrap_or(DEFAULT_DRAIN_SECONDS);
        let max_pixels =
            args.max_megapixels.or(file.max_megapixels).map(|mega| u64::from(mega) * PIXELS_PER_MEGAPIXEL);
        Ok(Self {
            bundles,
            listen: args.listen.or(file.listen).unwrap_or((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into()),
            metrics_listen: args.metrics_listen.or(file.metrics_listen),
            device: args.device.or(file.device).unwrap_or(Device::Auto),
            gpu: args.gpu.or(file.gpu).unwrap_or(0),
            onnxruntime: args.onnxruntime.or(file.onnxruntime).unwrap_or(DEFAULT_LIBRARY.into()),
            threads: args
                .threads
                .or(file.threads)
                .unwrap_or_else(|| core_count().div_ceil(batching.instances))
                .max(1),
            batching,
            request_timeout: request_timeout.map_or(DEFAULT_TIMEOUT, Duration::from_millis),
            watch_interval: watch.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            max_pixels: max_pixels.unwrap_or(Limits::default().max_pixels),
            drain_timeout: Duration::from_secs(drain.into()),
            log_format: args.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
            archive: ArchiveSettings::merge(args.archive, file.archive),
            channels: args.channels.or(file.channels),
            front: FrontSettings::merge(args.front, front)?,
        })
    }

    /// Returns an address as a URL, with the scheme `https` if TLS is on.
    pub(crate) fn url(&self, address: SocketAddr) -> String {
        format!("{}://{address}", if self.front.tls.is_some() { "https" } else { "http" })
    }
}

fn merge_batching(args: &ServeArgs, file: &ConfigFile) -> Result<BatchSettings, StartError> {
    let defaults = BatchSettings::default();
    let delay = match args.max_delay_ms.or(file.max_delay_ms) {
        Some(delay) => Duration::try_from_secs_f64(delay / 1000.0).map_err(|error| {
            StartError::InvalidSetting { name: "max-delay-ms", reason: error.to_string() }
        })?,
        None => defaults.max_delay,
    };
    let megabytes = args.queue_megabytes.or(file.queue_megabytes);
    Ok(BatchSettings {
        max_jobs: args.queue.or(file.queue).unwrap_or(defaults.max_jobs).max(1),
        max_job_bytes: megabytes
            .map_or(defaults.max_job_bytes, |megabytes| megabytes.saturating_mul(1_000_000)),
        max_batch_items: args.max_batch.or(file.max_batch).map(|items| items.max(1)),
        max_delay: delay,
        instances: args.instances.or(file.instances).unwrap_or(defaults.instances).max(1),
    })
}

fn read_file(path: &Path) -> Result<ConfigFile, StartError> {
    let text = fs::read_to_string(path).map_err(|error| config_error(path, &error))?;
    toml::from_str(&text).map_err(|error| config_error(path, &error))
}

fn config_error(path: &Path, error: &impl ToString) -> StartError {
    StartError::Config { path: path.to_owned(), reason: error.to_string() }
}

fn core_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloud.toml");
        fs::write(
            &path,
            "bundles = ['a', 'b']\nqueue = 7\nmax_megapixels = 12\nlisten = '127.0.0.1:1'\ndevice = 'cpu'\n\
             channels = 'c'",
        )
        .unwrap();
        let args = ServeArgs { config: Some(path), queue: Some(9), ..ServeArgs::default() };
        let settings = Settings::merge(args).unwrap();
        assert_eq!(settings.bundles, [PathBuf::from("a"), PathBuf::from("b")]);
        assert_eq!(
            (settings.batching.max_jobs, settings.listen.port(), settings.device),
            (9, 1, Device::Cpu)
        );
        assert_eq!((settings.max_pixels, settings.channels), (12_000_000, Some("c".into())));
        assert_eq!(settings.drain_timeout, Duration::from_secs(30));
    }

    #[test]
    fn connections_and_certificates_come_from_their_tables_and_flags_win() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloud.toml");
        let file = "bundles = ['a']\napi_keys = 'keys'\ndrain_wait_seconds = 5\n[tls]\ncert = 'c'\nkey = 'k'\n\
                    [connections]\nmax = 9\nidle_seconds = 60\n";
        fs::write(&path, file).unwrap();
        let mut args = ServeArgs { config: Some(path.clone()), ..ServeArgs::default() };
        args.front.connections.max = NonZeroU32::new(7);
        args.front.tls_key = Some("other".into());
        let front = Settings::merge(args).unwrap().front;
        assert_eq!((front.limits.max_connections, front.limits.idle_timeout), (7, Duration::from_mins(1)));
        assert_eq!(front.tls.map(|tls| (tls.cert, tls.key)), Some(("c".into(), "other".into())));
        assert_eq!((front.api_keys, front.drain_wait), (Some("keys".into()), Duration::from_secs(5)));

        fs::write(&path, "bundles = ['a']\n[tls]\ncert = 'c'\n").unwrap();
        let args = ServeArgs { config: Some(path), ..ServeArgs::default() };
        let error = Settings::merge(args).unwrap_err().to_string();
        assert!(error.contains("--tls-key") && error.contains("LOPSIDE_TLS_KEY"), "{error}");
    }

    #[test]
    fn a_server_without_bundles_or_with_a_misspelt_key_does_not_start() {
        assert!(matches!(Settings::merge(ServeArgs::default()), Err(StartError::NoBundles)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloud.toml");
        fs::write(&path, "bundels = ['a']").unwrap();
        let error = Settings::merge(ServeArgs { config: Some(path), ..ServeArgs::default() }).unwrap_err();
        assert!(error.to_string().contains("bundels"), "{error}");
    }
}
