use std::fmt;

/// How important a record is. When the disk is full, the least important go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Given up first.
    Low,
    /// What is produced day by day.
    Normal,
    /// What somebody waits for.
    High,
}

impl Class {
    /// All, the least important first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Its name in files and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
