//! The layers between the network and the router: connection limits, shutdown, TLS and API keys. The tests
//! use real sockets and a router whose requests end when the test permits it.

mod check;
mod connections;
mod drain;
mod keys;
mod service;
mod support;
mod tls;
