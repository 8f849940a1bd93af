//! The figures, the ratios of cloud-decoder's figures to each peer's, and verdicts against limits.

use serde::Serialize;

use super::{
    abuse::AbuseFigures,
    models::Model,
    peers::OURS,
    speed::{LoadClient, ModelSpeeds, ServerSpeed},
    strain::{LoadFigures, LoadLevel, SoakFigures},
};
use crate::BenchError;

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

/// All figures of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ServingReport {
    speeds: Vec<ServerSpeed>,
    /// CPU time per run in a bare loop in milliseconds, per model.
    floors: Vec<(&'static str, f64)>,
    pub(crate) tails: Vec<LoadFigures>,
    pub(crate) overloads: Vec<LoadFigures>,
    pub(crate) soaks: Vec<SoakFigures>,
    pub(crate) abuses: Vec<AbuseFigures>,
}

/// A ratio and its limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Verdict {
    what: String,
    ratio: f64,
    limit: RatioLimit,
    passed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum RatioLimit {
    AtMost(f64),
    AtLeast(f64),
}

impl Verdict {
    fn new(name: String, ratio: f64, limit: RatioLimit) -> Self {
        let passed = match limit {
            RatioLimit::AtMost(max) => ratio <= max,
            RatioLimit::AtLeast(min) => ratio >= min,
        };
        Self { what: name, ratio, limit, passed }
    }
}

impl ServingReport {
    /// Adds the figures of a model.
    pub(crate) fn add_speeds(&mut self, model: Model, speeds: ModelSpeeds) {
        self.floors.push((model.name(), speeds.floor));
        self.speeds.extend(speeds.servers);
    }

    /// Prints the report for people or as JSON.
    pub(crate) fn print(&self, json: bool) -> Result<(), BenchError> {
        let verdicts = self.judge_figures();
        if json {
            let output = serde_json::json!({ "measured": self, "verdicts": verdicts });
            println!("{}", serde_json::to_string_pretty(&output)?);
            return Ok(());
        }
        self.print_speeds();
        for (model, cpu_ms) in &self.floors {
            println!("{model:<8} a bare loop of ONNX Runtime takes {cpu_ms:.3} CPU-ms per run");
        }
        self.tails.iter().chain(&self.overloads).for_each(print_strain);
        for soak in &self.soaks {
            println!(
                "{:<8} {:<14} {} requests, {} errors, {:.0} requests/s, memory × {:.3}",
                soak.model, soak.server, soak.requests, soak.errors, soak.per_second, soak.memory_growth
            );
        }
        for AbuseFigures { abuse, quiet_p99_ms, abused_p99_ms, errors, .. } in &self.abuses {
            println!(
                "{abuse:?}: p99 of healthy clients {quiet_p99_ms:.2} ms without, {abused_p99_ms:.2} ms with abuse, \
                 {errors} errors"
            );
        }
        for Verdict { what, ratio, limit, passed } in &verdicts {
            let limit = match limit {
                RatioLimit::AtMost(max) => format!("≤ {max}"),
                RatioLimit::AtLeast(min) => format!("≥ {min}"),
            };
            println!("{} {ratio:>7.3} {limit:<7} {what}", if *passed { "pass" } else { "FAIL" });
        }
        Ok(())
    }

    fn print_speeds(&self) {
        if self.speeds.is_empty() {
            return;
        }
        println!(
            "{:<8} {:<14} {:<13} {:>9} {:>10} {:>10} {:>9} {:>9} {:>7}  {:>9} {:>10}",
            "model",
            "server",
            "client",
            "in flight",
            "CPU-ms",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "errors",
            "CPU ratio",
            "rate ratio"
        );
        for speed in &self.speeds {
            let figures = speed.figures;
            let ratios = self.our_speed(speed).map_or_else(String::new, |ours| {
                let cpu = ours.figures.cpu_ms / figures.cpu_ms;
                format!("{cpu:>8.3}× {:>9.3}×", ours.figures.per_second / figures.per_second)
            });
            let client = match speed.client {
                LoadClient::Own => "own",
                LoadClient::H2load => "h2load",
                LoadClient::PerfAnalyzer => "perf_analyzer",
            };
            println!(
                "{:<8} {:<14} {client:<13} {:>9} {:>10.3} {:>10.1} {:>9.2} {:>9.2} {:>7}  {ratios}",
                speed.model,
                speed.server,
                speed.concurrency,
                figures.cpu_ms,
                figures.per_second,
                figures.p50_ms,
                figures.p99_ms,
                figures.errors
            );
        }
    }

