//! The samples of a batch: which part of each tile, in which orientation.

use super::{Crop, image_file::TILE_SIDE};

/// Number of orientations of a square: flips, rotations and their combinations.
pub(super) const ORIENTATIONS: u8 = 8;

/// The images of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct PhotoBatch {
    /// The step, from 0.
    pub step: usize,
    /// Shape `[images, 3 (red, green, blue), rows, columns]`.
    pub shape: [usize; 4],
    /// The samples in the order of `shape`, -0.5 to 0.5: value / 255 - 0.5.
    pub samples: Vec<f32>,
}

impl PhotoBatch {
    /// Returns the batch of these views of tiles.
    pub(super) fn from_views<'a>(
        step: usize,
        crop: Crop,
        views: impl ExactSizeIterator<Item = (&'a [u8], TileView)>,
    ) -> Self {
        let side = crop.side();
        let shape = [views.len(), 3, side, side];
        let mut samples = Vec::with_capacity(shape.iter().product());
        views.for_each(|(tile, view)| view.append(tile, side, &mut samples));
        Self { step, shape, samples }
    }
}

/// A square part of a tile and its orientation.
#[derive(Debug, Clone, Copy)]
pub(super) struct TileView {
    /// First column of the part.
    pub(super) x: usize,
    /// First row of the part.
    pub(super) y: usize,
    /// Bit 0 mirrors left and right, bit 1 mirrors top and bottom, bit 2 swaps rows and columns: together
    /// they form the eight symmetries of a square.
    pub(super) orientation: u8,
}

impl TileView {
    /// Appends the part's three colour planes.
    fn append(self, tile: &[u8], side: usize, samples: &mut Vec<f32>) {
        let [left_right, top_bottom, is_swapped] = [0_u8, 1, 2].map(|bit| self.orientation >> bit & 1 == 1);
        let (down, across) = if is_swapped { (1, TILE_SIDE) } else { (TILE_SIDE, 1) };
        let origin = self.y * TILE_SIDE + self.x;
        for colour in 0..3 {
            for row in 0..side {
                let start = origin + mirror_if(top_bottom, row, side) * down;
                let pixels = (0..side).map(|column| start + mirror_if(left_right, column, side) * across);
                samples.extend(pixels.map(|pixel| f32::from(tile[pixel * 3 + colour]) / 255.0 - 0.5));
            }
        }
    }
}

/// Returns the position, or its mirror image within `side` positions if `is_mirrored`.
fn mirror_if(is_mirrored: bool, position: usize, side: usize) -> usize {
    if is_mirrored { side - 1 - position } else { position }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::image_file::TILE_BYTES, *};

    /// Returns a tile whose red is the column, green the row and blue their product.
    fn gradient() -> Vec<u8> {
        (0..TILE_SIDE * TILE_SIDE)
            .flat_map(|i| {
                [(i % TILE_SIDE) as u8, (i / TILE_SIDE) as u8, ((i % TILE_SIDE) * (i / TILE_SIDE)) as u8]
            })
            .collect()
    }

    /// Returns the samples of `view` of the gradient tile, converted back to 0 to 255.
    fn view_pixels(view: TileView, side: usize) -> Vec<u8> {
        let mut samples = Vec::new();
        view.append(&gradient(), side, &mut samples);
        samples.iter().map(|sample| ((sample + 0.5) * 255.0).round() as u8).collect()
    }

    #[test]
    fn planes_follow_each_other_from_the_origin_of_the_view() {
        let pixels = view_pixels(TileView { x: 100, y: 7, orientation: 0 }, 16);
        let (red, rest) = pixels.split_at(256);
        let (green, blue) = rest.split_at(256);
        for (i, ((red, green), blue)) in red.iter().zip(green).zip(blue).enumerate() {
            let (x, y) = (100 + i % 16, 7 + i / 16);
            assert_eq!((*red, *green, *blue), (x as u8, y as u8, (x * y) as u8));
        }
    }

    #[test]
    fn the_eight_orientations_are_distinct_and_move_the_same_pixels() {
        let views: Vec<Vec<u8>> = (0..ORIENTATIONS)
            .map(|orientation| view_pixels(TileView { x: 3, y: 5, orientation }, 32))
            .collect();
        assert_eq!(views.iter().collect::<HashSet<_>>().len(), 8);
        let sorted = |planes: &Vec<u8>| {
            let mut pixels: Vec<_> =
                (0..1024).map(|i| [0, 1, 2].map(|colour| planes[colour * 1024 + i])).collect();
            pixels.sort_unstable();
            pixels
        };
        assert_eq!(views.iter().map(sorted).collect::<HashSet<_>>().len(), 1);
    }

    #[test]
    fn mirrors_and_the_swap_move_pixels_as_named() {
        let upright = view_pixels(TileView { x: 0, y: 0, orientation: 0 }, 16);
        let pixel_at = |planes: &[u8], row: usize, column: usize| planes[row * 16 + column];
        for (orientation, expected) in [(1, (2, 15 - 5)), (2, (15 - 2, 5)), (4, (5, 2))] {
            let turned = view_pixels(TileView { x: 0, y: 0, orientation }, 16);
            assert_eq!(pixel_at(&turned, 2, 5), pixel_at(&upright, expected.0, expected.1), "{orientation}");
        }
    }

    #[test]
    fn the_largest_view_is_a_whole_tile() {
        assert_eq!(view_pixels(TileView { x: 0, y: 0, orientation: 7 }, TILE_SIDE).len(), TILE_BYTES);
    }
}
