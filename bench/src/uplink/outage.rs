use std::time::Duration;

use lopside_delivery::Class;
use tokio::time::{Instant, sleep};

use super::{
    BACKLOG_FRAME_BYTES, UplinkArgs,
    agent::{Agent, AgentHome, ClassCounts, class_counts},
    relay::Relay,
    wire::Traffic,
};
use crate::BenchError;

/// Time for which the link is used before the drain is measured.
const WARM_UP: Duration = Duration::from_secs(10);
/// Time for which an agent is left idle before its memory is read.
const IDLE_TIME: Duration = Duration::from_secs(2);
/// Images per run.
const IMAGES_PER_RUN: usize = 5;

/// The figures of one agent process.
#[derive(Debug, Clone)]
pub(super) struct OutageFigures {
    /// Time to find the backlog after a start, in milliseconds.
    pub(super) recovery_ms: f64,
    /// Bytes of acknowledged frames, as a share of the link's capacity.
    pub(super) link_share: f64,
    /// Bytes on the wire per acknowledged byte.
    pub(super) wire_bytes_per_byte: f64,
    /// Latency of each image, in milliseconds.
    pub(super) image_latencies_ms: Vec<f64>,
    /// Resident memory after the backlog was found, in bytes.
    pub(super) resident_bytes: f64,
    /// Resident memory while the backlog is sent, in bytes.
    pub(super) sending_bytes: f64,
    /// Frames that are pending at the end.
    pub(super) pending: u64,
}

/// Starts an agent that finds `pending` frames, lets it send, cuts the link repeatedly, and kills the agent.
pub(super) async fn measure_outage(
    home: &AgentHome,
    relay: &Relay,
    options: &UplinkArgs,
    pending: u64,
) -> Result<OutageFigures, BenchError> {
    relay.cut();
    let (mut agent, recovery_ms) = start_and_recover(home, pending).await?;
    sleep(IDLE_TIME).await;
    let resident_bytes = agent.resident_bytes()?;
    relay.open();
    agent.wait_until("the agent is connected", |report| report.uplink.connected).await?;
    sleep(WARM_UP).await;
    let window = Duration::from_secs(options.seconds.get().into());
    let (link_share, wire_bytes_per_byte) = measure_drain(&agent, relay, window).await?;
    let sending_bytes = agent.resident_bytes()?;
    let mut image_latencies_ms = Vec::with_capacity(IMAGES_PER_RUN);
    for _ in 0..IMAGES_PER_RUN {
        image_latencies_ms.push(measure_image_latency(home, &mut agent, relay).await?);
    }
    relay.cut();
    let last_report =
        agent.wait_until("the agent is disconnected", |report| !report.uplink.connected).await?;
    let pending = class_counts(&last_report, Class::Normal).pending;
    Ok(OutageFigures {
        recovery_ms,
        link_share,
        wire_bytes_per_byte,
        image_latencies_ms,
        resident_bytes,
        sending_bytes,
        pending,
    })
}

/// Returns the resident memory of an agent with an empty spool and a cut link, in bytes.
pub(super) async fn idle_resident_bytes(home: &AgentHome, relay: &Relay) -> Result<f64, BenchError> {
    relay.cut();
    let (agent, _) = start_and_recover(home, 0).await?;
    sleep(IDLE_TIME).await;
    agent.resident_bytes()
}

/// Starts an agent and waits until it has found `pending` frames; returns the time in milliseconds as well.
async fn start_and_recover(home: &AgentHome, pending: u64) -> Result<(Agent, f64), BenchError> {
    let mut agent = home.start()?;
    agent
        .wait_until("all frames of the backlog are found", |report| {
            class_counts(report, Class::Normal).pending == pending
        })
        .await?;
    let recovery_ms = milliseconds(agent.started.elapsed());
    Ok((agent, recovery_ms))
}

/// Measures the bytes of acknowledged frames during a window, as a share of the link's capacity, and the
/// bytes on the wire per acknowledged byte.
async fn measure_drain(agent: &Agent, relay: &Relay, window: Duration) -> Result<(f64, f64), BenchError> {
    let (counts_before, traffic_before, start) = read_progress(agent, relay)?;
    sleep(window).await;
    let (counts_after, traffic_after, end) = read_progress(agent, relay)?;
    if counts_after.pending == 0 {
        return Err(BenchError::NoResult {
            reason: "the backlog was sent before the measurement ended: increase --backlog or reduce --seconds",
        });
    }
    let bytes = (counts_after.delivered - counts_before.delivered) as f64 * BACKLOG_FRAME_BYTES as f64;
    let capacity = (end - start).as_secs_f64() * relay.rate();
    Ok((bytes / capacity, traffic_after.since(traffic_before).wire_bytes() as f64 / bytes))
}

/// Returns the counts of the backlog's frames, the link's traffic so far, and the time of the reading.
fn read_progress(agent: &Agent, relay: &Relay) -> Result<(ClassCounts, Traffic, Instant), BenchError> {
    Ok((class_counts(&agent.report()?, Class::Normal), relay.traffic(), Instant::now()))
}

/// Measures the milliseconds until an image behind the backlog is acknowledged after the link is restored.
async fn measure_image_latency(
    home: &AgentHome,
    agent: &mut Agent,
    relay: &Relay,
) -> Result<f64, BenchError> {
    relay.cut();
    agent.wait_until("the agent is disconnected", |report| !report.uplink.connected).await?;
    home.put_image()?;
    let report = agent
        .wait_until("the image is stored", |report| class_counts(report, Class::High).pending == 1)
        .await?;
    let delivered_before = class_counts(&report, Class::High).delivered;
    relay.open();
    agent
        .wait_until("the image is acknowledged", |report| {
            class_counts(report, Class::High).delivered > delivered_before
        })
        .await?;
    let first_byte_at = relay.first_byte_at().ok_or(BenchError::NoResult {
        reason: "the image was acknowledged, but no byte passed through the simulated link",
    })?;
    Ok(milliseconds(first_byte_at.elapsed()))
}

fn milliseconds(duration: Duration) -> f64 {
    1e3 * duration.as_secs_f64()
}
