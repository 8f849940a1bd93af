//! Lists the differences between two definitions.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Definition;

/// Returns the keys that differ, with their values in the first and in the second definition, such as
/// `training.epochs = 3`. Returns `None` for equal definitions.
#[must_use]
pub fn differences(a: &Definition, b: &Definition) -> Option<[String; 2]> {
    let [a, b] = [a, b].map(flatten_keys);
    (a != b).then(|| [list_differing(&a, &b), list_differing(&b, &a)])
}

/// Lists the keys that differ from `other`, with their values in `own`.
fn list_differing(own: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> String {
    let keys = own.keys().chain(other.keys().filter(|key| !own.contains_key(*key)));
    let differing = keys.filter(|key| own.get(*key) != other.get(*key));
    let entries: Vec<String> = differing
        .map(|key| format!("{key} = {}", own.get(key).map_or("(not set)", String::as_str)))
        .collect();
    entries.join(", ")
}

fn flatten_keys(definition: &Definition) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    collect_leaves(String::new(), &serde_json::to_value(definition).unwrap_or_default(), &mut leaves);
    leaves
}

fn collect_leaves(path: String, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| {
            let separator = if path.is_empty() { "" } else { "." };
            collect_leaves(format!("{path}{separator}{key}"), value, leaves);
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, value)| collect_leaves(format!("{path}[{index}]"), value, leaves)),
        leaf => {
            leaves.insert(path, leaf.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differing_keys_are_listed() {
        let a = Definition::find("fashion-dense").unwrap();
        assert_eq!(differences(&a, &a), None);
        let mut b = a.clone();
        b.training.epochs = 7;
        b.encoder.layers.pop();
        let [found, requested] = differences(&a, &b).unwrap();
        assert!(
            found.contains("training.epochs = 100") && requested.contains("training.epochs = 7"),
            "{found}"
        );
        assert!(found.contains("encoder.layers[2].units = 32"), "{found}");
        assert!(
            requested.contains("encoder.layers[2].units = (not set)") && !requested.contains("seed"),
            "{requested}"
        );
    }
}
