/// Feature maps `[channels, rows, columns]`, assembled from pieces of a few rows.
#[derive(Debug)]
pub(super) struct FeatureMaps<T> {
    rows: usize,
    columns: usize,
    values: Vec<T>,
}

impl<T: Copy + Default> FeatureMaps<T> {
    /// Creates maps of zeros.
    pub(super) fn new([channels, rows, columns]: [usize; 3]) -> Self {
        Self { rows, columns, values: vec![T::default(); channels * rows * columns] }
    }

    /// Copies the rows from `skipped` on of a strip `[channels, …, columns]` into the maps; row 0 of the strip
    /// is row `first_row` of the maps.
    pub(super) fn paste(&mut self, strip: &[T], first_row: usize, skipped: usize) {
        let plane = self.rows * self.columns;
        let channels = self.values.len() / plane;
        if channels == 0 {
            return;
        }
        let (start, skipped) = ((first_row + skipped) * self.columns, skipped * self.columns);
        let strip_planes = strip.chunks_exact(strip.len() / channels);
        for (plane, strip) in self.values.chunks_exact_mut(plane).zip(strip_planes) {
            let rows = &strip[skipped..];
            plane[start..start + rows.len()].copy_from_slice(rows);
        }
    }

    /// Returns the values, row-major.
    pub(super) fn into_values(self) -> Vec<T> {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_are_pasted_into_every_channel() {
        let mut planes = FeatureMaps::<i16>::new([2, 3, 2]);
        planes.paste(&[1, 2, 3, 4, 11, 12, 13, 14], 0, 0);
        planes.paste(&[0, 0, 5, 6, 0, 0, 15, 16], 1, 1);
        assert_eq!(planes.into_values(), [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]);
    }

    #[test]
    fn maps_without_channels_have_no_values() {
        let mut planes = FeatureMaps::<f32>::new([0, 3, 2]);
        planes.paste(&[], 0, 0);
        assert!(planes.into_values().is_empty());
    }
}
