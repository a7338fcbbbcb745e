//! Variables of the environment that the built program warns about.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use crate::support::server::Server;

const MISSPELT: [(&str, &str); 2] = [("TICKER_LISTN", "0.0.0.0:1"), ("TICKER_XYZZY", "1")];
/// What Kubernetes gives every container of a namespace that has a Service called `ticker`.
const OF_KUBERNETES: [(&str, &str); 7] = [
    ("TICKER_SERVICE_HOST", "10.96.0.12"),
    ("TICKER_SERVICE_PORT", "50051"),
    ("TICKER_SERVICE_PORT_GRPC", "50051"),
    ("TICKER_PORT", "tcp://10.96.0.12:50051"),
    ("TICKER_PORT_50051_TCP", "tcp://10.96.0.12:50051"),
    ("TICKER_PORT_50051_TCP_PROTO", "tcp"),
    ("TICKER_PORT_50051_TCP_ADDR", "10.96.0.12"),
];
const WARNINGS: [&str; 2] = [
    "TICKER_LISTN is not a variable of ticker; did you mean TICKER_LISTEN?",
    "TICKER_XYZZY is not a variable of ticker; each command lists its variables with --help",
];

fn ticker(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticker"));
    command.args(arguments).env_clear().envs(OF_KUBERNETES).stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_client_command_names_misspelt_variables_and_does_its_work() {
    let server = Server::start();
    let endpoint = server.address.to_string();
    for arguments in [&["health", "--timeout", "20s"][..], &["list"], &["watch", "TCS", "-n", "1"]] {
        let run = |variables: &[(&str, &str)]| {
            let mut command = ticker(&[arguments, &["--endpoint", &endpoint]].concat());
            command.envs(variables.iter().copied()).output().unwrap()
        };
        let output = run(&MISSPELT);
        assert!(output.status.success(), "{}", stderr(&output));
        let expected: String = WARNINGS.map(|warning| format!("warning: {warning}\n")).concat();
        assert_eq!(stderr(&output), expected, "{arguments:?}");
        // Nothing but the variables of Kubernetes and one that is right.
        assert_eq!(stderr(&run(&[("TICKER_LOG", "debug")])), "", "{arguments:?}");
    }
}

#[test]
fn the_service_names_misspelt_variables_in_its_log() {
    let mut command = ticker(&["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let mut process = command.envs(MISSPELT).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let lines: Vec<_> = lines.take(3).map(Result::unwrap).collect();
    process.kill().unwrap();
    process.wait().unwrap();
    for (line, warning) in lines.iter().zip(WARNINGS) {
        assert!(line.ends_with(&format!(" WARN ticker: {warning}")), "{line}");
    }
    assert!(lines[2].contains(" INFO ticker::server: serving "), "{lines:?}");
}
