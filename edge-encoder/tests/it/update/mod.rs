//! Bundles over the air: a real agent, and a channel with valid and invalid offers.

pub(crate) mod agent;
pub(crate) mod bundles;
mod channel;
mod installed;
mod refused;
mod rollback;
mod trial;
