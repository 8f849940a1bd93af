//! Bundles over the air: a real agent, and a channel with valid and invalid offers.

mod agent;
mod bundles;
mod channel;
mod installed;
mod refused;
mod rollback;
