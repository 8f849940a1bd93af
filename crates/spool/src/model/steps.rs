//! The steps of a schedule.

use lopside_delivery::Class;
use proptest::{collection::vec, prelude::*};

/// Maximum number of steps of a random schedule.
const MAX_STEPS: usize = 120;

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
    /// Closes the spool, and gives the device another name.
    RenameDevice,
    /// The receiver is set back to an earlier state: it loses this many of its last records of the class.
    SetReceiverBack(Class, usize),
    /// Closes the spool and copies the disk.
    CopyDisk,
    /// Closes the spool and sets the disk back to the last copy.
    SetDiskBack,
}

fn any_class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Low), Just(Class::Normal), Just(Class::High)]
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
