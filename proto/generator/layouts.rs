//! The code of `layouts.rs`, which tells `src/layout.rs` what prost makes of every message.

use std::collections::HashSet;

use protox::prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, ServiceDescriptor};

/// Returns the implementations of `Layout` for all messages. `shared` names the fields of bytes that remain slices of
/// the received message. A message that contains itself does not compile, because its constant would depend on itself;
/// prost would box it, which the layouts do not count.
///
/// # Errors
/// A package without a module in the crate.
pub(crate) fn describe_layouts(pool: &DescriptorPool, shared: &[&str]) -> Result<String, String> {
    let services: Vec<ServiceDescriptor> = pool.services().collect();
    let methods = services.iter().flat_map(ServiceDescriptor::methods);
    let requests: HashSet<String> = methods.map(|method| method.input().full_name().to_owned()).collect();
    let messages = pool.all_messages().filter(|message| !message.is_map_entry());
    let layouts = messages.map(|message| {
        let is_request = requests.contains(message.full_name());
        describe_message(&message, is_request, shared)
    });
    layouts.collect()
}

fn describe_message(
    message: &MessageDescriptor,
    is_request: bool,
    shared: &[&str],
) -> Result<String, String> {
    let (path, fields) = (rust_path(message)?, describe_fields(message, shared)?);
    Ok(format!(
        "impl Layout for {path} {{\n    const FIELDS: &'static [Field] = &[{fields}];\n    const IS_REQUEST: bool = \
         {is_request};\n}}\n"
    ))
}

fn describe_fields(message: &MessageDescriptor, shared: &[&str]) -> Result<String, String> {
    message.fields().map(|field| describe_field(&field, shared)).collect()
}

/// Returns the description of a field; nothing for a field whose value is inside of its message's struct.
fn describe_field(field: &FieldDescriptor, shared: &[&str]) -> Result<String, String> {
    let Some(repetition) = describe_repetition(field, shared)? else { return Ok(String::new()) };
    let (number, content) = (field.number(), describe_content(field, shared)?);
    Ok(format!("\n        Field {{ number: {number}, content: {content}, repetition: {repetition} }},"))
}

/// Returns the repetition of a field; `None` if the field is a single value without contents of its own.
fn describe_repetition(field: &FieldDescriptor, shared: &[&str]) -> Result<Option<String>, String> {
    let repetition = match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => {
            let [key, value] = [entry.map_entry_key_field(), entry.map_entry_value_field()];
            let (key, value) = (rust_type(&key, shared)?, rust_type(&value, shared)?);
            format!("Repetition::Map {{ entry_bytes: size_of::<({key}, {value})>() }}")
        }
        _ if field.is_list() => {
            format!("Repetition::List {{ element_bytes: size_of::<{}>() }}", rust_type(field, shared)?)
        }
        Kind::Message(_) | Kind::String => "Repetition::Once".to_owned(),
        Kind::Bytes if !is_shared(field, shared) => "Repetition::Once".to_owned(),
        _ => return Ok(None),
    };
    Ok(Some(repetition))
}

fn describe_content(field: &FieldDescriptor, shared: &[&str]) -> Result<String, String> {
    let content = match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => {
            return Ok(format!("Content::Message {{ fields: &[{}] }}", describe_fields(&entry, shared)?));
        }
        Kind::Message(message) => {
            let path = rust_path(&message)?;
            return Ok(format!("Content::Message {{ fields: <{path} as Layout>::FIELDS }}"));
        }
        Kind::Bytes if is_shared(field, shared) => "Content::Shared",
        Kind::String | Kind::Bytes => "Content::Copied",
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => "Content::Fixed { bytes: 8 }",
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => "Content::Fixed { bytes: 4 }",
        _ => "Content::Varint",
    };
    Ok(content.to_owned())
}

fn is_shared(field: &FieldDescriptor, shared: &[&str]) -> bool {
    shared.iter().any(|path| path.strip_prefix('.') == Some(field.full_name()))
}

/// Returns the type of one element of a field.
fn rust_type(field: &FieldDescriptor, shared: &[&str]) -> Result<String, String> {
    let name = match field.kind() {
        Kind::Message(message) => return rust_path(&message),
        Kind::Double => "f64",
        Kind::Float => "f32",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Enum(_) => "i32",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "i64",
        Kind::Uint32 | Kind::Fixed32 => "u32",
        Kind::Uint64 | Kind::Fixed64 => "u64",
        Kind::Bool => "bool",
        Kind::String => "String",
        Kind::Bytes if is_shared(field, shared) => "::prost::bytes::Bytes",
        Kind::Bytes => "Vec<u8>",
    };
    Ok(name.to_owned())
}

/// Returns the path of the struct that prost generates: a message within another one is in a module with the outer
/// one's name.
fn rust_path(message: &MessageDescriptor) -> Result<String, String> {
    let module = match message.package_name() {
        "inference" => "crate::inference",
        "lopside.v1" => "crate::v1",
        package => return Err(format!("the package {package} has no module in lib.rs: add it here as well")),
    };
    let mut path = message.name().to_owned();
    let mut outer = message.parent_message();
    while let Some(parent) = outer {
        path = format!("{}::{path}", snake_case(parent.name()));
        outer = parent.parent_message();
    }
    Ok(format!("{module}::{path}"))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
