//! What a server meets in the open: bytes that are no requests, bombs, ends without warning, bundles that change.

mod bombs;
mod kill;
mod load;
mod noise;
