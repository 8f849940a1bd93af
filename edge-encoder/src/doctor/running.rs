use super::Finding;
use crate::agent::{AgentSettings, SourceReport, request_status};

/// Checks what a running agent reports about its sources; nothing if none answers.
pub(super) fn examine(settings: &AgentSettings) -> Vec<Finding> {
    let report = settings.socket.as_deref().and_then(|socket| request_status(socket).ok());
    let sources = report.map(|report| report.sources).unwrap_or_default();
    sources.iter().flat_map(|source| [examine_source(source), examine_inputs(source)]).flatten().collect()
}

/// Reports the inputs of a source that were not encoded, or that were encoded although they are unusual.
fn examine_inputs(source: &SourceReport) -> Option<Finding> {
    let subject = format!("inputs of running source {}", source.name);
    let counts = [
        ("could not be read or encoded", source.failed),
        ("were damaged", source.damaged),
        ("were encoded although damaged, and marked", source.marked_damaged),
        ("were scaled down to what the cloud decodes", source.scaled),
    ];
    let counts = counts.into_iter().map(|(label, count)| (label.to_owned(), count));
    let warnings = source.warnings.iter();
    let warnings = warnings.map(|(name, count)| (format!("were encoded with the warning {name}"), *count));
    let counted = counts.chain(warnings).filter(|(_, count)| *count > 0);
    let listed: Vec<String> = counted.map(|(label, count)| format!("{count} {label}")).collect();
    if listed.is_empty() {
        return None;
    }
    let found = format!("of {} inputs, {}", source.captured, listed.join(", "));
    if listed.len() == 1 && source.scaled > 0 {
        // The settings ask for it.
        return Some(Finding::good(subject, found));
    }
    let reason = source.last_error.as_ref().map(|error| format!("; the last problem: {error}"));
    let fix = "the log of the agent has each reason with its remedy; files that were refused are in the folder failed/";
    Some(Finding::poor(subject, found + &reason.unwrap_or_default(), fix))
}

fn examine_source(source: &SourceReport) -> Option<Finding> {
    let subject = format!("running source {}", source.name);
    let error = source.last_error.as_deref().unwrap_or("there was no error");
    if source.is_silent {
        let since = match source.last_input_seconds {
            Some(seconds) => format!("it has delivered nothing for {seconds} s"),
            None => "it has not delivered anything since the start of the agent".to_owned(),
        };
        let found = format!("{since}, and was started again {} times; {error}", source.restarts);
        let fix = "check the camera, the program or the folder; raise silence_seconds if the source may be silent for longer";
        return Some(Finding::poor(subject, found, fix));
    }
    if source.has_ended {
        let fix = "restart the agent, or write restart = \"always\" if the program should be started again";
        return Some(Finding::poor(subject, format!("it has ended; {error}"), fix));
    }
    (source.restarts > 0).then(|| {
        let found = format!("it was silent for too long, and was started again {} times", source.restarts);
        Finding::poor(subject, found, "check its power, its cable and the log of its program at level debug")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    /// Returns the report of a source with these further members.
    fn source(text: &str) -> SourceReport {
        let json = format!(
            "{{\"name\": \"gate\", \"captured\": 5, \"encoded\": 5, \"bytes\": 9, \"too_fast\": 0, \"unchanged\": 0, \
             \"damaged\": 0, \"failed\": 0, \"last_error\": null{text}}}"
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn inputs_that_were_refused_or_are_unusual_are_counted() {
        assert_eq!(examine_inputs(&source("")), None);
        let scaled = examine_inputs(&source(", \"scaled\": 2")).unwrap();
        assert_eq!(scaled.verdict, Verdict::Good);
        assert_eq!(scaled.found, "of 5 inputs, 2 were scaled down to what the cloud decodes");
        let unusual = ", \"scaled\": 2, \"marked_damaged\": 3, \"warnings\": {\"hdr\": 1}";
        let unusual = examine_inputs(&source(unusual)).unwrap();
        assert_eq!(unusual.verdict, Verdict::Poor);
        for part in
            ["3 were encoded although damaged", "2 were scaled", "1 were encoded with the warning hdr"]
        {
            assert!(unusual.found.contains(part), "{}", unusual.found);
        }
        let mut failed = source("");
        (failed.failed, failed.last_error) = (4, Some("a.heic is a HEIC image".into()));
        let finding = examine_inputs(&failed).unwrap();
        assert_eq!(finding.verdict, Verdict::Poor);
        assert!(
            finding
                .found
                .ends_with("4 could not be read or encoded; the last problem: a.heic is a HEIC image")
        );
    }

    #[test]
    fn a_source_that_is_silent_or_has_ended_is_reported() {
        let found = |text: &str| examine_source(&source(text)).map(|finding| finding.found);
        assert_eq!(found(""), None);
        assert!(found(", \"is_silent\": true, \"last_input_seconds\": 700").unwrap().contains("700 s"));
        assert!(found(", \"is_silent\": true").unwrap().contains("since the start"));
        assert!(found(", \"has_ended\": true").unwrap().contains("has ended"));
        assert!(found(", \"restarts\": 3").unwrap().contains("3 times"));
    }
}
