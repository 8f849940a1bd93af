//! The CPU time of several encoders, measured side by side.

use std::{fmt, num::NonZeroUsize};

use image::DynamicImage;

use crate::{
    Baseline, QualityError,
    clock::{measure_cpu_time, ms_per_megapixel},
};

/// A codec with one setting and one image, to be timed beside other jobs.
pub struct EncodeJob<'a, E> {
    name: String,
    encode: Box<dyn FnMut() -> Result<usize, E> + 'a>,
}

/// The measured cost of one job.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodeTime {
    /// The name of the job.
    pub name: String,
    /// Size of the encoded file, in bytes.
    pub bytes: usize,
    /// CPU time in milliseconds per megapixel.
    pub ms_per_megapixel: f64,
}

impl<'a, E: From<QualityError>> EncodeJob<'a, E> {
    /// Creates a job for any codec; `encode` must return the size of the encoded file in bytes.
    pub fn new(name: impl Into<String>, encode: impl FnMut() -> Result<usize, E> + 'a) -> Self {
        Self { name: name.into(), encode: Box::new(encode) }
    }

    /// Creates a job for a baseline codec.
    pub fn for_baseline(
        name: impl Into<String>,
        baseline: impl Baseline + 'a,
        image: &'a DynamicImage,
        quality: u8,
    ) -> Self {
        Self::new(name, move || Ok(baseline.encode(image, quality)?.len()))
    }
}

impl<E> fmt::Debug for EncodeJob<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodeJob").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Measures the CPU time of every job, as [`encode_ms_per_megapixel`](crate::encode_ms_per_megapixel) does,
/// on an image of `pixels` pixels. Each time is the median over `runs` rounds, after one round that is not
/// counted. A round runs every job once, so that a temporary slowdown of the machine affects all jobs.
///
/// # Errors
/// Any error of a job; [`QualityError::ClockUnavailable`] when the system does not report CPU time,
/// [`QualityError::EmptyImage`] for 0 pixels.
pub fn measure_encode_times<E: From<QualityError>>(
    pixels: u64,
    runs: NonZeroUsize,
    mut jobs: Vec<EncodeJob<'_, E>>,
) -> Result<Vec<EncodeTime>, E> {
    let mut bytes = Vec::with_capacity(jobs.len());
    for job in &mut jobs {
        bytes.push((job.encode)()?);
    }
    let mut seconds = vec![Vec::with_capacity(runs.get()); jobs.len()];
    for _ in 0..runs.get() {
        for (job, seconds) in jobs.iter_mut().zip(&mut seconds) {
            seconds.push(measure_cpu_time(&mut job.encode)?.1);
        }
    }
    let mut times = Vec::with_capacity(jobs.len());
    for ((job, bytes), seconds) in jobs.into_iter().zip(bytes).zip(seconds) {
        let ms_per_megapixel = ms_per_megapixel(seconds, pixels)?;
        times.push(EncodeTime { name: job.name, bytes, ms_per_megapixel });
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn runs(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn jobs_alternate() {
        let calls = RefCell::new(String::new());
        let job = |name: &'static str, bytes: usize| {
            let calls = &calls;
            EncodeJob::new(name, move || {
                calls.borrow_mut().push_str(name);
                Ok::<_, QualityError>(bytes)
            })
        };
        let times = measure_encode_times(100, runs(3), vec![job("a", 7), job("b", 9)]).unwrap();
        assert_eq!(*calls.borrow(), "abababab");
        let found: Vec<_> = times.iter().map(|time| (time.name.as_str(), time.bytes)).collect();
        assert_eq!(found, [("a", 7), ("b", 9)]);
        assert!(times.iter().all(|time| time.ms_per_megapixel >= 0.0), "{times:?}");
    }

    #[test]
    fn errors_are_returned() {
        let failing = || EncodeJob::new("fails", || Err(QualityError::InvalidTarget));
        assert_eq!(measure_encode_times(1, runs(1), vec![failing()]), Err(QualityError::InvalidTarget));
        let job = EncodeJob::new("does nothing", || Ok::<_, QualityError>(0));
        assert!(matches!(measure_encode_times(0, runs(1), vec![job]), Err(QualityError::EmptyImage { .. })));
    }
}
