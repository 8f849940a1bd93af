//! The figures, and the ratios of cloud-decoder's figures to each peer's.

use serde::Serialize;

use super::{
    abuse::AbuseFigures,
    compression::CompressionFigures,
    models::Model,
    peers::OURS,
    shared_connection::SharedFigures,
    speed::{ModelSpeeds, ServerSpeed},
    strain::{LoadFigures, SoakFigures},
    verdict::{RatioLimit, Verdict},
};
use crate::BenchError;

/// All figures of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ServingReport {
    pub(crate) speeds: Vec<ServerSpeed>,
    pub(crate) compressions: Vec<CompressionFigures>,
    pub(crate) shared: Vec<SharedFigures>,
    /// CPU time per run in a bare loop in milliseconds, per model.
    pub(crate) floors: Vec<(&'static str, f64)>,
    pub(crate) tails: Vec<LoadFigures>,
    pub(crate) overloads: Vec<LoadFigures>,
    pub(crate) soaks: Vec<SoakFigures>,
    pub(crate) abuses: Vec<AbuseFigures>,
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
        self.compressions.iter().for_each(print_compression);
        for SharedFigures { model, answer_bytes, answers, shared_ms, separate_ms } in &self.shared {
            println!(
                "{model:<8} slowest small call during an answer of {answer_bytes} bytes: {shared_ms:.2} ms on its \
                 connection, {separate_ms:.2} ms on another one (medians of {answers} answers)"
            );
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
            "{:<8} {:<14} {:<17} {:>9} {:>10} {:>10} {:>9} {:>9} {:>7}  {:>9} {:>10}",
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
            println!(
                "{:<8} {:<14} {:<17} {:>9} {:>10.3} {:>10.1} {:>9.2} {:>9.2} {:>7}  {ratios}",
                speed.model,
                speed.server,
                speed.client.name(),
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
    pub(crate) fn our_speed(&self, peer: &ServerSpeed) -> Option<&ServerSpeed> {
        self.speeds.iter().filter(|_| peer.server != OURS.name).find(|ours| {
            ours.server == OURS.name
                && ours.model == peer.model
                && ours.client == peer.client
                && ours.concurrency == peer.concurrency
        })
    }
}

fn print_compression(figures: &CompressionFigures) {
    let CompressionFigures { server, model, client, default, off, .. } = figures;
    println!(
        "{model:<8} {server:<14} {client:<17} p50 {:.2} ms and {:.3} CPU-ms, {:.2} ms and {:.3} CPU-ms with compression \
         off",
        default.p50_ms, default.cpu_ms, off.p50_ms, off.cpu_ms
    );
}

fn print_strain(strain: &LoadFigures) {
    println!(
        "{:<8} {:<14} {}: {:.1} requests/s sent, {:.1} answered in time ({:.3} of the peak), p50 {:.2} ms, \
         p99 {:.2} ms (p99 of the client's own delay: {:.2} ms), {} rejected, {} late, {} failed, memory × {:.3}",
        strain.model,
        strain.server,
        strain.load.name(),
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
