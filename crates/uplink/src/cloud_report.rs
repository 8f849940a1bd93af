//! The cloud's report at the start of a connection: which frames it has, and which it has lost.

use std::ops::RangeInclusive;

use lopside_delivery::Class;
use lopside_proto::v1::{FrameClass, Known, Lost, NumberRange, Welcome};
use lopside_spool::{LossOutcome, Spool, SpoolError, Storage};

use crate::UplinkError;

/// Maximum number of ranges that a log message lists.
const MAX_LOGGED_RANGES: usize = 16;

/// The report, per class in the order of [`Class::ALL`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CloudReport([ClassReport; Class::ALL.len()]);

/// The report about one class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ClassReport {
    received: Vec<EpochRanges>,
    lost: Vec<RangeInclusive<u64>>,
}

/// The numbers of one epoch that the cloud has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EpochRanges {
    /// 0 if the cloud does not state the epoch.
    epoch: u64,
    ranges: Vec<RangeInclusive<u64>>,
}

/// The result of [`CloudReport::apply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// The spool knows now which records the cloud has.
    Resolved,
    /// The spool was set back and has another name now. Nothing of the report was applied.
    Renamed { previous_name: u32, name: u32 },
}

impl CloudReport {
    /// Parses a welcome.
    ///
    /// # Errors
    /// [`UplinkError::UnexpectedAnswer`].
    pub(crate) fn parse(welcome: Welcome) -> Result<Self, UplinkError> {
        let mut report = Self::default();
        for Known { class, ranges, epoch } in welcome.known {
            let ranges = ranges.into_iter().map(|range| range.first..=range.last).collect();
            report.class_mut(class)?.received.push(EpochRanges { epoch, ranges });
        }
        for Lost { class, range } in welcome.lost {
            let NumberRange { first, last } =
                range.ok_or(UplinkError::UnexpectedAnswer("a loss without a range"))?;
            if first == 0 || last < first {
                return Err(UplinkError::UnexpectedAnswer("a loss of frames that cannot exist"));
            }
            report.class_mut(class)?.lost.push(first..=last);
        }
        Ok(report)
    }

    fn class_mut(&mut self, class: i32) -> Result<&mut ClassReport, UplinkError> {
        let class =
            FrameClass::try_from(class).map_err(|_| UplinkError::UnexpectedAnswer("an unknown class"))?;
        Ok(&mut self.0[Class::from(class).index()])
    }

    /// Returns whether the cloud has lost frames that it has never acknowledged to a spool with these acknowledged
    /// numbers.
    pub(crate) fn has_implausible_loss(&self, acknowledged: [u64; Class::ALL.len()]) -> bool {
        let mut classes = self.0.iter().zip(acknowledged);
        classes.any(|(report, acknowledged)| report.lost.iter().any(|range| *range.end() > acknowledged))
    }

    /// Applies the report to the spool, unless it shows that the spool was set back to an earlier state: then the
    /// spool takes a new name.
    pub(crate) fn apply<S: Storage>(&self, spool: &mut Spool<S>) -> Result<Resolution, SpoolError> {
        if let Some((class, number)) = self.find_unknown(spool)? {
            return rename(spool, class, number);
        }
        for (class, report) in Class::ALL.into_iter().zip(&self.0) {
            let received: Vec<RangeInclusive<u64>> =
                report.received.iter().flat_map(|epoch| epoch.ranges.iter().cloned()).collect();
            spool.resolve_received(class, &received)?;
            if !report.lost.is_empty() {
                log_loss(class, &report.lost, spool.reopen_lost(class, &report.lost)?);
            }
        }
        Ok(Resolution::Resolved)
    }

    /// Returns the first frame that the cloud has or has lost, and that the spool does not know.
    fn find_unknown<S: Storage>(&self, spool: &mut Spool<S>) -> Result<Option<(Class, u64)>, SpoolError> {
        for (class, report) in Class::ALL.into_iter().zip(&self.0) {
            for EpochRanges { epoch, ranges } in report.received.iter().filter(|epoch| epoch.epoch > 0) {
                if let Some(number) = spool.find_unknown(class, *epoch, ranges)? {
                    return Ok(Some((class, number)));
                }
            }
            // The cloud acknowledged more to this spool than the spool remembers.
            let acknowledged = spool.acknowledged_on_disk(class);
            let forgotten = report.lost.iter().filter(|range| *range.end() > acknowledged);
            if let Some(number) = forgotten.map(|range| *range.start().max(&(acknowledged + 1))).min() {
                return Ok(Some((class, number)));
            }
        }
        Ok(None)
    }
}

