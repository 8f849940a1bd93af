//! The memory of a process, from `/proc`.

use std::{fs, path::Path};

use crate::{BenchError, error::io_error, proc::read_field};

const BYTES_PER_KIB: f64 = 1024.0;

/// Resets the peak of the resident memory to its present value (`proc_pid_clear_refs(5)`, value 5).
pub(super) fn reset_peak(process: u32) -> Result<(), BenchError> {
    let path = format!("/proc/{process}/clear_refs");
    fs::write(&path, "5").map_err(io_error(Path::new(&path)))
}

/// Returns the peak of the resident memory since the last reset, in bytes.
pub(super) fn peak_bytes(process: u32) -> Result<f64, BenchError> {
    status_bytes(process, "VmHWM:")
}

/// Returns the resident memory in bytes.
pub(super) fn resident_bytes(process: u32) -> Result<f64, BenchError> {
    status_bytes(process, "VmRSS:")
}

fn status_bytes(process: u32, name: &str) -> Result<f64, BenchError> {
    Ok(BYTES_PER_KIB * read_field(&format!("/proc/{process}/status"), name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_a_process_is_at_least_its_memory_and_can_be_reset() {
        let process = std::process::id();
        let before = resident_bytes(process).unwrap();
        assert!(before > 0.0);
        let memory = vec![1_u8; 64 << 20];
        assert!(peak_bytes(process).unwrap() >= memory.len() as f64);
        reset_peak(process).unwrap();
        assert!(peak_bytes(process).unwrap() > 0.0);
    }
}
