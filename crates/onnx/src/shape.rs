//! Fixed shapes and their arithmetic.

/// Maximum number of dimensions, more than any real tensor has. Shapes are copied between nodes, so a file
/// must not determine their size.
pub(crate) const MAX_RANK: usize = 64;

/// Dimensions, slowest first.
pub(crate) type Shape = Vec<u64>;

/// Returns the number of elements of a shape; `None` beyond 64 bits.
pub(crate) fn checked_product(dims: &[u64]) -> Option<u64> {
    dims.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim))
}

/// Returns the shape that results from broadcasting these shapes; `None` if they do not fit together or the
/// list is empty.
pub(crate) fn broadcast(shapes: &[&[u64]]) -> Option<Shape> {
    let rank = shapes.iter().map(|shape| shape.len()).max()?;
    let mut out = vec![1; rank];
    for shape in shapes {
        for (target, &source) in out.iter_mut().rev().zip(shape.iter().rev()) {
            match (*target, source) {
                (1, _) => *target = source,
                (target, source) if source == 1 || source == target => {}
                _ => return None,
            }
        }
    }
    Some(out)
}
