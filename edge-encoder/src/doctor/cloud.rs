use std::time::{Duration, SystemTime};

use crate::connection::{CloudTarget, WireCounters};
use lopside_proto::v1::ingest_service_client::IngestServiceClient;
use tonic::{Code, Request, Status};

use super::Finding;
use crate::{EdgeError, agent::AgentSettings};

/// Time limit for the cloud's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum difference of the clocks: frames are archived by the edge's clock.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5);

/// Checks whether the cloud can be reached, accepts frames, and agrees on the time.
pub(super) async fn examine(settings: &AgentSettings) -> Vec<Finding> {
    match probe(settings).await {
        Ok(status) => {
            let clock = status.metadata().get("date").and_then(|date| date.to_str().ok()).map(compare_clock);
            std::iter::once(judge_answer(settings, &status)).chain(clock).collect()
        }
        Err(error) => {
            let fix = "check that the address is correct, the server is running, and no firewall blocks the connection";
            vec![Finding::bad("cloud", error, fix)]
        }
    }
}

/// Starts an upload without a hello: the cloud's answer shows whether it would accept frames.
async fn probe(settings: &AgentSettings) -> Result<Status, EdgeError> {
    let target = CloudTarget::new(&settings.endpoint, &settings.security)?;
    let channel = target.connect(&WireCounters::default(), Some(ANSWER_TIMEOUT)).await?;
    let mut request = Request::new(tokio_stream::empty());
    if let Some(bearer) = target.bearer() {
        request.metadata_mut().insert("authorization", bearer);
    }
    let answered = async {
        let mut answers = IngestServiceClient::new(channel).upload(request).await?;
        let date = answers.metadata().get("date").cloned();
        let mut status = answers.get_mut().message().await.err().unwrap_or_else(|| Status::ok(""));
        if let Some(date) = date {
            status.metadata_mut().insert("date", date);
        }
        Ok::<_, Status>(status)
    };
    Ok(answered.await.unwrap_or_else(|status| status))
}

fn judge_answer(settings: &AgentSettings, status: &Status) -> Finding {
    let (what, said) = ("cloud", format!("{}: {}", settings.endpoint, status.message()));
    match status.code() {
        // The cloud has an archive and expected a hello.
        Code::InvalidArgument | Code::Ok => {
            Finding::good(what, format!("{} accepts frames", settings.endpoint))
        }
        Code::FailedPrecondition => Finding::bad(what, said, "start cloud-decoder with --archive"),
        Code::Unimplemented => {
            Finding::bad(what, said, "use a cloud-decoder of the same version as this program")
        }
        Code::Unauthenticated | Code::PermissionDenied => Finding::bad(
            what,
            said,
            "give the agent an API key with the scope ingest: cloud-decoder key NAME --allow ingest",
        ),
        _ => Finding::poor(what, said, "check the server's log; the agent keeps retrying"),
    }
}

/// Compares the clock with the cloud's, which has a resolution of one second.
fn compare_clock(date: &str) -> Finding {
    let Ok(theirs) = httpdate::parse_http_date(date) else {
        return Finding::poor(
            "clock",
            format!("the server sent {date:?}, which is not a date"),
            "check which server answers at this address",
        );
    };
    let now = SystemTime::now();
    let skew = now.duration_since(theirs).unwrap_or_else(|ahead| ahead.duration());
    let found = format!("differs from the cloud's clock by {} s", skew.as_secs());
    if skew <= MAX_CLOCK_SKEW {
        Finding::good("clock", found)
    } else {
        Finding::poor(
            "clock",
            found,
            "set the clock (timedatectl set-ntp true), because frames are listed by capture time",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_clock_that_is_off_is_told() {
        let at = |time| compare_clock(&httpdate::fmt_http_date(time)).verdict;
        assert_eq!(at(SystemTime::now()), Verdict::Good);
        assert_eq!(at(SystemTime::now() - Duration::from_mins(10)), Verdict::Poor);
        assert_eq!(at(SystemTime::now() + Duration::from_mins(10)), Verdict::Poor);
        assert_eq!(compare_clock("yesterday").verdict, Verdict::Poor);
    }
}
