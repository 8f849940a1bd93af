use lopside_delivery::Class;

use super::{
    broken_promise::BrokenPromise,
    expectations::Expectations,
    memory::MemoryDisk,
    receiver::{Receiver, Sender},
};
use crate::{Spool, SpoolError};

/// The start of a connection, as the uplink does it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    /// The name that the spool takes if it was set back.
    pub(super) new_name: u32,
    pub(super) broken_promise: Option<BrokenPromise>,
}

impl Connection {
    /// The spool states what was acknowledged, and the receiver reports what it has and what it has lost. A spool
    /// that was set back takes a new name and asks again.
    pub(super) fn open(
        self,
        spool: &mut Spool<MemoryDisk>,
        receiver: &mut Receiver,
        expected: &mut Expectations,
    ) -> Result<(), SpoolError> {
        spool.checkpoint()?;
        let sender = expected.sender(spool);
        if self.has_unknown(spool, receiver, sender)? {
            expected.unprotected.extend(receiver.ever_received());
            spool.take_new_name(self.new_name)?;
        }
        // The name may be a new one now.
        let sender = expected.sender(spool);
        for class in Class::ALL {
            let mut lost = receiver.find_lost(sender, class, spool.acknowledged_on_disk(class));
            if self.broken_promise == Some(BrokenPromise::LossHidden) {
                lost.clear();
            }
            let known = receiver.known(sender, class).into_iter().flat_map(|(_, ranges)| ranges);
            spool.resolve_received(class, &known.collect::<Vec<_>>())?;
            spool.reopen_lost(class, &lost)?;
        }
        Ok(())
    }

    /// Returns whether the receiver has records of this sender that the spool does not know.
    fn has_unknown(
        self,
        spool: &mut Spool<MemoryDisk>,
        receiver: &Receiver,
        sender: Sender,
    ) -> Result<bool, SpoolError> {
        if self.broken_promise == Some(BrokenPromise::EpochsHidden) {
            return Ok(false);
        }
        for class in Class::ALL {
            for (epoch, ranges) in receiver.known(sender, class) {
                if spool.find_unknown(class, epoch, &ranges)?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
