//! Disks that are full or read-only. The tests mount small file systems, which only root may do.

mod full;
mod read_only;
mod tmpfs;