/// Gives a spool that was set back a new name.
fn rename<S: Storage>(spool: &mut Spool<S>, class: Class, number: u64) -> Result<Resolution, SpoolError> {
    let previous_name = spool.take_new_name(rand::random())?;
    let name = spool.name();
    tracing::warn!(
        previous_name,
        name,
        %class,
        first_unknown_number = number,
        "the cloud knows frames of this spool that the spool does not know: it was copied or set back to an earlier \
         state; its frames are sent under a new name"
    );
    Ok(Resolution::Renamed { previous_name, name })
}

/// Logs a loss. The cloud reports it on each connection, until it has the frames again.
fn log_loss(class: Class, lost: &[RangeInclusive<u64>], outcome: LossOutcome) {
    let LossOutcome { reopened, gone } = outcome;
    let ranges = ranges_text(lost);
    if reopened == 0 && gone == 0 {
        tracing::debug!(%class, ranges, "the cloud still reports lost frames");
        return;
    }
    tracing::error!(
        %class,
        ranges,
        sent_again = reopened,
        lost = gone,
        "the archive was set back to an earlier state and has lost frames that it had acknowledged"
    );
}

fn ranges_text(ranges: &[RangeInclusive<u64>]) -> String {
    let listed = ranges.iter().take(MAX_LOGGED_RANGES);
    let mut texts: Vec<String> = listed.map(|range| format!("{}-{}", range.start(), range.end())).collect();
    if ranges.len() > MAX_LOGGED_RANGES {
        texts.push(format!("and {} more ranges", ranges.len() - MAX_LOGGED_RANGES));
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(class: FrameClass, first: u64, last: u64) -> Lost {
        Lost { class: class.into(), range: Some(NumberRange { first, last }) }
    }

    #[test]
    fn a_welcome_is_sorted_by_class_and_epoch() {
        let known = |class: FrameClass, epoch, first, last| {
            let ranges = vec![NumberRange { first, last }];
            Known { class: class.into(), ranges, epoch }
        };
        let welcome = Welcome {
            known: vec![known(FrameClass::High, 7, 1, 2), known(FrameClass::High, 0, 5, 5)],
            lost: vec![lost(FrameClass::Low, 3, 9)],
            ..Welcome::default()
        };
        let CloudReport([low, normal, high]) = CloudReport::parse(welcome).unwrap();
        assert_eq!((&low.lost[..], &normal), (&[3..=9][..], &ClassReport::default()));
        let expected =
            [(7, 1..=2), (0, 5..=5)].map(|(epoch, range)| EpochRanges { epoch, ranges: vec![range] });
        assert_eq!((high.received, high.lost), (expected.to_vec(), Vec::new()));
    }

    #[test]
    fn a_loss_that_makes_no_sense_is_refused() {
        let cases = [
            (lost(FrameClass::Low, 0, 9), "frames that cannot exist"),
            (lost(FrameClass::Low, 9, 8), "frames that cannot exist"),
            (Lost { class: FrameClass::Low.into(), range: None }, "a loss without a range"),
            (Lost { class: 3, ..lost(FrameClass::Low, 1, 1) }, "an unknown class"),
        ];
        for (lost, expected) in cases {
            let welcome = Welcome { lost: vec![lost], ..Welcome::default() };
            let error = CloudReport::parse(welcome).unwrap_err();
            assert!(matches!(error, UplinkError::UnexpectedAnswer(_)), "{error:?}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_loss_must_have_been_acknowledged() {
        let welcome = Welcome { lost: vec![lost(FrameClass::Normal, 3, 9)], ..Welcome::default() };
        let report = CloudReport::parse(welcome).unwrap();
        assert!(!report.has_implausible_loss([0, 9, 0]));
        assert!(report.has_implausible_loss([9, 8, 9]));
    }

    #[test]
    fn a_long_list_of_ranges_is_cut() {
        let ranges: Vec<RangeInclusive<u64>> = (1..=18).map(|index| 10 * index..=10 * index + 1).collect();
        let text = ranges_text(&ranges);
        assert!(text.starts_with("10-11, 20-21, ") && text.ends_with("160-161, and 2 more ranges"), "{text}");
    }
}
