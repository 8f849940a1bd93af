//! Ranks cuts and selects the best cut within a budget.

use crate::{Cut, OnnxError};

/// The limit that a cut must satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutBudget {
    /// Maximum number of multiply-accumulates of the encoder. The smallest latent is preferred, then the
    /// cheapest encoder.
    EncoderMacs(u64),
    /// Maximum size of the latent as `f32`, in bytes. The cheapest encoder is preferred, then the smallest
    /// latent.
    LatentBytes(u64),
}

/// Returns the cuts in the order of a table, each with a flag that is `true` if the cut is Pareto-optimal: no
/// other cut has a smaller latent without a more expensive encoder, or a cheaper encoder without a larger
/// latent. Pareto-optimal cuts come first, in ascending order of the encoder's MACs; the others follow in
/// ascending order of the latent's bytes and then the encoder's MACs, unknown ones last. Equal cuts keep
/// their order.
#[must_use]
pub fn rank_cuts(cuts: &[Cut]) -> Vec<(&Cut, bool)> {
    let mut order: Vec<&Cut> = cuts.iter().collect();
    order.sort_by_key(|cut| (encoder_macs(cut), cut.latent_bytes().unwrap_or(u64::MAX)));
    let mut smallest = u64::MAX;
    let mut ranked: Vec<(&Cut, bool)> = order
        .into_iter()
        .map(|cut| {
            let bytes = cut.latent_bytes().filter(|&bytes| bytes < smallest && cut.encoder.macs.is_ok());
            smallest = bytes.unwrap_or(smallest);
            (cut, bytes.is_some())
        })
        .collect();
    ranked.sort_by_key(|(cut, optimal)| {
        if *optimal {
            (0, 0, encoder_macs(cut))
        } else {
            (1, cut.latent_bytes().unwrap_or(u64::MAX), encoder_macs(cut))
        }
    });
    ranked
}

/// Returns the best cut within a budget.
///
/// # Errors
/// [`OnnxError::NoCutWithinBudget`] when no cut keeps within it; cuts of unknown size or cost do not count.
pub fn pick_cut(cuts: &[Cut], budget: CutBudget) -> Result<&Cut, OnnxError> {
    let known =
        cuts.iter().filter_map(|cut| Some((cut, cut.latent_bytes()?, cut.encoder.macs.clone().ok()?)));
    let best = match budget {
        CutBudget::EncoderMacs(max) => {
            known.filter(|(.., macs)| *macs <= max).min_by_key(|&(_, bytes, macs)| (bytes, macs))
        }
        CutBudget::LatentBytes(max) => {
            known.filter(|(_, bytes, _)| *bytes <= max).min_by_key(|&(_, bytes, macs)| (macs, bytes))
        }
    };
    best.map(|(cut, ..)| cut).ok_or_else(|| no_cut_error(cuts, budget))
}

fn encoder_macs(cut: &Cut) -> u64 {
    cut.encoder.macs.clone().unwrap_or(u64::MAX)
}

fn no_cut_error(cuts: &[Cut], budget: CutBudget) -> OnnxError {
    let unknown = cuts.iter().filter(|cut| cut.latent_bytes().is_none() || cut.encoder.macs.is_err()).count();
    let hint = if unknown == 0 {
        String::new()
    } else {
        format!(
            "; the size or cost of {unknown} of them is unknown, so binding the inputs' dimensions may help"
        )
    };
    let limit = match budget {
        CutBudget::EncoderMacs(max) => format!("an encoder of at most {max} MAC"),
        CutBudget::LatentBytes(max) => format!("a latent of at most {max} bytes"),
    };
    OnnxError::NoCutWithinBudget { limit, candidates: cuts.len(), hint }
}
