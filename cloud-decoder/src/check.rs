//! `cloud-decoder check`: loads and releases everything that `serve` would load, and reports what it would
//! do.

use std::{
    fmt::{self, Display, Formatter},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use lopside_decoder::{BatchSettings, Registry, Runtime, ServedBundle};
use serde::Serialize;

use crate::{
    Settings, StartError,
    archive::ArchiveReport,
    auth::load_keys,
    channels::{Channel, ChannelFile},
    transport::TlsFiles,
};

/// The configuration of `serve`, and the problems that keep it from starting.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// Whether `serve` would start. Opening the port is not tried.
    pub ok: bool,
    /// The problems that keep it from starting, each with its fix.
    pub problems: Vec<String>,
    /// Settings that are allowed but weaken the protection or may surprise, each with its fix.
    pub warnings: Vec<String>,
    /// The address to listen on, as a URL.
    pub listen: String,
    /// The separate address of the metrics; `None` if they are at `listen`.
    pub metrics: Option<MetricsReport>,
    /// The device that heads would run on, `cpu` or `cuda`; `None` if ONNX Runtime cannot be loaded.
    pub device: Option<&'static str>,
    /// Threads per session.
    pub threads: usize,
    /// Batching of requests, and the limits of the queues.
    pub batching: BatchingReport,
    /// The bundles that would be served.
    pub bundles: Vec<BundleReport>,
    /// The channels that devices would be offered; `None` without channels.
    pub channels: Option<ChannelsReport>,
    /// The archive; `None` without an archive.
    pub archive: Option<ArchiveReport>,
    /// The certificates; `None` without TLS.
    pub tls: Option<TlsReport>,
    /// The API keys; `None` without API keys.
    pub api_keys: Option<KeysReport>,
    /// Limits on connections.
    pub connections: ConnectionReport,
    /// Seconds between "not ready" and the end of accepting connections.
    pub drain_wait_seconds: u64,
    /// Maximum number of seconds for open requests after that.
    pub drain_seconds: u64,
}

/// Batching of requests into runs of a head, and the limits of its queue.
#[derive(Debug, Serialize)]
pub struct BatchingReport {
    instances: usize,
    /// Maximum batch size; `None` if it is measured when a head is loaded.
    max_batch: Option<usize>,
    max_delay_ms: f64,
    queue: usize,
    queue_bytes: usize,
    request_timeout_ms: u128,
    watch_seconds: Option<u64>,
}

/// One bundle.
#[derive(Debug, Serialize)]
pub struct BundleReport {
    /// The name of the bundle.
    pub name: String,
    /// The id of the latent space.
    pub latent_space: String,
    /// The heads, as `NAME-VERSION`.
    pub heads: Vec<String>,
}

/// The channels file and its channels.
#[derive(Debug, Serialize)]
pub struct ChannelsReport {
    file: PathBuf,
    /// The channels whose bundles can be offered.
    channels: Vec<ChannelReport>,
}

/// One channel.
#[derive(Debug, Serialize)]
pub struct ChannelReport {
    name: String,
    bundle: String,
    version: u32,
    latent_space: String,
    /// Total size of the files that devices would download.
    bytes: u64,
}

