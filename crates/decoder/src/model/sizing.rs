//! Measures the worthwhile number of items per run of a model.
//!
//! Many items per run pay off if a run has a high fixed cost: for small models, and for all models on a GPU. A
//! convolution on a CPU takes twice as long for two items, and the first caller would wait for the second. Each
//! model is therefore measured when it is loaded: the number of items doubles as long as the time per item drops
//! by at least a tenth.

use std::time::Duration;

/// Maximum number of items per run if the configuration does not set one.
pub(crate) const MAX_MEASURED_ITEMS: usize = 32;
/// Runs per measurement. The fastest one counts, because disturbances only make a run longer.
const RUNS_PER_SIZE: usize = 3;
/// Duration of a run beyond which twice as many items are not tried.
const MAX_RUN_TIME: Duration = Duration::from_millis(100);
/// Maximum time per item after doubling, relative to the time before.
const MAX_COST_RATIO: f64 = 0.9;

/// Returns the worthwhile number of items per run, a power of two up to `max_items`. `time` measures a run of the
/// given number of items.
///
/// # Errors
/// The error of `time`.
pub(crate) fn measure_batch_size<E>(
    max_items: usize,
    mut time: impl FnMut(usize) -> Result<Duration, E>,
) -> Result<usize, E> {
    let mut items = 1;
    let mut last = measure_fastest_run(items, &mut time)?;
    while 2 * items <= max_items && last < MAX_RUN_TIME {
        let next = measure_fastest_run(2 * items, &mut time)?;
        if next.as_secs_f64() > 2.0 * MAX_COST_RATIO * last.as_secs_f64() {
            break;
        }
        (items, last) = (2 * items, next);
    }
    Ok(items)
}

fn measure_fastest_run<E>(
    items: usize,
    time: &mut impl FnMut(usize) -> Result<Duration, E>,
) -> Result<Duration, E> {
    let mut best = time(items)?;
    for _ in 1..RUNS_PER_SIZE {
        best = best.min(time(items)?);
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measures a model whose run takes `fixed` microseconds, and `each` microseconds more per item.
    fn batch_size(max_items: usize, fixed: u64, each: u64) -> usize {
        let time = |items: usize| Ok::<_, ()>(Duration::from_micros(fixed + each * items as u64));
        measure_batch_size(max_items, time).unwrap()
    }

    #[test]
    fn fixed_costs_are_shared_by_a_batch_and_costs_per_item_are_not() {
        assert_eq!(batch_size(32, 100, 0), 32);
        assert_eq!(batch_size(20, 100, 0), 16);
        assert_eq!(batch_size(32, 0, 100), 1);
        assert_eq!(batch_size(32, 100, 120), 4);
        // A run of a quarter of a second is over the limit.
        assert_eq!(batch_size(32, 250_000, 0), 1);
    }

    #[test]
    fn the_error_of_a_run_is_returned() {
        assert_eq!(
            measure_batch_size(8, |items| if items > 2 { Err(items) } else { Ok(Duration::ZERO) }),
            Err(4)
        );
    }
}
