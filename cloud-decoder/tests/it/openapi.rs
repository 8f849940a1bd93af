//! The OpenAPI document does not change unnoticed, and generators of clients can read all of it.

use std::{collections::BTreeSet, env, fs, path::Path};

use serde_json::Value;

/// The access of every route: `METHOD PATH SCOPE`, or `gRPC …`.
const ACCESS: &str = include_str!("../golden/access.txt");

fn document() -> Value {
    serde_json::from_str(&cloud_decoder::openapi_document().to_json().unwrap()).unwrap()
}

/// Returns all operations, each with its name in the form of the access list, such as `GET /docs`.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let methods = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    methods.collect()
}

/// Returns a value and everything inside of it.
fn with_descendants(value: &Value) -> Vec<&Value> {
    let children: Vec<&Value> = match value {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    std::iter::once(value).chain(children.into_iter().flat_map(with_descendants)).collect()
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(path) = schema["$ref"].as_str() else { return schema };
    let name = path.strip_prefix("#/components/schemas/").unwrap();
    let schema = &document["components"]["schemas"][name];
    assert!(schema.is_object(), "there is no schema {name}");
    schema
}

/// The features by which a program recognises the variant of a value.
#[derive(Debug, Default)]
struct Shape {
    kind: Value,
    required: BTreeSet<String>,
    properties: BTreeSet<String>,
}

impl Shape {
    /// Returns whether a program can tell this shape from another one: by its type, or by required properties.
    fn differs_from(&self, other: &Self) -> bool {
        self.kind != other.kind
            || (!self.required.is_subset(&other.properties) && !other.required.is_subset(&self.properties))
    }
}

/// Returns the shapes of all variants of a schema.
fn shapes(document: &Value, schema: &Value) -> Vec<Shape> {
    let schema = resolve(document, schema);
    if let Some(variants) = schema["oneOf"].as_array() {
        return variants.iter().flat_map(|variant| shapes(document, variant)).collect();
    }
    let mut shape = Shape { kind: schema["type"].clone(), ..Shape::default() };
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let [part] = <[Shape; 1]>::try_from(shapes(document, part))
            .unwrap_or_else(|parts| panic!("a part of {schema} has variants: {parts:?}"));
        assert_eq!(part.kind, "object", "a part of {schema} is not an object");
        shape.kind = part.kind;
        shape.required.extend(part.required);
        shape.properties.extend(part.properties);
    }
    let required = schema["required"].as_array().into_iter().flatten();
    shape.required.extend(required.map(|name| name.as_str().unwrap().to_owned()));
    let properties = schema["properties"].as_object().into_iter().flatten();
    shape.properties.extend(properties.map(|(name, _)| name.clone()));
    vec![shape]
}

#[test]
fn the_document_matches_the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
    let document = cloud_decoder::openapi_document().to_pretty_json().unwrap() + "\n";
    if env::var_os("LOPSIDE_RENEW_GOLDEN").is_some() {
        fs::write(&path, &document).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let first_difference =
        document.lines().zip(golden.lines()).position(|(document, golden)| document != golden);
    assert!(
        document == golden,
        "the document differs from line {} on: check the difference, then run this test with LOPSIDE_RENEW_GOLDEN=1",
        first_difference.unwrap_or_else(|| document.lines().count().min(golden.lines().count())) + 1
    );
}

#[test]
fn every_refusal_has_the_same_body() {
    let document = document();
    let mut refusals = 0;
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap().iter();
        for (status, response) in responses.filter(|(status, _)| status.as_str() >= "400") {
            let body = &response["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(body, "#/components/schemas/Error", "{name}: {status}");
            refusals += 1;
        }
    }
    assert!(refusals > 30, "{refusals}");
}

#[test]
fn every_operation_that_needs_a_key_declares_the_refusals_of_keys() {
    let document = document();
    for (name, operation) in operations(&document) {
        let scope = ACCESS.lines().find_map(|line| line.strip_prefix(&name)?.strip_prefix(' ')).unwrap();
        for status in ["401", "403", "429"] {
            let is_declared = operation["responses"][status].is_object();
            assert_eq!(is_declared, scope != "open", "{name}: {status}");
        }
    }
}

#[test]
fn every_operation_has_an_id_of_its_own() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no id"));
        assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{id}");
        assert!(ids.insert(id), "two operations have the id {id}");
    }
}

#[test]
fn the_variants_of_every_schema_can_be_told_apart() {
    let document = document();
    let with_variants = with_descendants(&document).into_iter().filter(|value| value["oneOf"].is_array());
    let mut checked = 0;
    for schema in with_variants {
        let shapes = shapes(&document, schema);
        for (index, shape) in shapes.iter().enumerate() {
            for other in &shapes[index + 1..] {
                assert!(shape.differs_from(other), "{schema}: {shape:?} looks like {other:?}");
            }
        }
        checked += 1;
    }
    assert!(checked > 5, "{checked}");
    let combined = with_descendants(&document).into_iter().filter(|value| value["allOf"].is_array());
    for schema in combined {
        assert_eq!(shapes(&document, schema).len(), 1, "{schema}");
    }
}

#[test]
fn enumerations_and_objects_have_names() {
    let document = document();
    let components = document["components"]["schemas"].as_object().unwrap().values();
    let parts = components.flat_map(|schema| {
        let parts = schema["allOf"].as_array().map_or_else(|| vec![schema], |parts| parts.iter().collect());
        parts.into_iter().flat_map(|part| part.as_object().unwrap().values())
    });
    // The document itself is an object without a schema.
    let operations = operations(&document).into_iter().filter(|(name, _)| name != "GET /openapi.json");
    for value in parts.chain(operations.map(|(_, operation)| operation)).flat_map(with_descendants) {
        let is_unnamed =
            value["enum"].is_array() || value["properties"].is_object() || value["type"] == "object";
        assert!(!is_unnamed, "a generator would have to invent a name for {value}");
    }
}