/// Paths of the certificates and keys.
#[derive(Debug, Serialize)]
pub struct TlsReport {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// API keys.
#[derive(Debug, Serialize)]
pub struct KeysReport {
    file: PathBuf,
    /// Number of keys; `None` if the file cannot be used.
    keys: Option<usize>,
}

/// The separate address of the metrics.
#[derive(Debug, Serialize)]
pub struct MetricsReport {
    listen: SocketAddr,
    /// Whether clients need a key with the scope `metrics`.
    needs_key: bool,
}

/// Limits on connections; times are in seconds.
#[derive(Debug, Serialize)]
pub struct ConnectionReport {
    max: usize,
    max_per_peer: usize,
    max_streams: u32,
    max_header_bytes: u32,
    first_byte_seconds: f64,
    header_seconds: f64,
    handshake_seconds: f64,
    body_seconds: f64,
    idle_seconds: f64,
    ping_seconds: f64,
    max_connection_age_seconds: Option<f64>,
}

/// Loads everything that `serve` would load. Continues after a problem, so that one run reports all of them.
#[must_use]
pub fn check_settings(settings: &Settings) -> CheckReport {
    let mut problems = Vec::new();
    let mut warnings: Vec<String> = settings.metrics_warning().into_iter().collect();
    let front = &settings.front;
    if let Some(Err(error)) = front.tls.as_ref().map(TlsFiles::load_config) {
        problems.push(error.to_string());
    }
    let api_keys = front.api_keys.as_ref().map(|file| {
        let loaded = load_keys(file).map_err(|fault| fault.at_start(file));
        let keys = note_problem(loaded, &mut problems);
        if let Some(keys) = &keys {
            warnings.extend(keys.unrestricted_warning());
        }
        KeysReport { file: file.clone(), keys: keys.map(|keys| keys.count()) }
    });
    let runtime = Runtime::load_on(&settings.onnxruntime, settings.device, settings.gpu, settings.threads);
    let runtime = note_problem(runtime.map_err(StartError::from), &mut problems);
    let registry = runtime.as_ref().and_then(|runtime| {
        let registry = Registry::load_valid(&settings.bundles, runtime, settings.batching);
        note_problem(registry.map_err(StartError::from), &mut problems)
    });
    // A bundle that cannot be served keeps only a strict server from starting.
    let refused = registry.iter().flat_map(|registry| registry.refusals(settings.strict));
    if settings.strict {
        problems.extend(refused);
    } else {
        warnings.extend(refused);
    }
    let channels = settings.channels.as_ref().map(|file| ChannelsReport {
        file: file.clone(),
        channels: report_channels(file, registry.as_ref(), &mut problems),
    });
    CheckReport {
        ok: problems.is_empty(),
        problems,
        warnings,
        listen: settings.url(settings.listen),
        metrics: settings
            .metrics_listen
            .map(|listen| MetricsReport { listen, needs_key: settings.metrics_need_key() }),
        device: runtime.map(|runtime| if runtime.has_cuda() { "cuda" } else { "cpu" }),
        threads: settings.threads,
        batching: report_batching(settings),
        bundles: registry.iter().flat_map(report_bundles).collect(),
        channels,
        archive: settings.archive.as_ref().map(ArchiveReport::from),
        tls: front.tls.clone().map(|TlsFiles { cert, key, client_ca }| TlsReport { cert, key, client_ca }),
        api_keys,
        connections: report_connections(settings),
        drain_wait_seconds: front.drain_wait.as_secs(),
        drain_seconds: settings.drain_timeout.as_secs(),
    }
}

/// Returns the value of a result; adds the message of an error to the problems.
fn note_problem<T>(result: Result<T, StartError>, problems: &mut Vec<String>) -> Option<T> {
    result.map_err(|error| problems.push(error.to_string())).ok()
}

fn report_bundles(registry: &Registry) -> Vec<BundleReport> {
    registry.catalog().newest_bundles().map(|served| report_bundle(served)).collect()
}

fn report_bundle(served: &ServedBundle) -> BundleReport {
    let heads = served.names().iter().map(|(name, version)| format!("{name}-{version}")).collect();
    BundleReport { name: served.name().to_owned(), latent_space: served.latent_space().to_string(), heads }
}

/// Reads the channels file and, if the registry could be loaded, every file that the channels would offer.
fn report_channels(
    file: &Path,
    registry: Option<&Registry>,
    problems: &mut Vec<String>,
) -> Vec<ChannelReport> {
    let file = note_problem(ChannelFile::load(file, None), problems);
    let channels = file.iter().flat_map(ChannelFile::channels);
    let offered = channels.zip(registry.into_iter().cycle());
    offered
        .filter_map(|(channel, registry)| note_problem(report_channel(channel, registry), problems))
        .collect()
}

fn report_channel(channel: &Channel, registry: &Registry) -> Result<ChannelReport, StartError> {
    let name = channel.name().to_owned();
    match channel.offer_once(registry) {
        Ok(offer) => Ok(ChannelReport {
            name,
            bundle: offer.bundle.clone(),
            version: offer.version,
            latent_space: offer.latent_space.to_string(),
            bytes: offer.total_bytes(),
        }),
        Err(reason) => Err(StartError::Channel { channel: name, reason }),
    }
}

fn report_batching(settings: &Settings) -> BatchingReport {
    let BatchSettings {
        max_jobs: queue,
        max_job_bytes: queue_bytes,
        max_batch_items: max_batch,
        max_delay,
        instances,
    } = settings.batching;
    BatchingReport {
        instances,
        max_batch,
        max_delay_ms: max_delay.as_secs_f64() * 1000.0,
        queue,
        queue_bytes,
        request_timeout_ms: settings.request_timeout.as_millis(),
        watch_seconds: settings.watch_interval.map(|interval| interval.as_secs()),
    }
}

fn report_connections(settings: &Settings) -> ConnectionReport {
    let limits = &settings.front.limits;
    ConnectionReport {
        max: limits.max_connections,
        max_per_peer: limits.max_connections_per_peer,
        max_streams: limits.max_streams,
        max_header_bytes: limits.max_header_bytes,
        first_byte_seconds: limits.first_byte_timeout.as_secs_f64(),
        header_seconds: limits.header_timeout.as_secs_f64(),
        handshake_seconds: limits.handshake_timeout.as_secs_f64(),
        body_seconds: limits.body_timeout.as_secs_f64(),
        idle_seconds: limits.idle_timeout.as_secs_f64(),
        ping_seconds: limits.ping_interval.as_secs_f64(),
        max_connection_age_seconds: limits.max_age.map(|age| age.as_secs_f64()),
    }
}

impl Display for CheckReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "listens on   {} (gRPC and REST)", self.listen)?;
        if let Some(MetricsReport { listen, needs_key }) = &self.metrics {
            let access = if *needs_key { "with a key of the scope metrics" } else { "without a key" };
            writeln!(f, "metrics      at {listen}, {access}")?;
        }
        let device = self.device.unwrap_or("nothing: ONNX Runtime cannot be loaded");
        let BatchingReport { instances, max_batch, max_delay_ms, queue, .. } = &self.batching;
        writeln!(
            f,
            "heads run on {device}, sessions per head: {instances}, threads per session: {}",
            self.threads
        )?;
        let max_batch =
            max_batch.map_or("of a measured size".to_owned(), |items| format!("of up to {items} items"));
        writeln!(
            f,
            "batches      {max_batch}, delayed by at most {max_delay_ms} ms; at most {queue} requests per head"
        )?;
        if let Some(seconds) = self.batching.watch_seconds {
            writeln!(f, "watches      the folders every {seconds} s")?;
        }
        for BundleReport { name, latent_space, heads } in &self.bundles {
            writeln!(f, "bundle       {name} ({latent_space}): {}", heads.join(", "))?;
        }
        for channel in self.channels.iter().flat_map(|report| &report.channels) {
            let ChannelReport { name, bundle, version, latent_space, bytes } = channel;
            writeln!(
                f,
                "channel      {name}: bundle {bundle}, version {version} ({latent_space}), {bytes} bytes"
            )?;
        }
        match &self.archive {
            None => writeln!(f, "archive      off: devices cannot upload frames")?,
            Some(archive) => writeln!(f, "archive      {archive}")?,
        }
        match &self.tls {
            None => writeln!(f, "TLS          off")?,
            Some(TlsReport { cert, key, client_ca }) => {
                write!(f, "TLS          {}, {}", cert.display(), key.display())?;
                match client_ca {
                    None => writeln!(f)?,
                    Some(path) => writeln!(f, "; clients need a certificate issued by {}", path.display())?,
                }
            }
        }
        match &self.api_keys {
            None => writeln!(f, "API keys     off: all requests are accepted")?,
            Some(KeysReport { file, keys }) => {
                writeln!(f, "API keys     {} in {}", keys.unwrap_or(0), file.display())?;
            }
        }
        let ConnectionReport { max, max_per_peer, max_streams, .. } = &self.connections;
        writeln!(
            f,
            "connections  at most {max}, {max_per_peer} per peer, {max_streams} requests per connection"
        )?;
        let (wait, drain) = (self.drain_wait_seconds, self.drain_seconds);
        writeln!(
            f,
            "stops        after {wait} s of reporting not ready, and at most {drain} s for open requests"
        )?;
        for warning in &self.warnings {
            writeln!(f, "WARNING      {warning}")?;
        }
        for problem in &self.problems {
            writeln!(f, "PROBLEM      {problem}")?;
        }
        f.write_str(if self.ok { "would start" } else { "would not start" })
    }
}
