//! A monotone cubic curve through points: PCHIP.
//!
//! F. N. Fritsch, R. E. Carlson, "Monotone piecewise cubic interpolation", SIAM Journal on Numerical Analysis
//! 17, 1980, with the slopes of F. N. Fritsch, J. Butland, "A method for constructing local monotone
//! piecewise cubic interpolants", SIAM Journal on Scientific and Statistical Computing 5, 1984, and one-sided
//! three-point slopes at the two ends (C. Moler, "Numerical Computing with MATLAB", chapter 3.6), as in
//! scipy's `PchipInterpolator`. Between two points the curve stays within the range of their values.

/// Number of bisection steps: enough for every bit of an `f64`.
const BISECTIONS: usize = 100;

/// A strictly rising curve through at least three points.
pub(crate) struct Pchip {
    x: Vec<f64>,
    y: Vec<f64>,
    /// The slope of the curve at every point.
    slopes: Vec<f64>,
}

impl Pchip {
    /// Creates the curve through `(x, y)`. Both coordinates must rise strictly, and there must be at least
    /// three points.
    pub(crate) fn new(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        let slopes = point_slopes(&x, &y);
        Self { x, y, slopes }
    }

    pub(crate) fn min_x(&self) -> f64 {
        self.x[0]
    }

    pub(crate) fn max_x(&self) -> f64 {
        self.x[self.x.len() - 1]
    }

    /// Returns the value of the curve at `x`, which must lie between the first and the last point.
    pub(crate) fn value_at(&self, x: f64) -> f64 {
        let piece = self.piece_at(x);
        let [c0, c1, c2, c3] = self.coefficients(piece);
        let t = x - self.x[piece];
        c0 + t * (c1 + t * (c2 + t * c3))
    }

    /// Returns the x at which the curve reaches `y`, or the x of the nearer end point if `y` is outside the
    /// curve's range.
    pub(crate) fn solve_for(&self, y: f64) -> f64 {
        let (mut low, mut high) = (self.min_x(), self.max_x());
        if y <= self.value_at(low) {
            return low;
        }
        if y >= self.value_at(high) {
            return high;
        }
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(low, high);
            if self.value_at(middle) < y {
                low = middle;
            } else {
                high = middle;
            }
        }
        f64::midpoint(low, high)
    }

    /// Returns the integral between `low` and `high`, both within the range of the points.
    pub(crate) fn integrate(&self, low: f64, high: f64) -> f64 {
        let pieces = self.piece_at(low)..=self.piece_at(high);
        pieces.map(|piece| self.integrate_piece(piece, low, high)).sum()
    }

    /// Returns the integral over the part of a piece between `low` and `high`.
    fn integrate_piece(&self, piece: usize, low: f64, high: f64) -> f64 {
        let origin = self.x[piece];
        let (low_offset, high_offset) = (low.max(origin) - origin, high.min(self.x[piece + 1]) - origin);
        self.antiderivative(piece, high_offset) - self.antiderivative(piece, low_offset)
    }

    fn antiderivative(&self, piece: usize, t: f64) -> f64 {
        let [c0, c1, c2, c3] = self.coefficients(piece);
        t * (c0 + t * (c1 / 2.0 + t * (c2 / 3.0 + t * c3 / 4.0)))
    }

    /// Returns the last piece that begins at or before `x`.
    fn piece_at(&self, x: f64) -> usize {
        let started_pieces = self.x.partition_point(|&start| start <= x);
        started_pieces.saturating_sub(1).min(self.x.len() - 2)
    }

    /// Returns the piece's polynomial coefficients in powers of the distance to its start, computed as a
    /// cubic Hermite spline with the piece's end values and slopes.
    fn coefficients(&self, piece: usize) -> [f64; 4] {
        let width = self.x[piece + 1] - self.x[piece];
        let secant = (self.y[piece + 1] - self.y[piece]) / width;
        let (start_slope, end_slope) = (self.slopes[piece], self.slopes[piece + 1]);
        let c2 = (3.0 * secant - 2.0 * start_slope - end_slope) / width;
        let c3 = (start_slope + end_slope - 2.0 * secant) / (width * width);
        [self.y[piece], start_slope, c2, c3]
    }
}

