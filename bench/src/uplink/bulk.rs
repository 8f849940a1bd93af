use std::time::Duration;

use lopside_delivery::Class;
use tokio::time::sleep;

use super::{
    agent::{Agent, AgentHome, class_counts},
    backlog,
    relay::Relay,
    wire::Traffic,
};
use crate::{BenchError, error::NetworkError};

/// Number of small frames.
pub(super) const SMALL_FRAMES: u64 = 20_000;
/// Bytes per small frame.
pub(super) const SMALL_FRAME_BYTES: usize = 25;
/// Time for which a connection is left idle before a single frame is sent.
const IDLE_TIME: Duration = Duration::from_secs(2);

/// The overhead of small frames, in bytes on the wire per frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct BulkFigures {
    /// Overhead in both directions together.
    pub(super) overhead: f64,
    /// The part of `overhead` that goes to the cloud.
    pub(super) overhead_up: f64,
    /// Bytes of the single frame.
    pub(super) single_frame_bytes: f64,
    /// Overhead of the single frame, in both directions together.
    pub(super) single_overhead: f64,
    /// The part of `single_overhead` that goes to the cloud.
    pub(super) single_overhead_up: f64,
}

/// Measures an agent with small frames: all of them are sent, followed by the single frame of an image.
pub(super) async fn measure_bulk(home: &AgentHome, relay: &Relay) -> Result<BulkFigures, BenchError> {
    backlog::fill_spool(home, SMALL_FRAMES, SMALL_FRAME_BYTES)?;
    relay.open();
    let before = relay.traffic();
    let mut agent = home.start()?;
    agent
        .wait_until("all frames are acknowledged", |report| {
            class_counts(report, Class::Normal).delivered == SMALL_FRAMES
        })
        .await?;
    let [overhead, overhead_up] =
        frame_overhead(relay.traffic().since(before), SMALL_FRAMES, SMALL_FRAME_BYTES as f64);
    sleep(IDLE_TIME).await;
    let (single_frame_bytes, traffic) = send_single_frame(home, &mut agent, relay).await?;
    let [single_overhead, single_overhead_up] = frame_overhead(traffic, 1, single_frame_bytes);
    relay.cut();
    Ok(BulkFigures { overhead, overhead_up, single_frame_bytes, single_overhead, single_overhead_up })
}

/// Sends the frame of an image alone; returns its size in bytes and its traffic.
async fn send_single_frame(
    home: &AgentHome,
    agent: &mut Agent,
    relay: &Relay,
) -> Result<(f64, Traffic), BenchError> {
    let before = relay.traffic();
    home.put_image()?;
    let report = agent
        .wait_until("the frame is acknowledged", |report| class_counts(report, Class::High).delivered == 1)
        .await?;
    let source = report.sources.first().ok_or_else(|| NetworkError::UnexpectedResponse {
        reason: "the agent's status does not list a source".to_owned(),
    })?;
    Ok((source.bytes as f64, relay.traffic().since(before)))
}

/// Returns the overhead per frame in bytes on the wire: in both directions together, and the part that goes
/// to the cloud.
fn frame_overhead(traffic: Traffic, frames: u64, len: f64) -> [f64; 2] {
    [traffic.wire_bytes(), traffic.wire_bytes_up()].map(|bytes| bytes as f64 / frames as f64 - len)
}
