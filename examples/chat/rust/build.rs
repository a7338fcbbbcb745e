//! Generates the messages, the server and the client from `chat.proto`. protox is a compiler written in Rust, so that
//! nobody has to install protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../chat.proto");
    let files = protox::compile(["chat.proto"], [".."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // What the server answers to callers that ask by reflection.
    fs::write(out.join("chat.bin"), files.encode_to_vec())?;
    Ok(tonic_prost_build::compile_fds(files)?)
}
