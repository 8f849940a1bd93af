//! What stands between the network and the router: limits of connections, the end, TLS, API keys. Real sockets, and
//! a router whose requests last as long as a test wants.

mod check;
mod connections;
mod drain;
mod keys;
mod service;
mod support;
mod tls;
