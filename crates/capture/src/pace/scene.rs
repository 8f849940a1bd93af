use std::time::{Duration, SystemTime};

use image::{DynamicImage, GenericImageView as _};

use crate::CaptureError;

/// The largest grid, in cells.
const GRID_WIDTH: u32 = 32;
const GRID_HEIGHT: u32 = 24;
/// Units per grey level in a cell, which holds a mean.
const UNITS_PER_LEVEL: u64 = 256;

/// Filter that passes an image if it differs enough from the last one that passed, or if none has passed for
/// too long.
///
/// Images are compared as grids of 32×24 cells, fewer if they have fewer pixels; each cell is the mean luma
/// of its pixels. The difference is the mean absolute difference of the cells, in grey levels.
#[derive(Debug)]
pub struct SceneGate {
    threshold: f32,
    max_silence: Duration,
    last_passed: Option<(SystemTime, LumaGrid)>,
}

/// The reduced image that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LumaGrid {
    size: (u32, u32),
    /// Mean luma in units of 1 / 256 grey level.
    cells: Vec<u16>,
}

impl SceneGate {
    /// Creates a gate with a threshold of 0 to 255 grey levels: an image passes if its difference is over the
    /// threshold. After `silence` without a passed image, the next one passes in any case.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`] for any other threshold.
    pub fn new(threshold: f32, silence: Duration) -> Result<Self, CaptureError> {
        if !(0.0..=255.0).contains(&threshold) {
            let message = format!("a threshold of {threshold} grey levels is out of range: use 0 to 255");
            return Err(CaptureError::InvalidSetting(message));
        }
        Ok(Self { threshold, max_silence: silence, last_passed: None })
    }

    /// Returns whether an image, captured at `time`, passes. The first image passes, and so does one of a
    /// different size.
    pub fn passes(&mut self, time: SystemTime, image: &DynamicImage) -> bool {
        let grid = LumaGrid::from_image(image);
        let is_unchanged = self.last_passed.as_ref().is_some_and(|(last_time, last)| {
            // If the clock was set back, the elapsed time is unknown, and the image passes.
            let is_overdue =
                time.duration_since(*last_time).map_or(true, |elapsed| elapsed >= self.max_silence);
            !is_overdue && last.difference(&grid).is_some_and(|difference| difference <= self.threshold)
        });
        if !is_unchanged {
            self.last_passed = Some((time, grid));
        }
        !is_unchanged
    }
}

impl LumaGrid {
    fn from_image(image: &DynamicImage) -> Self {
        let size = image.dimensions();
        match image {
            DynamicImage::ImageRgb8(image) => Self::from_samples(size, image, luma),
            DynamicImage::ImageLuma8(image) => Self::from_samples(size, image, grey),
            other => Self::from_samples(size, &other.to_luma8(), grey),
        }
    }

    fn from_samples<const CHANNELS: usize>(
        size: (u32, u32),
        samples: &[u8],
        luma: impl Fn([u8; CHANNELS]) -> u32,
    ) -> Self {
        let (columns, rows) = (cell_indices(size.0, GRID_WIDTH), cell_indices(size.1, GRID_HEIGHT));
        let width = GRID_WIDTH.min(size.0) as usize;
        let mut sums = vec![(0_u64, 0_u64); width * GRID_HEIGHT.min(size.1) as usize];
        for (line, row) in samples.as_chunks().0.chunks(columns.len().max(1)).zip(rows) {
            let cells = &mut sums[row * width..][..width];
            for (pixel, column) in line.iter().zip(&columns) {
                let (sum, count) = &mut cells[*column];
                (*sum, *count) = (*sum + u64::from(luma(*pixel)), *count + 1);
            }
        }
        let means = sums.into_iter().map(|(sum, count)| (sum * UNITS_PER_LEVEL / count.max(1)) as u16);
        Self { size, cells: means.collect() }
    }

    /// Returns the difference in grey levels; `None` if the sizes differ.
    fn difference(&self, other: &Self) -> Option<f32> {
        let sum: u64 = self.cells.iter().zip(&other.cells).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let scale = (self.cells.len() as u64 * UNITS_PER_LEVEL) as f32;
        (self.size == other.size).then(|| sum as f32 / scale.max(1.0))
    }
}

