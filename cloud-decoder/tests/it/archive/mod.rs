//! The archive over REST: lists, decoding, live events, exports, and scoring in the background.

mod bundle;
mod decoded;
mod export;
mod lists;
mod live;
mod scores;
mod support;
