//! Bundles over the air: what channels offer, downloads, and a rollout while devices send.

mod access;
mod bundle;
mod check;
mod downloads;
mod offers;
mod rollout;
mod support;
