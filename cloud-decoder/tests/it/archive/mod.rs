//! The archive over REST: lists, decoding, live events, exports, and scores that are made without being asked for.

mod bundle;
mod decoded;
mod export;
mod lists;
mod live;
mod scores;
mod support;