/// Returns the cell index of each pixel along one side.
fn cell_indices(side: u32, cells: u32) -> Vec<usize> {
    (0..side)
        .map(|index| (u64::from(index) * u64::from(cells.min(side)) / u64::from(side)) as usize)
        .collect()
}

fn grey([level]: [u8; 1]) -> u32 {
    u32::from(level)
}

/// Luma with the weights of BT.601 in units of 1 / 256.
fn luma([red, green, blue]: [u8; 3]) -> u32 {
    (77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue)) / 256
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use image::{GrayImage, Luma, RgbImage};
    use proptest::prelude::*;

    use super::*;

    const NEVER: Duration = Duration::from_hours(1_000_000);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn grey(width: u32, height: u32, level: u8) -> DynamicImage {
        GrayImage::from_pixel(width, height, Luma([level])).into()
    }

    #[test]
    fn a_change_over_the_threshold_passes_and_slow_changes_add_up() {
        let mut gate = SceneGate::new(3.0, NEVER).unwrap();
        let passed: Vec<bool> = [10, 10, 13, 14, 12, 17, 18]
            .into_iter()
            .map(|level| gate.passes(at(1), &grey(100, 80, level)))
            .collect();
        assert_eq!(passed, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn a_small_change_is_weighted_by_its_area() {
        // A sixteenth of the image that changes by 160 levels is a mean change of ten levels.
        let changed = GrayImage::from_fn(64, 48, |x, y| Luma([if x < 16 && y < 12 { 160 } else { 0 }]));
        for (threshold, passes) in [(9.9, true), (10.0, false)] {
            let mut gate = SceneGate::new(threshold, NEVER).unwrap();
            gate.passes(at(0), &grey(64, 48, 0));
            assert_eq!(gate.passes(at(0), &changed.clone().into()), passes, "{threshold}");
        }
    }

    #[test]
    fn an_image_passes_after_the_maximum_silence_and_when_the_clock_is_set_back() {
        let mut gate = SceneGate::new(3.0, Duration::from_mins(1)).unwrap();
        let passed: Vec<bool> = [100, 159, 160, 219, 220, 50, 51]
            .into_iter()
            .map(|time| gate.passes(at(time), &grey(40, 30, 9)))
            .collect();
        assert_eq!(passed, [true, false, true, false, true, true, false]);
    }

    #[test]
    fn images_of_another_size_pass_and_tiny_images_are_compared() {
        let mut gate = SceneGate::new(255.0, NEVER).unwrap();
        assert!(gate.passes(at(0), &grey(1, 1, 9)));
        assert!(!gate.passes(at(0), &grey(1, 1, 255)));
        assert!(gate.passes(at(0), &grey(1, 2, 255)));
        let deep = DynamicImage::ImageLuma16(image::ImageBuffer::from_pixel(33, 25, Luma([65535])));
        assert_eq!(LumaGrid::from_image(&deep).cells, LumaGrid::from_image(&grey(33, 25, 255)).cells);
        assert!(SceneGate::new(256.0, NEVER).is_err() && SceneGate::new(f32::NAN, NEVER).is_err());
    }

    proptest! {
        #[test]
        fn exactly_the_changed_images_pass(
            levels in prop::collection::vec((any::<u8>(), 0_u64..30), 1..60), threshold in 0_u8..100,
        ) {
            let silence = Duration::from_secs(100);
            let mut gate = SceneGate::new(f32::from(threshold), silence).unwrap();
            let (mut now, mut last): (u64, Option<(u64, u8)>) = (0, None);
            for (level, gap) in levels {
                now += gap;
                let image = RgbImage::from_pixel(37, 29, image::Rgb([level; 3]));
                let expected = last.is_none_or(|(time, last_level)| now - time >= 100 || last_level.abs_diff(level) > threshold);
                prop_assert_eq!(gate.passes(at(now), &image.into()), expected);
                last = if expected { Some((now, level)) } else { last };
            }
        }
    }
}
