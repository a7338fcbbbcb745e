//! The commands as their users run them: the built program, against the built program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of a test may stop it")]

mod bench;
mod publish;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use ticker::{
    tape::{Simulated, Tape, Universe},
    timestamp,
};

/// `ticker serve` on a free port, which ends when it is dropped.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", flags).expect("the address that is bound")
    }

    /// `None` if it cannot listen there.
    fn start_at(listen: &str, flags: &[&str]) -> Option<Self> {
        // No command at all: it serves.
        let mut process =
            ticker(&[&["--listen", listen], flags].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let address =
            stdout.lines().find_map(|line| line.unwrap().split(' ').find_map(|word| word.parse().ok()));
        let Some(address) = address else {
            process.wait().unwrap();
            return None;
        };
        Some(Self { address, process })
    }

    /// A client command against this server.
    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = ticker(arguments);
        command.env("TICKER_ENDPOINT", self.address.to_string());
        command
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The program, in an environment of its own.
fn ticker(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticker"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn objects(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_list_has_every_instrument_in_every_format() {
    let server = Server::start(&[]);
    let list = |format: &str| server.client(&["list", "--output", format]).output().unwrap();
    let (table, json, csv, lines) = (list("table"), list("json"), list("csv"), list("lines"));
    let symbols: Vec<_> = stdout(&lines).lines().collect();
    assert!(symbols.len() >= 60 && symbols.is_sorted(), "{symbols:?}");
    let of_json: Vec<_> =
        objects(&json).iter().map(|object| object["symbol"].as_str().unwrap().to_owned()).collect();
    assert_eq!(of_json, symbols);
    let first_words = |output: &Output, end: char| -> Vec<String> {
        stdout(output).lines().skip(1).map(|line| line.split(end).next().unwrap().to_owned()).collect()
    };
    assert_eq!(first_words(&table, ' '), symbols);
    assert_eq!(first_words(&csv, ','), symbols);
}

#[test]
fn with_sessions_the_list_tells_which_instruments_close() {
    let [around_the_clock, sessions] = [&[][..], &["--sessions"]].map(Server::start);
    let closing = |server: &Server| -> Vec<String> {
        let listed = objects(&server.client(&["list", "--output", "json"]).output().unwrap());
        let closing = listed.into_iter().filter(|instrument| instrument["closes"] == true);
        closing.map(|instrument| instrument["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert!(closing(&around_the_clock).is_empty());
    let kinds = closing(&sessions);
    assert!(kinds.len() >= 50 && kinds.iter().all(|kind| kind != "crypto"), "{kinds:?}");

    let listed = objects(&sessions.client(&["list", "--output", "json"]).output().unwrap());
    let of = |symbol: &str| listed.iter().find(|instrument| instrument["symbol"] == symbol).unwrap();
    assert_eq!(of("RELIANCE")["hours"], "09:15-15:30 Asia/Kolkata Mon-Fri");
    assert!(["open", "closed"].contains(&of("RELIANCE")["status"].as_str().unwrap()));
    assert!(of("RELIANCE")["next_status_change"].as_str().unwrap().ends_with(":00Z"));
    assert_eq!(
        (&of("BTC-USD")["status"], &of("BTC-USD")["next_status_change"]),
        (&"open".into(), &"".into())
    );
}

#[test]
fn sessions_are_not_for_a_recording() {
    let output = ticker(&["serve", "--sessions", "--tape", "missing.csv"]).output().unwrap();
    assert_eq!(code(&output), Some(1));
    let told = "--tape plays a recording and --sessions makes prices: leave one of them out";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
}

#[test]
fn a_watch_in_a_pipe_begins_with_the_last_price_and_misses_no_tick() {
    let server = Server::start(&[]);
    let arguments = ["watch", "BTC-USD", "-n", "6", "--delivery", "every-tick", "--output", "json"];
    let output = server.client(&arguments).output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let ticks = objects(&output);
    assert_eq!(ticks.len(), 6);
    assert!(ticks[0]["snapshot"].as_bool().unwrap() && !ticks[1]["snapshot"].as_bool().unwrap());
    for pair in ticks.windows(2) {
        assert_eq!(pair[1]["sequence"].as_u64(), pair[0]["sequence"].as_u64().map(|sequence| sequence + 1));
        assert!(pair[1]["time"].as_str() > pair[0]["time"].as_str());
    }
    for tick in &ticks {
        let nanos = tick["ltp_nanos"].as_i64().unwrap();
        assert_eq!(tick["ltp"].as_f64(), Some(nanos as f64 / 1e9));
    }
}

#[test]
fn a_star_watches_every_instrument_but_those_for_tests() {
    let server = Server::start(&[]);
    let listed = objects(&server.client(&["list", "-o", "json"]).output().unwrap());
    let count = listed.iter().filter(|instrument| instrument["kind"] != "test").count();
    assert!(count < listed.len());
    let output = server.client(&["watch", "*", "-n", &count.to_string(), "-o", "json"]).output().unwrap();
    assert!(
        objects(&output).iter().all(|tick| tick["snapshot"] == true),
        "the last price of each comes first"
    );
}

#[test]
fn more_symbols_than_one_request_holds_are_watched_all_the_same() {
    let server = Server::start(&["--any-symbol"]);
    let symbols: Vec<_> = (0..2500).map(|n| format!("S{n}")).collect();
    let mut arguments = vec!["watch", "-n", "2500", "--min-interval", "1h", "--output", "json"];
    arguments.extend(symbols.iter().map(String::as_str));
    let output = server.client(&arguments).output().unwrap();
    let mut seen: Vec<_> =
        objects(&output).iter().map(|tick| tick["symbol"].as_str().unwrap().to_owned()).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 2500, "{}", stderr(&output));
}

#[test]
fn a_replay_of_the_same_times_is_the_same_bytes_and_ends() {
    let server = Server::start(&[]);
    let replay = || {
        let times = ["--from", "2026-01-01T09:15:00Z", "--to", "2026-01-01T09:15:10Z", "--speed", "0"];
        let output = server
            .client(&[&["watch", "TCS", "BTC-USD", "-o", "csv"], &times[..]].concat())
            .output()
            .unwrap();
        assert_eq!((code(&output), stderr(&output)), (Some(0), ""));
        stdout(&output).to_owned()
    };
    let first = replay();
    let tape = Simulated::new(1, Universe::builtin().unwrap());
    let [from, to] = ["2026-01-01T09:15:00Z", "2026-01-01T09:15:10Z"].map(|at| timestamp::parse(at).unwrap());
    let due = ["TCS", "BTC-USD"].map(|symbol| {
        let series = tape.series(&tape.instrument(&symbol.parse().unwrap()).unwrap());
        series.sequence_from(to).0 - series.sequence_from(from).0
    });
    assert!(due.iter().all(|due| *due > 0), "{due:?}");
    // After the line with the names of the columns.
    assert_eq!(first.lines().count() as u64, 1 + due.iter().sum::<u64>(), "{due:?} {first}");
    assert_eq!(replay(), first);
}

#[test]
fn a_refused_symbol_is_reported_and_the_others_go_on() {
    let server = Server::start(&[]);
    let output = server.client(&["watch", "RELAINCE", "TCS", "NIFTY 50", "-n", "2"]).output().unwrap();
    assert_eq!(code(&output), Some(0));
    assert!(stdout(&output).lines().all(|line| line.contains(" TCS ")), "{}", stdout(&output));
    assert!(stderr(&output).contains("RELAINCE; did you mean RELIANCE?"), "{}", stderr(&output));
    assert!(stderr(&output).contains("NIFTY 50"), "{}", stderr(&output));
}

#[test]
fn a_refused_symbol_comes_with_the_right_one_or_the_command_that_lists_them() {
    let server = Server::start(&[]);
    for (symbol, hint) in [
        ("reliance", "unknown symbol reliance; did you mean RELIANCE?\n"),
        ("NOSUCH", "unknown symbol NOSUCH; list the symbols with `ticker list` or the RPC ListInstruments\n"),
    ] {
        for arguments in [&["watch"][..], &["record", "--out", "-"]] {
            let output = server.client(arguments).arg(symbol).output().unwrap();
            assert_eq!(code(&output), Some(1));
            assert!(stderr(&output).contains(hint), "{}", stderr(&output));
        }
    }
    for arguments in [&["watch"][..], &["record", "--out", "-"], &["verify"]] {
        let output = server.client(arguments).arg("RELIANCE,TCS").output().unwrap();
        assert_eq!(code(&output), Some(2));
        let message = stderr(&output);
        assert!(message.contains("separate symbols with spaces, not commas: RELIANCE TCS\n"), "{message}");
    }
}

#[test]
fn a_watch_of_refused_symbols_alone_fails() {
    let server = Server::start(&[]);
    let output = server.client(&["watch", "RELAINCE"]).output().unwrap();
    assert_eq!((code(&output), stdout(&output)), (Some(1), ""));
    assert!(stderr(&output).ends_with("error: every symbol was refused: there is nothing to watch\n"));
}

#[test]
fn a_closed_pipe_is_a_success() {
    let server = Server::start(&[]);
    for arguments in [&["watch", "*", "-o", "csv"][..], &["watch", "*"], &["watch", "BTC-USD", "-o", "json"]]
    {
        let mut watch =
            server.client(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
        // Live: a line comes although the stream has no end.
        assert!(!lines.next().unwrap().unwrap().is_empty());
        drop(lines);
        let output = watch.wait_with_output().unwrap();
        assert_eq!((code(&output), stderr(&output)), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_wait_for_ticks_that_do_not_come_is_explained() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recorded/ticks.csv");
    // So fast, it has ended before anybody can connect.
    let server = Server::start(&["--tape", file, "--speed", "10000"]);
    let ended = ": the tape may have ended at 2025-01-02T09:15:01Z
";
    // 100 days of the tape later.
    let later = "2025-04-12T09:15:00Z";
    let waiting = [
        (&["watch", "BTC-USD", "-n", "5", "-o", "json"][..], "warning: 1 of 5 ticks, none for 5", ended),
        (&["record", "BTC-USD", "--out", "-"], "warning: no tick for 5", ended),
        (
            &["watch", "BTC-USD", "--from", later],
            "warning: the replay begins at ",
            "2025-04-12T09:15:00Z, in 14m
",
        ),
    ]
    .map(|(arguments, begin, end)| {
        let mut command = server.client(arguments);
        (command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap(), begin, end)
    });
    for (mut process, begin, end) in waiting {
        let mut warning = String::new();
        BufReader::new(process.stderr.take().unwrap()).read_line(&mut warning).unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(warning.starts_with(begin) && warning.ends_with(end), "{warning}");
    }
}

/// Waits longer than by default: the machine may be busy.
const HEALTH: &[&str] = &["health", "--timeout", "20s"];

#[test]
fn health_is_an_exit_code_and_a_word() {
    let mut server = Server::start(&[]);
    let asked = |arguments: &[&str]| {
        let output = server.client(&[HEALTH, arguments].concat()).output().unwrap();
        (code(&output), stdout(&output).to_owned())
    };
    assert_eq!(asked(&[]), (Some(0), "SERVING\n".to_owned()));
    assert_eq!(asked(&["--service", "ticker.v1.TickerStreamService"]), (Some(0), "SERVING\n".to_owned()));
    assert_eq!(asked(&["--service", "other"]), (Some(1), "SERVICE_UNKNOWN\n".to_owned()));

    // In the container of a server, its own settings are enough.
    let anywhere = format!("0.0.0.0:{}", server.address.port());
    let inside = ticker(HEALTH).env("TICKER_LISTEN", anywhere).output().unwrap();
    assert_eq!((code(&inside), stdout(&inside)), (Some(0), "SERVING\n"));

    server.stop();
    let output = server.client(HEALTH).output().unwrap();
    assert_eq!((code(&output), stdout(&output)), (Some(1), ""));
    assert!(stderr(&output).contains("cannot connect to"), "{}", stderr(&output));
}

#[test]
fn a_server_that_never_answers_is_not_healthy() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = silent.local_addr().unwrap().to_string();
    let output = ticker(&["health", "--timeout", "200ms", "--endpoint", &endpoint]).output().unwrap();
    assert_eq!(code(&output), Some(1));
    assert!(stderr(&output).contains("did not answer within 200ms"), "{}", stderr(&output));
}

#[test]
fn an_unreachable_server_is_reported_with_its_causes_and_a_hint() {
    let mut server = Server::start(&[]);
    server.stop();
    for arguments in [&["watch", "TCS"][..], &["list"]] {
        let output = server.client(arguments).output().unwrap();
        assert_eq!(code(&output), Some(1));
        let message = stderr(&output);
        assert!(
            message.starts_with(&format!("error: cannot connect to http://{}", server.address)),
            "{message}"
        );
        assert!(message.contains("is `ticker serve` running there?\n  caused by: "), "{message}");
        assert!(message.contains("Connection refused"), "{message}");
    }
}

#[test]
fn a_watch_outlives_its_server() {
    let mut server = Server::start(&[]);
    let mut command =
        server.client(&["watch", "BTC-USD", "--delivery", "every-tick", "-o", "json", "-n", "100"]);
    let mut watch = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut sequence = || {
        let tick: Value = serde_json::from_str(&lines.next()?.unwrap()).unwrap();
        tick["sequence"].as_u64()
    };
    let first = sequence().unwrap();
    server.stop();
    let listen = server.address.to_string();
    // Meanwhile a connection of another test may have got the port.
    let _again = (0..1_000).find_map(|_| Server::start_at(&listen, &[])).unwrap();
    let rest: Vec<_> = std::iter::from_fn(sequence).collect();
    assert_eq!(rest, (first + 1..first + 100).collect::<Vec<_>>(), "none is missing, none comes twice");
    let output = watch.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(0));
    let message = stderr(&output);
    assert!(
        message.contains("ended the stream") && message.contains("reconnecting (attempt 1)"),
        "{message}"
    );
    assert!(message.contains(&format!("connected to http://{listen} after")), "{message}");
}

#[test]
fn one_of_several_endpoints_is_enough() {
    let server = Server::start(&[]);
    for endpoints in [format!("127.0.0.1:1,{}", server.address), format!("{},127.0.0.1:1", server.address)] {
        for arguments in [&["watch", "TCS", "-n", "1"][..], &["list"]] {
            let output = ticker(arguments).env("TICKER_ENDPOINT", &endpoints).output().unwrap();
            assert_eq!(code(&output), Some(0), "{}", stderr(&output));
        }
        // Health is that of each of them.
        let output = ticker(HEALTH).env("TICKER_ENDPOINT", &endpoints).output().unwrap();
        let serving = format!("http://{}  SERVING\n", server.address);
        assert_eq!((code(&output), stdout(&output)), (Some(1), serving.as_str()));
        assert!(stderr(&output).contains("cannot connect to http://127.0.0.1:1"), "{}", stderr(&output));
    }
    let output =
        ticker(&["list", "--endpoint", "127.0.0.1:1", "--endpoint", "127.0.0.1:2"]).output().unwrap();
    assert_eq!(code(&output), Some(1));
    assert!(stderr(&output).contains("not one of 2 replicas can be used"), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot connect to http://127.0.0.1:2"), "{}", stderr(&output));
}

#[test]
fn a_manifest_may_list_the_settings_of_either_tape_at_their_defaults() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recorded/ticks.csv");
    let recorded = |tape| [("TICKER_TAPE", tape), ("TICKER_LOOP", "false"), ("TICKER_SPEED", "1")];
    let simulated = [("TICKER_SEED", "1"), ("TICKER_ANY_SYMBOL", "false")];
    for tape in ["", file] {
        let mut serve = ticker(&["--listen", "127.0.0.1:0"]);
        serve.envs(recorded(tape)).envs(simulated).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = serve.spawn().unwrap();
        let banner = BufReader::new(server.stdout.take().unwrap()).lines().next();
        server.kill().unwrap();
        let output = server.wait_with_output().unwrap();
        assert!(banner.is_some_and(|line| line.unwrap().starts_with("ticker serves")), "{}", stderr(&output));
    }
    let output = ticker(&[]).envs(recorded("")).env("TICKER_LOOP", "true").output().unwrap();
    let message = "error: --loop is how a recording plays: name one with --tape FILE, or leave --loop out\n";
    assert_eq!((code(&output), stderr(&output)), (Some(1), message));
}

#[test]
fn bad_usage_exits_with_2() {
    for arguments in [
        &["watch"][..],
        &["wacth", "TCS"],
        &["--seed", "many"],
        &["watch", "TCS", "--endpoint", "grpc://example.com:1"],
        &["watch", "TCS", "--min-interval", "5"],
        &["watch", "TCS", "--min-interval", "5s", "--delivery", "every-tick"],
        &["watch", "TCS", "--min-interval", "25h"],
        &["verify", "TCS", "--endpoint", "localhost:1"],
        &["verify", "TCS"],
        &["watch", "TCS", "--to", "2026-01-01T00:00:00Z"],
        &["watch", "TCS", "--from", "yesterday"],
        &["watch", "TCS", "--from", "2026-01-01T00:00:00Z", "--speed", "-1"],
        &["watch", "TCS", "-n", "0"],
        &["watch", "TCS", "-n", "-3"],
        &["record", "TCS", "--out", "never.csv", "--count", "0"],
        &["record", "TCS", "--out", "never.csv", "--duration", "0s"],
        &["list", "-n", "0"],
        &["health", "--timeout", "0s"],
        &["bench", "--streams", "0"],
        &["bench", "--streams", "5", "--connections", "6"],
        &["bench", "--streams", "5", "--arrivals", "5"],
        &["bench", "--stream-duration", "1s"],
        &["bench", "--symbols", "1001"],
        &["bench", "--duration", "0s"],
        &["bench", "--slow-readers", "101"],
        &["bench", "--slow-readers", "10", "--streams", "9"],
        &["bench", "--slow-readers", "50", "--connections", "1"],
        &["bench", "--fail-if", "p98>1ms"],
        &["bench", "--output", "csv"],
        &["certs"],
        &["certs", "--out", "never", "--name", "https://localhost"],
        &["token"],
        &["token", "--sub", "me", "--scope", "ticker:raed"],
        &["token", "--sub", "me", "--ttl", "0s"],
    ] {
        let output = ticker(arguments).output().unwrap();
        assert_eq!(code(&output), Some(2), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn times_in_the_wrong_order_are_bad_usage_with_a_hint() {
    let reversed = ["--from", "2026-02-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z"];
    let empty = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z"];
    for command in [&["watch", "TCS"][..], &["verify", "TCS", "--endpoint", "127.0.0.1:1,127.0.0.1:2"]] {
        for (times, message) in [
            (reversed, "error: --from 2026-02-01T00:00:00Z is after --to 2026-01-01T00:00:00Z: swap them\n"),
            (
                empty,
                "error: --from and --to are both 2026-01-01T00:00:00Z, and --to is exclusive: choose a later --to\n",
            ),
        ] {
            let output = ticker(&[command, &times[..]].concat()).output().unwrap();
            assert_eq!((code(&output), stderr(&output)), (Some(2), message), "{command:?}");
        }
    }
}

#[test]
fn a_replay_that_begins_in_more_than_a_day_is_refused_in_the_terms_of_the_command() {
    let server = Server::start(&[]);
    let output = server.client(&["watch", "TCS", "--from", "2500-01-01T00:00:00Z"]).output().unwrap();
    assert_eq!(code(&output), Some(1));
    let expected = "error: --from 2500-01-01T00:00:00Z is more than a day ahead: the tape is at ";
    assert!(stderr(&output).starts_with(expected), "{}", stderr(&output));
}

#[test]
fn a_comparison_takes_two_different_replicas_and_some_ticks() {
    let server = Server::start(&[]);
    let port = server.address.port();
    let verify = |endpoints: String, times: &[&str]| {
        let arguments = [&["verify", "TCS", "--endpoint", endpoints.as_str()][..], times].concat();
        ticker(&arguments).output().unwrap()
    };
    let output = verify(format!("127.0.0.1:{port},http://127.0.0.1:{port}/"), &[]);
    let message = format!(
        "error: http://127.0.0.1:{port} is named twice: name two different replicas with --endpoint A --endpoint B\n"
    );
    assert_eq!((code(&output), stdout(&output), stderr(&output)), (Some(2), "", message.as_str()));
    for other in ["localhost", "0.0.0.0", "[::ffff:127.0.0.1]"] {
        let output = verify(format!("127.0.0.1:{port},{other}:{port}"), &[]);
        let message = format!(
            "error: http://127.0.0.1:{port} and http://{other}:{port} are the same replica, 127.0.0.1:{port}: name two \
             different replicas with --endpoint A --endpoint B\n"
        );
        assert_eq!((code(&output), stdout(&output), stderr(&output)), (Some(2), "", message.as_str()));
    }

    let another = Server::start(&[]);
    let both = format!("{},{}", server.address, another.address);
    let output = verify(both.clone(), &["--from", "2026-01-01T09:15:00Z", "--to", "2026-01-01T09:15:10Z"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).ends_with("of 1 symbol: the replicas are the same\n"), "{}", stdout(&output));
    // Less than a tick.
    let output =
        verify(both.clone(), &["--from", "2026-01-01T09:15:00Z", "--to", "2026-01-01T09:15:00.000000001Z"]);
    assert_eq!(code(&output), Some(1));
    assert!(
        stdout(&output).ends_with("0 ticks of 1 symbol: there is nothing to compare; choose other times\n")
    );
    let output = verify(both, &["--from", "2500-01-01T00:00:00Z"]);
    assert_eq!(code(&output), Some(1));
    let message = stderr(&output);
    assert!(
        message.contains("--from 2500-01-01T00:00:00Z is not before the present of the replicas"),
        "{message}"
    );
}

#[test]
fn a_recording_has_every_symbol_or_is_not_made() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ticks.csv");
    let record = |symbols: &[&str]| {
        let mut record = server.client(&[&["record"], symbols].concat());
        record.args(["-n", "3", "--out", file.to_str().unwrap()]).output().unwrap()
    };
    let output = record(&["TCS", "RELAINCE"]);
    assert_eq!((code(&output), stdout(&output)), (Some(1), ""));
    let message = stderr(&output);
    assert!(message.contains("RELAINCE; did you mean RELIANCE?"), "{message}");
    assert!(
        message
            .ends_with("error: 1 symbol was refused, so nothing is recorded: correct it or leave it out\n"),
        "{message}"
    );
    assert!(!file.exists(), "the corrected command may use the name");
    let output = record(&["TCS", "RELIANCE", "TCS"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1 + 3, "each tick once");
}

#[test]
fn a_recording_goes_to_standard_output_as_its_ticks_come() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let output =
        server.client(&["record", "TCS", "--out", "-", "-n", "3"]).current_dir(&folder).output().unwrap();
    assert_eq!(code(&output), Some(0));
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert_eq!(lines[0], "time,symbol,price,quantity,sequence");
    assert!(lines.len() == 4 && lines[1..].iter().all(|line| line.contains("Z,TCS,")), "{lines:?}");
    assert_eq!(stderr(&output), "recorded 3 ticks of 1 symbol to standard output\n");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "no file is made");

    let mut record = server.client(&["record", "TCS", "--out", "-"]);
    let mut record = record.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(record.stdout.take().unwrap()).lines();
    // Live: rows come although the recording has no end.
    assert!(lines.nth(2).unwrap().unwrap().contains(",TCS,"));
    drop(lines);
    let output = record.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output)), (Some(0), ""), "a closed pipe is a success");

    let output = server.client(&["record", "TCS", "--out", "/dev/stdout"]).output().unwrap();
    assert_eq!(code(&output), Some(1));
    assert!(stderr(&output).contains("use --out - and redirect"), "{}", stderr(&output));
}

#[test]
fn a_table_is_refused_where_there_is_no_terminal() {
    let output = ticker(&["watch", "TCS", "--output", "table"]).output().unwrap();
    assert_eq!(code(&output), Some(1));
    assert!(stderr(&output).contains("needs a terminal"), "{}", stderr(&output));
}

#[test]
fn a_bad_instruments_file_is_reported_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("instruments.toml");
    std::fs::write(&file, "[[instrument]]\nsymbol = 'A'\nreference_price = -1").unwrap();
    let output = ticker(&["--instruments", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(code(&output), Some(1));
    let message = format!("{}:3: reference_price: must be positive, got -1\n", file.display());
    assert!(stderr(&output).ends_with(&message), "{}", stderr(&output));
}

#[test]
fn certificates_are_made_once_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let certs = || ticker(&["certs", "--out", "certs"]).current_dir(&folder).output().unwrap();
    let output = certs();
    assert_eq!((code(&output), stderr(&output)), (Some(0), ""));
    let serve = "\n  ticker serve --tls-cert certs/server.pem --tls-key certs/server-key.pem\n";
    assert!(stdout(&output).contains(serve), "{}", stdout(&output));
    let ca = std::fs::read(folder.path().join("certs/ca.pem")).unwrap();
    let output = certs();
    assert_eq!((code(&output), stdout(&output)), (Some(1), ""));
    assert!(stderr(&output).starts_with("error: certs/ca.pem is there already"), "{}", stderr(&output));
    assert_eq!(std::fs::read(folder.path().join("certs/ca.pem")).unwrap(), ca);
}

#[test]
fn a_token_is_two_lines_and_only_a_directory_keeps_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |arguments: &[&str]| {
        let output =
            ticker(&[&["token", "--sub", "me"], arguments].concat()).current_dir(&folder).output().unwrap();
        assert_eq!((code(&output), stderr(&output)), (Some(0), ""));
        let lines: Vec<_> = stdout(&output).lines().map(str::to_owned).collect();
        let [jwks, token] = lines.try_into().unwrap();
        let jwks: Value = serde_json::from_str(&jwks).unwrap();
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
        assert_eq!(token.split('.').count(), 3, "{token}");
        jwks
    };
    assert_ne!(lines(&[]), lines(&[]));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing is kept");
    assert_eq!(lines(&["--out", "auth"]), lines(&["--out", "auth", "--scope", "ticker:read:TCS"]));
    let mut names: Vec<_> =
        folder.path().join("auth").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["jwks.json", "me.token", "signing-key.pem"]);
}

