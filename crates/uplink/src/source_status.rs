use lopside_delivery::{
    MAX_PROBLEM_BYTES, MAX_REPORTED_SOURCES, MAX_SOURCE_NAME_BYTES, SourceCondition, shorten_text,
};
use lopside_proto::v1::{self, SourceReport, SourceReports};
use tokio::time::Instant;

/// The state of a source of the device, of which the cloud is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// The name of the source, unique on the device.
    pub name: String,
    /// The condition of the source.
    pub condition: SourceCondition,
    /// Number of times that the source was started again because it was silent.
    pub restarts: u64,
    /// Time of the last input; `None` before the first one.
    pub last_input_at: Option<Instant>,
    /// The most recent problem, in words for people; `None` without one.
    pub problem: Option<String>,
}

impl SourceStatus {
    /// Returns whether nothing has happened to the source between two states that the cloud has to be told of. Each
    /// input and each new problem alone would be a message of its own.
    #[must_use]
    pub fn has_same_events(&self, other: &Self) -> bool {
        let events = |status: &Self| (status.condition, status.restarts, status.problem.is_some());
        self.name == other.name && events(self) == events(other)
    }

    fn to_report(&self, now: Instant) -> SourceReport {
        let since_last_input = self.last_input_at.map(|at| now.saturating_duration_since(at).as_millis());
        let problem = self.problem.as_deref().unwrap_or_default();
        SourceReport {
            name: shorten_text(&self.name, MAX_SOURCE_NAME_BYTES).to_owned(),
            condition: v1::SourceCondition::from(self.condition).into(),
            restarts: self.restarts,
            since_last_input_ms: since_last_input.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            problem: shorten_text(problem, MAX_PROBLEM_BYTES).to_owned(),
        }
    }
}

/// Returns the message about these sources at this time. Sources that do not work come first, in case there are too
/// many.
pub(crate) fn build_reports(statuses: &[SourceStatus], now: Instant) -> SourceReports {
    let mut ordered: Vec<&SourceStatus> = statuses.iter().collect();
    ordered.sort_by_key(|status| status.condition == SourceCondition::Working);
    let omitted = ordered.len().saturating_sub(MAX_REPORTED_SOURCES) as u32;
    let sources = ordered.into_iter().take(MAX_REPORTED_SOURCES).map(|status| status.to_report(now));
    SourceReports { sources: sources.collect(), omitted }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn status(name: &str, condition: SourceCondition) -> SourceStatus {
        SourceStatus { name: name.into(), condition, restarts: 0, last_input_at: None, problem: None }
    }

    #[test]
    fn inputs_and_other_words_for_a_problem_are_no_events() {
        let before = status("gate", SourceCondition::Working);
        let delivered = SourceStatus { last_input_at: Some(Instant::now()), ..before.clone() };
        assert!(before.has_same_events(&delivered));
        let failed = |problem: &str| SourceStatus { problem: Some(problem.into()), ..before.clone() };
        assert!(failed("a.jpg is damaged").has_same_events(&failed("b.jpg is damaged")));
        assert!(!before.has_same_events(&failed("a.jpg is damaged")));
        assert!(!before.has_same_events(&status("gate", SourceCondition::Silent)));
        assert!(!before.has_same_events(&SourceStatus { restarts: 1, ..before.clone() }));
        assert!(!before.has_same_events(&status("door", SourceCondition::Working)));
    }

    #[test]
    fn a_report_has_the_time_since_the_last_input_and_the_beginning_of_the_problem() {
        let start = Instant::now();
        let source = SourceStatus {
            restarts: 3,
            last_input_at: Some(start),
            problem: Some("ü".repeat(200)),
            ..status("gate", SourceCondition::Silent)
        };
        let report = build_reports(&[source], start + Duration::from_millis(1500));
        let expected = SourceReport {
            name: "gate".into(),
            condition: v1::SourceCondition::Silent.into(),
            restarts: 3,
            since_last_input_ms: Some(1500),
            problem: "ü".repeat(128),
        };
        assert_eq!(report, SourceReports { sources: vec![expected], omitted: 0 });
    }

    #[test]
    fn of_too_many_sources_those_that_do_not_work_are_reported() {
        let mut sources: Vec<SourceStatus> =
            (0..70).map(|number| status(&format!("camera-{number}"), SourceCondition::Working)).collect();
        sources[69].condition = SourceCondition::Ended;
        sources[68].condition = SourceCondition::Silent;
        let report = build_reports(&sources, Instant::now());
        let names: Vec<&str> = report.sources.iter().map(|source| &source.name[..]).collect();
        assert_eq!((names.len(), report.omitted), (64, 6));
        assert_eq!(names[..3], ["camera-68", "camera-69", "camera-0"]);
    }
}
