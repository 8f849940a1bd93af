//! The archive over REST: lists, decoding, live events, exports, and scores that are made without being asked for.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bundle;
mod decoded;
mod export;
mod lists;
mod live;
mod scores;
mod support;
