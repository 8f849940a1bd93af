//! The layers between the network and the router: connection limits, shutdown, TLS and API keys. The tests
//! use real sockets and a router whose requests end when the test permits it.

mod check;
mod connections;
mod drain;
mod http1;
mod keys;
mod metrics;
mod process;
mod proxies;
mod service;
mod signals;
mod support;
mod tls;
