//! One axis of feature maps: cells along the whole tile, or cells at one of its ends.

use super::grid::{End, Grid, bounded};

/// One axis of feature maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// Cells along the whole tile.
    Grid(Grid),
    /// A fixed number of cells at one end of the tile, which are used only next to that end.
    Border { end: End, cells: i64 },
}

impl Axis {
    /// Returns the grid, or the border that the axis is.
    pub(super) fn grid(self) -> Result<Grid, (End, i64)> {
        match self {
            Self::Grid(grid) => Ok(grid),
            Self::Border { end, cells } => Err((end, cells)),
        }
    }

    /// Returns the axis of a tensor that is computed cell by cell from both.
    pub(super) fn merged(self, other: Self) -> Option<Self> {
        match (self.grid(), other.grid()) {
            (Ok(grid), Ok(other)) => grid.merged(other).map(Axis::Grid),
            (Err(border), Err(other)) => (border == other).then_some(self),
            // A border would be repeated along the whole axis.
            _ => None,
        }
    }
}

/// Returns the axes of a tensor that is computed cell by cell from all merged ones and these.
pub(super) fn merge_axes(merged: Option<[Axis; 2]>, axes: [Axis; 2]) -> Option<[Axis; 2]> {
    let Some(merged) = merged else { return Some(axes) };
    Some([merged[0].merged(axes[0])?, merged[1].merged(axes[1])?])
}

/// Joins borders of the low end, a grid, and borders of the high end.
pub(super) fn join_parts(parts: impl Iterator<Item = Axis>) -> Option<Grid> {
    let (mut added, mut main) = ([0, 0], None);
    for part in parts {
        match (part.grid(), main) {
            (Ok(grid), None) => main = Some(grid),
            (Err((End::Low, cells)), None) => added[0] += cells,
            (Err((End::High, cells)), Some(_)) => added[1] += cells,
            _ => return None,
        }
    }
    main?.padded([bounded(added[0], 0)?, bounded(added[1], 0)?])
}
