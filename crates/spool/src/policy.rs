use std::time::Duration;

/// A segment is closed once it is open for the age limit divided by this number, so that it can expire soon after its
/// oldest record.
const SEGMENTS_PER_LIMIT: u32 = 8;

/// The records that are dropped when the spool is full and less important records cannot make space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DropPolicy {
    /// The new record is refused.
    #[default]
    Newest,
    /// The oldest records of the class are evicted, also if they are in flight. A new record that its producer
    /// [keeps](crate::Spool::try_append) does not evict records of its class.
    Oldest,
}

/// The limits of the records of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassPolicy {
    /// The records that are dropped when the spool is full.
    pub drop_policy: DropPolicy,
    /// Maximum age of a record, delivered or not, since its commit; `None` for no limit. Records that share a segment
    /// are dropped together, up to an eighth of this time later.
    pub max_age: Option<Duration>,
}

impl ClassPolicy {
    /// Returns the time in Unix seconds before which records have expired; `None` if they do not expire.
    pub(crate) fn expires_before(&self, now_s: u32) -> Option<u32> {
        self.max_age.map(|age| subtract(now_s, age))
    }

    /// Returns the time in Unix seconds such that a segment whose first record is older is closed; `None` if records do
    /// not expire.
    pub(crate) fn closes_before(&self, now_s: u32) -> Option<u32> {
        self.max_age.map(|age| subtract(now_s, age / SEGMENTS_PER_LIMIT))
    }
}

fn subtract(now_s: u32, age: Duration) -> u32 {
    now_s.saturating_sub(u32::try_from(age.as_secs()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_nothing_expires() {
        let policy = ClassPolicy::default();
        assert_eq!((policy.expires_before(1000), policy.closes_before(1000)), (None, None));
    }

    #[test]
    fn a_segment_is_closed_long_before_it_expires() {
        let policy = ClassPolicy { max_age: Some(Duration::from_secs(800)), ..ClassPolicy::default() };
        assert_eq!((policy.expires_before(1000), policy.closes_before(1000)), (Some(200), Some(900)));
        let policy = ClassPolicy { max_age: Some(Duration::MAX), ..policy };
        assert_eq!((policy.expires_before(1000), policy.closes_before(1000)), (Some(0), Some(0)));
    }
}
