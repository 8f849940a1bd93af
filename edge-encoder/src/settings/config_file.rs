use std::{fs, path::Path};

use toml::de::DeTable;

use super::root::RootTable;
use crate::{EdgeError, SettingsError, error::io_error};

/// Reads the config file; returns an empty table without a path.
///
/// # Errors
/// [`EdgeError::Io`], or [`SettingsError::InvalidConfig`] with the line and, where it is known, the source.
pub(crate) fn read_config_file(path: Option<&Path>) -> Result<RootTable, EdgeError> {
    let Some(path) = path else { return Ok(RootTable::default()) };
    let text = fs::read_to_string(path).map_err(io_error(path))?;
    toml::from_str(&text).map_err(|error| {
        let position = error.span().map(|span| span.start);
        let reason = match position.and_then(|position| source_name_at(&text, position)) {
            Some(name) => format!("source {name:?}: {error}"),
            None => error.to_string(),
        };
        SettingsError::InvalidConfig { path: path.to_owned(), reason }.into()
    })
}

/// Returns the name of the source that has a key or a value at a position of the text.
fn source_name_at(text: &str, position: usize) -> Option<String> {
    let root = DeTable::parse(text).ok()?.into_inner();
    let sources = root.get("source")?.get_ref().as_array()?;
    let source = sources.iter().filter_map(|source| source.get_ref().as_table()).find(|source| {
        source.iter().any(|(key, value)| key.span().contains(&position) || value.span().contains(&position))
    })?;
    source.get("name")?.get_ref().as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.toml");
        fs::write(&path, text).unwrap();
        read_config_file(Some(&path)).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = refused("bundle = 'a'\nbundel = 'x'");
        assert!(["edge.toml", "line 2", "bundel"].iter().all(|part| error.contains(part)), "{error}");
        assert!(!error.contains("source \""), "{error}");
    }

    #[test]
    fn a_misspelt_value_is_refused_with_file_line_source_and_the_allowed_values() {
        for (key, allowed) in [
            ("after", "`move`, `remember`, `delete`"),
            ("restart", "`always`, `on-failure`, `never`"),
            (
                "format",
                "`auto`, `mjpeg`, `pnm`, `png`, `y4m`, `grey8`, `rgb24`, `bgr24`, `yuv420p`, `yuv422p`, `yuv444p`, \
                 `nv12`, `yuyv`",
            ),
            ("class", "`low`, `normal`, `high`"),
        ] {
            let error = refused(&format!(
                "[[source]]\nname = 'yard'\nfolder = 'a'\n\n[[source]]\nname = 'gate'\n{key} = 'mvoe'\n"
            ));
            for part in ["edge.toml", "line 7", "source \"gate\"", "`mvoe`", allowed] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
        let unnamed = refused("[[source]]\nfolder = 'a'\nafter = 'mvoe'\n");
        assert!(unnamed.contains("line 3") && !unnamed.contains("source \""), "{unnamed}");
    }

    #[test]
    fn without_a_file_nothing_is_set() {
        assert!(read_config_file(None).unwrap().bundle.bundle.is_none());
    }
}
