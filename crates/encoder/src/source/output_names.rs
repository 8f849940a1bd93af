//! The names of outputs: two inputs must not write the same file.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{InputError, file_stem, is_container};

/// Checks that the outputs of these files have names of their own: an output is named after the stem of its file, followed by
/// a number when the file contains many inputs.
///
/// # Errors
/// [`InputError::SameOutput`], which names both files.
pub(crate) fn check_output_names(files: &[PathBuf]) -> Result<(), InputError> {
    let mut by_stem: HashMap<String, &Path> = HashMap::new();
    for file in files {
        if let Some(first) = by_stem.insert(file_stem(file), file) {
            return Err(same(first, file));
        }
    }
    for (name, file) in &by_stem {
        let container =
            unnumbered(name).and_then(|stem| by_stem.get(stem)).filter(|other| is_container(other));
        if let Some(container) = container {
            return Err(same(container, file));
        }
    }
    Ok(())
}

/// Returns the `log` of `log-00012`.
fn unnumbered(name: &str) -> Option<&str> {
    let (stem, number) = name.rsplit_once('-')?;
    (number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(stem)
}

fn same(first: &Path, second: &Path) -> InputError {
    InputError::SameOutput { first: first.to_owned(), second: second.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str]) -> Result<(), String> {
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        check_output_names(&files).map_err(|error| error.to_string())
    }

    #[test]
    fn files_with_the_same_stem_are_refused_by_name() {
        assert!(check(&["a/x.png", "a/y.png", "b/z.png", "a/x-1.png"]).is_ok());
        for files in
            [["a/x.png", "b/x.png"], ["x.png", "x.jpg"], ["x.csv", "b/x.csv.gz"], ["a/x.png", "a/x.png"]]
        {
            let error = check(&files).unwrap_err();
            assert!(files.iter().all(|file| error.contains(file)), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_named_like_a_numbered_input_is_refused() {
        assert!(check(&["log.npy", "log-00003.png"]).unwrap_err().contains("log-00003.png"));
        assert!(check(&["log.png", "log-00003.png"]).is_ok());
    }
}
