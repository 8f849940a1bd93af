//! The archive over REST: lists, decoding, live events, exports, and scoring in the background; uploads and reports over gRPC.

mod bundle;
mod decoded;
mod export;
mod lists;
mod live;
mod scores;
mod source_reports;
mod support;
mod uploads;
