//! Which cut: the best ones, and the best within a budget.

use crate::{Cut, OnnxError};

/// What a cut must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// Multiply-accumulates of the encoder, at most: the smallest latent wins, then the cheapest encoder.
    Macs(u64),
    /// Bytes of the latent as `f32`, at most: the cheapest encoder wins, then the smallest latent.
    Bytes(u64),
}

/// The cuts in the order of a table, and whether each is Pareto-optimal: no other cut has a smaller latent without a
/// dearer encoder, or a cheaper encoder without a larger latent. Those come first, from the cheapest encoder on; the
/// others follow by the latent's bytes and then the encoder's MACs, unknown ones last. Equals keep their order.
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

/// The best cut within a budget.
///
/// # Errors
/// [`OnnxError::NoCutWithin`] when none keeps to it; cuts of unknown size or cost do not.
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
            "; the size or cost of {unknown} of them is unknown, which binding the inputs' dimensions may mend"
        )
    };
    let limit = match budget {
        Budget::Macs(most) => format!("an encoder of at most {most} MAC"),
        Budget::Bytes(most) => format!("a latent of at most {most} bytes"),
    };
    OnnxError::NoCutWithin { limit, candidates: cuts.len(), hint }
}
