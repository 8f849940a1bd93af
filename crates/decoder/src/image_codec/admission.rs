//! The decision whether the images of a request can be computed by its deadline.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    head::ServedImageHead,
    pace::{ExpectedTimes, PixelReservation},
};
use crate::{DecodeError, RequestOptions};

/// Lower and upper bound of the advised retry delay.
const RETRY_DELAY_RANGE: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(10)];

/// Expected time of a request from which on the operator is told of it.
const LONG_REQUEST: Duration = Duration::from_secs(5);

/// The work of an admitted request: one reservation per requested head. Dropping it withdraws what was not computed.
pub(super) struct AdmittedImages {
    pub(super) reservations: Vec<PixelReservation>,
}

/// Admits a request of `images` images that computes this many pixels with each of these heads, one head after the
/// other.
///
/// # Errors
/// [`DecodeError::Overloaded`] if the work ahead of the request takes too long, [`DecodeError::DeadlineTooShort`] if
/// the request alone does.
pub(super) fn admit_images<'a>(
    work: impl Iterator<Item = (&'a Arc<ServedImageHead>, u64)>,
    images: usize,
    options: RequestOptions,
) -> Result<AdmittedImages, DecodeError> {
    let (mut reservations, mut total) = (Vec::new(), ExpectedTimes::default());
    let mut head = None;
    for (served, pixels) in work {
        // Reserved before the check; a refused request withdraws its reservations.
        let (reservation, times) = served.spec.pace.reserve(pixels, served.spec.instances);
        reservations.push(reservation);
        total = total.plus(times);
        head = head.or(Some(served));
    }
    let Some(head) = head else { return Ok(AdmittedImages { reservations }) };
    let time_left = options.deadline.saturating_duration_since(Instant::now());
    let name = &head.spec.entry.name;
    if total.best_run > time_left {
        head.engine.stats().record_refusal();
        let (head, expected) = (name.clone(), total.best_run);
        return Err(DecodeError::DeadlineTooShort { head, items: images, expected, time_left });
    }
    if total.wait > Duration::ZERO && total.wait.saturating_add(total.run) > time_left {
        head.engine.stats().record_refusal();
        let [shortest, longest] = RETRY_DELAY_RANGE;
        let retry_after = total.wait.clamp(shortest, longest);
        return Err(DecodeError::Overloaded { head: name.clone(), retry_after });
    }
    if total.run >= LONG_REQUEST {
        let expected_seconds = total.run.as_secs_f64();
        tracing::info!(head = %name, images, expected_seconds, "the images of a request take long on this machine");
    }
    Ok(AdmittedImages { reservations })
}

impl ExpectedTimes {
    fn plus(self, other: Self) -> Self {
        Self {
            wait: self.wait.saturating_add(other.wait),
            run: self.run.saturating_add(other.run),
            best_run: self.best_run.saturating_add(other.best_run),
        }
    }
}
