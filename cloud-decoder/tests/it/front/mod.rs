//! The layers between the network and the router: connection limits, shutdown, TLS and API keys. The tests
//! use real sockets and a router whose requests end when the test permits it.

mod amplification;
mod audit;
mod cancels;
mod check;
mod compression;
mod connections;
mod devices;
mod drain;
mod figures;
mod flapping;
mod guesses;
mod health;
mod http1;
mod keys;
mod memory;
mod metrics;
mod metrics_access;
pub(crate) mod process;
mod protected;
mod proxies;
mod refused_bundles;
mod request_ids;
mod revocation;
mod service;
mod signals;
mod statuses;
mod support;
mod tls;
mod uploads;
