use std::time::Duration;

use lopside_decoder::BatchSettings;

use super::server::ServeArgs;
use crate::StartError;

const MEGABYTE: usize = 1_000_000;

/// Returns the settings of batches and queues: the options over the defaults.
///
/// # Errors
/// [`StartError::InvalidSetting`] for a delay that is not a time.
pub(super) fn resolve_batching(args: &ServeArgs) -> Result<BatchSettings, StartError> {
    let default = BatchSettings::default();
    Ok(BatchSettings {
        max_jobs: args.queue.unwrap_or(default.max_jobs).max(1),
        max_job_bytes: args
            .queue_megabytes
            .map_or(default.max_job_bytes, |megabytes| megabytes.saturating_mul(MEGABYTE)),
        max_batch_items: args.max_batch.map(|items| items.max(1)),
        max_delay: args.max_delay_ms.map(parse_delay).transpose()?.unwrap_or(default.max_delay),
        instances: args.instances.unwrap_or(default.instances).max(1),
    })
}

fn parse_delay(delay_ms: f64) -> Result<Duration, StartError> {
    Duration::try_from_secs_f64(delay_ms / 1000.0)
        .map_err(|error| StartError::InvalidSetting { name: "max-delay-ms", reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_win_over_the_defaults_and_zero_counts_as_one() {
        assert_eq!(resolve_batching(&ServeArgs::default()).unwrap(), BatchSettings::default());
        let args = "queue = 0\nqueue_megabytes = 2\nmax_batch = 0\nmax_delay_ms = 2.5\ninstances = 0";
        let expected = BatchSettings {
            max_jobs: 1,
            max_job_bytes: 2_000_000,
            max_batch_items: Some(1),
            max_delay: Duration::from_micros(2500),
            instances: 1,
        };
        assert_eq!(resolve_batching(&toml::from_str(args).unwrap()).unwrap(), expected);
    }

    #[test]
    fn a_negative_delay_is_named() {
        let args = ServeArgs { max_delay_ms: Some(-1.0), ..ServeArgs::default() };
        let error = resolve_batching(&args).unwrap_err().to_string();
        assert!(error.starts_with("max-delay-ms: "), "{error}");
    }
}
