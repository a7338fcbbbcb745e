//! `ticker publish`: ticks from standard input and from a recording, to a server with a feed.

use std::{
    io::Write,
    process::{Child, Output, Stdio},
};

use super::{Server, code, objects, stderr, stdout};

const FEED: &[&str] = &["--feed", "memory"];

/// Runs `ticker publish` with this input.
fn publish(server: &Server, arguments: &[&str], input: &str) -> Output {
    let mut process = start(server, arguments);
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

fn start(server: &Server, arguments: &[&str]) -> Child {
    let mut command = server.client(&[&["publish"], arguments].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The price and quantity of the last tick of a symbol; `None` if there is no such symbol.
fn last(server: &Server, symbol: &str) -> Option<(f64, u64)> {
    let output = server.client(&["watch", symbol, "-n", "1", "-o", "json"]).output().unwrap();
    let tick = objects(&output).pop()?;
    Some((tick["ltp"].as_f64().unwrap(), tick["last_quantity"].as_u64().unwrap()))
}

#[test]
fn lines_of_standard_input_are_published() {
    let server = Server::start(FEED);
    let output = publish(&server, &[], "TCS 4192.05 3\nBTC-USD,97000.5\n\nTCS 4192.1 2\n");
    assert_eq!((code(&output), stderr(&output)), (Some(0), ""));
    assert_eq!(stdout(&output), "published 3 ticks: 3 accepted, 0 rejected, 0 duplicates\n");
    assert_eq!(last(&server, "TCS"), Some((4192.1, 2)));
    assert_eq!(last(&server, "BTC-USD"), Some((97000.5, 0)));
}

#[test]
fn a_bad_line_and_a_rejected_tick_are_reported_and_the_others_are_published() {
    let server = Server::start(FEED);
    let output = publish(&server, &[], "symbol,price,bid,ask\nA,1,,\nA,0,,\nA,2,3,1\nA,4,,\n");
    assert_eq!(code(&output), Some(1), "{}", stderr(&output));
    let summary = "published 3 ticks: 2 accepted, 1 rejected, 0 duplicates; 1 line could not be read\n";
    assert_eq!(stdout(&output), summary);
    let warnings: Vec<_> = stderr(&output).lines().collect();
    assert_eq!(warnings[0], "warning: line 3: price: must be positive, got 0");
    assert!(warnings.len() == 2 && warnings[1].starts_with("warning: line 4: "), "{warnings:?}");
    assert_eq!(last(&server, "A"), Some((4.0, 0)));
}

#[test]
fn a_recording_is_published_and_again_under_its_name_without_a_duplicate() {
    let server = Server::start(FEED);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recorded/ticks.csv");
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.csv");
    let rows: String = (0..2500).map(|n| format!("{n},A,{}.5,{n}\n", n + 1)).collect();
    std::fs::write(&whole, format!("time,symbol,price,quantity\n{rows}")).unwrap();

    let arguments = ["--file", whole.to_str().unwrap(), "--speed", "0", "--publisher-id", "me"];
    let output = publish(&server, &arguments, "");
    assert_eq!((code(&output), stderr(&output)), (Some(0), ""));
    assert_eq!(stdout(&output), "published 2500 ticks: 2500 accepted, 0 rejected, 0 duplicates\n");
    assert_eq!(last(&server, "A"), Some((2500.5, 2499)));
    let output = publish(&server, &arguments, "");
    assert_eq!(stdout(&output), "published 2500 ticks: 0 accepted, 0 rejected, 2500 duplicates\n");
    assert_eq!(code(&output), Some(0));

    // Its quantities have decimals.
    let output = publish(&server, &["--file", file, "--speed", "0"], "");
    assert_eq!((code(&output), stdout(&output)), (Some(1), ""));
    let told = stderr(&output);
    assert!(told.contains("is no multiple of 1") && told.contains("--instruments"), "{told}");
}

#[test]
fn a_publisher_outlives_its_server() {
    let mut server = Server::start(FEED);
    let mut process = start(&server, &[]);
    let mut input = process.stdin.take().unwrap();
    // Live: the tick arrives although the input goes on.
    input.write_all(b"A 1\n").unwrap();
    (0..1000).find_map(|_| last(&server, "A")).expect("the tick arrives");

    server.stop();
    let listen = server.address.to_string();
    input.write_all(b"A 2\nA 3\n").unwrap();
    let again = (0..1000).find_map(|_| Server::start_at(&listen, FEED)).unwrap();
    drop(input);
    let output = process.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "published 3 ticks: 3 accepted, 0 rejected, 0 duplicates\n");
    let told = stderr(&output);
    assert!(told.contains("reconnecting (attempt 1)") && told.contains("connected to"), "{told}");
    assert_eq!(last(&again, "A"), Some((3.0, 0)));
}

#[test]
fn a_server_without_a_feed_is_told_at_once() {
    let server = Server::start(&[]);
    let mut process = start(&server, &[]);
    // The input goes on.
    let input = process.stdin.take().unwrap();
    let output = process.wait_with_output().unwrap();
    drop(input);
    assert_eq!((code(&output), stdout(&output)), (Some(1), ""));
    assert!(stderr(&output).contains("FAILED_PRECONDITION"), "{}", stderr(&output));
}

#[test]
fn a_header_that_cannot_be_used_ends_the_command() {
    let server = Server::start(FEED);
    let output = publish(&server, &[], "symbol,price,volume\nA,1,1\n");
    assert_eq!(code(&output), Some(1));
    assert!(stderr(&output).contains("the unknown column \"volume\""), "{}", stderr(&output));
}
