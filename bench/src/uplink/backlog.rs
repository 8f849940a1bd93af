use lopside_spool::{Class, Disk, Options, Spool};
use lopside_uplink::Captured;

use super::agent::Home;
use crate::{
    BenchError,
    error::{failed, io},
};

/// Frames per commit.
const TOGETHER: u64 = 64;

/// Fills an agent's spool with `frames` random frames of `len` bytes, of the class `normal` and one second
/// apart.
pub(super) fn fill(home: &Home, frames: u64, len: usize) -> Result<(), BenchError> {
    let folder = home.spool();
    let disk = Disk::open(&folder).map_err(io(&folder))?;
    let mut spool = Spool::open(disk, Options::new(home.budget(), rand::random())).map_err(failed)?;
    let mut captured = Captured {
        source: "bench".into(),
        frame: (0..len).map(|_| rand::random()).collect(),
        ..Captured::default()
    };
    for number in 1..=frames {
        captured.captured_ms = 1_790_000_000_000 + 1000 * number as i64;
        // All frames differ.
        captured.frame.iter_mut().zip(number.to_le_bytes()).for_each(|(byte, other)| *byte ^= other);
        spool.append(Class::Normal, &captured.to_record()).map_err(failed)?;
        if number % TOGETHER == 0 || number == frames {
            spool.commit().map_err(failed)?;
        }
    }
    if spool.pending(Class::Normal) != frames {
        return Err(failed("the budget of the spool is too small for the backlog"));
    }
    Ok(())
}
