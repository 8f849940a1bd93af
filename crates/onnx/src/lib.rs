//! ONNX models as data: built, cut in two, and costed, without a runtime.
//!
//! ```text
//! GraphBuilder ──build──► ModelProto ──encode──► bytes ──decode──► ModelProto ──split──► encoder, decoder
//!                                                                             └─cost──► parameters, MACs
//! ```
//!
//! A model from elsewhere: [`internalise`] brings its external data in, [`inputs`](fn@inputs) says what it reads,
//! [`cuts`](fn@cuts) where it can be cut and what the halves cost, [`pick`](fn@pick) which cut is best, and
//! [`split_at`] cuts. [`fp16`](fn@fp16) makes a model compute in 16-bit floats.
//!
//! [`proto`] holds every message of the format, so a model that is decoded and encoded again loses nothing. The
//! functions here take models from anywhere: they return an [`OnnxError`] for what they cannot handle and never
//! panic. Nothing is executed, and no file is opened: weights in external files keep pointing at them until they are
//! brought in.
//!
//! ```
//! use lopside_onnx::{Cost, GraphBuilder, cost, decode, encode, split};
//!
//! let mut graph = GraphBuilder::new("autoencoder");
//! let x = graph.input("x", &["batch".into(), 3.into()]);
//! let w1 = graph.initializer("w1", &[3, 1], &[0.5, 0.5, 0.5])?;
//! let b1 = graph.initializer("b1", &[1], &[0.0])?;
//! let z = graph.gemm(&x, &w1, &b1, "z");
//! let w2 = graph.initializer("w2", &[1, 3], &[1.0, 1.0, 1.0])?;
//! let b2 = graph.initializer("b2", &[3], &[0.0; 3])?;
//! let y = graph.gemm(&z, &w2, &b2, "y");
//! graph.output(&y, &["batch".into(), 3.into()]);
//!
//! let model = decode(&encode(&graph.build()))?;
//! assert_eq!(cost(&model, &[("batch", 1)])?, Cost { parameters: 10, macs: 6 });
//! let (encoder, decoder) = split(&model, "z")?;
//! assert_eq!(cost(&encoder, &[("batch", 1)])?, Cost { parameters: 4, macs: 3 });
//! # let _ = decoder;
//! # Ok::<(), lopside_onnx::OnnxError>(())
//! ```

mod builder;
mod cost;
mod cuts;
mod error;
mod external;
mod fold;
mod fp16;
mod graph;
mod inputs;
mod model;
mod pick;
mod rules;
mod shapes;
mod split;
mod symbolic;
#[cfg(test)]
mod testing;
mod types;

/// The messages of the ONNX format, generated from `onnx.proto`. Optional fields are `Option`s with a getter of the
/// same name that gives the default in place of `None`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}

pub use builder::{Attribute, Dim, GraphBuilder, IR_VERSION, OPSET};
pub use cost::{Cost, cost};
pub use cuts::{Cut, HalfCost, cuts};
pub use error::OnnxError;
pub use external::{Read, internalise};
pub use fp16::fp16;
pub use inputs::{Input, inputs, set_dims};
pub use model::{decode, encode, metadata, set_metadata};
pub use pick::{Budget, pick, ranked};
pub use split::{split, split_at};
pub use symbolic::Extent;
