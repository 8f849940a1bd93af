//! Progress bars, on stderr where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// The bar of a training, whose unit is a step.
pub(crate) fn steps(steps: usize, done: usize) -> ProgressBar {
    bar(steps, "{bar:30} {percent:>3} % {msg} ({eta} left)").with_position(done as u64)
}

/// A bar of `len` pictures.
pub(crate) fn pictures(len: usize) -> ProgressBar {
    bar(len, "{bar:30} {pos} of {len} pictures {msg} ({eta} left)")
}

fn bar(len: usize, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(len as u64);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
