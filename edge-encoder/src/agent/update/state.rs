//! The state of the bundles that a device received over the air, and its transitions.
//!
//! ```text
//!                offered ─► trial ─► on probation ─► confirmed
//!                   │         │           │
//!                   └─────────┴───────────┴─► refused; the one before encodes
//! ```
//! Only [`next_state`] makes transitions; [`StateStore`](super::state_store::StateStore) stores the resulting state on the disk, in
//! this form:
//!
//! ```json
//! {
//!   "schema": 1,
//!   "state": {
//!     "current": {"bundle": "fashion", "latent_space": "3e8e8a2cf2001e23", "manifest": "…64 hexadecimal digits"},
//!     "previous": null,
//!     "trial": null,
//!     "probation": {"starts": 0, "failures": 0},
//!     "refused": [{"release": {…}, "reason": "…", "ran": false}]
//!   }
//! }
//! ```
//! `current` is the bundle that encodes, stored in the folder named by its latent space; `previous` is the
//! one that encoded before it. Either is null for the configured bundle. `trial` was begun and has not ended.
//! `probation` is null once `current` has encoded a real input. `manifest` is the SHA-256 of `bundle.json`,
//! so a corrected bundle counts as a different one.
//!
//! # Invariants
//! - A trial that did not end has ended the agent: its bundle is refused at the next start.
//! - A bundle on probation is confirmed by the first real input that it encodes. After [`MAX_FAILURES`]
//!   inputs that it cannot encode, or [`MAX_STARTS`] starts in which it encoded none, it is refused and the
//!   previous bundle replaces it.
//! - A refusal lasts until the channel offers a different bundle.
//! - `current` and `previous` change together: after a crash at any point, one of them is a bundle that has
//!   encoded, or the configured one.

use lopside_bundle::Digest;
use lopside_latent::LatentSpaceId;
use serde::{Deserialize, Serialize};

/// Number of failed inputs after which a bundle on probation is rolled back.
pub(crate) const MAX_FAILURES: u32 = 3;
/// Number of starts that a bundle on probation may go through without encoding an input.
pub(crate) const MAX_STARTS: u32 = 3;

/// A bundle as a channel offered it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    /// The name of the bundle.
    pub(crate) bundle: String,
    #[serde(with = "lopside_bundle::id_text")]
    pub(crate) latent_space: LatentSpaceId,
    /// SHA-256 of its `bundle.json`.
    pub(crate) manifest: Digest,
}

/// The update state of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateState {
    pub(crate) current: Option<Release>,
    pub(crate) previous: Option<Release>,
    pub(crate) trial: Option<Release>,
    pub(crate) probation: Option<ProbationCounts>,
    pub(crate) refused: Vec<RefusedRelease>,
}

/// Counters of a bundle that has not encoded a real input yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbationCounts {
    pub(crate) starts: u32,
    pub(crate) failures: u32,
}

/// A refused bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusedRelease {
    pub(crate) release: Release,
    pub(crate) reason: String,
    /// Whether it had replaced the previous bundle.
    pub(crate) ran: bool,
}

/// An event that changes the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UpdateEvent {
    /// The agent starts.
    Started,
    /// The channel offers this bundle.
    Offered(Release),
    /// The channel offers the current bundle.
    UpToDate,
    /// The bundle is refused, for this reason.
    Refused(Release, String),
    /// The trial of this bundle begins.
    TrialBegun(Release),
    /// A failure that does not concern the bundle broke off its trial.
    TrialBroken,
    /// The trial of this bundle succeeded; it becomes the current one.
    Installed(Release),
    /// The bundle of this latent space has encoded a real input.
    Confirmed(LatentSpaceId),
    /// The bundle of this latent space has failed on an input that the previous one encodes.
    Failed(LatentSpaceId, String),
    /// The current bundle can no longer be opened.
    Lost,
}

/// The state of the current bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BundlePhase {
    Configured,
    Probation,
    Confirmed,
    RolledBack,
}

/// Returns the state after an event.
pub(crate) fn next_state(state: &UpdateState, event: UpdateEvent) -> UpdateState {
    let mut state = state.clone();
    match event {
        UpdateEvent::Started => state.apply_start(),
        UpdateEvent::Offered(release) => state.refused.retain(|refused| refused.release == release),
        UpdateEvent::UpToDate => state.refused.clear(),
        UpdateEvent::Refused(release, reason) => state.refuse_release(release, reason, false),
        UpdateEvent::TrialBegun(release) => state.trial = Some(release),
        UpdateEvent::TrialBroken => state.trial = None,
        UpdateEvent::Installed(release) => {
            state.previous = state.current.replace(release);
            state.probation = Some(ProbationCounts::default());
            (state.trial, state.refused) = (None, Vec::new());
        }
        UpdateEvent::Confirmed(id) if state.is_current(id) => state.probation = None,
        UpdateEvent::Failed(id, reason) if state.is_current(id) => state.apply_failure(reason),
        // The event concerns a bundle that has been replaced already.
        UpdateEvent::Confirmed(_) | UpdateEvent::Failed(..) => {}
        UpdateEvent::Lost => {
            state.current = state.previous.take();
            state.probation = None;
        }
    }
    state
}

