//! What is compared.

use std::time::Duration;

use ticker::server::{Bound, Drain};

use crate::{
    fleet::Change,
    model::{Client, Scenario},
};

/// Three round trips of 40 ms: TCP, TLS 1.3, and the request.
const HANDSHAKE: Duration = Duration::from_millis(120);
/// Opening a stream (58 µs, docs/PERFORMANCE_APPENDIX.md), and a TLS handshake with its connection (0.16 cores at 500 a second,
/// docs/ABUSE.md).
const OPENING: Duration = Duration::from_micros(58 + 320);
const BACKLOG: u32 = Bound::BACKLOG as u32;
const NAIVE: Client = Client::Naive(Duration::from_secs(1));

/// A million streams at a hundred replicas. A name with "…" continues the last one without.
pub(crate) fn million(seed: u64) -> Vec<Scenario> {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let manifests = Scenario {
        name: "`k8s/` as it is: one pod at a time",
        line: Some("one by one"),
        seed,
        streams: 1_000_000,
        replicas: 100,
        change: Change::RollingUpdate { surge: 1 },
        drain: Drain::default(),
        max_stream_age: Some(minutes(30)),
        client: Client::Library,
        handshake: HANDSHAKE,
        opening: OPENING,
        backlog: BACKLOG,
        is_aged: true,
        after: minutes(40),
    };
    let brief = Scenario { line: None, after: minutes(1), ..manifests.clone() };
    let quarter = Scenario { change: Change::RollingUpdate { surge: 25 }, ..brief.clone() };
    let all = Scenario { change: Change::RollingUpdate { surge: 100 }, ..brief.clone() };
    let killed = Scenario { change: Change::Kill { pods: 33 }, ..brief.clone() };
    let (at_once, minute) = (spread(0), spread(60));
    vec![
        manifests,
        Scenario {
            name: "… without a maximum age",
            line: Some("no age"),
            max_stream_age: None,
            after: minutes(40),
            ..brief.clone()
        },
        Scenario { name: "… all streams end at once", drain: at_once, ..brief.clone() },
        Scenario { name: "… naive clients", client: NAIVE, ..brief },
        Scenario { name: "25 at a time", line: Some("25 at a time"), ..quarter.clone() },
        Scenario {
            name: "… spread of 60 s",
            line: Some("25, 60 s"),
            drain: minute,
            after: minutes(55),
            ..quarter.clone()
        },
        Scenario { name: "… naive clients, all at once", client: NAIVE, drain: at_once, ..quarter },
        Scenario { name: "100 at a time", ..all.clone() },
        Scenario { name: "… spread of 60 s", line: Some("100, 60 s"), drain: minute, ..all.clone() },
        Scenario { name: "… naive clients, all at once", client: NAIVE, drain: at_once, ..all },
        Scenario { name: "33 pods are killed", ..killed.clone() },
        Scenario { name: "… backlog of 4,096", backlog: 4 * BACKLOG, ..killed.clone() },
        Scenario { name: "… naive clients", client: NAIVE, ..killed },
    ]
}

/// What real servers and clients can do in a minute, too.
pub(crate) fn small(seed: u64) -> Vec<Scenario> {
    let one_by_one = Scenario {
        name: "one pod at a time, maximum age of 10 min",
        line: None,
        seed,
        streams: 5_000,
        replicas: 100,
        change: Change::RollingUpdate { surge: 1 },
        drain: spread(5),
        max_stream_age: Some(Duration::from_secs(10 * 60)),
        client: Client::Library,
        handshake: HANDSHAKE,
        // The time of the simulation stands still while a server works.
        opening: Duration::from_nanos(1),
        backlog: u32::MAX,
        is_aged: false,
        after: Duration::from_secs(5 * 60),
    };
    vec![
        Scenario {
            name: "25 at a time, no maximum age",
            change: Change::RollingUpdate { surge: 25 },
            max_stream_age: None,
            after: Duration::from_secs(60),
            ..one_by_one.clone()
        },
        Scenario {
            name: "33 pods are killed",
            change: Change::Kill { pods: 33 },
            after: Duration::from_secs(60),
            ..one_by_one.clone()
        },
        one_by_one,
    ]
}

/// A drain with this spread, in seconds, and a deadline for it.
fn spread(seconds: u64) -> Drain {
    Drain { spread: Some(Duration::from_secs(seconds)), deadline: Duration::from_secs(seconds + 10) }
}
