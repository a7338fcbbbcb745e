//! A naive server on grpc-go, in `benches/grpc_go`: the peer of the naive server on tonic.

use std::{
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use prost::Message;
use prost_types::{
    FileDescriptorSet,
    compiler::{CodeGeneratorRequest, CodeGeneratorResponse},
};
use ticker::contract::DESCRIPTORS;

use crate::{
    SERVER_CORE,
    look::Look,
    ours::{self, Package},
    process::{self, Process},
    row::Row,
    sample::Running,
};

/// The program that builds it.
pub(crate) const PROGRAM: &str = "go";

const PROTO: &str = "gogen/ticker.proto";
const MODULE: &str = "example.com/grpc-go";

/// The server and the clients of a row; nothing when Go is not installed.
pub(crate) fn start(row: &Row, look: &Look) -> Result<Option<Running>> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(go) = process::installed(PROGRAM) else { return Ok(None) };
    let executable = BUILT.get_or_init(|| {
        build(&go).inspect_err(|error| _ = writeln!(std::io::stderr(), "grpc-go: {error:#}")).ok()
    });
    let executable = executable.as_ref().context("it was not built")?;
    let mut command: Vec<OsString> = vec!["env".into(), "GOMAXPROCS=1".into(), executable.into()];
    command.push(format!("-universe={}", row.universe).into());
    command.push(format!("-interval={}us", row.interval().as_micros()).into());
    let server = Process::start(&[SERVER_CORE], command, Duration::from_secs(10), process::address_in)?;
    let client = ours::subscribe(server.address(), row, Package::Gogen, look)?;
    Ok(Some(Running { server, client, publisher: None }))
}

/// Builds it in a folder of Cargo's, with the messages that `protoc-gen-go` generates there.
fn build(go: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/grpc_go");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grpc_go");
    fs::create_dir_all(folder.join("gogen"))?;
    for file in ["go.mod", "go.sum", "main.go"] {
        fs::copy(source.join(file), folder.join(file))?;
    }
    let run =
        |arguments: &[&str], input: &[u8]| run(Command::new(go).current_dir(&folder).args(arguments), input);
    let request = CodeGeneratorRequest {
        file_to_generate: vec![PROTO.into()],
        parameter: Some(format!("module={MODULE},M{PROTO}={MODULE}/gogen")),
        proto_file: FileDescriptorSet::decode(DESCRIPTORS)?
            .file
            .into_iter()
            .filter(|file| file.name() == PROTO)
            .collect(),
        ..Default::default()
    };
    let response = run(&["tool", "protoc-gen-go"], &request.encode_to_vec())?;
    let response = CodeGeneratorResponse::decode(&response[..])?;
    ensure!(response.error().is_empty(), "protoc-gen-go: {}", response.error());
    for file in response.file {
        fs::write(folder.join(file.name()), file.content())?;
    }
    run(&["build", "-o", "server", "."], &[])?;
    Ok(folder.join("server"))
}

/// What a command writes.
fn run(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(input)?;
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", errors.trim());
    Ok(output.stdout)
}
