//! Shapes with symbolic dimensions.
//!
//! Shape rules compute with numbers. Shapes are therefore derived for several values of each open symbol, and
//! the results show how each extent depends on the symbols: an extent that is a linear function of one symbol
//! is written as that function, for example `h/4 + 1`. The values are multiples of 192, so that layers that
//! halve an extent or divide it by three do so without a remainder; for other values of the symbol the
//! quotient is rounded as the layers round.

use std::{collections::HashMap, fmt};

use crate::{
    proto::GraphProto,
    shape::Shape,
    shape_inference::infer_node,
    shapes::{DeclaredDim, Shapes, declared_dims},
};

/// The smallest value that is substituted for a symbol.
const MIN_PROBE: u64 = 1920;
/// Maximum number of open symbols that are analysed: each of them requires two more derivations. Further
/// symbols stay without a value.
const MAX_SYMBOLS: usize = 16;

/// One dimension of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// A constant extent.
    Fixed(u64),
    /// `symbol · times / over + plus`, rounded if `over` does not divide it.
    Linear {
        /// The symbol of an input's dimension, or `INPUT.AXIS`.
        symbol: String,
        /// The numerator.
        numerator: u64,
        /// The denominator, without a common factor with the numerator.
        denominator: u64,
        /// The constant term.
        offset: i64,
    },
    /// The extent depends on the inputs in another way.
    Unknown,
}

impl Extent {
    /// Returns the extent if it is constant.
    #[must_use]
    pub fn fixed(&self) -> Option<u64> {
        match self {
            Self::Fixed(extent) => Some(*extent),
            Self::Linear { .. } | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Linear { symbol, numerator, denominator, offset } = self else {
            return match self {
                Self::Fixed(extent) => write!(formatter, "{extent}"),
                _ => write!(formatter, "?"),
            };
        };
        if *numerator != 1 {
            write!(formatter, "{numerator}·")?;
        }
        write!(formatter, "{symbol}")?;
        if *denominator != 1 {
            write!(formatter, "/{denominator}")?;
        }
        match offset {
            0 => Ok(()),
            1.. => write!(formatter, "+{offset}"),
            _ => write!(formatter, "{offset}"),
        }
    }
}

/// The symbolic shapes of some tensors.
pub(crate) struct SymbolicShapes<'a>(HashMap<&'a str, Vec<Extent>>);

impl<'a> SymbolicShapes<'a> {
    pub(crate) fn new(graph: &GraphProto, symbols: &[(&str, i64)], tensors: &[&'a str]) -> Self {
        let open = open_symbols(graph, symbols);
        // Different values, so that two extents are not equal by coincidence.
        let base: Vec<u64> = (0..open.len() as u64).map(|index| MIN_PROBE + 384 * index).collect();
        let base_shapes = derive_shapes(graph, symbols, (&open, &base), tensors);
        let varied: Vec<[DerivedShapes<'_>; 2]> = (0..open.len())
            .map(|index| {
                [2, 3].map(|factor| {
                    let mut values = base.clone();
                    values[index] *= factor;
                    derive_shapes(graph, symbols, (&open, &values), tensors)
                })
            })
            .collect();
        let extents = base_shapes.iter().map(|(&tensor, shape)| {
            let dims = shape.iter().enumerate().map(|(axis, &base_extent)| {
                let varied = varied.iter().map(|[doubled, tripled]| {
                    derived_extent(doubled, tensor, axis).zip(derived_extent(tripled, tensor, axis))
                });
                fit_line(base_extent, &open, &base, &varied.collect::<Vec<_>>())
            });
            (tensor, dims.collect())
        });
        Self(extents.collect())
    }

    pub(crate) fn shape_of(&self, tensor: &str) -> Option<Vec<Extent>> {
        self.0.get(tensor).cloned()
    }
}

type DerivedShapes<'a> = HashMap<&'a str, Shape>;

fn derived_extent(found: &DerivedShapes<'_>, tensor: &str, axis: usize) -> Option<u64> {
    found.get(tensor)?.get(axis).copied()
}

/// Derives the shapes of tensors, with values for the listed and for the open symbols.
fn derive_shapes<'a>(
    graph: &GraphProto,
    symbols: &[(&str, i64)],
    (open, values): (&[String], &[u64]),
    tensors: &[&'a str],
) -> DerivedShapes<'a> {
    let probes = open.iter().zip(values).map(|(symbol, &value)| (symbol.as_str(), value as i64));
    let symbols: Vec<(&str, i64)> = symbols.iter().copied().chain(probes).collect();
    let mut shapes = Shapes::new(graph, &symbols);
    for node in &graph.node {
        infer_node(&mut shapes, node);
    }
    let known =
        tensors.iter().filter_map(|&tensor| Some((tensor, shapes.shape_of(tensor)?.as_ref().ok()?.clone())));
    known.collect()
}

/// Returns the symbols of the inputs' dimensions without a value in `symbols`, at most [`MAX_SYMBOLS`].
fn open_symbols(graph: &GraphProto, symbols: &[(&str, i64)]) -> Vec<String> {
    let mut open = Vec::new();
    for dim in graph.input.iter().filter_map(declared_dims).flatten() {
        if let DeclaredDim::Open(symbol) = dim
            && symbols.iter().all(|(name, _)| *name != symbol)
            && !open.contains(&symbol)
            && open.len() < MAX_SYMBOLS
        {
            open.push(symbol);
        }
    }
    open
}

/// Returns an extent as a function of at most one symbol, given its value at the base point (`base_extent`) and
/// at two and three times the base value of each symbol (`varied`).
fn fit_line(base_extent: u64, open: &[String], base: &[u64], varied: &[Option<(u64, u64)>]) -> Extent {
    let mut extent = Extent::Fixed(base_extent);
    for ((symbol, &base_value), varied) in open.iter().zip(base).zip(varied) {
        let Some((doubled, tripled)) = *varied else { return Extent::Unknown };
        if (doubled, tripled) == (base_extent, base_extent) {
            continue;
        }
        let is_linear = doubled > base_extent && tripled.checked_sub(doubled) == Some(doubled - base_extent);
        if !is_linear || extent != Extent::Fixed(base_extent) {
            return Extent::Unknown;
        }
        let slope = doubled - base_extent;
        let divisor = gcd(slope, base_value);
        let offset = i128::from(base_extent) - i128::from(slope);
        let Ok(offset) = i64::try_from(offset) else { return Extent::Unknown };
        extent = Extent::Linear {
            symbol: symbol.clone(),
            numerator: slope / divisor,
            denominator: base_value / divisor,
            offset,
        };
    }
    extent
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_fitted_and_formatted() {
        let (open, base) = (["h".to_owned(), "w".to_owned()], [1920, 2304]);
        let format_line =
            |base_extent, h, w| fit_line(base_extent, &open, &base, &[Some(h), Some(w)]).to_string();
        assert_eq!(format_line(48, (48, 48), (48, 48)), "48");
        assert_eq!(format_line(480, (960, 1440), (480, 480)), "h/4");
        assert_eq!(format_line(481, (961, 1441), (481, 481)), "h/4+1");
        assert_eq!(format_line(4606, (4606, 4606), (9214, 13_822)), "2·w-2");
        assert_eq!(format_line(480, (960, 1440), (960, 1440)), "?");
        assert_eq!(format_line(480, (960, 1500), (480, 480)), "?");
    }
}
