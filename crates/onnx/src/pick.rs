//! Ranks cuts and selects the best cut within a budget.

use crate::{Cut, OnnxError};

/// The limit that a cut must satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// Maximum number of multiply-accumulates of the encoder. The smallest latent is preferred, then the
    /// cheapest encoder.
    Macs(u64),
    /// Maximum size of the latent as `f32`, in bytes. The cheapest encoder is preferred, then the smallest
    /// latent.
    Bytes(u64),
}

/// Returns the cuts in the order of a table, each with a flag that is `true` if the cut is Pareto-optimal: no
/// other cut has a smaller latent without a more expensive encoder, or a cheaper encoder without a larger
/// latent. Pareto-optimal cuts come first, in ascending order of the encoder's MACs; the others follow in
/// ascending order of the latent's bytes and then the encoder's MACs, unknown ones last. Equal cuts keep
/// their order.
#[must_use]
pub fn ranked(cuts: &[Cut]) -> Vec<(&Cut, bool)> {
    let mut order: Vec<&Cut> = cuts.iter().collect();
    order.sort_by_key(|cut| (macs(cut), cut.bytes().unwrap_or(u64::MAX)));
    let mut smallest = u64::MAX;
    let mut ranked: Vec<(&Cut, bool)> = order
        .into_iter()
        .map(|cut| {
            let bytes = cut.bytes().filter(|&bytes| bytes < smallest && cut.encoder.macs.is_ok());
            smallest = bytes.unwrap_or(smallest);
            (cut, bytes.is_some())
        })
        .collect();
    ranked.sort_by_key(|(cut, optimal)| {
        if *optimal { (0, 0, macs(cut)) } else { (1, cut.bytes().unwrap_or(u64::MAX), macs(cut)) }
    });
    ranked
}

/// Returns the best cut within a budget.
///
/// # Errors
/// [`OnnxError::NoCutWithin`] when no cut keeps within it; cuts of unknown size or cost do not count.
pub fn pick(cuts: &[Cut], budget: Budget) -> Result<&Cut, OnnxError> {
    let known = cuts.iter().filter_map(|cut| Some((cut, cut.bytes()?, cut.encoder.macs.clone().ok()?)));
    let best = match budget {
        Budget::Macs(most) => {
            known.filter(|(.., macs)| *macs <= most).min_by_key(|&(_, bytes, macs)| (bytes, macs))
        }
        Budget::Bytes(most) => {
            known.filter(|(_, bytes, _)| *bytes <= most).min_by_key(|&(_, bytes, macs)| (macs, bytes))
        }
    };
    best.map(|(cut, ..)| cut).ok_or_else(|| nothing(cuts, budget))
}

fn macs(cut: &Cut) -> u64 {
    cut.encoder.macs.clone().unwrap_or(u64::MAX)
}

fn nothing(cuts: &[Cut], budget: Budget) -> OnnxError {
    let unknown = cuts.iter().filter(|cut| cut.bytes().is_none() || cut.encoder.macs.is_err()).count();
    let hint = if unknown == 0 {
        String::new()
    } else {
        format!(
            "; the size or cost of {unknown} of them is unknown, so binding the inputs' dimensions may help"
        )
    };
    let limit = match budget {
        Budget::Macs(most) => format!("an encoder of at most {most} MAC"),
        Budget::Bytes(most) => format!("a latent of at most {most} bytes"),
    };
    OnnxError::NoCutWithin { limit, candidates: cuts.len(), hint }
}
