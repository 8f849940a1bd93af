//! Rate–distortion-optimised quantisation: a coefficient is coded as the nearest integer, or as the next one
//! towards zero if that saves more bits than it costs in distortion.
//!
//! A coefficient `u`, in steps, whose nearest magnitude is `k` is coded as `k` if `(u − (k − 1))² − (u − k)²
//! = 2·(u − k + ½) ≥ λ · (bits(k) − bits(k − 1))`, otherwise as `k − 1`. The bits are those of the table that
//! the neighbours select, so the dead zone is wide among zeros and narrow among large values (G. J. Sullivan
//! and T. Wiegand, "Rate-distortion optimization for video compression", IEEE Signal Processing
//! Magazine, 1998). The decoder does not depend on any of this.

use crate::{LatentError, Table, coder::Coder};

use super::{
    CLASSES, ContextModel, PlaneVisitor, coding_visitor::CodingVisitor, quantise::SIXTEENTHS_PER_STEP,
};

/// λ, in squared steps per bit: the distortion that saving one bit may cost. A uniform quantiser at high
/// rates has −dD/dR = ln 2 / 6 ≈ 0.116; the value is smaller here, because a decoder also uses the
/// surrounding integers.
pub const LAMBDA: f32 = 0.08;

/// The coefficients of a layer, `[channels, rows, columns]`, as input of the frame encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coefficients {
    /// Integers, which are coded unchanged.
    Integers(Vec<i16>),
    /// Sixteenths of a step, from which the coder chooses integers. Only for layers without
    /// [predictors](super::ChannelContext::predictor). Channels that are missing at the end are zeros.
    Sixteenths(Vec<i16>),
}

impl Coefficients {
    /// Returns the values, in either unit.
    #[must_use]
    pub fn into_values(self) -> Vec<i16> {
        let (Self::Integers(values) | Self::Sixteenths(values)) = self;
        values
    }

    pub(super) fn values(&self) -> &[i16] {
        let (Self::Integers(values) | Self::Sixteenths(values)) = self;
        values
    }
}

/// The costs of a table's smallest integers, in bits.
#[derive(Debug, Clone, Copy, PartialEq)]
struct TableCosts {
    /// The cost of 0.
    zero_bits: f32,
    /// The additional cost of ±1.
    one_extra_bits: f32,
    /// Thresholds in sixteenths above the midpoint of two neighbouring integers, below which the smaller one
    /// is coded: between 0 and 1, and between any other two.
    thresholds: [i32; 2],
}

/// The costs of all tables of a context model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RdoqCosts {
    costs: Vec<TableCosts>,
}

impl RdoqCosts {
    pub(super) fn new(contexts: &ContextModel) -> Self {
        Self { costs: contexts.tables().iter().map(TableCosts::new).collect() }
    }
}

impl TableCosts {
    fn new(table: &Table) -> Self {
        let (zero_bits, one_bits, two_bits) =
            (table.symbol_bits(0), mean_bits(table, 1), mean_bits(table, 2));
        Self {
            zero_bits,
            one_extra_bits: one_bits - zero_bits,
            thresholds: [rdoq_threshold(one_bits - zero_bits), rdoq_threshold(two_bits - one_bits)],
        }
    }
}

/// Returns the mean cost of the two integers of a magnitude, in bits.
fn mean_bits(table: &Table, magnitude: i32) -> f32 {
    f32::midpoint(table.symbol_bits(magnitude), table.symbol_bits(-magnitude))
}

/// Returns the threshold in sixteenths below which the smaller integer is coded, which saves `bits` bits.
fn rdoq_threshold(bits: f32) -> i32 {
    (f32::from(SIXTEENTHS_PER_STEP) * LAMBDA * bits / 2.0).ceil().clamp(0.0, 15.0) as i32
}

/// Returns the integer nearest to a number of sixteenths.
pub(super) fn nearest_integer(sixteenths: i16) -> i32 {
    let magnitude =
        (i32::from(sixteenths).abs() + i32::from(SIXTEENTHS_PER_STEP) / 2) / i32::from(SIXTEENTHS_PER_STEP);
    magnitude * i32::from(sixteenths.signum())
}

/// Returns whether zero is the nearest integer to all of these values.
pub(super) fn all_nearest_to_zero(sixteenths: &[i16]) -> bool {
    let largest = sixteenths.iter().fold(0, |largest: u16, s| largest.max(s.unsigned_abs()));
    nearest_integer(largest.min(i16::MAX as u16) as i16) == 0
}

