//! One axis of feature maps that are computed for a tile: the number of cells as a function of the tile's size, and
//! how many of them differ from those of the whole image.

/// Upper bound on every number here, far above those of real models, so that no operation overflows.
const LIMIT: i64 = 1 << 24;

/// An end of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Low,
    High,
}

/// The cells of feature maps along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    /// Number of cells per block of the tile, at least 1.
    pub(super) per_block: i64,
    /// Number of cells beyond those of the blocks; negative if cells were cropped.
    pub(super) extra: i64,
    /// Number of cells at the low and at the high end that may be wrong if the image continues beyond that end.
    pub(super) wrong: [i64; 2],
}

/// The window of a convolution along one axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: i64,
    pub(super) stride: i64,
    pub(super) dilation: i64,
    /// Padding of a convolution, or cropping of a transposed one, at the low and at the high end.
    pub(super) pads: [i64; 2],
    /// Cells that a transposed convolution adds at the high end.
    pub(super) output_padding: i64,
}

impl Grid {
    /// Creates the grid of an input.
    pub(super) fn of_input(per_block: i64) -> Option<Self> {
        Self { per_block, extra: 0, wrong: [0; 2] }.checked()
    }

    /// Returns the grid of a tensor that is computed cell by cell from both.
    pub(super) fn merged(self, other: Self) -> Option<Self> {
        let wrong = [0, 1].map(|end| self.wrong[end].max(other.wrong[end]));
        (self.per_block == other.per_block && self.extra == other.extra).then_some(Self { wrong, ..self })
    }

    /// Returns the grid with cells added at both ends. They are wrong inside of an image.
    pub(super) fn padded(self, [before, after]: [i64; 2]) -> Option<Self> {
        let wrong = [self.wrong[0] + before, self.wrong[1] + after];
        Self { extra: self.extra + before + after, wrong, ..self }.checked()
    }

    /// Returns the grid with cells removed at both ends.
    pub(super) fn cropped(self, [front, back]: [i64; 2]) -> Option<Self> {
        let wrong = [(self.wrong[0] - front).max(0), (self.wrong[1] - back).max(0)];
        Self { extra: self.extra - front - back, wrong, ..self }.checked()
    }

    /// Returns the grid in which each cell has become `factor` cells.
    pub(super) fn refined(self, factor: i64) -> Option<Self> {
        let Self { per_block, extra, wrong } = self;
        let factor = bounded(factor, 1)?;
        Self {
            per_block: per_block * factor,
            extra: extra * factor,
            wrong: wrong.map(|cells| cells * factor),
        }
        .checked()
    }

    /// Returns the grid in which `factor` cells have become one.
    pub(super) fn coarsened(self, factor: i64) -> Option<Self> {
        let Self { per_block, extra, wrong } = self;
        let factor = bounded(factor, 1)?;
        if per_block % factor != 0 || extra % factor != 0 {
            return None;
        }
        let wrong = wrong.map(|cells| divide_up(cells, factor));
        Self { per_block: per_block / factor, extra: extra / factor, wrong }.checked()
    }

    /// Returns the grid after a convolution. An output cell is wrong if its window touches a wrong cell, or the
    /// padding at an end where the image continues.
    pub(super) fn convolved(self, window: Window) -> Option<Self> {
        let Window { kernel, stride, dilation, pads: [before, after], output_padding: 0 } =
            window.checked()?
        else {
            return None;
        };
        if self.per_block % stride != 0 {
            return None;
        }
        let span = self.extra + before + after - ((kernel - 1) * dilation + 1);
        let unread = span.rem_euclid(stride);
        let wrong = [self.wrong[0] + before, (self.wrong[1] + after - unread).max(0)];
        Self {
            per_block: self.per_block / stride,
            extra: span.div_euclid(stride) + 1,
            wrong: wrong.map(|cells| divide_up(cells, stride)),
        }
        .checked()
    }

    /// Returns the grid after a transposed convolution. An output cell is wrong if a wrong cell, or one that the
    /// image has beyond the end, contributes to it.
    pub(super) fn convolved_transposed(self, window: Window) -> Option<Self> {
        let Window { kernel, stride, dilation: 1, pads: [before, after], output_padding } =
            window.checked()?
        else {
            return None;
        };
        let reach = |wrong: i64| (wrong - 1) * stride + kernel;
        let wrong = [reach(self.wrong[0]) - before, reach(self.wrong[1]) - after + output_padding];
        Self {
            per_block: self.per_block * stride,
            extra: (self.extra - 1) * stride + kernel - before - after + output_padding,
            wrong: wrong.map(|cells| cells.max(0)),
        }
        .checked()
    }

    /// Returns the number of blocks that a tile needs so that there is a cell.
    pub(super) fn min_blocks(self) -> i64 {
        divide_up((1 - self.extra).max(0), self.per_block)
    }

    /// Returns the number of blocks that a tile needs so that the `depth` cells at one end are not affected by the
    /// other end.
    pub(super) fn blocks_for(self, end: End, depth: i64) -> i64 {
        let opposite = match end {
            End::Low => self.wrong[1],
            End::High => self.wrong[0],
        };
        divide_up((depth + opposite - self.extra).max(0), self.per_block)
    }

    /// Returns the margin in blocks that contains all wrong cells of either end.
    pub(super) fn margin(self) -> i64 {
        divide_up(self.wrong[0].max(self.wrong[1]), self.per_block)
    }

    fn checked(self) -> Option<Self> {
        bounded(self.per_block, 1)?;
        let is_bounded = self.extra.abs() <= LIMIT && self.wrong.iter().all(|cells| *cells <= LIMIT);
        is_bounded.then_some(self)
    }
}