#[test]
fn a_report_on_a_market_needs_no_server_and_has_what_is_asked_beside_what_is_found() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recorded/ticks.csv");
    let output = ticker(&["market-report", "RELIANCE", "--tape", file]).output().unwrap();
    assert_eq!((code(&output), stderr(&output)), (Some(0), ""));
    for part in ["RELIANCE", "Arrivals", "Returns", "The book", "Sizes and prices", "Roll 1984", "MISSED"] {
        assert!(stdout(&output).contains(part), "{part}: {}", stdout(&output));
    }

    let folder = tempfile::tempdir().unwrap();
    let instruments = folder.path().join("instruments.toml");
    let pairs = ["EUR-USD", "USD-INR", "EUR-INR"].map(|symbol| {
        format!("[[instrument]]\nsymbol = '{symbol}'\nkind = 'currency'\nreference_price = 100\ntick_interval = '10s'\n")
    });
    std::fs::write(&instruments, pairs.concat()).unwrap();
    let flags = ["--instruments", instruments.to_str().unwrap(), "--from", "2026-01-05", "--days", "2"];
    let report = |symbols: &[&str]| ticker(&[&["market-report"], symbols, &flags].concat()).output().unwrap();
    let output = report(&["EUR-USD"]);
    assert!(stdout(&output).contains("2 days from 2026-01-05T00:00:00Z"), "{}", stdout(&output));
    let output = report(&["*"]);
    for part in ["\n3 instruments, ", "EUR-USD × USD-INR / EUR-INR"] {
        assert!(stdout(&output).contains(part), "{part}: {}", stdout(&output));
    }
    let output = report(&["EUR-UST"]);
    assert_eq!(code(&output), Some(1));
    assert!(stderr(&output).contains("there is no EUR-UST: did you mean EUR-USD?"), "{}", stderr(&output));
}

#[test]
fn a_report_on_a_market_that_cannot_be_made_says_why() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recorded/ticks.csv");
    for arguments in [
        &["TCS", "--from", "yesterday"][..],
        &["TCS", "--days", "0"],
        &["TCS", "--tape", file, "--seed", "7"],
        &[],
    ] {
        let output = ticker(&[&["market-report"], arguments].concat()).output().unwrap();
        assert_eq!(code(&output), Some(2), "{arguments:?}");
    }
    let late =
        ticker(&["market-report", "RELIANCE", "--tape", file, "--from", "2025-02-01"]).output().unwrap();
    assert_eq!(code(&late), Some(1));
    assert!(stderr(&late).contains("the tape ends at 2025-01-02T09:15:0"), "{}", stderr(&late));
}
