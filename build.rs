//! Compiles `proto/` without `protoc`: clients and messages of both packages and, with the feature `server`, their JSON
//! form, the descriptor set for reflection and the server of the RPCs that do not stream ticks. Those that do are served
//! by `src/grpc/stream.rs`, which writes ready bytes instead of encoding a message per subscriber. Compresses the board.

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use prost::Message;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use tonic_prost_build::Builder;

/// The package whose messages have a JSON form.
const PACKAGE: &str = "ticker.v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["gogen/ticker.proto", "ticker/v1/ticker.proto"], ["proto"])?;
    let client = tonic_prost_build::configure().build_server(false).btree_map(".");
    // Cargo sets it when the feature `server` is on.
    if env::var_os("CARGO_FEATURE_SERVER").is_none() {
        client.compile_fds(files)?;
        return Ok(());
    }
    with_json(client, &files).compile_fds(files.clone())?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("contract.bin"), files.encode_to_vec())?;
    let mut without_ticks = files;
    for service in without_ticks.file.iter_mut().flat_map(|file| &mut file.service) {
        service.method.retain(|method| !method.server_streaming() || method.name() == "PublishStream");
    }
    for file in &mut without_ticks.file {
        file.service.retain(|service| !service.method.is_empty());
    }
    let server = out.join("server");
    fs::create_dir_all(&server)?;
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".ticker.v1", "crate::contract::v1")
        .extern_path(".gogen", "crate::contract::gogen")
        .extern_path(".ticker.v1.ListTicksResponse", "crate::contract::Encoded")
        .extern_path(".ticker.v1.ListCandlesResponse", "crate::contract::Encoded")
        .out_dir(server)
        .compile_fds(without_ticks)?;
    compress_board(&out.join("board"))
}

/// Compresses the built files of the board.
fn compress_board(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=web/dist");
    fs::create_dir_all(out)?;
    for file in fs::read_dir("web/dist")? {
        let file = file?;
        let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
        compressed.write_all(&fs::read(file.path())?)?;
        let name = format!("{}.gz", file.file_name().to_string_lossy());
        fs::write(out.join(name), compressed.finish()?)?;
    }
    Ok(())
}

/// Derives `serde::Serialize` for all types of the package, in the form that `src/contract/json.rs` describes.
fn with_json(mut builder: Builder, files: &FileDescriptorSet) -> Builder {
    const DERIVE: &str = "#[derive(::serde::Serialize)]";
    builder = builder.message_attribute(format!(".{PACKAGE}"), DERIVE);
    builder = builder.enum_attribute(format!(".{PACKAGE}"), DERIVE);
    // Without a dot at its beginning a path is that of one field, never a prefix of others.
    for file in files.file.iter().filter(|file| file.package() == PACKAGE) {
        for an_enum in &file.enum_type {
            for value in &an_enum.value {
                let path = format!("{PACKAGE}.{}.{}", an_enum.name(), value.name());
                builder = builder.field_attribute(path, format!("#[serde(rename = {:?})]", value.name()));
            }
        }
        for message in &file.message_type {
            let path = format!("{PACKAGE}.{}", message.name());
            for oneof in real_oneofs(message) {
                builder = builder.field_attribute(format!("{path}.{oneof}"), "#[serde(flatten)]");
            }
            for field in &message.field {
                let name = field.name();
                let path = match oneof_of(message, field) {
                    Some(oneof) => format!("{path}.{oneof}.{name}"),
                    None => format!("{path}.{name}"),
                };
                builder = builder.field_attribute(path, json_attribute(message, field));
            }
        }
    }
    builder
}

/// The name, the condition and the form of a field.
fn json_attribute(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let mut parts = vec![format!("rename = {:?}", field.json_name())];
    if oneof_of(message, field).is_none() {
        parts.push("skip_serializing_if = \"crate::contract::json::is_default\"".to_owned());
    }
    if let Some(form) = json_form(message, field) {
        parts.push(format!("serialize_with = \"<{form} as crate::contract::json::Form<_>>::write\""));
    }
    format!("#[serde({})]", parts.join(", "))
}

/// The form of a field, of those in `src/contract/json.rs`; `None` when it is what the type's own `Serialize` writes.
fn json_form(message: &DescriptorProto, field: &FieldDescriptorProto) -> Option<String> {
    let is_entry = |nested: &&DescriptorProto| field.type_name().ends_with(&format!(".{}", nested.name()));
    if let Some(entry) = message.nested_type.iter().find(is_entry) {
        let value = json_form(entry, entry.field.get(1)?)?;
        return Some(format!("::std::collections::BTreeMap<(), {value}>"));
    }
    let form = match field.r#type() {
        Type::Int64 | Type::Uint64 if field.name().ends_with("_nanos") => "Digits",
        Type::Int64 | Type::Uint64 => "Integer",
        Type::Double => "Double",
        Type::Bytes => "Base64",
        Type::Enum => {
            &format!("Enum<{}>", field.type_name().replace(&format!(".{PACKAGE}."), "crate::contract::v1::"))
        }
        Type::Message if field.type_name() == ".google.protobuf.Timestamp" => "Rfc3339",
        Type::Message if field.type_name() == ".google.protobuf.Duration" => "Seconds",
        _ => return None,
    };
    let form = format!("crate::contract::json::{form}");
    let is_optional = field.r#type() == Type::Message || field.proto3_optional();
    Some(match field.label() {
        Label::Repeated => format!("::std::vec::Vec<{form}>"),
        _ if is_optional && oneof_of(message, field).is_none() => format!("::core::option::Option<{form}>"),
        _ => form,
    })
}

/// The oneof that a field belongs to. An optional field is in one that exists in the descriptor only.
fn oneof_of<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a str> {
    let index = field.oneof_index.filter(|_| !field.proto3_optional())?;
    Some(message.oneof_decl.get(usize::try_from(index).ok()?)?.name())
}

/// The oneofs that the `.proto` file has.
fn real_oneofs(message: &DescriptorProto) -> BTreeSet<&str> {
    message.field.iter().filter_map(|field| oneof_of(message, field)).collect()
}
