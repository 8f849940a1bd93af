use std::time::Duration;

use lopside_spool::Class;
use tokio::time::sleep;

use super::{
    agent::{Agent, Home, counted},
    backlog,
    relay::Relay,
    wire::Traffic,
};
use crate::{BenchError, error::failed};

/// Number of small frames.
pub(super) const FRAMES: u64 = 20_000;
/// Bytes per small frame.
pub(super) const FRAME: usize = 25;
/// Time for which a connection is left idle before a single frame is sent.
const REST: Duration = Duration::from_secs(2);

/// The overhead of small frames, in bytes on the wire per frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bulk {
    /// Overhead in both directions together.
    pub(super) more: f64,
    /// The part of `more` that goes to the cloud.
    pub(super) more_up: f64,
    /// Bytes of the single frame.
    pub(super) frame: f64,
    /// Overhead of the single frame, in both directions together.
    pub(super) alone: f64,
    /// The part of `alone` that goes to the cloud.
    pub(super) alone_up: f64,
}

/// Measures an agent with small frames: all of them are sent, followed by the single frame of an image.
pub(super) async fn measure(home: &Home, relay: &Relay) -> Result<Bulk, BenchError> {
    backlog::fill(home, FRAMES, FRAME)?;
    relay.open();
    let before = relay.traffic();
    let mut agent = home.start()?;
    agent
        .until("all frames are acknowledged", |report| counted(report, Class::Normal).delivered == FRAMES)
        .await?;
    let [more, more_up] = beside(relay.traffic().since(before), FRAMES, FRAME as f64);
    sleep(REST).await;
    let (frame, passed) = alone(home, &mut agent, relay).await?;
    let [alone, alone_up] = beside(passed, 1, frame);
    relay.cut();
    Ok(Bulk { more, more_up, frame, alone, alone_up })
}

/// Sends the frame of an image alone; returns its size in bytes and its traffic.
async fn alone(home: &Home, agent: &mut Agent, relay: &Relay) -> Result<(f64, Traffic), BenchError> {
    let before = relay.traffic();
    home.put()?;
    let sent = agent
        .until("the frame is acknowledged", |report| counted(report, Class::High).delivered == 1)
        .await?;
    let source = sent.sources.first().ok_or_else(|| failed("the agent's status does not list a source"))?;
    Ok((source.bytes as f64, relay.traffic().since(before)))
}

/// Returns the overhead per frame in bytes on the wire: in both directions together, and the part that goes
/// to the cloud.
fn beside(passed: Traffic, frames: u64, len: f64) -> [f64; 2] {
    [passed.bytes(), passed.bytes_up()].map(|bytes| bytes as f64 / frames as f64 - len)
}
