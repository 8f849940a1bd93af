use std::io;

use crate::{
    File, State, Storage,
    lock::LockedFolder,
    state::{FILE_BYTES, FILE_NAME, SLOT_BYTES, STATE_BYTES},
};

/// The open state file.
#[derive(Debug)]
pub(crate) struct StateFile<F> {
    file: F,
    /// The newest intact state as it was found.
    found: Option<FoundState>,
}

/// An intact state in the file.
#[derive(Debug)]
struct FoundState {
    state: State,
    /// The offset of its slot.
    offset: u64,
    /// The bytes of the slot, as far as a state of any format has them.
    bytes: [u8; STATE_BYTES],
}

impl<F: File> StateFile<F> {
    /// Opens or creates the file. Also returns the newest intact state, or `None` if there is none.
    pub(crate) fn open<S: Storage<File = F>>(
        storage: &S,
        names: &[String],
    ) -> io::Result<(Self, Option<State>)> {
        if !names.iter().any(|name| name == FILE_NAME) {
            let file = storage.create(FILE_NAME, FILE_BYTES)?;
            storage.sync()?;
            return Ok((Self { file, found: None }, None));
        }
        let file = storage.open(FILE_NAME)?;
        let found = find_newest(&file)?;
        let state = found.as_ref().map(|found| found.state);
        Ok((Self { file, found }, state))
    }

    /// Writes the newest state that was found once more, and syncs it: after a failed sync it may be only in
    /// the system's cache. The same bytes at the same place are safe: whatever a crash makes of this write,
    /// the state remains intact.
    pub(crate) fn write_found(&mut self) -> io::Result<()> {
        let Some(found) = &self.found else { return Ok(()) };
        self.file.write_at(found.offset, &found.bytes)?;
        self.file.sync()
    }

    /// Writes a state to the slot that does not hold the last one, syncs the file, and checks that it is
    /// still in its folder.
    pub(crate) fn write<S: Storage<File = F>>(
        &mut self,
        folder: &LockedFolder<S>,
        state: &State,
    ) -> io::Result<()> {
        let slot = if state.generation.is_multiple_of(2) { 0 } else { SLOT_BYTES };
        self.file.write_at(slot, &state.to_bytes())?;
        self.file.sync()?;
        folder.check_file(FILE_NAME, &self.file)
    }
}

/// Reads the newest state from the folder of a spool, which another process may have open. Returns `None` if
/// there is no intact state.
///
/// # Errors
/// Returns the I/O error of the operating system.
pub fn read_state<S: Storage>(storage: &S) -> io::Result<Option<State>> {
    if !storage.names()?.iter().any(|name| name == FILE_NAME) {
        return Ok(None);
    }
    Ok(find_newest(&storage.open(FILE_NAME)?)?.map(|found| found.state))
}

/// Returns the newest intact state of a state file, or `None` if there is none.
fn find_newest<F: File>(file: &F) -> io::Result<Option<FoundState>> {
    let mut newest: Option<FoundState> = None;
    for offset in [0, SLOT_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        let count = file.read_at(offset, &mut bytes)?;
        let Some(state) = State::parse(&bytes[..count]) else { continue };
        if newest.as_ref().is_none_or(|newest| newest.state.generation < state.generation) {
            newest = Some(FoundState { state, offset, bytes });
        }
    }
    Ok(newest)
}
