//! The steps of a schedule.

use lopside_delivery::Class;
use proptest::{collection::vec, prelude::*};

/// Maximum number of steps of a random schedule.
const MAX_STEPS: usize = 120;
/// Maximum time that passes at once, in seconds. It is longer than some age limits.
const MAX_PAUSE_S: u32 = 800;

/// One operation on a spool, on its disk or on its receiver.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Append(Class, usize),
    Commit,
    Checkpoint,
    /// Reads some records and sends them; at most this many arrive.
    Read(Class, usize),
    /// Opens a new connection: the receiver reports which records it has.
    Connect,
    /// Acknowledges all records that were read and have arrived, except for the last ones: this many.
    Acknowledge(Class, u64),
    Rewind(Class),
    /// Closes the spool, as in an orderly stop. The next step opens it again.
    Reopen,
    /// Another process opens the spool while it is open, and would store a record of this class.
    OpenAgain(Class),
    /// Another program removes the open segment of this class, and the next record is appended and committed.
    RemoveOpenSegment(Class),
    /// Another program puts a file into the folder while the spool is closed. It has the name of a segment of this
    /// class.
    AddStray(Class, Stray),
    /// Time passes, in seconds.
    PassTime(u32),
    /// Old records expire.
    Expire,
    /// Closes the spool, and gives the device another name.
    RenameDevice,
    /// The receiver is set back to an earlier state: it loses this many of its last records of the class.
    SetReceiverBack(Class, usize),
    /// Closes the spool and copies the disk.
    CopyDisk,
    /// Closes the spool and sets the disk back to the last copy.
    SetDiskBack,
}

/// A file that has the name of a segment, and does not belong to the spool.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stray {
    /// A file of zeros that begins after the first record of the last segment.
    Overlapping,
    /// A file of zeros that begins far behind all records.
    FarAway,
    /// A block of another spool, far behind all records.
    Block,
    /// A block of another spool whose number is lower than that in the name.
    Misnamed,
}

fn any_class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Low), Just(Class::Normal), Just(Class::High)]
}

fn any_stray() -> impl Strategy<Value = Stray> {
    prop_oneof![Just(Stray::Overlapping), Just(Stray::FarAway), Just(Stray::Block), Just(Stray::Misnamed)]
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![4 => 0..200_usize, 3 => 200..4000_usize, 1 => 4000..30_000_usize];
    prop_oneof![
        32 => (any_class(), len).prop_map(|(class, len)| Step::Append(class, len)),
        16 => Just(Step::Commit),
        4 => Just(Step::Checkpoint),
        12 => (any_class(), prop_oneof![Just(0), Just(1), Just(usize::MAX)]).prop_map(|(class, arrivals)| Step::Read(class, arrivals)),
        4 => Just(Step::Connect),
        12 => (any_class(), 0..3_u64).prop_map(|(class, held_back)| Step::Acknowledge(class, held_back)),
        4 => any_class().prop_map(Step::Rewind),
        4 => Just(Step::Reopen),
        2 => any_class().prop_map(Step::OpenAgain),
        1 => (any_class(), any_stray()).prop_map(|(class, stray)| Step::AddStray(class, stray)),
        3 => (1..MAX_PAUSE_S).prop_map(Step::PassTime),
        3 => Just(Step::Expire),
        // Rare, because it empties the spool.
        1 => any_class().prop_map(Step::RemoveOpenSegment),
    ]
}

/// Steps of which some set the receiver or the disk back, or rename the device.
fn step_or_set_back() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => step(),
        2 => (any_class(), 1..40_usize).prop_map(|(class, count)| Step::SetReceiverBack(class, count)),
        1 => Just(Step::CopyDisk),
        1 => Just(Step::SetDiskBack),
        1 => Just(Step::RenameDevice),
    ]
}

/// Returns random schedules. Nothing is set back or renamed in most of them, because the counts can then be checked
/// exactly.
pub(super) fn schedule() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![2 => vec(step(), 1..MAX_STEPS), 1 => vec(step_or_set_back(), 1..MAX_STEPS)]
}
