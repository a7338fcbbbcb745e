//! The answer to a watch as server-sent events: `data: {"tick":{…}}`.

use std::time::Duration;

use tonic::{Code, Status};

use super::{
    event_id::MAX_ID,
    messages::{BodyError, Messages},
    positions::Positions,
    status::{error_json, http_status},
};
use crate::{
    contract::{
        RpcCode,
        v1::{SymbolStatusCode, WatchResponse, watch_response::Event},
    },
    jitter::Jitter,
    tick::Sequence,
};

/// Writes the messages of a watch as events.
pub(super) struct EventStream {
    messages: Messages,
    positions: Positions,
    has_subscribed: Option<bool>,
}

/// A client waits at least this long before it connects again, and at most twice as long: at random, so that the clients of a
/// server that stops do not arrive elsewhere in one instant.
const RETRY: Duration = Duration::from_secs(1);
/// Longest id of an event that is followed by another one in the same write, in bytes: that of some seventy symbols.
const SHORT_ID: usize = 2048;

impl EventStream {
    /// The events of a stream with these positions.
    pub(super) fn new(positions: Positions) -> Self {
        Self { messages: Messages::default(), positions, has_subscribed: None }
    }

    /// Whether the first message says that a symbol is subscribed; `None` until it has come. When none is, the stream ends
    /// at once, with a status that says why.
    pub(super) fn has_subscribed(&self) -> Option<bool> {
        self.has_subscribed
    }