/// Returns the distance of a coefficient above the midpoint of `magnitude − 1` and `magnitude`, in
/// sixteenths.
fn sixteenths_over_midpoint(sixteenths: i16, magnitude: i32) -> i32 {
    i32::from(sixteenths).abs() - i32::from(SIXTEENTHS_PER_STEP) * magnitude
        + i32::from(SIXTEENTHS_PER_STEP) / 2
}

/// A visitor that encodes one channel. It is shown the nearest integers and codes the chosen ones.
pub(super) struct RdoqVisitor<'a, C> {
    pub(super) coding: CodingVisitor<'a, C>,
    pub(super) rdoq_costs: &'a RdoqCosts,
    /// The plane of the channel.
    pub(super) sixteenths: &'a [i16],
    pub(super) columns: usize,
    /// The indices of the next row's first value and of the next value.
    pub(super) next_row: usize,
    pub(super) next_value: usize,
}

impl<C> RdoqVisitor<'_, C> {
    fn class_costs(&self, class: usize) -> TableCosts {
        let channel = &self.coding.model.channels()[self.coding.channel];
        self.rdoq_costs.costs[channel.tables[class] as usize]
    }

    /// Returns whether a row that is not zero is better coded as zero. Only rows with magnitudes up to 1
    /// qualify.
    fn is_cheaper_as_zero(&self, line: &[i16], row_class: usize) -> bool {
        if line.iter().any(|&s| nearest_integer(s).abs() > 1) {
            return false;
        }
        // The class of the mean energy of the row's values: classes are quarters of octaves.
        let octaves = (self.columns as f32).log2();
        let class = (row_class as f32 - 4.0 * octaves).round().clamp(0.0, (CLASSES - 1) as f32);
        let costs = self.class_costs(class as usize);
        let odds = f32::from(self.coding.model.zero_row_odds(self.coding.layer, row_class)) / 65536.0;
        let flag = (odds / (1.0 - odds)).log2();
        let nonzero = line.iter().filter(|&&s| nearest_integer(s) != 0);
        let (count, distance) =
            nonzero.fold((0, 0), |(count, sum), &s| (count + 1, sum + sixteenths_over_midpoint(s, 1)));
        let bits = flag + self.columns as f32 * costs.zero_bits + count as f32 * costs.one_extra_bits;
        2.0 * distance as f32 / f32::from(SIXTEENTHS_PER_STEP) < LAMBDA * bits
    }
}

impl<C: Coder> PlaneVisitor for RdoqVisitor<'_, C> {
    #[inline]
    fn visit_plane(&mut self, zero: &mut bool) -> Result<(), LatentError> {
        self.coding.visit_plane(zero)
    }

    #[inline]
    fn visit_row(&mut self, class: usize, zero: &mut bool) -> Result<(), LatentError> {
        let line = &self.sixteenths[self.next_row..][..self.columns];
        *zero = *zero || self.is_cheaper_as_zero(line, class);
        self.next_value = self.next_row;
        self.next_row += self.columns;
        self.coding.visit_row(class, zero)
    }

    #[inline]
    fn visit_value(&mut self, class: usize, value: &mut i32) -> Result<(), LatentError> {
        if *value != 0 {
            let magnitude = value.abs();
            let threshold = self.class_costs(class).thresholds[usize::from(magnitude > 1)];
            if sixteenths_over_midpoint(self.sixteenths[self.next_value], magnitude) < threshold {
                *value -= value.signum();
            }
        }
        self.next_value += 1;
        self.coding.visit_value(class, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteenths_round_to_the_nearest_integer() {
        let rounded: Vec<i32> = [0, 7, 8, -7, -8, 23, 24, i16::MAX, i16::MIN].map(nearest_integer).into();
        assert_eq!(rounded, [0, 0, 1, 0, -1, 1, 2, 2048, -2048]);
        assert_eq!(
            (
                sixteenths_over_midpoint(8, 1),
                sixteenths_over_midpoint(23, 1),
                sixteenths_over_midpoint(-24, 2),
                sixteenths_over_midpoint(-39, 2)
            ),
            (0, 15, 0, 15)
        );
    }

    #[test]
    fn rare_ones_need_a_larger_distance_from_zero() {
        let costs = |ones: u64| TableCosts::new(&Table::from_counts(-2, &[1, ones, 1000, ones, 1]).unwrap());
        let (rare, common) = (costs(4), costs(400));
        assert!(rare.one_extra_bits > 7.5 && common.one_extra_bits < 1.5, "{rare:?} {common:?}");
        assert!(rare.thresholds[0] >= 5 && common.thresholds[0] <= 1, "{rare:?} {common:?}");
    }
}
