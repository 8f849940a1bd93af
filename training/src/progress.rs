//! Progress bars on stderr, if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Returns the progress bar of a training run, counted in steps.
pub(crate) fn step_bar(steps: usize, done: usize) -> ProgressBar {
    new_bar(steps, "{bar:30} {percent:>3} % {msg} ({eta} left)").with_position(done as u64)
}

/// Returns a progress bar over `len` images.
pub(crate) fn image_bar(len: usize) -> ProgressBar {
    new_bar(len, "{bar:30} {pos} of {len} images {msg} ({eta} left)")
}

fn new_bar(len: usize, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(len as u64);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
