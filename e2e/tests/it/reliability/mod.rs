//! Reliability of the server: damaged requests, decompression bombs, abrupt and orderly ends.

mod bombs;
mod kill;
mod load;
mod noise;
