//! The memory of this process, as Linux reports it.

use std::fs;

const BYTES_PER_KB: u64 = 1024;

/// Returns the most memory that the process has had at a time, in bytes; `None` if the system does not report it.
pub(crate) fn peak_resident_bytes() -> Option<u64> {
    read_status("VmHWM:")
}

/// Returns the size of the process's address space, in bytes; `None` if the system does not report it.
pub(crate) fn address_space_bytes() -> Option<u64> {
    read_status("VmSize:")
}

/// Returns a size in `/proc/self/status`, which gives it in units of 1024 bytes.
fn read_status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = size.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(BYTES_PER_KB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_reports_both_sizes() {
        let (peak, space) = (peak_resident_bytes().unwrap(), address_space_bytes().unwrap());
        assert!(peak > 1 << 16 && space > 1 << 16, "{peak} {space}");
        assert_eq!(read_status("VmNone:"), None);
    }
}
