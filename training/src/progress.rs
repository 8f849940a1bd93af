//! Progress bars on stderr, if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Returns the progress bar of a training run, counted in steps.
pub(crate) fn steps(steps: usize, done: usize) -> ProgressBar {
    bar(steps, "{bar:30} {percent:>3} % {msg} ({eta} left)").with_position(done as u64)
}

/// Returns a progress bar over `len` images.
pub(crate) fn pictures(len: usize) -> ProgressBar {
    bar(len, "{bar:30} {pos} of {len} images {msg} ({eta} left)")
}

fn bar(len: usize, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(len as u64);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
