//! The log of a feed: what was acknowledged is there after a restart.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use ticker::{
    contract::v1::{
        Delivery, GetTapeRequest, PublishRequest, PublishedTick, Subscription, ticker_stream_request::Verb,
    },
    feed::{Intake, SyncPolicy},
    tape::{Recorded, Tape},
};
use tokio::time::timeout;

use super::{in_files, publish, publish_all, sequences_and_prices, serve, start_feed, stored, tick, ticks};
use crate::support::server::{PATIENCE, symbols};

const SYNC: SyncPolicy = SyncPolicy::Every(Duration::from_millis(10));

/// The only day file of a directory.
fn day_file(directory: &Path) -> PathBuf {
    let mut files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "csv")).unwrap()
}

fn text(directory: &Path) -> String {
    fs::read_to_string(day_file(directory)).unwrap()
}

#[tokio::test]
async fn after_a_restart_sequences_go_on_and_a_client_resumes_without_a_gap() {
    for sync in [SYNC, SyncPolicy::Always] {
        let folder = tempfile::tempdir().unwrap();
        let mut tape_ids = Vec::new();
        for run in 0..3 {
            let server = serve(in_files(folder.path(), sync));
            let mut client = server.client().await;
            tape_ids.push(client.get_tape(GetTapeRequest {}).await.unwrap().into_inner().tape_id);
            let mut stream = server.stream().await;
            if run > 0 {
                stream.ask(
                    1,
                    Verb::Subscribe(Subscription {
                        after_sequence: [("A".to_owned(), 100)].into(),
                        tape_id: tape_ids[0].clone(),
                        delivery: Delivery::EveryTick.into(),
                        ..symbols(&["A"])
                    }),
                );
                for sequence in 101..=run * 300 {
                    assert_eq!(stream.tick().await.sequence, sequence);
                }
            }
            publish_all(&mut client, ticks(300)).await;
            server.stop().unwrap();
        }
        assert!(tape_ids.iter().all(|id| *id == tape_ids[0]));
    }
}

#[tokio::test]
async fn a_tick_that_was_stored_before_a_restart_is_not_stored_again_after_it() {
    let folder = tempfile::tempdir().unwrap();
    for run in 0..3 {
        let server = serve(in_files(folder.path(), SYNC));
        let mut client = server.client().await;
        let (publisher_id, first_number) = ("p".to_owned(), 1 + run * 5);
        let request =
            PublishRequest { ticks: ticks(10), publisher_id, first_number, ..PublishRequest::default() };
        let response = publish(&mut client, vec![request.clone()]).await.unwrap();
        assert_eq!((response.accepted, response.duplicates), if run == 0 { (10, 0) } else { (5, 5) });
        let response = publish(&mut client, vec![request]).await.unwrap();
        assert_eq!((response.accepted, response.duplicates), (0, 10), "nothing has to be synced");
        server.stop().unwrap();
    }
}

#[tokio::test]
async fn many_ticks_are_acknowledged_before_a_sync_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(in_files(folder.path(), SyncPolicy::Every(Duration::from_secs(3600))));
    let mut client = server.client().await;
    // The first sync is due at once.
    publish_all(&mut client, ticks(1)).await;
    let request = PublishRequest { ticks: ticks(1_000), ..PublishRequest::default() };
    let response = timeout(PATIENCE, publish(&mut client, vec![request; 16])).await.expect("no answer");
    assert_eq!(response.unwrap().accepted, 16_000);
}

#[tokio::test]
async fn the_log_keeps_quotes_and_is_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(in_files(folder.path(), SYNC));
    let mut client = server.client().await;
    let quoted = PublishedTick {
        bid_nanos: 990_000_000,
        bid_quantity: 3,
        ask_nanos: 1_010_000_000,
        ask_quantity: 4,
        ..tick("B", 100)
    };
    publish_all(&mut client, vec![quoted, tick("A", 7)]).await;
    let lines = text(folder.path());
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(
        lines[0],
        "time,symbol,price,quantity,sequence,bid,bid_quantity,ask,ask_quantity,publisher,number"
    );
    assert!(lines[1].ends_with("Z,B,1,5,1,0.99,3,1.01,4,,"), "{}", lines[1]);
    assert!(lines[2].ends_with("Z,A,0.07,5,1,,,,,,"), "{}", lines[2]);
    server.stop().unwrap();

    let recorded = Recorded::read(&day_file(folder.path()), false, None, &mut |_| {}).unwrap();
    assert_eq!(recorded.instruments().len(), 2);
    let intake = start_feed(&in_files(folder.path(), SYNC));
    let feed = intake.tape();
    let series = feed.series(&feed.instrument(&"B".parse().unwrap()).unwrap());
    let book = series.top_of_book(&series.tick(series.last())).unwrap();
    assert_eq!(
        (book.bid.nanos(), book.bid_quantity, book.ask.nanos(), book.ask_quantity),
        (990_000_000, 3, 1_010_000_000, 4)
    );
}

