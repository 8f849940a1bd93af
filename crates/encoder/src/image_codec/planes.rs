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

    /// Copies the rows from `skip` on of a piece `[channels, …, columns]` into the maps; row 0 of the piece
    /// is row `first` of the maps.
    pub(super) fn paste(&mut self, piece: &[T], first: usize, skip: usize) {
        let plane = self.rows * self.columns;
        let channels = self.values.len() / plane;
        if channels == 0 {
            return;
        }
        let (start, skip) = ((first + skip) * self.columns, skip * self.columns);
        let pieces = piece.chunks_exact(piece.len() / channels);
        for (plane, piece) in self.values.chunks_exact_mut(plane).zip(pieces) {
            let rows = &piece[skip..];
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
    fn pieces_find_their_rows_in_every_channel() {
        let mut planes = FeatureMaps::<i16>::new([2, 3, 2]);
        planes.paste(&[1, 2, 3, 4, 11, 12, 13, 14], 0, 0);
        planes.paste(&[0, 0, 5, 6, 0, 0, 15, 16], 1, 1);
        assert_eq!(planes.into_values(), [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]);
    }

    #[test]
    fn no_channels_are_no_values() {
        let mut planes = FeatureMaps::<f32>::new([0, 3, 2]);
        planes.paste(&[], 0, 0);
        assert!(planes.into_values().is_empty());
    }
}
