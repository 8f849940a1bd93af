//! The limits of the figures, and the verdicts of a run.

use super::{
    abuse::AbuseFigures,
    compression::CompressionFigures,
    models::Model,
    peers::OURS,
    report::ServingReport,
    shared_connection::SharedFigures,
    speed::{LoadClient, ServerSpeed},
    strain::LoadFigures,
    verdict::{RatioLimit, Verdict},
};

/// Maximum CPU time per request of the tiny model, relative to Triton and mosec.
const MAX_TINY_CPU: f64 = 0.5;
/// Minimum requests per second of the tiny model, relative to Triton.
const MIN_TINY_RATE: f64 = 2.0;
/// Maximum CPU time per request of the decoder, relative to a bare loop.
const MAX_DECODER_CPU: f64 = 1.03;
/// Minimum goodput under overload, relative to the peak.
const MIN_GOODPUT: f64 = 0.9;
/// Maximum memory at the end, relative to the memory after the warm-up.
const MAX_MEMORY_GROWTH: f64 = 1.05;
/// Maximum p99 of healthy clients beside abuse, relative to the p99 without it.
const MAX_ABUSED_P99: f64 = 1.5;
/// Maximum CPU time per request of an unmodified client, relative to every peer.
const MAX_UNMODIFIED_CPU: f64 = 1.0;
/// Minimum requests per second of an unmodified client, relative to every peer. Such a client is often the limit, so
/// that the rates of all servers are the same but for noise.
const MIN_UNMODIFIED_RATE: f64 = 0.9;
/// Maximum latency and CPU time of an unmodified client, relative to the same client with compression off.
const MAX_COMPRESSION_COST: f64 = 1.1;
/// Maximum latency of small calls on the connection of a large answer, relative to another connection.
const MAX_SHARED_LATENCY: f64 = 3.0;

impl ServingReport {
    /// Compares the figures with the limits.
    pub(crate) fn judge_figures(&self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for peer in self.speeds.iter().filter(|speed| speed.client != LoadClient::PerfAnalyzer) {
            if let Some(ours) = self.our_speed(peer) {
                verdicts.extend(peer_verdicts(ours, peer));
            }
        }
        verdicts.extend(self.compressions.iter().flat_map(compression_verdicts));
        verdicts.extend(self.shared.iter().map(shared_verdict));
        verdicts.extend(self.speeds.iter().filter_map(|speed| self.floor_verdict(speed)));
        verdicts.extend(self.tails.iter().filter_map(|ours| self.tail_verdict(ours)));
        for strain in self.overloads.iter().filter(|strain| strain.server == OURS.name) {
            verdicts.push(Verdict::new(
                format!("{}: goodput at 5 × the peak", strain.model),
                strain.goodput / strain.peak,
                RatioLimit::AtLeast(MIN_GOODPUT),
            ));
            verdicts.push(Verdict::new(
                format!("{}: memory at 5 × the peak", strain.model),
                strain.memory_growth,
                RatioLimit::AtMost(MAX_MEMORY_GROWTH),
            ));
        }
        for soak in self.soaks.iter().filter(|soak| soak.server == OURS.name) {
            verdicts.push(Verdict::new(
                format!("{}: errors over {} requests", soak.model, soak.requests),
                soak.errors as f64,
                RatioLimit::AtMost(0.0),
            ));
            verdicts.push(Verdict::new(
                format!("{}: memory over {} requests", soak.model, soak.requests),
                soak.memory_growth,
                RatioLimit::AtMost(MAX_MEMORY_GROWTH),
            ));
        }
        for AbuseFigures { abuse, ratio, errors, .. } in &self.abuses {
            verdicts.push(Verdict::new(
                format!("p99 of healthy clients with {abuse:?}, relative to the p99 without"),
                *ratio,
                RatioLimit::AtMost(MAX_ABUSED_P99),
            ));
            let name = format!("failed requests of healthy clients with {abuse:?}");
            verdicts.push(Verdict::new(name, *errors as f64, RatioLimit::AtMost(0.0)));
        }
        verdicts
    }

    fn tail_verdict(&self, ours: &LoadFigures) -> Option<Verdict> {
        let mut peers = self.tails.iter().filter(|_| ours.server == OURS.name);
        let triton = peers
            .find(|other| other.server == "triton" && other.model == ours.model && other.load == ours.load)?;
        if ours.is_client_bound() || triton.is_client_bound() {
            return None;
        }
        let name = format!("{}: p99 at {}, relative to triton", ours.model, ours.load.name());
        Some(Verdict::new(name, ours.p99_ms / triton.p99_ms, RatioLimit::AtMost(1.0)))
    }

    fn floor_verdict(&self, ours: &ServerSpeed) -> Option<Verdict> {
        if ours.server != OURS.name || ours.model != Model::Decoder.name() || ours.client != LoadClient::Own {
            return None;
        }
        let (_, floor) = self.floors.iter().find(|(model, _)| *model == ours.model)?;
        let name =
            format!("{} with {} in flight: CPU time, relative to a bare loop", ours.model, ours.concurrency);
        Some(Verdict::new(name, ours.figures.cpu_ms / floor, RatioLimit::AtMost(MAX_DECODER_CPU)))
    }
}

