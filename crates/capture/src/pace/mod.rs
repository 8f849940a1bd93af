//! Which of the captured pictures go on: no more than a rate, and only those in which something has changed.
//!
//! Both are functions of capture times and pictures alone: the same input gives the same output, however fast it
//! comes. A clock that is set back, as on a device without a battery for it, makes them begin anew.

mod rate;
mod scene;

pub use rate::RateCap;
pub use scene::SceneGate;
