//! Fixed schedules.

use lopside_delivery::Class;

use super::steps::{Step, Stray};

/// Returns a schedule that fills the spool, empties it in part, and continues.
pub(super) fn long_schedule() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..14_usize {
        for class in Class::ALL {
            steps.push(Step::Append(class, 40 + 13 * round));
            steps.push(Step::Append(class, 9000 + 700 * round));
        }
        steps.push(Step::Commit);
        steps.extend(
            Class::ALL
                .into_iter()
                .skip(round % 3)
                .flat_map(|class| [Step::Read(class, usize::MAX), Step::Acknowledge(class, 0)]),
        );
    }
    steps
}

/// Returns a schedule that fills the spool with records of one class, some of which are in flight.
pub(super) fn one_class_schedule() -> Vec<Step> {
    let class = Class::Low;
    let store = [Step::Append(class, 30), Step::Append(class, 12_000), Step::Commit];
    let round = [&store[..], &store, &store, &store, &[Step::Read(class, 1)]].concat();
    [&round.repeat(7)[..], &[Step::Connect, Step::Checkpoint]].concat()
}

/// Returns a schedule that fills the spool while some records are in flight, lets time pass, and adds strays.
pub(super) fn drop_schedule() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..16_usize {
        for class in Class::ALL {
            steps.extend([Step::Append(class, 30), Step::Append(class, 8000 + 500 * round), Step::Commit]);
        }
        let class = Class::ALL[round % 3];
        steps.extend([Step::PassTime(100), Step::Read(class, 1), Step::Expire]);
        match round % 8 {
            1 => steps.push(Step::AddStray(class, Stray::Overlapping)),
            3 => steps.push(Step::AddStray(class, Stray::Block)),
            5 => steps.extend([Step::Connect, Step::Read(class, usize::MAX), Step::Acknowledge(class, 0)]),
            7 => steps.push(Step::AddStray(class, Stray::FarAway)),
            _ => {}
        }
    }
    steps.push(Step::Checkpoint);
    steps
}

/// Returns a schedule in which the receiver and the disk are set back after records were delivered.
pub(super) fn set_back_schedule() -> Vec<Step> {
    let class = Class::Normal;
    let deliver = [Step::Read(class, usize::MAX), Step::Acknowledge(class, 0)];
    let store = [Step::Append(class, 40), Step::Append(class, 3000), Step::Append(class, 40), Step::Commit];
    let round = [&store[..], &deliver[..]].concat();
    [
        round.repeat(3),
        vec![Step::Checkpoint, Step::SetReceiverBack(class, 4)],
        deliver.repeat(2),
        round.clone(),
        vec![Step::CopyDisk],
        round.repeat(2),
        vec![Step::SetDiskBack],
        round.repeat(2),
        deliver.repeat(2),
        vec![Step::SetReceiverBack(class, 2)],
        deliver.repeat(2),
        round,
    ]
    .concat()
}

/// Returns a schedule in which the device gets other names after records were delivered, and while others wait.
pub(super) fn rename_schedule() -> Vec<Step> {
    let class = Class::Normal;
    let deliver = [Step::Read(class, usize::MAX), Step::Acknowledge(class, 0)];
    let store = [Step::Append(class, 40), Step::Append(class, 3000), Step::Commit];
    let rename = [Step::RenameDevice, Step::Connect];
    [&store[..], &deliver, &rename, &store, &rename, &deliver, &store, &deliver, &rename].concat()
}

/// Returns schedules in which a record arrives, is not acknowledged, and is sent again under another name without
/// arriving again: the first under a new name of the device, the second under a new name of the spool.
pub(super) fn resend_schedules() -> [Vec<Step>; 2] {
    let class = Class::Low;
    let store = [Step::Append(class, 40), Step::Commit];
    let (arrives, is_lost) = ([Step::Read(class, 1)], [Step::Read(class, 0), Step::Acknowledge(class, 0)]);
    // The next step opens the spool, which then takes the new name.
    let rename = [Step::RenameDevice, Step::Checkpoint];
    [
        [&store[..], &arrives, &rename, &is_lost, &[Step::Connect]].concat(),
        [
            &store[..],
            &[Step::CopyDisk],
            &arrives,
            &store,
            &arrives,
            &[Step::SetDiskBack],
            &store,
            &is_lost.repeat(2),
            &[Step::Connect],
        ]
        .concat(),
    ]
}