#[tokio::test]
async fn a_torn_end_is_cut_off_wherever_it_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(in_files(folder.path(), SYNC));
    publish_all(&mut server.client().await, ticks(20)).await;
    server.stop().unwrap();
    let whole = text(folder.path());
    let last_line = whole.trim_end().rfind('\n').unwrap() + 1;
    for torn in (last_line..whole.len()).step_by(3) {
        fs::write(day_file(folder.path()), &whole[..torn]).unwrap();
        let server = serve(in_files(folder.path(), SYNC));
        let mut client = server.client().await;
        assert_eq!(stored(&mut client, "A").await.len(), 19);
        publish_all(&mut client, vec![tick("A", 2_000)]).await;
        let stored = sequences_and_prices(&stored(&mut client, "A").await);
        assert_eq!(stored[19..], [(20, 2_000)]);
        server.stop().unwrap();
        assert!(text(folder.path()).starts_with(&whole[..last_line]));
    }
    // After the loss of power, the end of a file may be zeros.
    fs::write(day_file(folder.path()), whole.clone() + &"\0".repeat(10_000)).unwrap();
    let server = serve(in_files(folder.path(), SYNC));
    assert_eq!(stored(&mut server.client().await, "A").await.len(), 20);
    server.stop().unwrap();
    assert_eq!(text(folder.path()), whole);
}

#[test]
fn a_log_that_is_damaged_before_its_end_is_refused_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let header = "time,symbol,price,quantity,sequence,bid,bid_quantity,ask,ask_quantity,publisher,number\n";
    let line = |sequence: u64, price: &str| format!("2026-11-20T09:15:00Z,A,{price},1,{sequence},,,,,,\n");
    fs::write(folder.path().join("tape_id"), "one\n").unwrap();
    let refused = |content: String, told: &str| {
        let path = folder.path().join("2026-11-20.csv");
        fs::write(&path, content).unwrap();
        let error = Intake::start(in_files(folder.path(), SYNC), &mut |_| {}).err().unwrap();
        assert_eq!(error.to_string(), format!("{}:{told}", path.display()));
    };
    refused(
        format!("{header}{}{}{}", line(1, "1"), line(2, "x"), line(3, "1")),
        "3: price: must be a decimal number such as 2930.55, got x",
    );
    refused(
        format!("{header}{}{}", line(1, "1"), line(3, "1")),
        "3: sequence: A has 3 after 1: lines are missing or out of order",
    );
    refused(
        format!("time,symbol\n{}", line(1, "1")),
        "1: the first line must be time,symbol,price,quantity,sequence,bid,bid_quantity,ask,ask_quantity,publisher,number",
    );
    refused(format!("{header}{}\n{}", line(1, "1"), line(2, "1")), "3: it ends before the field symbol");
    refused(
        format!("{header}{}", line(1, "1")).replace(",,\n", ",,,\n") + &line(2, "1"),
        "2: it has more fields than the header",
    );
    refused(format!("{header}{}{}", line(1, "-1"), line(2, "1")), "2: price: -1 is not positive");
}

#[test]
fn a_directory_has_one_server_and_its_tape_id_changes_only_when_sequences_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let id = |intake: &Intake| intake.tape().identity().tape_id.clone();
    let start = || Intake::start(in_files(folder.path(), SYNC), &mut |_| {});
    let first = start().unwrap();
    let error = start().err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("{} is in use by another server: each needs a directory of its own", folder.path().display())
    );
    let before = id(&first);
    drop(first);
    let again = start_feed(&in_files(folder.path(), SYNC));
    assert_ne!(id(&again), before, "there was no file");
}