impl UpdateState {
    /// Returns the state of the current bundle.
    pub(crate) fn phase(&self) -> BundlePhase {
        match &self.current {
            Some(_) if self.probation.is_some() => BundlePhase::Probation,
            _ if self.refused.iter().any(|refused| refused.ran) => BundlePhase::RolledBack,
            Some(_) => BundlePhase::Confirmed,
            None => BundlePhase::Configured,
        }
    }

    /// Returns the refusal of this bundle, if it is refused.
    pub(crate) fn refusal(&self, release: &Release) -> Option<&RefusedRelease> {
        self.refused.iter().find(|refused| refused.release == *release)
    }

    /// Returns the latent space of the current bundle; `None` for the configured one.
    pub(crate) fn current_space(&self) -> Option<LatentSpaceId> {
        self.current.as_ref().map(|release| release.latent_space)
    }

    fn is_current(&self, id: LatentSpaceId) -> bool {
        self.current_space() == Some(id)
    }

    fn apply_start(&mut self) {
        if let Some(release) = self.trial.take() {
            self.refuse_release(release, "the agent ended during its trial".to_owned(), false);
        }
        match &mut self.probation {
            Some(probation) if probation.starts >= MAX_STARTS => {
                self.roll_back(format!("it encoded no input in {MAX_STARTS} starts"));
            }
            Some(probation) => probation.starts += 1,
            None => {}
        }
    }

    fn apply_failure(&mut self, reason: String) {
        let Some(probation) = &mut self.probation else { return };
        probation.failures += 1;
        if probation.failures >= MAX_FAILURES {
            self.roll_back(reason);
        }
    }

    fn roll_back(&mut self, reason: String) {
        self.probation = None;
        let failed = std::mem::replace(&mut self.current, self.previous.take());
        if let Some(release) = failed {
            self.refuse_release(release, reason, true);
        }
    }

    fn refuse_release(&mut self, release: Release, reason: String, ran: bool) {
        self.trial = None;
        self.refused.retain(|refused| refused.release != release);
        self.refused.push(RefusedRelease { release, reason, ran });
    }
}

impl BundlePhase {
    /// Returns the name of the phase in status reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Probation => "on probation",
            Self::Confirmed => "confirmed",
            Self::RolledBack => "rolled back",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(number: u8) -> Release {
        Release {
            bundle: "toy".into(),
            latent_space: LatentSpaceId::new([number; 8]),
            manifest: Digest::of(&[number]),
        }
    }

    fn id(number: u8) -> LatentSpaceId {
        release(number).latent_space
    }

    fn state_after(events: impl IntoIterator<Item = UpdateEvent>) -> UpdateState {
        events.into_iter().fold(UpdateState::default(), |state, event| next_state(&state, event))
    }

    /// All events until a bundle is confirmed.
    fn events_until_confirmed(number: u8) -> [UpdateEvent; 4] {
        let release = release(number);
        [
            UpdateEvent::Offered(release.clone()),
            UpdateEvent::TrialBegun(release.clone()),
            UpdateEvent::Installed(release),
            UpdateEvent::Confirmed(id(number)),
        ]
    }

    fn failed(number: u8) -> UpdateEvent {
        UpdateEvent::Failed(id(number), "not finite".into())
    }

    #[test]
    fn a_bundle_is_tried_then_on_probation_then_confirmed() {
        let phases: Vec<BundlePhase> = (0..=4)
            .map(|count| state_after(events_until_confirmed(1).into_iter().take(count)).phase())
            .collect();
        assert_eq!(
            phases,
            [
                BundlePhase::Configured,
                BundlePhase::Configured,
                BundlePhase::Configured,
                BundlePhase::Probation,
                BundlePhase::Confirmed
            ]
        );
        let state = state_after([events_until_confirmed(1), events_until_confirmed(2)].concat());
        assert_eq!((state.current, state.previous), (Some(release(2)), Some(release(1))));
    }

