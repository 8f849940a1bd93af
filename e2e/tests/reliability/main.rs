//! What a server meets in the open: bytes that are no requests, bombs, ends without warning, bundles that change.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used)]

mod bombs;
mod kill;
mod load;
mod noise;
