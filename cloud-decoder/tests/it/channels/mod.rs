//! Updates of bundles: offers of channels, downloads, and a rollout while devices send frames.

mod access;
mod bundle;
mod check;
mod downloads;
mod offers;
mod rollout;
mod support;
