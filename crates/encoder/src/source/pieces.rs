use std::{iter, path::Path, time::SystemTime};

use lopside_input::{ImageNotes, InputLimits};

use super::{
    EncoderInput, InputError, NamedFile, NamedInput, NamedInputs, check_input_count, numbered_name,
    until_error,
};

/// The inputs of a file: pieces of `piece_len` numbers, which may overlap.
pub(super) struct ValuePieces {
    pub(super) numbers: Vec<f32>,
    /// The place of the first number of each piece.
    pub(super) starts: Vec<usize>,
    /// The moments of the pieces, as far as they are known; none for a file without times.
    pub(super) measured_at: Vec<Option<SystemTime>>,
    pub(super) piece_len: usize,
}

impl ValuePieces {
    /// Returns pieces that follow each other. Numbers that do not fill a piece are left out.
    ///
    /// # Errors
    /// [`InputError::InvalidFile`] for more pieces than a file may have.
    pub(super) fn one_after_the_other(
        path: &Path,
        numbers: Vec<f32>,
        piece_len: usize,
        limits: &InputLimits,
    ) -> Result<Self, InputError> {
        let count = numbers.len() / piece_len;
        check_input_count(path, count as u64, limits)?;
        let starts = (0..count).map(|index| index * piece_len).collect();
        Ok(Self { numbers, starts, measured_at: Vec::new(), piece_len })
    }

    /// Returns the pieces, copied one by one, with their names.
    pub(super) fn named_inputs(
        self,
        name: &str,
    ) -> impl Iterator<Item = Result<NamedInput, InputError>> + use<> {
        let Self { numbers, starts, measured_at, piece_len } = self;
        let (is_single, name) = (starts.len() == 1, name.to_owned());
        starts.into_iter().enumerate().map(move |(number, start)| {
            let name = if is_single { name.clone() } else { numbered_name(&name, number) };
            let input = EncoderInput::Values(numbers[start..start + piece_len].to_vec());
            let captured_at = measured_at.get(number).copied().flatten();
            Ok(NamedInput { name, input, notes: ImageNotes { captured_at, ..ImageNotes::default() } })
        })
    }
}

/// Returns the pieces of a file with their names, or the reason why it cannot be read.
pub(super) fn open_pieces(file: &NamedFile, pieces: Result<ValuePieces, InputError>) -> NamedInputs {
    match pieces {
        Ok(pieces) => until_error(&file.path, pieces.named_inputs(&file.name)),
        Err(error) => Box::new(iter::once(Err(error))),
    }
}
