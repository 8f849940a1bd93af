//! One channel of one stripe: the magnitudes of its coded integers, and the magnitudes expected from its
//! neighbours.

use std::cell::OnceCell;

use super::{ChannelContext, ChannelReference};

/// Magnitudes are clamped to this value as contexts.
const MAX_MAGNITUDE: u32 = 255;
/// Width of the border of zeros around the magnitudes, so that every position has all neighbours.
const BORDER: usize = 2;

/// The magnitudes of a channel's coded integers, as contexts.
#[derive(Debug, Clone)]
pub struct Plane {
    rows: usize,
    columns: usize,
    /// The magnitudes with their border, `(rows + 2·RIM) × (columns + 2·RIM)`.
    magnitudes: Vec<u16>,
    /// Whether any magnitude is not 0.
    has_nonzero: bool,
    /// `rows × columns`: the sum of twice each magnitude and its four neighbours' magnitudes, computed on
    /// first use.
    neighbourhoods: OnceCell<Vec<u16>>,
}

impl Plane {
    /// Creates a plane of zeros.
    #[must_use]
    pub fn new(rows: usize, columns: usize) -> Self {
        let magnitudes = vec![0; (rows + 2 * BORDER) * (columns + 2 * BORDER)];
        Self { rows, columns, magnitudes, has_nonzero: false, neighbourhoods: OnceCell::new() }
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    fn pitch(&self) -> usize {
        self.columns + 2 * BORDER
    }

    /// Returns row `row` of the magnitudes, from −2 on, with its border.
    fn row(&self, row: isize) -> &[u16] {
        let start = (row + BORDER as isize) as usize * self.pitch();
        &self.magnitudes[start..start + self.pitch()]
    }

    /// Stores one coded integer.
    pub fn set(&mut self, row: usize, column: usize, coded: i32) {
        let index = (row + BORDER) * self.pitch() + BORDER + column;
        self.magnitudes[index] = coded.unsigned_abs().min(MAX_MAGNITUDE) as u16;
        self.has_nonzero |= coded != 0;
    }

    /// Returns the magnitudes of a position's neighbours, in the order of [`NEIGHBOURS`](super::NEIGHBOURS).
    #[must_use]
    pub fn neighbours(&self, row: usize, column: usize) -> [u16; 6] {
        let (row, x) = (row as isize, column + BORDER);
        let (current, above, second_above) = (self.row(row), self.row(row - 1), self.row(row - 2));
        [above[x], current[x - 1], above[x - 1], above[x + 1], second_above[x], current[x - 2]]
    }

    /// Returns the context that a complete plane provides at a position: twice its magnitude, plus those of
    /// its four neighbours.
    #[must_use]
    pub fn blurred(&self, row: usize, column: usize) -> u16 {
        self.blur()[row * self.columns + column]
    }

    fn blur(&self) -> &[u16] {
        self.neighbourhoods.get_or_init(|| {
            let mut blurred = Vec::with_capacity(self.rows * self.columns);
            for row in 0..self.rows as isize {
                let (above, current, below) = (self.row(row - 1), self.row(row), self.row(row + 1));
                let columns = BORDER..BORDER + self.columns;
                blurred.extend(
                    columns.map(|x| 2 * current[x] + current[x - 1] + current[x + 1] + above[x] + below[x]),
                );
            }
            blurred
        })
    }

    /// Adds `weight` times the context that this plane provides for a row of a plane that is `1 << shift`
    /// times as fine.
    fn add_to_energies(&self, row: usize, shift: u32, weight: u32, energies: &mut [u32]) {
        let start = (row >> shift) * self.columns;
        let values = &self.blur()[start..start + self.columns];
        // The usual groups have a length that is known at compile time.
        match shift {
            0 => energies
                .iter_mut()
                .zip(values)
                .for_each(|(energy, &value)| *energy += weight * u32::from(value)),
            1 => spread_values::<2>(energies, values, weight),
            2 => spread_values::<4>(energies, values, weight),
            _ => spread_by(1 << shift, energies, values, weight),
        }
    }
}

/// Adds `weight` times each value to `N` energies, or to fewer at the end.
fn spread_values<const N: usize>(energies: &mut [u32], values: &[u16], weight: u32) {
    let (groups, last_energies) = energies.as_chunks_mut::<N>();
    let (full, last_values) = values.split_at(groups.len());
    for (group, &value) in groups.iter_mut().zip(full) {
        for energy in group {
            *energy += weight * u32::from(value);
        }
    }
    spread_by(N, last_energies, last_values, weight);
}

fn spread_by(group: usize, energies: &mut [u32], values: &[u16], weight: u32) {
    for (group, &value) in energies.chunks_mut(group).zip(values) {
        for energy in group {
            *energy += weight * u32::from(value);
        }
    }
}

/// The expected magnitudes of a channel, row by row, in 1/4096 of a step.
#[derive(Debug)]
pub struct Energy<'a> {
    context: &'a ChannelContext,
    references: Vec<(&'a Plane, u32, u32)>,
    /// The mean magnitude of the previous rows, with exponential decay.
    average: u32,
    constant: u32,
    row: Vec<u32>,
}

impl<'a> Energy<'a> {
    /// Creates the energies of a channel of `columns` columns at a quality (0 to 99). `references` are the
    /// planes of its references, each with the binary logarithm of the factor by which it is coarser.
    #[must_use]
    pub fn new(
        context: &'a ChannelContext,
        quality: usize,
        columns: usize,
        references: impl IntoIterator<Item = (&'a Plane, u32)>,
    ) -> Self {
        let weights = context.references.iter().map(|&ChannelReference { weight, .. }| u32::from(weight));
        let constant = u32::from(context.biases[quality]);
        Self {
            references: references
                .into_iter()
                .zip(weights)
                .filter(|((plane, _), _)| plane.has_nonzero)
                .map(|((plane, shift), w)| (plane, shift, w))
                .collect(),
            average: constant,
            constant,
            row: vec![0; columns],
            context,
        }
    }

    /// Computes the part of a row's energies that is known before the row is coded, and returns its sum.
    pub fn start_row(&mut self, plane: &Plane, row: usize) -> u64 {
        let [n, _, nw, ne, nn, _] = self.context.neighbour_weights.map(u32::from);
        let weighted_average = (u64::from(self.average) * u64::from(self.context.average_weight)) >> 12;
        let base = self.constant + weighted_average as u32;
        let (above, second_above) = (plane.row(row as isize - 1), plane.row(row as isize - 2));
        for (x, energy) in self.row.iter_mut().enumerate() {
            let column = x + BORDER;
            *energy = base
                + n * u32::from(above[column])
                + nw * u32::from(above[column - 1])
                + ne * u32::from(above[column + 1])
                + nn * u32::from(second_above[column]);
        }
        for &(reference, shift, weight) in &self.references {
            reference.add_to_energies(row, shift, weight, &mut self.row);
        }
        self.row.iter().map(|&energy| u64::from(energy)).sum()
    }

    /// Returns the expected magnitude at a column, once those to its left are coded.
    #[must_use]
    pub fn at_column(&self, plane: &Plane, row: usize, column: usize) -> u32 {
        let current = plane.row(row as isize);
        let (w, ww) =
            (u32::from(self.context.neighbour_weights[1]), u32::from(self.context.neighbour_weights[5]));
        self.row[column]
            + w * u32::from(current[column + BORDER - 1])
            + ww * u32::from(current[column + BORDER - 2])
    }

    /// Updates the average with a finished row.
    pub fn end_row(&mut self, plane: &Plane, row: usize) {
        let current = &plane.row(row as isize)[BORDER..BORDER + self.row.len()];
        let sum: u64 = current.iter().map(|&magnitude| u64::from(magnitude)).sum();
        let mean = ((sum << 12) / self.row.len() as u64) as u32;
        self.average = self.average - (self.average >> 2) + (mean >> 2);
    }
}
