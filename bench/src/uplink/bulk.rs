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

/// How many small frames there are.
pub(super) const FRAMES: u64 = 20_000;
/// Bytes of one.
pub(super) const FRAME: usize = 25;
/// How long a connection is left alone before a frame goes alone.
const REST: Duration = Duration::from_secs(2);

/// What small frames take, in bytes on the wire for each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bulk {
    /// More than their own, both ways.
    pub(super) more: f64,
    /// Of that to the cloud.
    pub(super) more_up: f64,
    /// The bytes of the frame that goes alone.
    pub(super) frame: f64,
    /// More than its own, both ways.
    pub(super) alone: f64,
    /// Of that to the cloud.
    pub(super) alone_up: f64,
}

/// An agent with small frames: all are sent, and then a picture's alone.
pub(super) async fn measure(home: &Home, relay: &Relay) -> Result<Bulk, BenchError> {
    backlog::fill(home, FRAMES, FRAME)?;
    relay.open();
    let before = relay.traffic();
    let mut agent = home.start()?;
    agent.until("all is sent", |report| counted(report, Class::Normal).delivered == FRAMES).await?;
    let [more, more_up] = beside(relay.traffic().since(before), FRAMES, FRAME as f64);
    sleep(REST).await;
    let (frame, passed) = alone(home, &mut agent, relay).await?;
    let [alone, alone_up] = beside(passed, 1, frame);
    relay.cut();
    Ok(Bulk { more, more_up, frame, alone, alone_up })
}

/// A picture's frame goes alone: its bytes, and what passes for it.
async fn alone(home: &Home, agent: &mut Agent, relay: &Relay) -> Result<(f64, Traffic), BenchError> {
    let before = relay.traffic();
    home.put()?;
    let sent = agent.until("it is sent", |report| counted(report, Class::High).delivered == 1).await?;
    let source = sent.sources.first().ok_or_else(|| failed("the agent has no source"))?;
    Ok((source.bytes as f64, relay.traffic().since(before)))
}

/// What is on the wire beside so many frames' own bytes, for each: both ways, and of that to the cloud.
fn beside(passed: Traffic, frames: u64, len: f64) -> [f64; 2] {
    [passed.bytes(), passed.bytes_up()].map(|bytes| bytes as f64 / frames as f64 - len)
}
