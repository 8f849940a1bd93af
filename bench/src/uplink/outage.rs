use std::time::Duration;

use lopside_spool::Class;
use tokio::time::{Instant, sleep};

use super::{
    FRAME, UplinkOptions,
    agent::{Agent, Home, counted},
    relay::Relay,
};
use crate::{BenchError, error::failed};

/// Time for which the link is used before the drain is measured.
const WARM_UP: Duration = Duration::from_secs(10);
/// Time for which an agent is left idle before its memory is read.
const REST: Duration = Duration::from_secs(2);
/// Images per run.
const PICTURES: usize = 5;

/// The figures of one agent process.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    /// Time to find the backlog after a start, in milliseconds.
    pub(super) recovery: f64,
    /// Bytes of acknowledged frames, as a share of the link's capacity.
    pub(super) share: f64,
    /// Bytes on the wire per acknowledged byte.
    pub(super) on_the_wire: f64,
    /// Latency of each image, in milliseconds.
    pub(super) waits: Vec<f64>,
    /// Resident memory after the backlog was found, in bytes.
    pub(super) resident: f64,
    /// Resident memory while the backlog is sent, in bytes.
    pub(super) sending: f64,
    /// Frames that are pending at the end.
    pub(super) pending: u64,
}

/// Starts an agent that finds `pending` frames, lets it send, cuts the link repeatedly, and kills the agent.
pub(super) async fn measure(
    home: &Home,
    relay: &Relay,
    options: &UplinkOptions,
    pending: u64,
) -> Result<Outage, BenchError> {
    relay.cut();
    let (mut agent, recovery) = found(home, pending).await?;
    sleep(REST).await;
    let resident = agent.resident()?;
    relay.open();
    agent.until("the agent is connected", |report| report.uplink.connected).await?;
    sleep(WARM_UP).await;
    let window = Duration::from_secs(options.seconds.get().into());
    let (share, on_the_wire) = drained(&agent, relay, window).await?;
    let sending = agent.resident()?;
    let mut waits = Vec::with_capacity(PICTURES);
    for _ in 0..PICTURES {
        waits.push(waited(home, &mut agent, relay).await?);
    }
    relay.cut();
    let last = agent.until("the agent is disconnected", |report| !report.uplink.connected).await?;
    let pending = counted(&last, Class::Normal).pending;
    Ok(Outage { recovery, share, on_the_wire, waits, resident, sending, pending })
}

/// Returns the resident memory of an agent with an empty spool and a cut link, in bytes.
pub(super) async fn resident(home: &Home, relay: &Relay) -> Result<f64, BenchError> {
    relay.cut();
    let (agent, _) = found(home, 0).await?;
    sleep(REST).await;
    agent.resident()
}

/// Starts an agent and waits until it has found `pending` frames; returns the time in milliseconds as well.
async fn found(home: &Home, pending: u64) -> Result<(Agent, f64), BenchError> {
    let mut agent = home.start()?;
    agent
        .until("all frames of the backlog are found", |report| {
            counted(report, Class::Normal).pending == pending
        })
        .await?;
    let recovery = milliseconds(agent.started.elapsed());
    Ok((agent, recovery))
}

/// Measures the bytes of acknowledged frames during a window, as a share of the link's capacity, and the
/// bytes on the wire per acknowledged byte.
async fn drained(agent: &Agent, relay: &Relay, window: Duration) -> Result<(f64, f64), BenchError> {
    let look =
        || Ok::<_, BenchError>((counted(&agent.report()?, Class::Normal), relay.traffic(), Instant::now()));
    let (before, traffic, start) = look()?;
    sleep(window).await;
    let (after, now, end) = look()?;
    if after.pending == 0 {
        return Err(failed(
            "the backlog was sent before the measurement ended: increase --backlog or reduce --seconds",
        ));
    }
    let bytes = (after.delivered - before.delivered) as f64 * FRAME as f64;
    let carried = (end - start).as_secs_f64() * relay.rate();
    Ok((bytes / carried, now.since(traffic).bytes() as f64 / bytes))
}

/// Measures the milliseconds until an image behind the backlog is acknowledged after the link is restored.
async fn waited(home: &Home, agent: &mut Agent, relay: &Relay) -> Result<f64, BenchError> {
    relay.cut();
    agent.until("the agent is disconnected", |report| !report.uplink.connected).await?;
    home.put()?;
    let important = |report: &_| counted(report, Class::High);
    let stored = agent.until("the image is stored", |report| important(report).pending == 1).await?;
    let before = important(&stored).delivered;
    relay.open();
    agent.until("the image is acknowledged", |report| important(report).delivered > before).await?;
    let begun = relay
        .begun()
        .ok_or_else(|| failed("the image was acknowledged, but no byte passed through the simulated link"))?;
    Ok(milliseconds(begun.elapsed()))
}

fn milliseconds(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}
