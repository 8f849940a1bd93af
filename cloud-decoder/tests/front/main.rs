//! What stands between the network and the router: limits of connections, the end, TLS, API keys. Real sockets, and
//! a router whose requests last as long as a test wants.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod check;
mod connections;
mod drain;
mod keys;
mod service;
mod support;
mod tls;
