//! `ticker bench` against the built server.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::{Server, code, stderr, stdout, ticker};

/// Long enough for some of the 1,200 ticks a second that the server has.
const SHORT: &[&str] = &["--symbols", "60", "--duration", "2s"];

fn bench(server: &Server, arguments: &[&str]) -> Output {
    server.client(&[&["bench"], SHORT, arguments].concat()).output().unwrap()
}

/// The report in JSON, whose sums agree.
fn report(output: &Output) -> Value {
    let report: Value = serde_json::from_str(stdout(output)).unwrap_or_else(|_| panic!("{}", stderr(output)));
    let kinds = [&report["readers"], &report["slow_readers"]].into_iter().filter(|kind| !kind.is_null());
    for received in kinds {
        let (ticks, seconds) = (number(&received["ticks"]), number(&report["seconds"]));
        assert!((number(&received["ticks_per_second"]) * seconds - ticks).abs() < 1.0, "{received}");
        for (times, count) in [(&received["delay_ms"], ticks), (&received["first_tick_ms"], f64::MAX)] {
            if let Some(times) = times.as_object() {
                let times = ["min", "p50", "p99", "p99.9", "max"].map(|name| number(&times[name]));
                assert!(times.is_sorted(), "{received}");
                assert!(count == f64::MAX || received["delay_ms"]["count"] == count as u64, "{received}");
            }
        }
    }
    let errors: f64 =
        report["errors"].as_object().unwrap().values().map(|error| number(&error["count"])).sum();
    assert_eq!(report["error_count"], errors as u64);
    report
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn every_stream_of_a_closed_load_is_open_until_the_end_and_receives_ticks() {
    let server = Server::start(&[]);
    let output = bench(&server, &["--streams", "20", "--connections", "4", "--output", "json"]);
    assert_eq!((code(&output), stderr(&output)), (Some(0), ""));
    let report = report(&output);
    assert_eq!(
        [
            &report["open_streams"],
            &report["readers"]["opened_streams"],
            &report["readers"]["first_tick_ms"]["count"]
        ],
        [20; 3]
    );
    assert_eq!(
        (&report["connections"], &report["symbols"], &report["error_count"]),
        (&4.into(), &60.into(), &0.into())
    );
    assert!(number(&report["readers"]["ticks"]) > 0.0, "{report}");
    assert!(
        number(&report["ramp_seconds"]) > 0.0 && number(&report["client"]["cpu_percent"]) > 0.0,
        "{report}"
    );
    assert!(report["slow_readers"].is_null());
}

#[test]
fn the_text_has_the_figures_of_the_report_and_those_of_slow_readers_beside_them() {
    let server = Server::start(&[]);
    let output = bench(&server, &["--streams", "10", "--connections", "2", "--slow-readers", "20"]);
    assert_eq!((code(&output), stderr(&output)), (Some(0), ""));
    let text = stdout(&output);
    let row = |name: &str| -> Vec<_> {
        let row =
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        row.split_whitespace().collect()
    };
    assert_eq!(row("streams opened"), ["8", "2"]);
    assert_eq!((row("errors"), row("gaps")), (vec!["0"], vec!["0", "0"]));
    assert_eq!(row("delay p99 ").len(), 4, "two times with their units: {text}");
    assert!(text.starts_with(&format!("http://{}  tape ", server.address)), "{text}");
}

#[test]
fn streams_of_an_open_load_keep_arriving_and_are_closed_after_their_time() {
    let server = Server::start(&[]);
    let arguments = ["--arrivals", "100", "--stream-duration", "10ms", "--connections", "3", "-o", "json"];
    let report = report(&bench(&server, &arguments));
    assert!(report["ramp_seconds"].is_null());
    // More streams than are open at the same time, and the end of their time is no error.
    let opened = number(&report["readers"]["opened_streams"]);
    assert!(opened > number(&report["open_streams"]) && report["error_count"] == 0, "{report}");
}

#[test]
fn slow_readers_are_reported_apart_and_lose_nothing_of_every_tick() {
    let server = Server::start(&[]);
    let slow = ["--streams", "10", "--connections", "4", "--slow-readers", "50", "--output", "json"];
    let report = report(&bench(&server, &[&slow[..], &["--delivery", "every-tick"]].concat()));
    let [readers, slow_readers] = [&report["readers"], &report["slow_readers"]];
    assert_eq!((&readers["opened_streams"], &slow_readers["opened_streams"]), (&5.into(), &5.into()));
    // The server does not make anybody lose a tick within two seconds.
    for received in [readers, slow_readers] {
        assert_eq!(
            (&received["conflated"], &received["gaps"], &received["gap_ticks"]),
            (&0.into(), &0.into(), &0.into())
        );
    }
    assert_eq!(report["delivery"], "every-tick");
}

#[test]
fn a_threshold_that_is_crossed_fails_the_run_and_is_named() {
    let server = Server::start(&[]);
    let held = ["errors>0", "ticks-per-second<=0", "max>1h"];
    let crossed = ["first-tick-p99>1ns", "gaps>=0"];
    let mut arguments: Vec<_> = held.iter().chain(&crossed).flat_map(|text| ["--fail-if", text]).collect();
    arguments.extend(["--streams", "2", "--output", "json"]);
    let output = bench(&server, &arguments);
    assert_eq!(code(&output), Some(1), "{}", stderr(&output));
    let lines: Vec<_> = stderr(&output).lines().collect();
    let [first_tick, gaps] = lines.try_into().unwrap();
    assert!(
        first_tick.starts_with("error: first-tick-p99 is ")
            && first_tick.ends_with(" ms: --fail-if first-tick-p99>1ns")
    );
    assert_eq!(gaps, "error: gaps is 0: --fail-if gaps>=0");
    let report = report(&output);
    let outcomes = report["thresholds"].as_array().unwrap().iter();
    let outcomes = outcomes.map(|outcome| (outcome["fail_if"].as_str().unwrap(), outcome["failed"] == true));
    let expected = held.map(|text| (text, false)).into_iter().chain(crossed.map(|text| (text, true)));
    assert!(outcomes.eq(expected), "{}", report["thresholds"]);

    let output = bench(&server, &["--streams", "2", "--fail-if", held[0]]);
    assert_eq!((code(&output), stderr(&output)), (Some(0), ""));
}

#[test]
fn a_replica_that_cannot_be_reached_costs_its_streams_and_is_counted() {
    let server = Server::start(&[]);
    let endpoints = format!("{},127.0.0.1:1", server.address);
    let arguments = ["--streams", "4", "--connections", "2", "--endpoint", &endpoints, "--output", "json"];
    let output = bench(&server, &arguments);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!((&report["open_streams"], &report["readers"]["opened_streams"]), (&2.into(), &2.into()));
    let unavailable = &report["errors"]["UNAVAILABLE"];
    assert!(number(&unavailable["count"]) >= 2.0, "{report}");
    let message = unavailable["message"].as_str().unwrap();
    assert!(message.starts_with("cannot connect to http://127.0.0.1:1"), "{message}");
}

#[test]
fn symbols_that_the_server_has_no_room_for_are_errors() {
    let server = Server::start(&["--max-subscriptions", "200"]);
    let report = report(&bench(&server, &["--streams", "5", "--output", "json"]));
    let refused = &report["errors"]["SYMBOL_STATUS_CODE_LIMIT_EXCEEDED"];
    assert!(number(&refused["count"]) >= 100.0, "{report}");
}

#[test]
fn tls_and_tokens_are_used_and_what_a_token_does_not_allow_is_counted_by_its_status() {
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| folder.path().join(file).to_str().unwrap().to_owned();
    for arguments in [&["certs", "--out"][..], &["token", "--sub", "me", "--max-streams", "3", "--out"]] {
        let output = ticker(arguments).arg(folder.path()).output().unwrap();
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    }
    let [certificate, key, jwks, ca, token] =
        ["server.pem", "server-key.pem", "jwks.json", "ca.pem", "me.token"].map(at);
    let server = Server::start(&["--tls-cert", &certificate, "--tls-key", &key, "--auth-jwks", &jwks]);
    let endpoint = format!("https://localhost:{}", server.address.port());
    let secure = ["--endpoint", &endpoint, "--tls-ca", &ca, "--streams", "5", "--output", "json"];

    let output = bench(&server, &[&secure[..], &["--token-file", &token]].concat());
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!((&report["open_streams"], &report["endpoints"][0]), (&3.into(), &endpoint.clone().into()));
    assert!(number(&report["errors"]["RESOURCE_EXHAUSTED"]["count"]) >= 2.0, "{report}");

    let output = bench(&server, &secure);
    assert_eq!((code(&output), stdout(&output)), (Some(1), ""));
    assert!(stderr(&output).contains("(UNAUTHENTICATED)"), "{}", stderr(&output));
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_to_do() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recorded/ticks.csv");
    let server = Server::start(&[]);
    let output = server.client(&["bench", "--symbols", "61"]).output().unwrap();
    assert_eq!((code(&output), stdout(&output)), (Some(1), ""));
    let message = format!(
        "error: --symbols 61 is more than the 60 instruments that http://{} lists: choose fewer, or serve more with \
         --instruments\n",
        server.address
    );
    assert_eq!(stderr(&output), message);

    // So fast, it has ended before anybody can connect.
    let ended = Server::start(&["--tape", file, "--speed", "10000"]);
    let output = ended.client(&["bench", "--duration", "10ms"]).output().unwrap();
    assert_eq!((code(&output), stderr(&output)), (Some(1), "error: no tick arrived while it was measured\n"));

    let repeated = Server::start(&["--tape", file, "--speed", "10", "--loop"]);
    let output = repeated.client(&["bench", "--duration", "2s"]).output().unwrap();
    assert_eq!((code(&output), stderr(&output)), (Some(0), ""));
    assert!(stdout(&output).contains("note: the server plays a recording"), "{}", stdout(&output));

    let output = ticker(&["bench", "--fail-if", "p99"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("such as 'p99>50ms', in quotes"), "{}", stderr(&output));
}