fn point_slopes(x: &[f64], y: &[f64]) -> Vec<f64> {
    let widths: Vec<f64> = x.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let rises = y.windows(2).map(|pair| pair[1] - pair[0]);
    let secants: Vec<f64> = rises.zip(&widths).map(|(rise, width)| rise / width).collect();
    let last = widths.len() - 1;
    let inner =
        widths.windows(2).zip(secants.windows(2)).map(|(h, s)| inner_slope([h[0], h[1]], [s[0], s[1]]));
    let mut slopes = vec![end_slope([widths[0], widths[1]], [secants[0], secants[1]])];
    slopes.extend(inner);
    slopes.push(end_slope([widths[last], widths[last - 1]], [secants[last], secants[last - 1]]));
    slopes
}

/// Returns the weighted harmonic mean of the secants on both sides.
fn inner_slope([before, after]: [f64; 2], secants: [f64; 2]) -> f64 {
    let weights = [2.0 * after + before, after + 2.0 * before];
    (weights[0] + weights[1]) / (weights[0] / secants[0] + weights[1] / secants[1])
}

/// Returns the slope at an end of the parabola through the three points nearest to it; the nearest point
/// comes first. A negative slope is replaced by 0, because the curve would leave the range of the values. A
/// slope that is too steep would require secants of opposite signs, which do not occur here.
fn end_slope(widths: [f64; 2], secants: [f64; 2]) -> f64 {
    let slope =
        ((2.0 * widths[0] + widths[1]) * secants[0] - widths[0] * secants[1]) / (widths[0] + widths[1]);
    slope.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve() -> Pchip {
        Pchip::new([(0.0, 0.0), (1.0, 0.1), (1.5, 4.0), (4.0, 4.5), (5.0, 9.0)])
    }

    #[test]
    fn values_agree_with_scipy() {
        // scipy 1.17.1, PchipInterpolator(x, y)(…) and .integrate(…).
        let curve = curve();
        for (x, expected) in [
            (0.5, 0.022_318_611_987),
            (1.25, 2.032_942_806_682),
            (3.0, 4.284_046_488_723),
            (4.9, 8.413_950_749_251),
        ] {
            assert!((curve.value_at(x) - expected).abs() < 1e-11, "{} at {x}", curve.value_at(x));
        }
        for (low, high, expected) in
            [(0.0, 5.0, 18.013_216_696_960), (0.3, 1.2, 0.151_210_927_712), (2.0, 3.0, 4.241_991_529_597)]
        {
            let found = curve.integrate(low, high);
            assert!((found - expected).abs() < 1e-11, "{found} from {low} to {high}");
        }
    }

    #[test]
    fn a_line_stays_a_line() {
        let line = Pchip::new([(1.0, 3.0), (2.0, 5.0), (4.0, 9.0)]);
        for x in [1.0, 1.3, 2.0, 3.7, 4.0] {
            assert!((line.value_at(x) - (2.0 * x + 1.0)).abs() < 1e-12);
            assert!((line.solve_for(2.0 * x + 1.0) - x).abs() < 1e-12);
        }
        assert!((line.integrate(1.0, 4.0) - 18.0).abs() < 1e-12);
    }

    #[test]
    fn the_curve_rises_everywhere_and_ends_at_its_end_points() {
        let curve = curve();
        let values: Vec<f64> = (0..=500).map(|step| curve.value_at(f64::from(step) / 100.0)).collect();
        assert!(values.is_sorted());
        assert!((curve.solve_for(-1.0) - 0.0).abs() < 1e-12 && (curve.solve_for(10.0) - 5.0).abs() < 1e-12);
    }
}
