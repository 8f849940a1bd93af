//! Small calls on a connection on which a large answer is sent, as from a client that polls the health of a server
//! while it downloads. The control is a second connection: what both have in common is the work for the answer
//! itself, and the client.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    ServingContext,
    fleet::RunningServer,
    load::{Connection, LoadTarget, Outcome},
    models::Model,
};
use crate::{BenchError, error::ServingError, median::median};

/// Number of items of the large answer, the most that cloud-decoder accepts: 12.6 MB from the decoder.
const LARGE_ITEMS: usize = 64;

/// The figures of the small calls. Each is the slowest call during one large answer, in milliseconds, as the median
/// over all answers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SharedFigures {
    pub(crate) model: &'static str,
    /// Size of the large answer in bytes.
    pub(crate) answer_bytes: usize,
    /// Number of large answers.
    pub(crate) answers: usize,
    /// On the connection of the large answer.
    pub(crate) shared_ms: f64,
    /// On another connection at the same time.
    pub(crate) separate_ms: f64,
}

/// Measures small calls during large answers.
pub(crate) fn measure_shared_connection(
    server: &RunningServer,
    model: Model,
    context: &ServingContext<'_>,
) -> Result<SharedFigures, BenchError> {
    let large = LoadTarget::batch(server.address(), server.peer, model, LARGE_ITEMS);
    let small = LoadTarget::liveness(server.address());
    let time = context.options.round_time() * context.options.rounds.get() as u32;
    context.runtime.block_on(async {
        let mut connections = [small.connect().await?, small.connect().await?];
        let (mut shared, mut separate, start) = (Vec::new(), Vec::new(), Instant::now());
        while start.elapsed() < time {
            let slowest = slowest_calls(&mut connections, &large, &small).await?;
            let [on_shared, on_separate] = slowest.map(|latency| latency.as_secs_f64() * 1e3);
            shared.push(on_shared);
            separate.push(on_separate);
        }
        Ok(SharedFigures {
            model: model.name(),
            answer_bytes: large.output_bytes(),
            answers: shared.len(),
            shared_ms: median(shared),
            separate_ms: median(separate),
        })
    })
}

/// Sends a large request on the first connection, and small ones on both until it is answered. Returns the latency
/// of the slowest small request of each connection.
async fn slowest_calls(
    connections: &mut [Connection; 2],
    large: &Arc<LoadTarget>,
    small: &LoadTarget,
) -> Result<[Duration; 2], BenchError> {
    let mut connection = connections[0].share().ok_or_else(|| load_error("the connection is not HTTP/2"))?;
    let target = Arc::clone(large);
    let answer = tokio::spawn(async move { connection.send_with_deadline(&target, None).await });
    let mut slowest = [Duration::ZERO; 2];
    while !answer.is_finished() {
        for (connection, slowest) in connections.iter_mut().zip(&mut slowest) {
            let sent_at = Instant::now();
            expect_answer(connection.send_with_deadline(small, None).await)?;
            *slowest = sent_at.elapsed().max(*slowest);
        }
    }
    expect_answer(answer.await.map_err(|error| load_error(&error.to_string()))?)?;
    Ok(slowest)
}

fn expect_answer(outcome: Outcome) -> Result<(), BenchError> {
    match outcome {
        Outcome::Answered => Ok(()),
        outcome => Err(load_error(&format!("a request was not answered: {outcome:?}")).into()),
    }
}

fn load_error(reason: &str) -> ServingError {
    ServingError::LoadTask { reason: reason.to_owned() }
}
