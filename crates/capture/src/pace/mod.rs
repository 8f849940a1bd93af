//! Filters on captured images: a rate limit, and a scene gate that passes only images in which something has
//! changed.
//!
//! Both depend on capture times and images alone: the same input gives the same output at any speed. A clock
//! that is set back, as on a device without a battery-backed clock, resets them.

mod rate;
mod scene;

pub use rate::RateLimiter;
pub use scene::SceneGate;
