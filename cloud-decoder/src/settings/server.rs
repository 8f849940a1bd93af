// The doc comments here are the help text, in which backticks would be noise.
#![allow(clippy::doc_markdown)]

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    num::NonZeroU32,
    path::PathBuf,
};

use clap::Args;
use lopside_decoder::Device;
use merge::Merge;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{archive::ArchiveArgs, connections::ConnectionArgs, log_format::LogFormat, tls::TlsArgs};

/// Options of `serve`, as flags, environment variables and the top level of the config file.
#[derive(Debug, Default, Args, Deserialize, Merge)]
#[serde(default, deny_unknown_fields)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct ServeArgs {
    /// TOML config file with any of the keys bundles, strict, watch_seconds, listen, metrics_listen, metrics_open,
    /// device, gpu, onnxruntime, threads, instances, max_batch, max_delay_ms, queue, queue_megabytes, request_timeout_ms,
    /// max_megapixels, drain_seconds, log_format, access_log, api_keys, channels, reload_seconds, drain_wait_seconds; the
    /// table archive with url, days, megabytes, device_megabytes, device_frames, scores; the table tls with cert, key,
    /// client_ca; the table connections with max, max_per_peer and the other options under that heading
    #[arg(long, env = "LOPSIDE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Bundle, or folder of bundles; may be repeated
    #[arg(long = "bundle", env = "LOPSIDE_BUNDLES", value_name = "DIR", value_delimiter = ',')]
    #[merge(strategy = merge::vec::overwrite_empty)]
    pub bundles: Vec<PathBuf>,
    /// Whether one bundle or folder that cannot be served keeps the server from starting [default: false]
    ///
    /// By default, the server starts with the bundles that can be served, and logs and lists the others with their
    /// reasons. It does not start if none of the bundles can be served, but with empty folders it does.
    #[arg(
        long,
        env = "LOPSIDE_STRICT",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub strict: Option<bool>,
    /// Address to listen on, such as 0.0.0.0:8080 or localhost:8080, with brackets around an address of IPv6; port 0
    /// selects a free port [default: 127.0.0.1:8080]
    #[arg(long, env = "LOPSIDE_LISTEN", value_name = "HOST:PORT", value_parser = parse_address)]
    #[serde(deserialize_with = "deserialize_address")]
    pub listen: Option<SocketAddr>,
    /// Separate address for /metrics, which the address above then does not serve [default: none]
    ///
    /// The address is without TLS. With --api-keys, a key with the scope metrics is needed there as well, unless it
    /// is an address of this machine only, such as 127.0.0.1.
    #[arg(long, env = "LOPSIDE_METRICS_LISTEN", value_name = "HOST:PORT", value_parser = parse_address)]
    #[serde(deserialize_with = "deserialize_address")]
    pub metrics_listen: Option<SocketAddr>,
    /// Whether the separate address serves metrics without a key to everyone who can reach it [default: false]
    #[arg(
        long,
        env = "LOPSIDE_METRICS_OPEN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub metrics_open: Option<bool>,
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
    /// Whether the log has a line for each request, with its status, duration, bytes, client and id [default: false]
    #[arg(
        long,
        env = "LOPSIDE_ACCESS_LOG",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub access_log: Option<bool>,
    /// File of channels, which offer the encoders of bundles to devices; reloaded when it changes
    ///
    /// A TOML file with one table `[[channel]]` per channel: name = "stable" and bundle = "photo", a bundle
    /// of --bundle; version = 2, or without it the newest version.
    #[arg(long, env = "LOPSIDE_CHANNELS", value_name = "FILE")]
    pub channels: Option<PathBuf>,
    #[command(flatten)]
    #[merge(strategy = merge::Merge::merge)]
    #[allow(missing_docs)]
    pub archive: ArchiveArgs,
    #[command(flatten)]
    #[merge(strategy = merge::Merge::merge)]
    #[allow(missing_docs)]
    pub tls: TlsArgs,
    /// API key file; only requests with one of its keys are accepted. `cloud-decoder key` generates keys.
    /// Reloaded after changes
    #[arg(help_heading = "Access", long, env = "LOPSIDE_API_KEYS", value_name = "FILE")]
    pub api_keys: Option<PathBuf>,
    /// Seconds between two checks of certificates, keys and channels for changes; SIGHUP checks at once
    /// [default: 5]
    #[arg(help_heading = "Access", long, env = "LOPSIDE_RELOAD_SECONDS", value_name = "SECONDS")]
    pub reload_seconds: Option<NonZeroU32>,
    /// Seconds to keep serving as not ready before connections are refused at shutdown [default: 0]
    ///
    /// Load balancers need this time to choose another server. In Kubernetes, set it to 5 to 15, and the pod's
    /// terminationGracePeriodSeconds to more than the sum of this and --drain-seconds.
    #[arg(help_heading = "Access", long, env = "LOPSIDE_DRAIN_WAIT_SECONDS", value_name = "SECONDS")]
    pub drain_wait_seconds: Option<u32>,
    #[command(flatten)]
    #[merge(strategy = merge::Merge::merge)]
    #[allow(missing_docs)]
    pub connections: ConnectionArgs,
}

