//! Compiles `proto/` without `protoc`: clients and messages of both packages and, with the feature `server`, the
//! descriptor set for reflection and the server of the RPCs that answer once. The RPCs that stream ticks are served by
//! `src/grpc/stream.rs`, which writes ready bytes instead of encoding a message per subscriber.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["gogen/ticker.proto", "ticker/v1/ticker.proto"], ["proto"])?;
    tonic_prost_build::configure().build_server(false).btree_map(".").compile_fds(files.clone())?;
    // Cargo sets it when the feature `server` is on.
    if env::var_os("CARGO_FEATURE_SERVER").is_none() {
        return Ok(());
    }

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("contract.bin"), files.encode_to_vec())?;
    let mut answering_once = files;
    for service in answering_once.file.iter_mut().flat_map(|file| &mut file.service) {
        service.method.retain(|method| !method.server_streaming());
    }
    for file in &mut answering_once.file {
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
        .compile_fds(answering_once)?;
    Ok(())
}
