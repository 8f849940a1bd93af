use lopside_delivery::Class;

use crate::{
    ArchiveError, DeviceClock, LostNumbers,
    batch::{MAX_NUMBER, check_device_name},
};

/// A connection of a device that is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConnection {
    /// The name of the device: 1 to 128 visible ASCII characters.
    pub device: String,
    /// The name of the device's spool; 0 if the spool is unnamed.
    pub spool: u32,
    /// The highest number that an archive has ever acknowledged to this spool, for each class at most once; 0 if none
    /// was.
    pub acknowledged: Vec<(Class, u64)>,
    /// Number of connections of the device that were displaced since the last registration.
    pub displaced: u64,
    /// The clock of the device.
    pub clock: DeviceClock,
}

/// A registered connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegisteredConnection {
    /// The number of the connection among those of the device, for [`Batch::connection`](crate::Batch::connection).
    pub number: u64,
    /// The numbers of the spool that the archive has lost and that have not come again, by class and ascending; at
    /// most 1000 ranges.
    pub lost: Vec<LostNumbers>,
    /// The part of the lost numbers that this connection has brought to light.
    pub newly_lost: Vec<LostNumbers>,
}

impl NewConnection {
    /// Creates a connection of a device whose spool is unnamed and was not acknowledged anything.
    #[must_use]
    pub fn new(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            spool: 0,
            acknowledged: Vec::new(),
            displaced: 0,
            clock: DeviceClock::default(),
        }
    }

    /// Refuses values that no backend can store.
    pub(crate) fn check(&self) -> Result<(), ArchiveError> {
        check_device_name(&self.device)?;
        let mut is_named = [false; Class::ALL.len()];
        for &(class, number) in &self.acknowledged {
            if std::mem::replace(&mut is_named[class.index()], true) {
                let reason = format!("its hello names class {class} twice");
                return Err(ArchiveError::refused_batch(&self.device, reason));
            }
            if number > MAX_NUMBER {
                let reason = format!("its acknowledged numbers must be at most {MAX_NUMBER}");
                return Err(ArchiveError::refused_batch(&self.device, reason));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_over_the_limits_is_refused_with_the_reason() {
        let with_lanes = |acknowledged| NewConnection { acknowledged, ..NewConnection::new("gate-7") };
        with_lanes(vec![(Class::Low, 0), (Class::High, MAX_NUMBER)]).check().unwrap();
        for (connection, expected) in [
            (NewConnection::new("two words"), "1 to 128 visible"),
            (with_lanes(vec![(Class::Low, 1), (Class::Low, 1)]), "class low twice"),
            (with_lanes(vec![(Class::Low, MAX_NUMBER + 1)]), "at most 9223372036854775807"),
        ] {
            let error = connection.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
