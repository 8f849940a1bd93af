use std::{num::NonZeroUsize, time::Duration};

use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeVal,
    },
    time::{ClockId, clock_gettime},
};

use crate::QualityError;

/// Measures the time to encode an image of `pixels` pixels, in milliseconds of CPU time per megapixel. The
/// result is the median over `runs` calls of `encode`, after one call that is not counted, which fills caches
/// and tables.
///
/// The CPU time is the user and system time of the calling thread and of the child processes that ended
/// during the call; waiting is not counted. Threads that `encode` starts are not counted either, so it should
/// encode on one thread. Child processes belong to the whole process: measure AVIF while no other thread
/// waits for children.
///
/// ```
/// # use std::num::NonZeroUsize;
/// # use lopside_quality::{QualityError, encode_ms_per_megapixel, jpeg_encode};
/// let picture = image::DynamicImage::new_rgb8(64, 64);
/// let runs = NonZeroUsize::new(5).unwrap();
/// let ms = encode_ms_per_megapixel(64 * 64, runs, || jpeg_encode(&picture, 75).map(drop))?;
/// assert!(ms > 0.0);
/// # Ok::<(), QualityError>(())
/// ```
///
/// # Errors
/// Any error of `encode`; [`QualityError::ClockUnavailable`] when the system does not report CPU time,
/// [`QualityError::EmptyImage`] for 0 pixels.
pub fn encode_ms_per_megapixel<E: From<QualityError>>(
    pixels: u64,
    runs: NonZeroUsize,
    mut encode: impl FnMut() -> Result<(), E>,
) -> Result<f64, E> {
    encode()?;
    let mut seconds = Vec::with_capacity(runs.get());
    for _ in 0..runs.get() {
        seconds.push(measure_cpu_time(&mut encode)?.1);
    }
    Ok(ms_per_megapixel(seconds, pixels)?)
}

/// Returns the result of `work` and its CPU time in seconds.
pub(crate) fn measure_cpu_time<T, E: From<QualityError>>(
    work: impl FnOnce() -> Result<T, E>,
) -> Result<(T, f64), E> {
    let start = cpu_time()?;
    let result = work()?;
    Ok((result, cpu_time()?.saturating_sub(start).as_secs_f64()))
}

/// Converts the median of some times in seconds to milliseconds per megapixel.
pub(crate) fn ms_per_megapixel(seconds: Vec<f64>, pixels: u64) -> Result<f64, QualityError> {
    if pixels == 0 {
        return Err(QualityError::EmptyImage { width: 0, height: 0 });
    }
    Ok(1e3 * median(seconds) / (pixels as f64 / 1e6))
}

/// Returns the CPU time that this thread and the process's terminated children have used so far.
fn cpu_time() -> Result<Duration, QualityError> {
    let thread = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_err(clock_error)?;
    let children = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(clock_error)?;
    Ok(Duration::from(thread) + duration(children.user_time()) + duration(children.system_time()))
}

fn clock_error(error: nix::Error) -> QualityError {
    QualityError::ClockUnavailable { reason: error.to_string() }
}

fn duration(time: TimeVal) -> Duration {
    Duration::new(time.tv_sec().cast_unsigned(), 1_000 * time.tv_usec() as u32)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, hint::black_box, process::Command};

    fn runs(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    /// Computes until this thread has used the given CPU time.
    fn spend(time: Duration) {
        let start = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
        while Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap() - start) < time {
            black_box((0..1000).sum::<u64>());
        }
    }

    #[test]
    fn the_result_is_the_median_per_megapixel_without_the_first_run() {
        let calls = Cell::new(0);
        let encode = || {
            // The uncounted call and one of the three counted calls are slow.
            let slow = calls.get() == 0 || calls.get() == 2;
            calls.set(calls.get() + 1);
            spend(Duration::from_millis(if slow { 60 } else { 4 }));
            Ok::<(), QualityError>(())
        };
        let found = encode_ms_per_megapixel(500_000, runs(3), encode).unwrap();
        assert_eq!(calls.get(), 4);
        assert!(found >= 8.0, "{found} ms a megapixel");
    }

    #[test]
    fn the_time_of_child_processes_counts() {
        let encode = || {
            let arguments = ["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"];
            assert!(Command::new("sh").args(arguments).status().unwrap().success());
            Ok::<(), QualityError>(())
        };
        let found = encode_ms_per_megapixel(1_000_000, runs(3), encode).unwrap();
        assert!(found > 5.0, "{found} ms");
    }

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!((median(vec![9.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn an_encoder_error_is_returned() {
        let failing = || Err(QualityError::InvalidTarget);
        assert_eq!(encode_ms_per_megapixel(1, runs(1), failing), Err(QualityError::InvalidTarget));
        let empty = encode_ms_per_megapixel(0, runs(1), || Ok::<(), QualityError>(()));
        assert!(matches!(empty, Err(QualityError::EmptyImage { .. })));
    }
}
