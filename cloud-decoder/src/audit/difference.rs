use std::collections::BTreeMap;

/// Maximum number of names per kind of difference.
const MAX_NAMES: usize = 16;

/// Things by name, with the settings of each as text.
pub(super) type Settings = BTreeMap<String, String>;

/// Describes what was added, changed and removed. With `shows_values`, the new settings are named as well.
pub(super) fn describe_difference(before: &Settings, after: &Settings, shows_values: bool) -> String {
    let show = |(name, value): (&String, &String)| {
        if shows_values { format!("{name} ({value})") } else { name.clone() }
    };
    let added = after.iter().filter(|(name, _)| !before.contains_key(*name)).map(show);
    let changed =
        after.iter().filter(|(name, value)| before.get(*name).is_some_and(|old| old != *value)).map(show);
    let removed = before.keys().filter(|name| !after.contains_key(*name)).cloned();
    let kinds: [(&str, Vec<String>); 3] =
        [("added", added.collect()), ("changed", changed.collect()), ("removed", removed.collect())];
    let parts: Vec<String> = kinds.iter().filter_map(|(kind, names)| describe_names(kind, names)).collect();
    if parts.is_empty() { "no difference".to_owned() } else { parts.join("; ") }
}

fn describe_names(kind: &str, names: &[String]) -> Option<String> {
    let listed = names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(MAX_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| format!("{kind} {listed}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn additions_changes_and_removals_are_named() {
        let before = settings(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = settings(&[("b", "2"), ("c", "1"), ("d", "1")]);
        assert_eq!(describe_difference(&before, &after, false), "added d; changed b; removed a");
        assert_eq!(describe_difference(&before, &after, true), "added d (1); changed b (2); removed a");
        assert_eq!(describe_difference(&before, &before, true), "no difference");
        let many: Vec<String> = (0..20).map(|number| format!("key-{number:02}")).collect();
        let many = many.iter().map(|name| (name.clone(), String::new())).collect();
        let text = describe_difference(&many, &settings(&[]), false);
        assert!(text.starts_with("removed key-00, key-01") && text.ends_with("key-15 and 4 more"), "{text}");
    }
}
