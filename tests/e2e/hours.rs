//! The hours of markets: the status of instruments in reference data and quotes, and the days of those that close.

use std::sync::Arc;

use ticker::{
    client::{Client, Endpoint, InstrumentInfo, InstrumentStatus, Settings},
    contract::v1::{self, Detail, Subscription, ticker_stream_request::Verb},
    pacer::Clock,
    tape::{Simulated, Tape, Universe},
    tick::Time,
};
use tokio_stream::StreamExt;

use crate::support::server::{Server, symbols};

const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;

/// `CLOSED` has a session in three days, `SHAPED` the same hours and trades all the same, `OPEN` has sessions without a break, and
/// `FREE` no hours.
fn tape(now: Time) -> Arc<Simulated> {
    let in_three_days =
        ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(now.nanos() / DAY + 3) as usize % 7];
    let one = |symbol: &str, key: &str, days: &str| {
        let hours =
            if key.is_empty() { String::new() } else { format!("{key} = \"00:00-24:00 UTC {days}\"\n") };
        format!("[[instrument]]\nsymbol = \"{symbol}\"\nreference_price = 100\n{hours}")
    };
    let instruments = one("CLOSED", "session", in_three_days)
        + &one("FREE", "", "")
        + &one("OPEN", "session", "Mon-Sun")
        + &one("SHAPED", "hours", in_three_days);
    Arc::new(Simulated::new(7, Universe::parse(&instruments, "instruments").unwrap()))
}

#[tokio::test]
async fn reference_data_tell_whether_an_instrument_trades_and_until_when() {
    let now = Clock::Wall.now();
    let server = Server::start_with(|config| config.tape = tape(now));
    let client = Client::connect(&Endpoint::from(server.address).into(), Settings::default()).await.unwrap();
    let mut listed: Vec<InstrumentInfo> = client.instruments().collect::<Result<_, _>>().await.unwrap();
    listed.retain(|instrument| !instrument.is_for_tests());
    let [closed, free, open, shaped] = listed.as_slice() else { panic!("{listed:?}") };

    assert_eq!((closed.status, closed.closes), (Some(InstrumentStatus::Closed), true));
    let opening = closed.next_status_change.unwrap();
    assert!(opening > now && opening.nanos() % DAY == 0 && opening.nanos() - now.nanos() <= 3 * DAY);
    assert!(closed.hours.starts_with("00:00-24:00 UTC "), "{}", closed.hours);

    for trading in [free, open, shaped] {
        assert_eq!((trading.status, trading.next_status_change), (Some(InstrumentStatus::Open), None));
    }
    assert_eq!((free.hours.as_str(), free.closes, open.closes), ("", false, true));
    assert_eq!((shaped.hours.as_str(), shaped.closes), (closed.hours.as_str(), false));
}

#[tokio::test]
async fn a_snapshot_tells_whether_the_instrument_trades_now_and_its_day_is_that_of_the_session() {
    let tape = tape(Clock::Wall.now());
    let server = Server::start_with(|config| config.tape = tape.clone());
    let mut stream = server.stream().await;
    let asked = Subscription { detail: Detail::Quote.into(), ..symbols(&["CLOSED", "OPEN"]) };
    stream.ask(1, Verb::Subscribe(asked));
    stream.result().await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let tick = stream.tick().await;
        if !tick.snapshot {
            continue;
        }
        let quote = tick.quote.unwrap();
        let is_closed = tick.symbol == "CLOSED";
        let expected = if is_closed { v1::InstrumentStatus::Closed } else { v1::InstrumentStatus::Open };
        assert_eq!(quote.status(), expected, "{}", tick.symbol);
        let instrument = tape.instrument(&tick.symbol.parse().unwrap()).unwrap();
        let at = tick.time.unwrap();
        let time = Time::from_nanos(at.seconds as u64 * 1_000_000_000 + at.nanos as u64);
        let start = instrument.trading_days().day_of(time).start;
        assert_eq!(quote.day_start_time.unwrap().seconds, start.parts().0, "{}", tick.symbol);
        seen.push(tick.symbol);
    }
    seen.sort();
    assert_eq!(seen, ["CLOSED", "OPEN"]);
}