    /// Returns cloud-decoder's figures for the same model, client and concurrency as a peer's.
    fn our_speed(&self, peer: &ServerSpeed) -> Option<&ServerSpeed> {
        self.speeds.iter().filter(|_| peer.server != OURS.name).find(|ours| {
            ours.server == OURS.name
                && ours.model == peer.model
                && ours.client == peer.client
                && ours.concurrency == peer.concurrency
        })
    }

    fn judge_figures(&self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for peer in self.speeds.iter().filter(|speed| speed.client != LoadClient::PerfAnalyzer) {
            if let Some(ours) = self.our_speed(peer) {
                verdicts.extend(peer_verdicts(ours, peer));
            }
        }
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
        let name = format!("{}: p99 at {}, relative to triton", ours.model, load_name(ours.load));
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
    let mut verdicts = Vec::new();
    if peer.model == Model::Tiny.name() {
        if ["triton", "mosec"].contains(&peer.server.as_str()) {
            let name = peer_verdict_name(peer, "CPU time");
            verdicts.push(Verdict::new(name, cpu, RatioLimit::AtMost(MAX_TINY_CPU)));
        }
        if peer.server == "triton" {
            let name = peer_verdict_name(peer, "requests per second");
            verdicts.push(Verdict::new(name, rate, RatioLimit::AtLeast(MIN_TINY_RATE)));
        }
    } else {
        let name = peer_verdict_name(peer, "requests per second");
        verdicts.push(Verdict::new(name, rate, RatioLimit::AtLeast(1.0)));
    }
    verdicts
}

/// Returns the name of the verdict on our figure relative to that of a peer.
fn peer_verdict_name(peer: &ServerSpeed, figure: &str) -> String {
    let suffix = if peer.client == LoadClient::H2load { ", measured by h2load" } else { "" };
    format!(
        "{} with {} in flight: {figure}, relative to {}{suffix}",
        peer.model, peer.concurrency, peer.server
    )
}

fn load_name(load: LoadLevel) -> &'static str {
    match load {
        LoadLevel::OwnPeak => "70 % of its own peak",
        LoadLevel::LowestPeak => "70 % of the lowest peak",
        LoadLevel::Overload => "5 × its peak",
    }
}

fn print_strain(strain: &LoadFigures) {
    println!(
        "{:<8} {:<14} {}: {:.1} requests/s sent, {:.1} answered in time ({:.3} of the peak), p50 {:.2} ms, \
         p99 {:.2} ms (p99 of the client's own delay: {:.2} ms), {} rejected, {} late, {} failed, memory × {:.3}",
        strain.model,
        strain.server,
        load_name(strain.load),
        strain.rate,
        strain.goodput,
        strain.goodput / strain.peak,
        strain.p50_ms,
        strain.p99_ms,
        strain.client_p99_ms,
        strain.rejected,
        strain.late,
        strain.failed,
        strain.memory_growth
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::round_figures::RoundFigures;

    fn speed(server: &str, model: Model, cpu_ms: f64, per_second: f64) -> ServerSpeed {
        let figures = RoundFigures { cpu_ms, per_second, p50_ms: 1.0, p99_ms: 2.0, errors: 0 };
        let server = server.to_owned();
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
    fn without_cloud_decoder_there_is_no_verdict() {
        assert!(passed(vec![speed("triton", Model::Tiny, 1.0, 1.0)], Model::Tiny, 1.0).is_empty());
    }
}
