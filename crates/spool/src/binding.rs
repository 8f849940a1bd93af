//! The owners of a spool's name: one machine, and a device of one name.

use std::mem;

use crate::{DeviceName, MachineId, State};

/// The reason why a spool took a new name when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameChange {
    /// The previous name of the spool.
    pub previous_name: u32,
    /// Whether the spool was last opened on another machine.
    pub is_other_machine: bool,
    /// The device that opened the spool last, if it has another name.
    pub other_device: Option<DeviceName>,
}

impl State {
    /// Binds the spool to a machine and to a device, unless they are unknown. A spool that is bound to another
    /// machine is a copy, or has moved: it takes the name `new_name`, because the original may continue to number
    /// records. A spool that is bound to a device of another name takes a new name as well, because a receiver knows
    /// its records only together with the old name of the device.
    pub(crate) fn bind_to(
        &mut self,
        machine: Option<MachineId>,
        device: Option<DeviceName>,
        new_name: u32,
    ) -> Option<NameChange> {
        let is_other_machine = rebind(&mut self.machine, machine).is_some();
        let other_device = rebind(&mut self.device, device);
        if !is_other_machine && other_device.is_none() {
            return None;
        }
        // The spool of a renamed device has not been copied.
        self.times_renamed += u64::from(is_other_machine);
        Some(NameChange { previous_name: self.take_name(new_name), is_other_machine, other_device })
    }

    /// Gives a spool that was copied or set back another name, and returns the previous one.
    pub(crate) fn rename(&mut self, new_name: u32) -> u32 {
        self.times_renamed += 1;
        self.take_name(new_name)
    }

    /// Gives the spool another name: `new_name`, unless that is its name already. Returns the previous name.
    /// A receiver does not know any records under the new name.
    fn take_name(&mut self, new_name: u32) -> u32 {
        let is_free = new_name != self.spool_name && new_name > 0;
        let name = if is_free { new_name } else { new_name.wrapping_add(1).max(1) };
        for counters in &mut self.classes {
            counters.acknowledged = 0;
        }
        mem::replace(&mut self.spool_name, name)
    }
}

/// Replaces an owner by another one, unless that is unknown. Returns the previous owner if it was a different one.
fn rebind<T: Copy + PartialEq>(owner: &mut Option<T>, current: Option<T>) -> Option<T> {
    let current = current?;
    owner.replace(current).filter(|previous| *previous != current)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::{device, machine, state};

    #[test]
    fn a_spool_of_another_machine_takes_another_name() {
        let (name, mut bound) = (state().spool_name, state());
        let from =
            |previous_name| Some(NameChange { previous_name, is_other_machine: true, other_device: None });
        assert_eq!((bound.bind_to(None, None, 7), bound), (None, state()), "unknown owners change nothing");
        assert_eq!((bound.bind_to(machine(0xa0), None, 7), bound), (None, state()));
        assert_eq!((bound.bind_to(machine(0xb0), None, 7), bound.spool_name), (from(name), 7));
        assert_eq!((bound.bind_to(machine(0xa0), None, 7), bound.spool_name), (from(7), 8));
        assert_eq!((bound.times_renamed, bound.classes.map(|class| class.acknowledged)), (32, [0; 3]));
        let mut unbound = State { machine: None, ..state() };
        assert_eq!((unbound.bind_to(machine(0xa0), None, 7), unbound), (None, state()));
    }

    #[test]
    fn the_spool_of_a_renamed_device_takes_another_name() {
        let (name, mut bound) = (state().spool_name, state());
        assert_eq!((bound.bind_to(machine(0xa0), Some(device("gate-7")), 7), bound), (None, state()));
        let change =
            NameChange { previous_name: name, is_other_machine: false, other_device: Some(device("gate-7")) };
        assert_eq!(
            (bound.bind_to(machine(0xa0), Some(device("gate-8")), 7), bound.spool_name),
            (Some(change), 7)
        );
        assert_eq!((bound.device, bound.times_renamed), (Some(device("gate-8")), state().times_renamed));
        assert_eq!(bound.classes.map(|class| class.acknowledged), [0; 3]);
        let change =
            NameChange { previous_name: 7, is_other_machine: true, other_device: Some(device("gate-8")) };
        assert_eq!(bound.bind_to(machine(0xb0), Some(device("gate-7")), 9), Some(change));
        assert_eq!((bound.spool_name, bound.times_renamed), (9, state().times_renamed + 1));
        let mut unbound = State { device: None, ..state() };
        assert_eq!((unbound.bind_to(None, Some(device("gate-7")), 7), unbound), (None, state()));
    }
}