    /// Takes bytes of the body of the gRPC response and appends the events that are complete.
    ///
    /// Ticks that arrive together are sent in the order of their times. Then no symbol is behind the time of an id, and ids
    /// are short; as they come, half of the ticks of a flush would be behind.
    ///
    /// # Errors
    /// The bytes are no such body. The stream cannot go on.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        self.messages.push(bytes);
        let mut ticks = Vec::new();
        while let Some(message) = self.messages.read::<WatchResponse>()? {
            if matches!(message.event, Some(Event::Tick(_))) {
                ticks.push(message);
            } else {
                self.put_ticks(&mut ticks, out)?;
                self.put(&message, SHORT_ID, out)?;
            }
        }
        self.put_ticks(&mut ticks, out)
    }

    /// Appends what follows the last event when the gRPC response has ended with a status.
    pub(super) fn end(&self, status: &Status, out: &mut Vec<u8>) {
        let end = match (status.code(), self.positions.id_at_end()) {
            // An id without data is no event, but a client that connects again sends it.
            (Code::Ok, Some(id)) => format!("id: {id}\n\n"),
            (Code::Ok, None) => return,
            (code, _) => {
                let json = error_json(http_status(code), RpcCode::of(code), status.message());
                format!("event: end\ndata: {json}\n\n")
            }
        };
        out.extend_from_slice(end.as_bytes());
    }

    fn put_ticks(&mut self, ticks: &mut Vec<WatchResponse>, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let time_of = |message: &WatchResponse| match &message.event {
            Some(Event::Tick(tick)) => tick.time.map(|time| (time.seconds, time.nanos)),
            _ => None,
        };
        let mut order: Vec<_> =
            ticks.iter().enumerate().map(|(place, tick)| (time_of(tick), place)).collect();
        order.sort_unstable();
        for (written, (_, place)) in order.iter().enumerate() {
            let longest_id = if written + 1 < order.len() { SHORT_ID } else { MAX_ID };
            self.put(&ticks[*place], longest_id, out)?;
        }
        ticks.clear();
        Ok(())
    }

    /// Appends an event, whose id has at most `longest_id` bytes.
    fn put(
        &mut self,
        message: &WatchResponse,
        longest_id: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), BodyError> {
        if self.has_subscribed.is_none() {
            let retry = RETRY + Jitter::new().moment_of(RETRY);
            out.extend_from_slice(format!("retry: {}\n\n", retry.as_millis()).as_bytes());
        }
        let id = match &message.event {
            Some(Event::SubscriptionResult(result)) => {
                let mut has_subscribed = false;
                for status in
                    result.statuses.iter().filter(|status| status.code() == SymbolStatusCode::Subscribed)
                {
                    self.positions.subscribed(&status.symbol);
                    has_subscribed = true;
                }
                self.has_subscribed.get_or_insert(has_subscribed);
                self.positions.id_at_start()
            }
            Some(Event::Tick(tick)) => self.id_after(&tick.symbol, tick.sequence, longest_id),
            Some(Event::Gap(gap)) => self.id_after(&gap.symbol, gap.last_sequence, longest_id),
            _ => None,
        };
        if let Some(id) = id {
            out.extend_from_slice(b"id: ");
            out.extend_from_slice(id.as_bytes());
            out.push(b'\n');
        }
        // JSON has no line breaks.
        out.extend_from_slice(b"data: ");
        serde_json::to_writer(&mut *out, message)?;
        out.extend_from_slice(b"\n\n");
        Ok(())
    }

    /// The id of the event that sends a symbol up to a sequence, if it changes what was sent.
    fn id_after(&mut self, symbol: &str, sequence: u64, longest: usize) -> Option<String> {
        self.positions.sent(symbol, Sequence(sequence)).then(|| self.positions.id(longest))?
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use proptest::prelude::*;
    use prost::Message;
    use prost_types::Timestamp;

    use super::*;
    use crate::{
        contract::v1::{Draining, Gap, SubscriptionResult, SymbolStatus, Tick, WatchRequest},
        tape::{Simulated, Tape, Universe},
        tick::Time,
    };

    /// When the streams begin.
    const BEGAN: Time = Time::from_nanos(1_000_000_000_000);

    const INSTRUMENTS: &str = r#"
        [[instrument]]
        symbol = "A"
        reference_price = "100.00"
        tick_interval = "1s"
        [[instrument]]
        symbol = "M&M"
        reference_price = "200.00"
        tick_interval = "1s"
    "#;

    fn tape() -> Arc<dyn Tape> {
        Arc::new(Simulated::new(7, Universe::parse(INSTRUMENTS, "test").unwrap()))
    }

    fn tick(symbol: &str, sequence: u64) -> Event {
        let instrument = tape().instrument(&symbol.parse().unwrap()).unwrap();
        let tick = tape().series(&instrument).tick(Sequence(sequence));
        let (seconds, nanos) = tick.time.parts();
        let time = Some(Timestamp { seconds, nanos });
        Event::Tick(Tick { symbol: symbol.to_owned(), sequence, time, ..Tick::default() })
    }

    /// The newest tick of a symbol at a time.
    fn newest(symbol: &str, time: Time) -> u64 {
        let instrument = tape().instrument(&symbol.parse().unwrap()).unwrap();
        tape().series(&instrument).sequence_at(time).unwrap().0
    }

    fn result(statuses: &[(&str, SymbolStatusCode)]) -> Event {
        let statuses = statuses.iter().map(|(symbol, code)| SymbolStatus {
            symbol: (*symbol).to_owned(),
            code: (*code).into(),
            ..SymbolStatus::default()
        });
        Event::SubscriptionResult(SubscriptionResult {
            statuses: statuses.collect(),
            ..SubscriptionResult::default()
        })
    }

    fn body(events: impl IntoIterator<Item = Event>) -> Vec<u8> {
        let mut body = Vec::new();
        for event in events {
            let message = WatchResponse { event: Some(event) };
            body.push(0);
            body.extend((message.encoded_len() as u32).to_be_bytes());
            message.encode(&mut body).unwrap();
        }
        body
    }

    fn events(request: &WatchRequest) -> EventStream {
        EventStream::new(Positions::new(tape(), BEGAN, request, None))
    }

    fn written(events: &mut EventStream, body: &[u8], piece: usize) -> String {
        let mut out = Vec::new();
        for bytes in body.chunks(piece) {
            events.push(bytes, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_message_is_an_event_and_has_an_id_if_it_says_what_was_sent() {
        let subscribed = SymbolStatusCode::Subscribed;
        let [a, m] = ["A", "M&M"].map(|symbol| newest(symbol, BEGAN));
        // To a time at which another tick of the other one is due.
        let gap = a + 1..=newest("A", BEGAN + Duration::from_secs(60));
        assert!(newest("M&M", BEGAN + Duration::from_secs(30)) > m);
        let sent = [
            result(&[("A", subscribed), ("M&M", subscribed), ("X", SymbolStatusCode::UnknownSymbol)]),
            tick("A", a),
            tick("M&M", m),
            Event::Gap(Gap {
                symbol: "A".to_owned(),
                first_sequence: *gap.start(),
                last_sequence: *gap.end(),
            }),
            Event::Draining(Draining {}),
        ];
        let mut events = events(&WatchRequest::default());
        assert_eq!(events.has_subscribed(), None);
        let text = written(&mut events, &body(sent), 7);
        assert_eq!(events.has_subscribed(), Some(true));

        let (retry, text) = text.split_once("\n\n").unwrap();
        let retry: u64 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
        assert!((1_000..=2_000).contains(&retry), "{retry}");
        let blocks: Vec<_> =
            text.split_terminator("\n\n").map(|block| block.lines().collect::<Vec<_>>()).collect();
        assert_eq!(blocks.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 2, 1]);
        let began = format!("id: {}@1000000000000", tape().identity().tape_id);
        // The first prices are still to come.
        assert_eq!(blocks[0][0], format!("{began}~"));
        assert!(blocks[0][1].starts_with(r#"data: {"subscriptionResult":{"statuses":[{"symbol":"A","#));
        assert_eq!(blocks[1][0], format!("{began},M&M~{}", m - 1));
        assert!(blocks[1][1].starts_with(r#"data: {"tick":{"symbol":"A","#), "{}", blocks[1][1]);
        assert_eq!(blocks[2][0], began);
        assert!(blocks[3][0].ends_with(&format!(",M&M~{m}")), "{}", blocks[3][0]);
        let (first, last) = (gap.start(), gap.end());
        let told =
            format!(r#"data: {{"gap":{{"symbol":"A","firstSequence":{first},"lastSequence":{last}}}}}"#);
        assert_eq!(blocks[3][1], told);
        assert_eq!(blocks[4][0], r#"data: {"draining":{}}"#);
    }

    #[test]
    fn ticks_that_arrive_together_are_sent_in_the_order_of_their_times() {
        let mut events = events(&WatchRequest::default());
        let subscribed = result(&[("*", SymbolStatusCode::Subscribed)]);
        let snapshots = ["M&M", "A"].map(|symbol| tick(symbol, newest(symbol, BEGAN)));
        written(&mut events, &body([subscribed].into_iter().chain(snapshots)), 10_000);
        // All ticks of the one, and then those of the other.
        let until = BEGAN + Duration::from_secs(100);
        let of = |symbol| (newest(symbol, BEGAN) + 1..=newest(symbol, until)).map(move |at| tick(symbol, at));
        let sent: Vec<_> = of("M&M").chain(of("A")).collect();
        let count = sent.len();
        let text = written(&mut events, &body(sent), usize::MAX);
        let ids: Vec<_> = text.lines().filter(|line| line.starts_with("id: ")).collect();
        assert!(ids.len() == count && ids.is_sorted(), "{text}");
        assert!(ids.iter().all(|id| !id.contains('~')), "{text}");
        let symbols =
            text.lines().filter(|line| line.starts_with("data: ")).map(|line| line.contains(r#""A""#));
        let symbols: Vec<_> = symbols.collect();
        assert!(symbols.windows(2).any(|two| two[0] == two[1]), "{text}");
    }

    #[test]
    fn a_stream_of_which_no_symbol_is_subscribed_is_told_from_others() {
        let mut events = events(&WatchRequest::default());
        written(&mut events, &body([result(&[("X", SymbolStatusCode::UnknownSymbol)])]), 100);
        assert_eq!(events.has_subscribed(), Some(false));
    }

    #[test]
    fn the_end_says_why_or_that_the_replay_is_over() {
        let end = |request: &WatchRequest, status: &Status| {
            let mut out = Vec::new();
            events(request).end(status, &mut out);
            String::from_utf8(out).unwrap()
        };
        let live = WatchRequest::default();
        let text = end(&live, &Status::unavailable("the server is stopping:\nreconnect"));
        let (event, data) = text.split_once('\n').unwrap();
        let error =
            data.strip_prefix("data: ").and_then(|json| serde_json::from_str::<serde_json::Value>(json).ok());
        let expected = serde_json::json!({"error": {
            "code": 503, "status": "UNAVAILABLE", "message": "the server is stopping:\nreconnect",
        }});
        assert_eq!((event, error), ("event: end", Some(expected)));
        assert!(data.ends_with("}\n\n"));
        assert_eq!(end(&live, &Status::ok("")), "");
        let start_time = Some(Timestamp { seconds: 1, nanos: 0 });
        let end_time = Some(Timestamp { seconds: 5, nanos: 7 });
        let replay = WatchRequest { start_time, end_time, ..WatchRequest::default() };
        let expected = format!("id: {}@5000000007\n\n", tape().identity().tape_id);
        assert_eq!(end(&replay, &Status::ok("")), expected);
    }

    proptest! {
        #[test]
        fn the_events_are_the_same_wherever_the_body_is_cut(piece in 1..200usize) {
            let subscribed = SymbolStatusCode::Subscribed;
            let sent = || [result(&[("*", subscribed)]), tick("A", 5), tick("M&M", 6), tick("A", 7)];
            let without_retry = |piece| {
                let text = written(&mut events(&WatchRequest::default()), &body(sent()), piece);
                text.split_once("\n\n").unwrap().1.to_owned()
            };
            prop_assert_eq!(without_retry(piece), without_retry(10_000));
        }

        #[test]
        fn no_body_makes_it_panic(bytes: Vec<u8>, symbol in "[A-Z]{0,3}", sequence: u64) {
            let mut events = events(&WatchRequest::default());
            let tick = Tick { symbol, sequence, ..Tick::default() };
            written(&mut events, &body([result(&[("*", SymbolStatusCode::Subscribed)]), Event::Tick(tick)]), 50);
            let _ = events.push(&bytes, &mut Vec::new());
        }
    }
}