/// Returns the verdicts on our figures relative to those of a peer.
fn peer_verdicts(ours: &ServerSpeed, peer: &ServerSpeed) -> Vec<Verdict> {
    let cpu = ours.figures.cpu_ms / peer.figures.cpu_ms;
    let rate = ours.figures.per_second / peer.figures.per_second;
    let cpu_verdict =
        |limit| Verdict::new(peer_verdict_name(peer, "CPU time"), cpu, RatioLimit::AtMost(limit));
    let rate_verdict = |limit| {
        Verdict::new(peer_verdict_name(peer, "requests per second"), rate, RatioLimit::AtLeast(limit))
    };
    if peer.client.is_unmodified() {
        return vec![cpu_verdict(MAX_UNMODIFIED_CPU), rate_verdict(MIN_UNMODIFIED_RATE)];
    }
    if peer.model != Model::Tiny.name() {
        return vec![rate_verdict(1.0)];
    }
    match peer.server.as_str() {
        "triton" => vec![cpu_verdict(MAX_TINY_CPU), rate_verdict(MIN_TINY_RATE)],
        "mosec" => vec![cpu_verdict(MAX_TINY_CPU)],
        _ => Vec::new(),
    }
}

/// Returns the name of the verdict on our figure relative to that of a peer.
fn peer_verdict_name(peer: &ServerSpeed, figure: &str) -> String {
    let suffix = match peer.client {
        LoadClient::Own => String::new(),
        client => format!(", measured by {}", client.name()),
    };
    format!(
        "{} with {} in flight: {figure}, relative to {}{suffix}",
        peer.model, peer.concurrency, peer.server
    )
}

fn compression_verdicts(figures: &CompressionFigures) -> [Verdict; 2] {
    let CompressionFigures { model, client, latency_ratio, cpu_ratio, .. } = figures;
    [("p50", latency_ratio), ("CPU time", cpu_ratio)].map(|(figure, &ratio)| {
        let name = format!("{model}: {figure} of {client}, relative to the same client with compression off");
        Verdict::new(name, ratio, RatioLimit::AtMost(MAX_COMPRESSION_COST))
    })
}

fn shared_verdict(figures: &SharedFigures) -> Verdict {
    let name =
        format!("{}: small calls beside a large answer, relative to another connection", figures.model);
    Verdict::new(name, figures.shared_ms / figures.separate_ms, RatioLimit::AtMost(MAX_SHARED_LATENCY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::{round_figures::RoundFigures, speed::ModelSpeeds};

    fn figures(cpu_ms: f64, per_second: f64) -> RoundFigures {
        RoundFigures { cpu_ms, per_second, p50_ms: 1.0, p99_ms: 2.0, errors: 0 }
    }

    fn speed(server: &str, model: Model, cpu_ms: f64, per_second: f64) -> ServerSpeed {
        let (server, figures) = (server.to_owned(), figures(cpu_ms, per_second));
        ServerSpeed { server, model: model.name(), client: LoadClient::Own, concurrency: 8, figures }
    }

    fn passed(servers: Vec<ServerSpeed>, model: Model, floor: f64) -> Vec<bool> {
        let mut report = ServingReport::default();
        report.add_speeds(model, ModelSpeeds { servers, floor });
        report.judge_figures().iter().map(|verdict| verdict.passed).collect()
    }

    #[test]
    fn the_tiny_model_is_judged_beside_triton_and_mosec() {
        let servers = |cpu_ms| {
            let ours = speed("cloud-decoder", Model::Tiny, cpu_ms, 1000.0);
            let triton = speed("triton", Model::Tiny, 0.3, 500.0);
            vec![
                ours,
                triton,
                speed("mosec", Model::Tiny, 0.2, 900.0),
                speed("kserve", Model::Tiny, 0.1, 1.0),
            ]
        };
        assert_eq!(passed(servers(0.1), Model::Tiny, 0.01), [true, true, true]);
        assert_eq!(passed(servers(0.12), Model::Tiny, 0.01), [true, true, false]);
    }

    #[test]
    fn the_decoder_is_judged_beside_every_peer_and_the_bare_loop() {
        let ours = speed("cloud-decoder", Model::Decoder, 10.2, 95.0);
        let peers =
            [speed("kserve", Model::Decoder, 20.0, 96.0), speed("triton", Model::Decoder, 10.0, 94.0)];
        let servers = std::iter::once(ours).chain(peers).collect();
        assert_eq!(passed(servers, Model::Decoder, 10.0), [false, true, true]);
    }

    #[test]
    fn unmodified_clients_are_judged_beside_every_peer() {
        let servers = ["cloud-decoder", "mosec", "kserve"].map(|server| {
            let client = LoadClient::TritonclientHttp;
            ServerSpeed { client, ..speed(server, Model::Tiny, 0.1, 95.0) }
        });
        assert_eq!(passed(servers.to_vec(), Model::Tiny, 0.01), [true, true, true, true]);
        let mut slower = servers.to_vec();
        slower[0].figures = figures(0.11, 85.0);
        assert_eq!(passed(slower, Model::Tiny, 0.01), [false, false, false, false]);
    }

    #[test]
    fn compression_and_a_shared_connection_are_judged() {
        let compression = CompressionFigures {
            server: "cloud-decoder".to_owned(),
            model: Model::Tiny.name(),
            client: "grpc",
            default: figures(1.0, 1.0),
            off: figures(1.0, 1.0),
            latency_ratio: 10.0,
            cpu_ratio: 1.0,
        };
        let shared = SharedFigures {
            model: Model::Decoder.name(),
            answer_bytes: 1,
            answers: 1,
            shared_ms: 4.0,
            separate_ms: 1.0,
        };
        let report = ServingReport {
            compressions: vec![compression],
            shared: vec![shared],
            ..ServingReport::default()
        };
        let passed: Vec<bool> = report.judge_figures().iter().map(|verdict| verdict.passed).collect();
        assert_eq!(passed, [false, true, false]);
    }

    #[test]
    fn without_cloud_decoder_there_is_no_verdict() {
        assert!(passed(vec![speed("triton", Model::Tiny, 1.0, 1.0)], Model::Tiny, 1.0).is_empty());
    }
}
