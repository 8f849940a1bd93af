//! What a device knows of the bundles that came over the air, and how that changes.
//!
//! ```text
//!                offered ─► trial ─► on probation ─► confirmed
//!                   │         │           │
//!                   └─────────┴───────────┴─► refused; the one before encodes
//! ```
//! [`next`] alone decides; [`Book`](super::book::Book) keeps what it says on the disk, in this form:
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
//! `current` encodes and lies in the folder named by its latent space; `previous` encoded before it. Either is null for the
//! configured bundle. `trial` was begun and has not ended. `probation` is null when `current` has encoded a real input.
//! `manifest` is the SHA-256 of `bundle.json`, so that a bundle that was put right counts as another one.
//!
//! # What holds
//! - A trial that never ended has ended the agent: at the next start its bundle is refused.
//! - A bundle on probation is confirmed by the first real input that it encodes. After [`MAX_FAILURES`] inputs that it does
//!   not encode, or [`MAX_STARTS`] starts in which it encoded none, the one before takes its place and it is refused.
//! - What is refused stays so until the channel offers another one.
//! - `current` and `previous` change together: after a crash at any point one of them is a bundle that has encoded, or the
//!   configured one.

use lopside_bundle::Digest;
use lopside_latent::LatentSpaceId;
use serde::{Deserialize, Serialize};

/// Inputs that a bundle on probation may fail at.
pub(crate) const MAX_FAILURES: u32 = 3;
/// Starts that may go by before it has encoded one.
pub(crate) const MAX_STARTS: u32 = 3;

/// A bundle as a channel offered it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    /// Its name.
    pub(crate) bundle: String,
    #[serde(with = "id_text")]
    pub(crate) latent_space: LatentSpaceId,
    /// The digest of its `bundle.json`.
    pub(crate) manifest: Digest,
}

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) current: Option<Release>,
    pub(crate) previous: Option<Release>,
    pub(crate) trial: Option<Release>,
    pub(crate) probation: Option<Probation>,
    pub(crate) refused: Vec<Refused>,
}

/// What a bundle has done that has encoded nothing yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probation {
    pub(crate) starts: u32,
    pub(crate) failures: u32,
}

/// A bundle that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refused {
    pub(crate) release: Release,
    pub(crate) reason: String,
    /// Whether it had taken the place of the one before.
    pub(crate) ran: bool,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The agent starts.
    Started,
    /// The channel offers this one.
    Offered(Release),
    /// The channel offers what encodes.
    UpToDate,
    /// It cannot be taken, for this reason.
    Refused(Release, String),
    /// It is about to be tried.
    TrialBegun(Release),
    /// The disk kept its trial from coming to an end.
    TrialBroken,
    /// Its trial went well: from now on it encodes.
    Installed(Release),
    /// The bundle of this latent space has encoded a real input.
    Confirmed(LatentSpaceId),
    /// The bundle of this latent space has failed at an input that the one before encodes.
    Failed(LatentSpaceId, String),
    /// The current one cannot be opened any more.
    Lost,
}

/// How the bundle that encodes stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Configured,
    Probation,
    Confirmed,
    RolledBack,
}

/// What is known after an event.
pub(crate) fn next(state: &State, event: Event) -> State {
    let mut state = state.clone();
    match event {
        Event::Started => state.start(),
        Event::Offered(release) => state.refused.retain(|refused| refused.release == release),
        Event::UpToDate => state.refused.clear(),
        Event::Refused(release, reason) => state.refuse(release, reason, false),
        Event::TrialBegun(release) => state.trial = Some(release),
        Event::TrialBroken => state.trial = None,
        Event::Installed(release) => {
            state.previous = state.current.replace(release);
            state.probation = Some(Probation::default());
            (state.trial, state.refused) = (None, Vec::new());
        }
        Event::Confirmed(id) if state.is_current(id) => state.probation = None,
        Event::Failed(id, reason) if state.is_current(id) => state.fail(reason),
        // It was said of one that has made room already.
        Event::Confirmed(_) | Event::Failed(..) => {}
        Event::Lost => {
            state.current = state.previous.take();
            state.probation = None;
        }
    }
    state
}

impl State {
    /// How the bundle that encodes stands.
    pub(crate) fn phase(&self) -> Phase {
        match &self.current {
            Some(_) if self.probation.is_some() => Phase::Probation,
            _ if self.refused.iter().any(|refused| refused.ran) => Phase::RolledBack,
            Some(_) => Phase::Confirmed,
            None => Phase::Configured,
        }
    }

    /// Why a bundle is not taken.
    pub(crate) fn refusal(&self, release: &Release) -> Option<&Refused> {
        self.refused.iter().find(|refused| refused.release == *release)
    }

    /// The latent space of the bundle that encodes; `None` for the configured one.
    pub(crate) fn latent_space(&self) -> Option<LatentSpaceId> {
        self.current.as_ref().map(|release| release.latent_space)
    }

    fn is_current(&self, id: LatentSpaceId) -> bool {
        self.latent_space() == Some(id)
    }

    fn start(&mut self) {
        if let Some(release) = self.trial.take() {
            self.refuse(release, "its trial ended the agent".to_owned(), false);
        }
        match &mut self.probation {
            Some(probation) if probation.starts >= MAX_STARTS => {
                self.roll_back(format!("it encoded nothing in {MAX_STARTS} starts"));
            }
            Some(probation) => probation.starts += 1,
            None => {}
        }
    }

    fn fail(&mut self, reason: String) {
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
            self.refuse(release, reason, true);
        }
    }

    fn refuse(&mut self, release: Release, reason: String, ran: bool) {
        self.trial = None;
        self.refused.retain(|refused| refused.release != release);
        self.refused.push(Refused { release, reason, ran });
    }
}

