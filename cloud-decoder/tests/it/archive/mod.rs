//! The archive over REST: lists, decoding, live events, exports, and scoring in the background; uploads over gRPC.

mod bundle;
mod decoded;
mod export;
mod lists;
mod live;
mod scores;
mod support;
mod uploads;