impl Window {
    fn checked(self) -> Option<Self> {
        let Self { kernel, stride, dilation, pads: [before, after], output_padding } = self;
        for positive in [kernel, stride, dilation] {
            bounded(positive, 1)?;
        }
        for number in [before, after, output_padding] {
            bounded(number, 0)?;
        }
        Some(self)
    }
}

/// Returns the number if it is in the range from `minimum` to the limit.
pub(super) fn bounded(number: i64, minimum: i64) -> Option<i64> {
    (minimum..=LIMIT).contains(&number).then_some(number)
}

fn divide_up(number: i64, divisor: i64) -> i64 {
    (number + divisor - 1).div_euclid(divisor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCKS: usize = 12;

    /// Runs an operation on the cells of a whole image and of a tile inside of it, and checks that the grid knows the
    /// number of cells and finds every cell that differs.
    fn check_operation(
        grid: Grid,
        result: Option<Grid>,
        run: impl Fn(&[i64]) -> Vec<i64>,
    ) -> Result<(), TestCaseError> {
        let Some(result) = result else { return Ok(()) };
        let cells = |blocks: std::ops::Range<usize>| -> Vec<i64> {
            let range = blocks.start as i64 * grid.per_block..blocks.end as i64 * grid.per_block;
            range.map(|cell| cell * cell + 17).collect()
        };
        let (whole, tile) = (run(&cells(0..BLOCKS)), run(&cells(4..9)));
        let (count, shift) = (tile.len() as i64, 4 * result.per_block);
        prop_assert_eq!(whole.len() as i64, BLOCKS as i64 * result.per_block + result.extra);
        prop_assert_eq!(count, 5 * result.per_block + result.extra);
        for cell in result.wrong[0]..count - result.wrong[1] {
            prop_assert_eq!(
                tile[cell as usize],
                whole[(cell + shift) as usize],
                "cell {} of {:?}",
                cell,
                result
            );
        }
        Ok(())
    }

    fn convolve(cells: &[i64], window: Window) -> Vec<i64> {
        let Window { kernel, stride, dilation, pads, .. } = window;
        let padded = cells.len() as i64 + pads[0] + pads[1];
        let outputs = (padded - (kernel - 1) * dilation - 1).div_euclid(stride) + 1;
        let read = |cell: i64| usize::try_from(cell).ok().and_then(|cell| cells.get(cell)).copied();
        let sum =
            |start: i64| (0..kernel).map(|tap| (tap + 1) * read(start + tap * dilation).unwrap_or(0)).sum();
        (0..outputs.max(0)).map(|output| sum(output * stride - pads[0])).collect()
    }

    fn convolve_transposed(cells: &[i64], window: Window) -> Vec<i64> {
        let Window { kernel, stride, pads, output_padding, .. } = window;
        let full = (cells.len() as i64 - 1) * stride + kernel;
        let mut sums = vec![0; (full + output_padding).max(0) as usize];
        for (cell, value) in cells.iter().enumerate() {
            for tap in 0..kernel {
                sums[cell * stride as usize + tap as usize] += (tap + 1) * value;
            }
        }
        let end = (full + output_padding - pads[1]).max(pads[0]) as usize;
        sums[(pads[0] as usize).min(end)..end].to_vec()
    }

    fn window() -> impl Strategy<Value = Window> {
        (1_i64..6, 1_i64..4, 1_i64..3, [0_i64..5, 0_i64..5], 0_i64..2).prop_map(
            |(kernel, stride, dilation, pads, output_padding)| Window {
                kernel,
                stride,
                dilation,
                pads,
                output_padding,
            },
        )
    }

    proptest! {
        #[test]
        fn every_wrong_cell_of_a_convolution_is_counted(window in window(), per_block in 8_i64..24) {
            let window = Window { output_padding: 0, ..window };
            let grid = Grid::of_input(per_block).unwrap();
            check_operation(grid, grid.convolved(window), |cells| convolve(cells, window))?;
        }

        #[test]
        fn every_wrong_cell_of_a_transposed_convolution_is_counted(window in window(), per_block in 8_i64..24) {
            let window = Window { dilation: 1, output_padding: window.output_padding.min(window.stride - 1), ..window };
            let grid = Grid::of_input(per_block).unwrap();
            check_operation(grid, grid.convolved_transposed(window), |cells| convolve_transposed(cells, window))?;
        }

        #[test]
        fn wrong_cells_are_followed_through_two_convolutions(
            first in window(),
            second in window(),
            per_block in 8_i64..24,
        ) {
            let (first, second) = (Window { output_padding: 0, ..first }, Window { output_padding: 0, ..second });
            let grid = Grid::of_input(per_block).unwrap();
            let result = grid.convolved(first).and_then(|grid| grid.convolved(second));
            check_operation(grid, result, |cells| convolve(&convolve(cells, first), second))?;
        }
    }

    #[test]
    fn sizes_that_do_not_follow_the_blocks_are_refused() {
        let grid = Grid::of_input(4).unwrap();
        let window = Window { kernel: 3, stride: 3, dilation: 1, pads: [0; 2], output_padding: 0 };
        assert_eq!(grid.convolved(window), None);
        assert_eq!(grid.coarsened(3), None);
        assert_eq!(grid.merged(Grid::of_input(2).unwrap()), None);
        assert_eq!(grid.refined(0), None);
        assert_eq!(grid.refined(LIMIT), None);
        assert_eq!(grid.convolved(Window { kernel: i64::MAX, stride: 1, ..window }), None);
    }
}
