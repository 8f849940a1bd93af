//! The tiles in which a large image is computed, so that the memory of a run does not grow with the image.
//!
//! ```text
//! ┌───────────┬───────────┐
//! │ core      ┊ margin    │   a head runs on the extent of each tile, and the image
//! │           ┊           │   is put together from the cores
//! ├┄┄┄┄┄┄┄┄┄┄┄┼┄┄┄┄┄┄┄┄┄┄┄┤
//! ```
//! All sides are counted in blocks: squares of the coarsest stride. The margin of a head is computed from its graph
//! ([`lopside_onnx::tile_margin`]). The tiles of an image depend on its size alone, not on the load, so that an image is
//! always computed in the same way.

use std::ops::Range;

/// Maximum number of parts into which each side is divided.
const MAX_PARTS: u32 = 16;
/// Number of pixels up to which an image is computed as a whole.
const WHOLE_PIXELS: u64 = 4 << 20;
/// A tile of a larger image has at most this fraction of its pixels. A run takes about 115 bytes per pixel of its tile,
/// so an image takes about 30 bytes per pixel in addition to its integers and its samples.
const TILE_FRACTION: u64 = 4;

/// A part of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) rows: Span,
    pub(super) columns: Span,
}

/// The blocks of a tile along one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// The blocks that the tile contributes to the image.
    pub(super) core: Range<u32>,
    /// The blocks that the head runs on: the core and its margins.
    pub(super) extent: Range<u32>,
}

/// The tiles of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TilePlan {
    rows: Vec<Span>,
    columns: Vec<Span>,
}

/// Returns the largest number of pixels of a tile of an image with this many pixels.
pub(super) fn largest_tile_pixels(pixels: u64) -> u64 {
    (pixels / TILE_FRACTION).max(WHOLE_PIXELS)
}

impl TilePlan {
    /// Plans the tiles of an image of this many rows and columns of blocks: those of at most `max_blocks` blocks that
    /// take the least computation. Without a margin, or if no such tiles exist, the image is one tile.
    pub(super) fn new(blocks: [u32; 2], margin: Option<u32>, max_blocks: u64) -> Self {
        let whole = Self::with_parts(blocks, [1, 1], 0);
        let Some(margin) = margin.filter(|_| whole.computed_blocks() > max_blocks) else { return whole };
        let parts = (1..=MAX_PARTS).flat_map(|rows| (1..=MAX_PARTS).map(move |columns| [rows, columns]));
        let plans = parts.map(|parts| Self::with_parts(blocks, parts, margin));
        let fitting = plans.filter(|plan| plan.largest_tile() <= max_blocks);
        fitting.min_by_key(Self::computed_blocks).unwrap_or(whole)
    }

    /// Returns the tiles, row by row.
    pub(super) fn tiles(&self) -> impl Iterator<Item = Tile> + '_ {
        self.rows.iter().flat_map(|rows| {
            let tile = |columns: &Span| Tile { rows: rows.clone(), columns: columns.clone() };
            self.columns.iter().map(tile)
        })
    }

    /// Returns the number of blocks that are computed, margins included.
    pub(super) fn computed_blocks(&self) -> u64 {
        let total = |spans: &[Span]| spans.iter().map(Span::extent_blocks).sum::<u64>();
        total(&self.rows) * total(&self.columns)
    }

    fn largest_tile(&self) -> u64 {
        let largest = |spans: &[Span]| spans.iter().map(Span::extent_blocks).max().unwrap_or(0);
        largest(&self.rows) * largest(&self.columns)
    }

    fn with_parts(blocks: [u32; 2], parts: [u32; 2], margin: u32) -> Self {
        let [rows, columns] = [0, 1].map(|axis| divide_axis(blocks[axis], parts[axis], margin));
        Self { rows, columns }
    }
}

impl Tile {
    /// Returns the number of blocks that are computed, margins included.
    pub(super) fn computed_blocks(&self) -> u64 {
        self.rows.extent_blocks() * self.columns.extent_blocks()
    }
}

impl Span {
    fn extent_blocks(&self) -> u64 {
        u64::from(self.extent.end - self.extent.start)
    }
}

/// Divides an axis into parts of nearly equal length, of at least one block each.
fn divide_axis(blocks: u32, parts: u32, margin: u32) -> Vec<Span> {
    let parts = parts.min(blocks).max(1);
    let border = |part: u32| (u64::from(blocks) * u64::from(part) / u64::from(parts)) as u32;
    let spans = (0..parts).map(|part| {
        let core = border(part)..border(part + 1);
        let extent = core.start.saturating_sub(margin)..core.end.saturating_add(margin).min(blocks);
        Span { core, extent }
    });
    spans.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_image_and_an_image_that_allows_no_tiles_are_one_tile() {
        let whole = |plan: &TilePlan| plan.tiles().count() == 1 && plan.computed_blocks() == 30 * 40;
        assert!(whole(&TilePlan::new([30, 40], Some(6), 1200)));
        assert!(whole(&TilePlan::new([30, 40], None, 100)));
        // A tile would have at least 13 × 13 blocks.
        assert!(whole(&TilePlan::new([30, 40], Some(6), 100)));
    }

    #[test]
    fn a_large_photograph_takes_a_fifth_more_computation_in_a_quarter_of_the_memory() {
        let blocks = [5477_u32, 7303].map(|side| side.div_ceil(32));
        let pixels = u64::from(blocks[0]) * u64::from(blocks[1]) * 1024;
        let plan = TilePlan::new(blocks, Some(6), largest_tile_pixels(pixels) / 1024);
        assert!(plan.largest_tile() * 4 * 1024 <= pixels);
        assert!(plan.computed_blocks() * 1024 * 10 <= pixels * 12, "{}", plan.computed_blocks());
    }

    proptest! {
        #[test]
        fn every_block_is_in_one_core_and_every_core_has_its_margin(
            blocks in [1_u32..60, 1_u32..60],
            margin in 0_u32..8,
            max_blocks in 1_u64..1000,
        ) {
            let plan = TilePlan::new(blocks, Some(margin), max_blocks);
            let mut seen = vec![0; (blocks[0] * blocks[1]) as usize];
            for Tile { rows, columns } in plan.tiles() {
                for (row, column) in rows.core.clone().flat_map(|row| columns.core.clone().map(move |c| (row, c))) {
                    seen[(row * blocks[1] + column) as usize] += 1;
                }
                for (Span { core, extent }, blocks) in [rows, columns].into_iter().zip(blocks) {
                    prop_assert_eq!(extent.start, core.start.saturating_sub(margin));
                    prop_assert_eq!(extent.end, (core.end + margin).min(blocks));
                }
            }
            prop_assert!(seen.iter().all(|&count| count == 1));
            prop_assert!(plan.largest_tile() <= max_blocks || plan.tiles().count() == 1);
            let computed: u64 = plan.tiles().map(|tile| tile.computed_blocks()).sum();
            prop_assert_eq!(computed, plan.computed_blocks());
        }
    }
}
