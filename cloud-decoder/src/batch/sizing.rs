//! How many items of a model are worth a run.
//!
//! Many items in one run pay where a run costs much whatever it holds: small models, and all on a GPU. A convolution on a
//! CPU takes twice as long for two items, and whoever came first waits for the second. So each model is asked when it is
//! loaded: the number of items doubles for as long as an item gets cheaper by a tenth at least.

use std::time::Duration;

/// The most items of a run, where nobody sets them.
pub(crate) const MOST: usize = 32;
/// Of so many runs the quickest counts: what disturbs a run only makes it longer.
const RUNS: usize = 3;
/// A run that takes longer is not tried with twice as many items.
const LONG: Duration = Duration::from_millis(100);
/// What twice as many items may cost an item, at most.
const WORTH: f64 = 0.9;

/// The items worth a run, a power of two up to `most`. `time` runs so many.
///
/// # Errors
/// What `time` fails with.
pub(crate) fn worthwhile<E>(
    most: usize,
    mut time: impl FnMut(usize) -> Result<Duration, E>,
) -> Result<usize, E> {
    let mut quickest = |items: usize| -> Result<Duration, E> {
        let mut best = time(items)?;
        for _ in 1..RUNS {
            best = best.min(time(items)?);
        }
        Ok(best)
    };
    let mut items = 1;
    let mut last = quickest(items)?;
    while 2 * items <= most && last < LONG {
        let next = quickest(2 * items)?;
        if next.as_secs_f64() > 2.0 * WORTH * last.as_secs_f64() {
            break;
        }
        (items, last) = (2 * items, next);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(most: usize, fixed: u64, each: u64) -> usize {
        let time = |items: usize| Ok::<_, ()>(Duration::from_micros(fixed + each * items as u64));
        worthwhile(most, time).unwrap()
    }

    #[test]
    fn what_costs_by_the_run_is_gathered_and_what_costs_by_the_item_is_not() {
        assert_eq!(of(32, 100, 0), 32);
        assert_eq!(of(20, 100, 0), 16);
        assert_eq!(of(32, 0, 100), 1);
        assert_eq!(of(32, 100, 120), 4);
        // A run of a quarter of a second is long enough.
        assert_eq!(of(32, 250_000, 0), 1);
    }

    #[test]
    fn a_failing_run_is_told() {
        assert_eq!(worthwhile(8, |items| if items > 2 { Err(items) } else { Ok(Duration::ZERO) }), Err(4));
    }
}