    #[test]
    fn a_crash_at_each_point_leaves_a_bundle_that_encodes() {
        let events = [events_until_confirmed(1), events_until_confirmed(2)].concat();
        for count in 0..=events.len() {
            let state = state_after(events[..count].iter().cloned().chain([UpdateEvent::Started]));
            let expected = match count {
                0..=2 => None,
                3..=6 => Some(release(1)),
                _ => Some(release(2)),
            };
            assert_eq!(state.current, expected, "after {count} events");
            // A bundle that has not encoded yet has a previous bundle that has.
            if count == 7 {
                assert_eq!((state.phase(), state.previous), (BundlePhase::Probation, Some(release(1))));
            }
            let tried = [2, 6].contains(&count);
            assert_eq!(state.trial, None);
            assert_eq!(state.refused.len(), usize::from(tried), "after {count} events");
            assert!(!tried || state.refused[0].reason.contains("ended during its trial"));
        }
    }

    #[test]
    fn three_failures_roll_back_to_the_previous_bundle() {
        let events = [&events_until_confirmed(1)[..], &events_until_confirmed(2)[..3]].concat();
        let installed = state_after(events);
        let two_failures = next_state(&next_state(&installed, failed(2)), failed(2));
        assert_eq!(
            (two_failures.phase(), &two_failures.current),
            (BundlePhase::Probation, &Some(release(2)))
        );
        let rolled_back = next_state(&two_failures, failed(2));
        assert_eq!(
            (rolled_back.phase(), &rolled_back.current, &rolled_back.previous),
            (BundlePhase::RolledBack, &Some(release(1)), &None)
        );
        assert_eq!(rolled_back.refusal(&release(2)).unwrap().reason, "not finite");
        // Events of a bundle that has been replaced do not change the state.
        assert_eq!(next_state(&rolled_back, UpdateEvent::Confirmed(id(2))), rolled_back);
        assert_eq!(next_state(&rolled_back, failed(2)), rolled_back);
        let confirmed = next_state(&two_failures, UpdateEvent::Confirmed(id(2)));
        assert_eq!(
            (next_state(&confirmed, failed(2)), confirmed.phase()),
            (confirmed.clone(), BundlePhase::Confirmed)
        );
    }

    #[test]
    fn starts_without_an_input_roll_back_to_the_previous_bundle() {
        let mut state = state_after(events_until_confirmed(1).into_iter().take(3));
        for start in 1..=MAX_STARTS {
            state = next_state(&state, UpdateEvent::Started);
            assert_eq!(state.probation, Some(ProbationCounts { starts: start, failures: 0 }));
        }
        let state = next_state(&state, UpdateEvent::Started);
        assert_eq!((state.phase(), state.current.clone()), (BundlePhase::RolledBack, None));
        assert!(state.refusal(&release(1)).unwrap().reason.contains("3 starts"));
        assert_eq!(next_state(&state, UpdateEvent::Started), state);
    }

    #[test]
    fn a_refusal_lasts_until_another_bundle_is_offered() {
        let refused = state_after([UpdateEvent::Refused(release(1), "no".into())]);
        assert_eq!(
            (refused.phase(), next_state(&refused, UpdateEvent::Offered(release(1)))),
            (BundlePhase::Configured, refused.clone())
        );
        let cleared = next_state(&refused, UpdateEvent::Offered(release(2)));
        assert_eq!(cleared.refusal(&release(1)), None);
        // The same latent space with another `bundle.json` is a different bundle.
        assert_eq!(next_state(&refused, UpdateEvent::UpToDate), UpdateState::default());
        let corrected = Release { manifest: Digest::of(b"mended"), ..release(1) };
        assert_eq!(next_state(&refused, UpdateEvent::Offered(corrected)).refused, []);
    }

    #[test]
    fn a_bundle_that_cannot_be_opened_is_replaced_by_the_previous_one() {
        let state = state_after(
            [&events_until_confirmed(1)[..], &events_until_confirmed(2)[..3], &[UpdateEvent::Lost]].concat(),
        );
        assert_eq!((state.current.clone(), state.probation), (Some(release(1)), None));
        let state = next_state(&state, UpdateEvent::Lost);
        assert_eq!((state.current.clone(), state.phase()), (None, BundlePhase::Configured));
        assert_eq!(next_state(&state, UpdateEvent::Lost), state);
    }

    #[test]
    fn a_trial_that_the_disk_interrupted_does_not_refuse_the_bundle() {
        let state = state_after([
            UpdateEvent::TrialBegun(release(1)),
            UpdateEvent::TrialBroken,
            UpdateEvent::Started,
        ]);
        assert_eq!(state, UpdateState::default());
    }

    #[test]
    fn the_state_survives_json() {
        let state = state_after(
            [
                &events_until_confirmed(1)[..],
                &events_until_confirmed(2)[..3],
                &[UpdateEvent::Refused(release(3), "no".into())],
            ]
            .concat(),
        );
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<UpdateState>(&text).unwrap(), state);
        assert!(
            serde_json::from_str::<UpdateState>(&text.replace("0202020202020202", "../../etc/passwd"))
                .is_err()
        );
    }
}
