use std::time::{Duration, SystemTime};

use crate::connection::{CloudTarget, WireCounters};
use lopside_delivery::MAX_PIXELS_METADATA;
use lopside_proto::v1::ingest_service_client::IngestServiceClient;
use tonic::{Code, Request, Status};

use super::Finding;
use crate::{ConnectionError, EdgeError, agent::AgentSettings};

/// Time limit for the cloud's response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum difference of the clocks: frames are archived by the edge's clock.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5);
/// The metadata of the cloud's response that are looked at.
const STATED: [&str; 2] = ["date", MAX_PIXELS_METADATA];

/// Checks whether the cloud can be reached, accepts frames, and agrees on the time.
pub(super) async fn examine(settings: &AgentSettings) -> Vec<Finding> {
    match probe(settings).await {
        Ok(status) => {
            let clock = status.metadata().get("date").and_then(|date| date.to_str().ok()).map(compare_clock);
            std::iter::once(judge_response(settings, &status)).chain(clock).collect()
        }
        Err(error) => {
            let fix = match &error {
                EdgeError::Connection(ConnectionError::Proxy { .. }) => {
                    "check the address of the proxy (proxy = … in the config file, or the variables https_proxy and http_proxy), \
                     and that it permits CONNECT to the port of the cloud-decoder"
                }
                _ => {
                    "check that the address is correct, the server is running, and no firewall blocks the connection"
                }
            };
            vec![Finding::bad("cloud", error, fix)]
        }
    }
}

/// Returns the proxy on the way; nothing without one or without a valid address.
pub(super) fn examine_proxy(settings: &AgentSettings) -> Option<Finding> {
    let target = CloudTarget::new(&settings.endpoint, &settings.security).ok()?;
    Some(Finding::good("proxy", format!("connections to the cloud go through {}", target.proxy()?)))
}

/// Checks whether others could read the API key on its way; returns nothing without a key or a valid address.
pub(super) fn examine_key(settings: &AgentSettings) -> Option<Finding> {
    let target = CloudTarget::new(&settings.endpoint, &settings.security).ok()?;
    target.bearer()?;
    Some(if target.exposes_key() {
        Finding::poor(
            "key",
            format!("the API key is sent unencrypted to {}", settings.endpoint),
            "use an https:// address, so that nobody on the way can read the key and send frames as this device",
        )
    } else {
        Finding::good("key", format!("the API key cannot be read on its way to {}", settings.endpoint))
    })
}

/// Starts an upload without a hello: the cloud's response shows whether it would accept frames.
async fn probe(settings: &AgentSettings) -> Result<Status, EdgeError> {
    let target = CloudTarget::new(&settings.endpoint, &settings.security)?;
    let channel = target.connect(&WireCounters::default(), Some(RESPONSE_TIMEOUT)).await?;
    let mut request = Request::new(tokio_stream::empty());
    if let Some(bearer) = target.bearer() {
        request.metadata_mut().insert("authorization", bearer);
    }
    let response = async {
        let mut responses = IngestServiceClient::new(channel).upload(request).await?;
        let stated = STATED.map(|name| (name, responses.metadata().get(name).cloned()));
        let mut status = responses.get_mut().message().await.err().unwrap_or_else(|| Status::ok(""));
        for (name, value) in stated {
            if let Some(value) = value {
                status.metadata_mut().insert(name, value);
            }
        }
        Ok::<_, Status>(status)
    };
    Ok(response.await.unwrap_or_else(|status| status))
}

fn judge_response(settings: &AgentSettings, status: &Status) -> Finding {
    let (subject, message) = ("cloud", format!("{}: {}", settings.endpoint, status.message()));
    match status.code() {
        // The cloud has an archive and expected a hello.
        Code::InvalidArgument | Code::Ok => {
            Finding::good(subject, format!("{} accepts frames{}", settings.endpoint, describe_limit(status)))
        }
        Code::FailedPrecondition => Finding::bad(subject, message, "start cloud-decoder with --archive"),
        Code::Unimplemented => {
            Finding::bad(subject, message, "use a cloud-decoder of the same version as this program")
        }
        Code::Unauthenticated | Code::PermissionDenied => Finding::bad(
            subject,
            message,
            "give the agent an API key with the scope ingest: cloud-decoder key NAME --allow ingest",
        ),
        _ => Finding::poor(subject, message, "check the server's log; the agent keeps retrying"),
    }
}

/// Returns the end of a sentence with the largest image that the cloud decodes, if it says so.
fn describe_limit(status: &Status) -> String {
    let stated = status.metadata().get(MAX_PIXELS_METADATA).and_then(|pixels| pixels.to_str().ok());
    match stated.and_then(|pixels| pixels.parse::<u64>().ok()) {
        Some(max_pixels) => {
            format!(" and decodes images of up to {} megapixels", max_pixels as f64 / 1e6)
        }
        None => String::new(),
    }
}

/// Compares the clock with the cloud's, which has a resolution of one second.
fn compare_clock(date: &str) -> Finding {
    let Ok(cloud_time) = httpdate::parse_http_date(date) else {
        return Finding::poor(
            "clock",
            format!("the server sent {date:?}, which is not a date"),
            "check which server answers at this address",
        );
    };
    let now = SystemTime::now();
    let skew = now.duration_since(cloud_time).unwrap_or_else(|error| error.duration());
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
    fn the_largest_image_is_named_if_the_cloud_states_it() {
        let mut status = Status::ok("");
        assert_eq!(describe_limit(&status), "");
        for (stated, expected) in [
            ("40000000", " and decodes images of up to 40 megapixels"),
            ("1500000", " and decodes images of up to 1.5 megapixels"),
            ("many", ""),
        ] {
            status.metadata_mut().insert(MAX_PIXELS_METADATA, stated.parse().unwrap());
            assert_eq!(describe_limit(&status), expected);
        }
    }

    #[test]
    fn a_clock_difference_is_reported() {
        let verdict_at = |time| compare_clock(&httpdate::fmt_http_date(time)).verdict;
        assert_eq!(verdict_at(SystemTime::now()), Verdict::Good);
        assert_eq!(verdict_at(SystemTime::now() - Duration::from_mins(10)), Verdict::Poor);
        assert_eq!(verdict_at(SystemTime::now() + Duration::from_mins(10)), Verdict::Poor);
        assert_eq!(compare_clock("yesterday").verdict, Verdict::Poor);
    }
}
