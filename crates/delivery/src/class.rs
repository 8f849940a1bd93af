use std::fmt;

/// The priority class of a record. Each class of a device has its own numbers. When the device's disk is
/// full, records of the least important class are dropped first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Records that are dropped first.
    Low,
    /// Records of everyday operation.
    Normal,
    /// Urgent records that someone is waiting for.
    High,
}

impl Class {
    /// All classes, the least important first: the index is the code.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Returns the index of the class in [`ALL`](Self::ALL).
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

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

    /// Returns the name of the class, as in file names and messages.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_survives_its_code() {
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!((class.index(), usize::from(class.code())), (index, index));
            assert_eq!(Class::from_code(class.code()), Some(class));
        }
        assert_eq!(Class::from_code(3), None);
    }
}