impl Phase {
    /// What status calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Probation => "on probation",
            Self::Confirmed => "confirmed",
            Self::RolledBack => "rolled back",
        }
    }
}

/// A latent-space id as its text.
mod id_text {
    use lopside_latent::LatentSpaceId;
    use serde::{Deserialize, Deserializer, Serializer, de};

    // serde's `with` passes a reference.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(super) fn serialize<S: Serializer>(id: &LatentSpaceId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<LatentSpaceId, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
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

    fn after(events: impl IntoIterator<Item = Event>) -> State {
        events.into_iter().fold(State::default(), |state, event| next(&state, event))
    }

    /// All that happens until a bundle encodes for good.
    fn taken(number: u8) -> [Event; 4] {
        let release = release(number);
        [
            Event::Offered(release.clone()),
            Event::TrialBegun(release.clone()),
            Event::Installed(release),
            Event::Confirmed(id(number)),
        ]
    }

    fn failed(number: u8) -> Event {
        Event::Failed(id(number), "not finite".into())
    }

    #[test]
    fn a_bundle_is_tried_then_on_probation_then_confirmed() {
        let phases: Vec<Phase> =
            (0..=4).map(|count| after(taken(1).into_iter().take(count)).phase()).collect();
        assert_eq!(
            phases,
            [Phase::Configured, Phase::Configured, Phase::Configured, Phase::Probation, Phase::Confirmed]
        );
        let state = after([taken(1), taken(2)].concat());
        assert_eq!((state.current, state.previous), (Some(release(2)), Some(release(1))));
    }

    #[test]
    fn a_crash_at_each_point_leaves_a_bundle_that_encodes() {
        let events = [taken(1), taken(2)].concat();
        for count in 0..=events.len() {
            let state = after(events[..count].iter().cloned().chain([Event::Started]));
            let expected = match count {
                0..=2 => None,
                3..=6 => Some(release(1)),
                _ => Some(release(2)),
            };
            assert_eq!(state.current, expected, "after {count} events");
            // Whoever has not encoded has one beside it that has.
            if count == 7 {
                assert_eq!((state.phase(), state.previous), (Phase::Probation, Some(release(1))));
            }
            let tried = [2, 6].contains(&count);
            assert_eq!(state.trial, None);
            assert_eq!(state.refused.len(), usize::from(tried), "after {count} events");
            assert!(!tried || state.refused[0].reason.contains("trial ended the agent"));
        }
    }

    #[test]
    fn three_failures_bring_the_one_before_back() {
        let events = [&taken(1)[..], &taken(2)[..3]].concat();
        let installed = after(events);
        let twice = next(&next(&installed, failed(2)), failed(2));
        assert_eq!((twice.phase(), &twice.current), (Phase::Probation, &Some(release(2))));
        let back = next(&twice, failed(2));
        assert_eq!(
            (back.phase(), &back.current, &back.previous),
            (Phase::RolledBack, &Some(release(1)), &None)
        );
        assert_eq!(back.refusal(&release(2)).unwrap().reason, "not finite");
        // What is said of one that has gone changes nothing.
        assert_eq!(next(&back, Event::Confirmed(id(2))), back);
        assert_eq!(next(&back, failed(2)), back);
        let confirmed = next(&twice, Event::Confirmed(id(2)));
        assert_eq!((next(&confirmed, failed(2)), confirmed.phase()), (confirmed.clone(), Phase::Confirmed));
    }

    #[test]
    fn starts_without_an_input_bring_the_one_before_back() {
        let mut state = after(taken(1).into_iter().take(3));
        for start in 1..=MAX_STARTS {
            state = next(&state, Event::Started);
            assert_eq!(state.probation, Some(Probation { starts: start, failures: 0 }));
        }
        let state = next(&state, Event::Started);
        assert_eq!((state.phase(), state.current.clone()), (Phase::RolledBack, None));
        assert!(state.refusal(&release(1)).unwrap().reason.contains("3 starts"));
        assert_eq!(next(&state, Event::Started), state);
    }

    #[test]
    fn what_is_refused_stays_so_until_another_one_is_offered() {
        let refused = after([Event::Refused(release(1), "no".into())]);
        assert_eq!(
            (refused.phase(), next(&refused, Event::Offered(release(1)))),
            (Phase::Configured, refused.clone())
        );
        let forgotten = next(&refused, Event::Offered(release(2)));
        assert_eq!(forgotten.refusal(&release(1)), None);
        // The same latent space in another bundle.json is another one.
        assert_eq!(next(&refused, Event::UpToDate), State::default());
        let mended = Release { manifest: Digest::of(b"mended"), ..release(1) };
        assert_eq!(next(&refused, Event::Offered(mended)).refused, []);
    }

    #[test]
    fn one_that_cannot_be_opened_makes_room() {
        let state = after([&taken(1)[..], &taken(2)[..3], &[Event::Lost]].concat());
        assert_eq!((state.current.clone(), state.probation), (Some(release(1)), None));
        let state = next(&state, Event::Lost);
        assert_eq!((state.current.clone(), state.phase()), (None, Phase::Configured));
        assert_eq!(next(&state, Event::Lost), state);
    }

    #[test]
    fn a_trial_that_the_disk_broke_says_nothing_of_the_bundle() {
        let state = after([Event::TrialBegun(release(1)), Event::TrialBroken, Event::Started]);
        assert_eq!(state, State::default());
    }

    #[test]
    fn it_survives_json() {
        let state =
            after([&taken(1)[..], &taken(2)[..3], &[Event::Refused(release(3), "no".into())]].concat());
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
        assert!(
            serde_json::from_str::<State>(&text.replace("0202020202020202", "../../etc/passwd")).is_err()
        );
    }
}
