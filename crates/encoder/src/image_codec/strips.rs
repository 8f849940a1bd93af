//! Runs the first half of the model strip by strip.

use std::{
    ops::AddAssign,
    panic,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use super::{planes::FeatureMaps, samples::MirroredSamples};
use crate::{EncodeError, EncodeTiming, ModelPlan};

/// Approximate number of blocks per strip: enough to keep the matrix product busy, few enough to stay in the
/// cache.
const STRIP_BLOCKS: usize = 2048;

/// The grid of an image's blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockGrid {
    /// Number of rows of blocks.
    pub(super) rows: usize,
    /// Number of blocks per row.
    pub(super) columns: usize,
    /// Side of a block, in pixels.
    pub(super) stride: usize,
    /// Number of samples beyond a strip on every side.
    pub(super) reach: usize,
}

impl BlockGrid {
    /// Returns the number of rows of blocks per strip.
    fn strip_rows(&self) -> usize {
        (STRIP_BLOCKS / self.columns).clamp(1, self.rows)
    }

    /// Returns the rows and columns of a strip's input.
    pub(super) fn strip_input(&self) -> [usize; 2] {
        [self.strip_rows(), self.columns].map(|blocks| blocks * self.stride + 2 * self.reach)
    }

    fn strip_count(&self) -> usize {
        self.rows.div_ceil(self.strip_rows())
    }
}

/// The strips of an image, and the treatment of their bands.
pub(super) struct StripRunner<'a, F> {
    pub(super) samples: &'a MirroredSamples<'a>,
    pub(super) plan: &'a ModelPlan,
    pub(super) grid: BlockGrid,
    /// Number of bands that are not converted, from the first on.
    pub(super) low: usize,
    /// Number of the other bands, and their conversion; `None` drops them.
    pub(super) high: Option<(usize, F)>,
}

/// The bands of a whole image.
#[derive(Debug)]
pub(super) struct ImageBands<T> {
    /// `[low, rows, columns]`.
    pub(super) low: Vec<f32>,
    /// `[high, rows, columns]`, if requested.
    pub(super) high: Option<Vec<T>>,
    /// Durations of the stages, as means over the threads.
    pub(super) timing: EncodeTiming,
}

struct BandMaps<T> {
    low: FeatureMaps<f32>,
    high: Option<FeatureMaps<T>>,
}

impl<T, F> StripRunner<'_, F>
where
    T: Copy + Default + Send,
    F: Fn(&[f32]) -> Result<Vec<T>, EncodeError> + Sync,
{
    /// Runs all strips in up to `threads` threads, including the calling one.
    pub(super) fn run(&self, threads: usize) -> Result<ImageBands<T>, EncodeError> {
        let BlockGrid { rows, columns, .. } = self.grid;
        let planes = Mutex::new(BandMaps {
            low: FeatureMaps::new([self.low, rows, columns]),
            high: self.high.as_ref().map(|(channels, _)| FeatureMaps::new([*channels, rows, columns])),
        });
        let next_strip = AtomicUsize::new(0);
        let threads = threads.clamp(1, self.grid.strip_count());
        let timing = thread::scope(|scope| {
            let workers: Vec<_> =
                (1..threads).map(|_| scope.spawn(|| self.run_worker(&next_strip, &planes))).collect();
            let mut timing = self.run_worker(&next_strip, &planes)?;
            for worker in workers {
                timing += worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?;
            }
            Ok::<_, EncodeError>(timing)
        })?;
        let BandMaps { low, high } = planes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let timing = timing.shared_by(threads as u32);
        Ok(ImageBands { low: low.into_values(), high: high.map(FeatureMaps::into_values), timing })
    }

    /// Takes and runs strips until none is left.
    fn run_worker(
        &self,
        next_strip: &AtomicUsize,
        planes: &Mutex<BandMaps<T>>,
    ) -> Result<EncodeTiming, EncodeError> {
        let mut timing = EncodeTiming::default();
        loop {
            let strip = next_strip.fetch_add(1, Ordering::Relaxed);
            if strip >= self.grid.strip_count() {
                return Ok(timing);
            }
            timing += self.run_strip(strip, planes)?;
        }
    }

    fn run_strip(&self, strip: usize, planes: &Mutex<BandMaps<T>>) -> Result<EncodeTiming, EncodeError> {
        let BlockGrid { rows, columns, stride, reach } = self.grid;
        let strip_rows = self.grid.strip_rows();
        // The shape of the plan is fixed, so the last strip overlaps rows that are computed already.
        let first_row = (strip * strip_rows).min(rows - strip_rows);
        let skipped_rows = strip * strip_rows - first_row;
        let start = Instant::now();
        let mut filled_at = start;
        let outputs = self.plan.run_filled(|input| {
            let pixels = first_row * stride..(first_row + strip_rows) * stride + 2 * reach;
            self.samples.fill(pixels, input);
            filled_at = Instant::now();
        })?;
        let modelled_at = Instant::now();
        let (low, high) = outputs.values(0)?.split_at(self.low * strip_rows * columns);
        let high = self.high.as_ref().map(|(_, convert)| convert(high)).transpose()?;
        let mut planes = planes.lock().unwrap_or_else(PoisonError::into_inner);
        planes.low.paste(low, first_row, skipped_rows);
        if let (Some(planes), Some(high)) = (&mut planes.high, high) {
            planes.paste(&high, first_row, skipped_rows);
        }
        Ok(EncodeTiming {
            preprocess: filled_at - start,
            model: modelled_at - filled_at,
            coding: modelled_at.elapsed(),
        })
    }
}

impl AddAssign for EncodeTiming {
    fn add_assign(&mut self, other: Self) {
        self.preprocess += other.preprocess;
        self.model += other.model;
        self.coding += other.coding;
    }
}

impl EncodeTiming {
    fn shared_by(self, threads: u32) -> Self {
        let Self { preprocess, model, coding } = self;
        Self { preprocess: preprocess / threads, model: model / threads, coding: coding / threads }
    }
}
