use std::fmt;

/// The priority class of a record. Each class of a device has its own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Records that are dropped first when the device's disk is full.
    Low,
    /// Records of everyday operation.
    Normal,
    /// Urgent records that someone is waiting for.
    High,
}

impl Class {
    /// All classes, the least important first: the index is the code.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Returns the code of the class in the database and on the wire: 0, 1 or 2.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns the class with this code, or `None` for an unknown code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Returns the name of the class, as in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
