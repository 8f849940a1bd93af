use std::fmt;

/// How important a record is; each class of a device is numbered by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Given up first when the edge's disk is full.
    Low,
    /// What is produced day by day.
    Normal,
    /// What somebody waits for.
    High,
}

impl Class {
    /// All, the least important first: the place is the code.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Its code in the database and on the wire: 0, 1 or 2.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The class of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Its name in messages.
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
