//! What operators do by mistake: second starts, copied cards, restored archives, renamed devices, deleted files,
//! wrong clocks, full and read-only disks. [`oracle`] says what must be true after each of them.

mod copied_spool;
mod deleted_in_cloud;
mod deleted_on_device;
mod device_double;
mod device_names;
mod disks;
mod harness;
mod oracle;
mod pictures;
mod process;
mod restored_archive;
mod second_start;
mod wrong_clock;
