//! Classes of expected magnitudes, four per octave.

/// Number of classes of a coefficient's expected magnitude.
pub const CLASSES: usize = 49;
/// Number of classes of the expected magnitude of a whole row.
pub const ROW_CLASSES: usize = 81;
/// Binary logarithm of the smallest energy that is distinguished from zero: 64 / 4096.
const MIN_ENERGY_LOG2: u32 = 6;

/// Returns the class of an energy in 1/4096 of a step: 0 below 1/64 of a step, then four per octave by the
/// two bits after the leading one, and the last class for all larger energies.
#[must_use]
pub fn class_of(energy: u32, classes: usize) -> usize {
    if energy < 1 << MIN_ENERGY_LOG2 {
        return 0;
    }
    let octave = energy.ilog2();
    let quarter = energy >> (octave - 2) & 3;
    (1 + (octave - MIN_ENERGY_LOG2) * 4 + quarter).min(classes as u32 - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_rise_by_quarters_of_an_octave() {
        let classes: Vec<_> =
            [0, 63, 64, 79, 80, 96, 112, 127, 128, 160, 4095, 4096].map(|e| class_of(e, CLASSES)).into();
        assert_eq!(classes, [0, 0, 1, 1, 2, 3, 4, 4, 5, 6, 24, 25]);
        assert_eq!((class_of(u32::MAX, CLASSES), class_of(u32::MAX, ROW_CLASSES)), (48, 80));
        assert!((0..100_000).all(|e| class_of(e, ROW_CLASSES) <= class_of(e + 1, ROW_CLASSES)));
    }
}
