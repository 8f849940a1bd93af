//! The walk through a channel's plane, which the encoder, the decoder and the training statistics share.
//!
//! The integers of a plane are in raster order:
//! ```text
//! zero plane?  ─yes─► nothing more
//!     └no─► each row: zero row? ─yes─► nothing more
//!                         └no─► each integer, with the table of its channel and class
//! ```

use crate::LatentError;

use super::{CLASSES, Energy, Plane, ROW_CLASSES, class_of};

/// A visitor of everything that is coded of a plane, in coding order. An encoder or a counter leaves the
/// visited values unchanged, or codes others in their place; a decoder visits zeros and replaces them with
/// the values that it reads.
pub trait PlaneVisitor {
    /// Visits the flag of a zero plane. If it is set, nothing more is visited.
    ///
    /// # Errors
    /// Returns any error that ends the walk.
    fn visit_plane(&mut self, zero: &mut bool) -> Result<(), LatentError>;

    /// Visits the flag of a zero row of the row class `class`. If it is set, none of its integers are
    /// visited.
    ///
    /// # Errors
    /// Returns any error that ends the walk.
    fn visit_row(&mut self, class: usize, zero: &mut bool) -> Result<(), LatentError>;

    /// Visits one integer of the class `class`.
    ///
    /// # Errors
    /// Returns any error that ends the walk.
    fn visit_value(&mut self, class: usize, value: &mut i32) -> Result<(), LatentError>;
}

/// Walks through everything that is coded of a channel's plane, and returns whether the plane is zero.
/// `energy` creates the channel's energies, which are needed only if it is not. `plane` must be zeros of the
/// same rows and columns, and receives the visited magnitudes.
///
/// # Errors
/// Returns the error of `visitor`.
pub fn walk_plane<'a>(
    energy: impl FnOnce() -> Energy<'a>,
    plane: &mut Plane,
    coded: &mut [i32],
    visitor: &mut impl PlaneVisitor,
) -> Result<bool, LatentError> {
    let mut zero = is_zero(coded);
    visitor.visit_plane(&mut zero)?;
    if zero {
        return Ok(true);
    }
    let mut energy = energy();
    for (row, line) in coded.chunks_exact_mut(plane.columns()).enumerate() {
        let class = row_class(energy.start_row(plane, row));
        let mut zero = is_zero(line);
        visitor.visit_row(class, &mut zero)?;
        if !zero {
            for (column, value) in line.iter_mut().enumerate() {
                let class = class_of(energy.at_column(plane, row, column), CLASSES);
                visitor.visit_value(class, value)?;
                plane.set(row, column, *value);
            }
        }
        energy.end_row(plane, row);
    }
    Ok(false)
}

fn is_zero(integers: &[i32]) -> bool {
    // Without an early exit the loop compiles to a few vector instructions.
    integers.iter().fold(0, |bits, &value| bits | value) == 0
}

/// Returns the class of a row with this total energy.
fn row_class(sum: u64) -> usize {
    class_of(u32::try_from(sum).unwrap_or(u32::MAX), ROW_CLASSES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_codec::{ChannelContext, NEIGHBOURS};

    /// The visited values in order; the class is `None` for the flag of the plane.
    #[derive(Default)]
    struct Log(Vec<(Option<usize>, i32)>);

    impl PlaneVisitor for Log {
        fn visit_plane(&mut self, zero: &mut bool) -> Result<(), LatentError> {
            self.0.push((None, i32::from(*zero)));
            Ok(())
        }

        fn visit_row(&mut self, class: usize, zero: &mut bool) -> Result<(), LatentError> {
            self.0.push((Some(class), i32::from(*zero)));
            Ok(())
        }

        fn visit_value(&mut self, class: usize, value: &mut i32) -> Result<(), LatentError> {
            self.0.push((Some(class), *value));
            Ok(())
        }
    }

    /// Replays the values of a [`Log`], which are stored last first.
    struct Replay(Vec<(Option<usize>, i32)>);

    impl Replay {
        fn next(&mut self, class: Option<usize>) -> i32 {
            let (expected, value) = self.0.pop().unwrap();
            assert_eq!(expected, class);
            value
        }
    }

    impl PlaneVisitor for Replay {
        fn visit_plane(&mut self, zero: &mut bool) -> Result<(), LatentError> {
            *zero = self.next(None) == 1;
            Ok(())
        }

        fn visit_row(&mut self, class: usize, zero: &mut bool) -> Result<(), LatentError> {
            *zero = self.next(Some(class)) == 1;
            Ok(())
        }

        fn visit_value(&mut self, class: usize, value: &mut i32) -> Result<(), LatentError> {
            *value = self.next(Some(class));
            Ok(())
        }
    }

    fn walked(coded: &mut [i32; 12], visitor: &mut impl PlaneVisitor) -> bool {
        let context = ChannelContext {
            predictor: [0; 4],
            neighbour_weights: [900; NEIGHBOURS],
            average_weight: 500,
            biases: vec![64; 100],
            zero_plane_odds: [1; 2],
            references: Vec::new(),
            tables: vec![0; CLASSES],
        };
        let energy = || Energy::new(&context, 0, 3, []);
        walk_plane(energy, &mut Plane::new(4, 3), coded, visitor).unwrap()
    }

    #[test]
    fn a_zero_plane_is_visited_as_a_whole() {
        let mut log = Log::default();
        assert!(walked(&mut [0; 12], &mut log));
        assert_eq!(log.0, [(None, 1)]);
    }

    #[test]
    fn a_decoder_visits_the_same_classes_as_the_encoder() {
        let coded = [0, 0, 0, 5, 0, -2, 0, 0, 0, 0, 1, 0];
        let (mut original, mut restored, mut log) = (coded, [0; 12], Log::default());
        assert!(!walked(&mut original, &mut log));
        assert_eq!((original, log.0.len()), (coded, 1 + 4 + 6));
        let mut replay = Replay(log.0.into_iter().rev().collect());
        assert!(!walked(&mut restored, &mut replay));
        assert_eq!((restored, replay.0.len()), (coded, 0));
    }
}
