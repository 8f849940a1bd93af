//! Bundles over the air: a real agent, and a channel that offers what it should and what it should not.

// A test fails by panicking, and what surrounds it is set up by the same means.

mod agent;
mod bundles;
mod channel;
mod refused;
mod rollback;
mod taken;
