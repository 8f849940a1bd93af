use lopside_delivery::SourceCondition;

use crate::v1;

impl From<SourceCondition> for v1::SourceCondition {
    fn from(condition: SourceCondition) -> Self {
        match condition {
            SourceCondition::Unknown => Self::Unknown,
            SourceCondition::Working => Self::Working,
            SourceCondition::Silent => Self::Silent,
            SourceCondition::Ended => Self::Ended,
        }
    }
}

impl From<v1::SourceCondition> for SourceCondition {
    fn from(condition: v1::SourceCondition) -> Self {
        match condition {
            v1::SourceCondition::Unknown => Self::Unknown,
            v1::SourceCondition::Working => Self::Working,
            v1::SourceCondition::Silent => Self::Silent,
            v1::SourceCondition::Ended => Self::Ended,
        }
    }
}
