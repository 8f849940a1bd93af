//! The image in a head's output, or a part of it.

use crate::DecodeError;

/// Three planes of samples, of which a window belongs to an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raster<'a> {
    /// The samples, `[3, rows, pitch]`.
    pub(super) values: &'a [f32],
    /// Number of samples per row of a plane.
    pub(super) pitch: usize,
    /// Row and column of the first sample of the window.
    pub(super) origin: [usize; 2],
    /// Number of rows and columns of the window.
    pub(super) size: [usize; 2],
}

impl<'a> Raster<'a> {
    /// Returns the rows of the window, each with its three colours.
    ///
    /// # Errors
    /// [`DecodeError::Internal`] if the planes are smaller than the window.
    pub(super) fn rows(self) -> Result<impl Iterator<Item = [&'a [f32]; 3]>, DecodeError> {
        let Self { values, pitch, origin: [top, left], size: [height, width] } = self;
        let plane = values.len() / 3;
        let fits = left + width <= pitch && (top + height) * pitch <= plane;
        if !fits {
            return Err(DecodeError::Internal("a head's image has the wrong size".into()));
        }
        let rows = top..top + height;
        Ok(rows
            .map(move |row| [0, 1, 2].map(|colour| &values[colour * plane + row * pitch + left..][..width])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_cut_out_of_each_plane() {
        let values: Vec<f32> = (0..36_u8).map(f32::from).collect();
        let raster = Raster { values: &values, pitch: 4, origin: [1, 2], size: [2, 2] };
        let rows: Vec<_> = raster.rows().unwrap().collect();
        assert_eq!(rows[0], [[6.0, 7.0], [18.0, 19.0], [30.0, 31.0]]);
        assert_eq!(rows[1], [[10.0, 11.0], [22.0, 23.0], [34.0, 35.0]]);
        for (origin, size) in [([2, 0], [2, 1]), ([0, 3], [1, 2])] {
            assert!(Raster { origin, size, ..raster }.rows().is_err());
        }
    }
}
