//! Reports of devices about their sources.

use lopside_delivery::{MAX_PROBLEM_BYTES, MAX_REPORTED_SOURCES, MAX_SOURCE_NAME_BYTES, SourceCondition};
use lopside_proto::v1::{SourceReport, SourceReports};

use super::events::{IngestEvent, count_events};
use crate::{
    ServeError,
    archive::device_reports::{DeviceReport, ReportedSource, SourceEvents},
};

/// Converts the report of a device that arrived at this time, in Unix microseconds.
///
/// # Errors
/// [`ServeError::InvalidRequest`] for too many sources, and for invalid names or too long texts.
pub(super) fn parse_report(reports: SourceReports, received_us: i64) -> Result<DeviceReport, ServeError> {
    let SourceReports { sources, omitted } = reports;
    if sources.len() > MAX_REPORTED_SOURCES {
        let count = sources.len();
        return Err(invalid(&format!("has {count} sources, but the limit is {MAX_REPORTED_SOURCES}")));
    }
    let mut parsed: Vec<ReportedSource> = Vec::with_capacity(sources.len());
    for source in sources {
        check_texts(&source)?;
        if parsed.iter().any(|other| other.name == source.name) {
            return Err(invalid(&format!("names the source {:?} twice", source.name)));
        }
        parsed.push(parse_source(source, received_us));
    }
    Ok(DeviceReport { received_us, sources: parsed, omitted })
}

/// Counts and logs what has happened to the sources of a device.
pub(super) fn report_events(device: &str, events: &SourceEvents) {
    let SourceEvents { silent, ended, restarts } = events;
    count_events(IngestEvent::SourceSilent, silent.len() as u64);
    count_events(IngestEvent::SourceEnded, ended.len() as u64);
    count_events(IngestEvent::SourceRestarted, *restarts);
    if !silent.is_empty() {
        let sources = silent.join(", ");
        tracing::warn!(
            device,
            sources,
            "sources of the device are silent: they have not delivered for too long"
        );
    }
    if !ended.is_empty() {
        let sources = ended.join(", ");
        tracing::warn!(device, sources, "sources of the device have ended");
    }
}

fn check_texts(source: &SourceReport) -> Result<(), ServeError> {
    let name_bytes = source.name.len();
    if !(1..=MAX_SOURCE_NAME_BYTES).contains(&name_bytes) {
        let problem = format!(
            "has a source whose name has {name_bytes} bytes: 1 to {MAX_SOURCE_NAME_BYTES} are allowed"
        );
        return Err(invalid(&problem));
    }
    if source.problem.len() > MAX_PROBLEM_BYTES {
        let bytes = source.problem.len();
        return Err(invalid(&format!(
            "has a problem of {bytes} bytes, but the limit is {MAX_PROBLEM_BYTES}"
        )));
    }
    Ok(())
}

fn parse_source(source: SourceReport, received_us: i64) -> ReportedSource {
    let condition = SourceCondition::from(source.condition());
    let last_input_us = source.since_last_input_ms.map(|ms| {
        let us = i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        received_us.saturating_sub(us)
    });
    let SourceReport { name, restarts, problem, .. } = source;
    let problem = Some(problem).filter(|problem| !problem.is_empty());
    ReportedSource { name, condition, restarts, last_input_us, problem }
}

fn invalid(problem: &str) -> ServeError {
    ServeError::InvalidRequest(format!("a report about sources {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_795_824_000_000_000;

    fn source(name: &str) -> SourceReport {
        SourceReport { name: name.into(), ..SourceReport::default() }
    }

    fn parse(sources: Vec<SourceReport>) -> Result<DeviceReport, ServeError> {
        parse_report(SourceReports { sources, omitted: 3 }, NOW_US)
    }

    #[test]
    fn a_message_becomes_a_report() {
        let silent = SourceReport {
            condition: lopside_proto::v1::SourceCondition::Silent.into(),
            restarts: 2,
            since_last_input_ms: Some(1500),
            problem: "no input".into(),
            ..source("camera")
        };
        let future = SourceReport { condition: 77, since_last_input_ms: Some(u64::MAX), ..source("door") };
        let report = parse(vec![silent, future]).unwrap();
        assert_eq!((report.received_us, report.omitted), (NOW_US, 3));
        let expected = ReportedSource {
            name: "camera".into(),
            condition: SourceCondition::Silent,
            restarts: 2,
            last_input_us: Some(NOW_US - 1_500_000),
            problem: Some("no input".into()),
        };
        assert_eq!(report.sources[0], expected);
        let door = &report.sources[1];
        assert_eq!((door.condition, door.problem.as_ref()), (SourceCondition::Unknown, None));
        assert!(door.last_input_us.unwrap() < 0);
    }

    #[test]
    fn reports_beyond_the_limits_are_refused_with_the_reason() {
        let long_problem = SourceReport { problem: "x".repeat(257), ..source("camera") };
        let many = (0..65).map(|number| source(&format!("camera-{number}"))).collect();
        for (sources, expected) in [
            (many, "65 sources, but the limit is 64"),
            (vec![source("")], "0 bytes"),
            (vec![source(&"x".repeat(129))], "129 bytes"),
            (vec![source("camera"), source("camera")], "\"camera\" twice"),
            (vec![long_problem], "a problem of 257 bytes"),
        ] {
            let error = parse(sources).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
