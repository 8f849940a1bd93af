use lopside_delivery::Class;
use lopside_spool::{Disk, Options, Spool};
use lopside_uplink::CapturedFrame;

use super::agent::AgentHome;
use crate::{
    BenchError,
    error::{io_error, store_error},
};

/// Frames per commit.
const FRAMES_PER_COMMIT: u64 = 64;

/// Fills an agent's spool with `frames` random frames of `len` bytes, of the class `normal` and one second
/// apart.
pub(super) fn fill_spool(home: &AgentHome, frames: u64, len: usize) -> Result<(), BenchError> {
    let folder = home.spool_folder();
    let disk = Disk::open(&folder).map_err(io_error(&folder))?;
    let mut spool =
        Spool::open(disk, Options::new(home.spool_budget(), rand::random())).map_err(store_error("spool"))?;
    let mut captured = CapturedFrame {
        source: "bench".into(),
        frame: (0..len).map(|_| rand::random()).collect(),
        ..CapturedFrame::default()
    };
    for number in 1..=frames {
        captured.captured_ms = 1_790_000_000_000 + 1000 * number as i64;
        // All frames differ.
        captured.frame.iter_mut().zip(number.to_le_bytes()).for_each(|(byte, other)| *byte ^= other);
        spool.append(Class::Normal, &captured.to_record()).map_err(store_error("spool"))?;
        if number % FRAMES_PER_COMMIT == 0 || number == frames {
            spool.commit().map_err(store_error("spool"))?;
        }
    }
    if spool.pending_records(Class::Normal) != frames {
        return Err(BenchError::NoResult { reason: "the budget of the spool is too small for the backlog" });
    }
    Ok(())
}