/// Parses `HOST:PORT`, and looks up the address of a host that is given by name. Returns an address of IPv4 if the
/// host has one: clients try both protocols for a name such as `localhost`, but some tools only IPv4.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if text.starts_with("unix:") {
        return Err("unix sockets are not supported: give HOST:PORT, such as 127.0.0.1:8080".to_owned());
    }
    let addresses = text.to_socket_addrs().map_err(|error| {
        format!("{error}; give HOST:PORT, such as 0.0.0.0:8080, localhost:8080 or [::]:8080")
    })?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    address.copied().ok_or_else(|| "the host has no address: give the number of an address".to_owned())
}

fn deserialize_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_address(&text).map(Some).map_err(|reason| D::Error::custom(format!("{text:?}: {reason}")))
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command, FromArgMatches as _};

    use super::*;

    #[test]
    fn options_stay_under_their_headings() {
        let command = ServeArgs::augment_args(Command::new("serve"));
        let options = flags_under(&command, None);
        assert_eq!((options.first(), options.last()), (Some(&"config"), Some(&"channels")));
        assert_eq!(
            flags_under(&command, Some("Archive")),
            [
                "archive",
                "archive-days",
                "archive-megabytes",
                "archive-device-megabytes",
                "archive-device-frames",
                "archive-scores"
            ]
        );
        assert_eq!(
            flags_under(&command, Some("Access")),
            ["tls-cert", "tls-key", "tls-client-ca", "api-keys", "reload-seconds", "drain-wait-seconds"]
        );
        let connections = flags_under(&command, Some("Connections"));
        assert_eq!((connections.first(), connections.len()), (Some(&"max-connections"), 13));
    }

    #[test]
    fn an_address_is_a_number_or_a_name_with_a_port() {
        for (text, expected) in
            [("127.0.0.1:80", "127.0.0.1:80"), ("[::]:8080", "[::]:8080"), ("[::1]:0", "[::1]:0")]
        {
            assert_eq!(parse_address(text), Ok(expected.parse().unwrap()));
        }
        let local = parse_address("localhost:8080").unwrap();
        assert!(local.ip().is_loopback() && local.port() == 8080, "{local}");
        for text in ["", "8080", "127.0.0.1", "127.0.0.1:99999", "localhost", "unix:/run/lopside"] {
            let error = parse_address(text).unwrap_err();
            assert!(error.contains("give HOST:PORT"), "{text}: {error}");
        }
    }

    #[test]
    fn addresses_are_the_same_in_the_file_and_as_flags() {
        let file = "listen = 'localhost:1'\nmetrics_listen = '[::]:2'";
        let from_file: ServeArgs = toml::from_str(file).unwrap();
        let flags = ["serve", "--listen", "localhost:1", "--metrics-listen", "[::]:2"];
        let matches = ServeArgs::augment_args(Command::new("serve")).get_matches_from(flags);
        let from_flags = ServeArgs::from_arg_matches(&matches).unwrap();
        for (file, flag) in
            [(from_file.listen, from_flags.listen), (from_file.metrics_listen, from_flags.metrics_listen)]
        {
            assert!(file.is_some() && file == flag, "{file:?} {flag:?}");
        }
        let error = toml::from_str::<ServeArgs>("listen = 'unix:/run/lopside'").unwrap_err().to_string();
        assert!(error.contains("unix:/run/lopside") && error.contains("HOST:PORT"), "{error}");
    }

    #[test]
    fn the_help_of_config_names_every_key() {
        let command = ServeArgs::augment_args(Command::new("serve"));
        let config = command.get_arguments().find(|option| option.get_long() == Some("config")).unwrap();
        let help = config.get_help().unwrap().to_string();
        let named: Vec<_> = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let error = toml::from_str::<ServeArgs>("unknown = 1").unwrap_err().to_string();
        let (_, keys) = error.split_once("expected one of").unwrap();
        let keys: Vec<_> = keys.split('`').skip(1).step_by(2).collect();
        assert!(keys.contains(&"bundles") && keys.contains(&"connections"), "{error}");
        for key in keys {
            assert!(named.contains(&key), "{key}");
        }
    }

    fn flags_under<'a>(command: &'a Command, heading: Option<&str>) -> Vec<&'a str> {
        let options = command.get_arguments().filter(|option| option.get_help_heading() == heading);
        options.filter_map(Arg::get_long).collect()
    }
}
