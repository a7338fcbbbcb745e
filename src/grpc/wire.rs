//! The bytes of a tick in each package: length-prefixed gRPC messages, ready to send.
//!
//! These are written by hand, field by field, because they are written for every tick; the tests hold them against
//! the generated code.

mod fields;

use bytes::BufMut;
use prost::{
    Message,
    encoding::{encode_varint, message},
};

use super::convert;
use crate::{
    contract::v1::{CaughtUp, Gap, Heartbeat, TickerStreamResponse, ticker_stream_response::Event},
    hub::{Quote, TickMeta, WireFormat},
    tape::Instrument,
    tick::{Sequence, Symbol, Tick, Time},
};
use fields::Fields;

/// A gRPC message begins with a flag, which says that it is not compressed, and its length.
const PREFIX: usize = 5;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

/// `gogen.TickerResponse`.
#[derive(Default)]
pub(super) struct GogenFormat {
    /// The second whose text is in `text`.
    second: Option<i64>,
    /// `2026-11-20T09:15:00`
    text: String,
}

/// `ticker.v1.TickerStreamResponse`, which `WatchResponse` equals byte for byte.
pub(super) struct V1Format {
    tape_id: String,
    quotes: bool,
    /// Where a tick with its quote is put together, before its length is known.
    scratch: Vec<u8>,
}

/// Appends a message with its prefix.
pub fn put_message(message: &impl Message, out: &mut Vec<u8>) {
    framed(out, |out| message.encode_raw(out));
}

/// Appends a `ticker.v1.SubscriptionResult` whose statuses are encoded, each with the key of its field and its length.
pub(super) fn put_subscription_result(request_id: u64, tape_id: &str, statuses: &[u8], out: &mut Vec<u8>) {
    let mut head = Vec::with_capacity(16 + tape_id.len());
    put_varint(1, request_id, &mut head);
    put_bytes(2, tape_id.as_bytes(), &mut head);
    framed(out, |out| {
        put_key_and_len(2, head.len() + statuses.len(), out);
        out.extend_from_slice(&head);
        out.extend_from_slice(statuses);
    });
}

impl WireFormat for GogenFormat {
    fn tick(
        &mut self,
        instrument: &Instrument,
        tick: &Tick,
        _: TickMeta,
        _: Option<&Quote>,
        out: &mut Vec<u8>,
    ) {
        let (second, nanos) = tick.time.parts();
        if self.second != Some(second) {
            self.text = convert::rfc3339_to_the_second(second);
            self.second = Some(second);
        }
        framed(out, |out| {
            put_bytes(1, instrument.symbol.as_bytes(), out);
            out.put_u8(2 << 3 | FIXED64);
            out.put_f64_le(tick.price.to_f64());
            let millis = nanos / 1_000_000;
            let digit = |unit: i32| b'0' + (millis / unit % 10) as u8;
            put_key_and_len(3, self.text.len() + 5, out);
            out.extend_from_slice(self.text.as_bytes());
            out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b'Z']);
        });
    }

    // A client of this contract would read anything but a tick as a price of zero.
    fn gap(&mut self, _: &Symbol, _: Sequence, _: Sequence, _: &mut Vec<u8>) {}

    fn caught_up(&mut self, _: &Symbol, _: Sequence, _: &mut Vec<u8>) {}

    fn heartbeat(&mut self, _: Time, _: &mut Vec<u8>) {}
}

impl WireFormat for V1Format {
    fn quotes(&self) -> bool {
        self.quotes
    }

    fn tick(
        &mut self,
        instrument: &Instrument,
        tick: &Tick,
        meta: TickMeta,
        quote: Option<&Quote>,
        out: &mut Vec<u8>,
    ) {
        let fields = tick_fields(instrument, tick, meta);
        let Some(quote) = quote else {
            return framed(out, |out| put_bytes(1, fields.as_slice(), out));
        };
        self.scratch.clear();
        self.scratch.extend_from_slice(fields.as_slice());
        message::encode(9, &convert::quote(quote), &mut self.scratch);
        framed(out, |out| put_bytes(1, &self.scratch, out));
    }

    fn gap(&mut self, symbol: &Symbol, first: Sequence, last: Sequence, out: &mut Vec<u8>) {
        let gap = Gap { symbol: symbol.to_string(), first_sequence: first.0, last_sequence: last.0 };
        put_message(&TickerStreamResponse { event: Some(Event::Gap(gap)) }, out);
    }

    fn caught_up(&mut self, symbol: &Symbol, last: Sequence, out: &mut Vec<u8>) {
        let caught_up = CaughtUp { symbol: symbol.to_string(), sequence: last.0 };
        put_message(&TickerStreamResponse { event: Some(Event::CaughtUp(caught_up)) }, out);
    }

    fn heartbeat(&mut self, now: Time, out: &mut Vec<u8>) {
        let heartbeat = Heartbeat { time: Some(convert::timestamp(now)), tape_id: self.tape_id.clone() };
        put_message(&TickerStreamResponse { event: Some(Event::Heartbeat(heartbeat)) }, out);
    }
}

impl V1Format {
    pub(super) fn new(tape_id: &str) -> Self {
        Self { tape_id: tape_id.to_owned(), quotes: false, scratch: Vec::new() }
    }

    pub(super) fn with_quotes(tape_id: &str) -> Self {
        Self { quotes: true, ..Self::new(tape_id) }
    }
}

/// The fields of a `ticker.v1.Tick` without its quote: at most 102 bytes.
fn tick_fields(instrument: &Instrument, tick: &Tick, meta: TickMeta) -> Fields {
    let (seconds, nanos) = tick.time.parts();
    let mut fields = Fields::default();
    fields.put_text(1, instrument.symbol.as_bytes());
    fields.put_f64(2, tick.price.to_f64());
    let start = fields.begin_message(3);
    fields.put_varint(1, seconds as u64);
    fields.put_varint(2, nanos as u64);
    fields.end_message(start);
    fields.put_varint(4, tick.sequence.0);
    fields.put_varint(5, tick.price.nanos() as u64);
    fields.put_varint(6, tick.quantity);
    fields.put_varint(7, meta.conflated);
    fields.put_varint(8, u64::from(meta.snapshot));
    fields
}

fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    write(out);
    let length = (out.len() - start - PREFIX) as u32;
    out[start + 1..start + PREFIX].copy_from_slice(&length.to_be_bytes());
}

fn put_key_and_len(field: u8, len: usize, out: &mut Vec<u8>) {
    out.put_u8(field << 3 | BYTES);
    encode_varint(len as u64, out);
}

fn put_bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    put_key_and_len(field, bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Writes a number; zero is the default and is left out.
fn put_varint(field: u8, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        out.put_u8(field << 3 | VARINT);
        encode_varint(value, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        contract::{gogen, v1},
        history::Day,
        tape::{InstrumentStatus, TopOfBook},
        tick::Price,
    };

    fn instrument(symbol: &str) -> Instrument {
        Instrument::named(symbol, std::time::Duration::from_millis(100))
    }

    prop_compose! {
        fn any_tick()(
            sequence in any::<u64>(), nanos in any::<u64>(), price in 1..=i64::MAX, quantity in prop_oneof![Just(0), any::<u64>()],
        ) -> Tick {
            Tick {
                sequence: Sequence(sequence),
                time: Time::from_nanos(nanos),
                price: Price::from_nanos(price).unwrap(),
                quantity,
            }
        }
    }

    proptest! {
        #[test]
        fn a_gogen_tick_is_what_the_generated_code_reads(symbol in "[A-Z]{1,32}", tick in any_tick()) {
            let mut out = b"before".to_vec();
            GogenFormat::default().tick(&instrument(&symbol), &tick, TickMeta { conflated: 3, snapshot: true }, None, &mut out);
            let expected = gogen::TickerResponse {
                symbol,
                ltp: tick.price.to_f64(),
                timestamp: format!("{:.3}", jiff::Timestamp::from_nanosecond(i128::from(tick.time.nanos() / 1_000_000 * 1_000_000)).unwrap()),
            };
            let mut bytes = b"before".to_vec();
            put_message(&expected, &mut bytes);
            prop_assert_eq!(&out, &bytes);
            prop_assert_eq!(gogen::TickerResponse::decode(&out[6 + PREFIX..]).unwrap(), expected);
        }

        #[test]
        fn a_v1_tick_is_what_the_generated_code_writes(
            symbol in "[A-Z]{1,32}", tick in any_tick(), conflated in any::<u64>(), snapshot in any::<bool>(),
        ) {
            let mut out = Vec::new();
            V1Format::new("t").tick(&instrument(&symbol), &tick, TickMeta { conflated, snapshot }, None, &mut out);
            let expected = v1::Tick { conflated, snapshot, ..convert::tick(&symbol, &tick) };
            let mut bytes = Vec::new();
            put_message(&TickerStreamResponse { event: Some(Event::Tick(expected.clone())) }, &mut bytes);
            prop_assert_eq!(&out, &bytes);
            let watched = v1::WatchResponse::decode(&out[PREFIX..]).unwrap();
            prop_assert_eq!(watched.event, Some(v1::watch_response::Event::Tick(expected)));
        }
    }

    proptest! {
        #[test]
        fn a_v1_tick_with_its_quote_is_what_the_generated_code_writes(
            symbol in "[A-Z]{1,32}", tick in any_tick(), close in prop::option::of(1..=i64::MAX), volume in any::<u64>(),
            sizes in prop::option::of((any::<u64>(), any::<u64>())),
            status in prop::option::of(Just(InstrumentStatus::Closed)),
        ) {
            let price = |nanos| Price::from_nanos(nanos).unwrap();
            let day = Day {
                start: Time::from_nanos(tick.time.nanos() / 86_400 * 86_400), end: Time::MAX, open: tick.price, high: price(i64::MAX), low: price(1), volume,
                previous_close: close.map(price), last: tick.price,
            };
            let book = sizes.map(|(bid_quantity, ask_quantity)| TopOfBook { bid: price(1), bid_quantity, ask: price(2), ask_quantity });
            let quote = Quote { book, day, status };
            let mut out = Vec::new();
            V1Format::with_quotes("t").tick(&instrument(&symbol), &tick, TickMeta::default(), Some(&quote), &mut out);
            let expected = v1::Tick { quote: Some(convert::quote(&quote)), ..convert::tick(&symbol, &tick) };
            let mut bytes = Vec::new();
            put_message(&TickerStreamResponse { event: Some(Event::Tick(expected.clone())) }, &mut bytes);
            prop_assert_eq!(&out, &bytes);
            let quote = expected.quote.unwrap();
            prop_assert_eq!(quote.previous_close_nanos, close.unwrap_or(0));
            prop_assert_eq!(quote.change_percent.is_some(), close.is_some());
            prop_assert_eq!(quote.bid_nanos, i64::from(sizes.is_some()));
            prop_assert_eq!(quote.status() == v1::InstrumentStatus::Closed, status.is_some());
        }
    }

    #[test]
    fn a_subscription_result_is_what_the_generated_code_writes() {
        for (request_id, count) in [(0, 0), (7, 1), (u64::MAX, 300)] {
            let status =
                |at: i32| v1::SymbolStatus { symbol: format!("S{at}"), code: at % 7, ..Default::default() };
            let result = v1::SubscriptionResult {
                request_id,
                tape_id: "t".to_owned(),
                statuses: (0..count).map(status).collect(),
            };
            let mut statuses = Vec::new();
            result.statuses.iter().for_each(|status| message::encode(3, status, &mut statuses));
            let (mut out, mut expected) = (Vec::new(), Vec::new());
            put_subscription_result(request_id, "t", &statuses, &mut out);
            put_message(
                &TickerStreamResponse { event: Some(Event::SubscriptionResult(result)) },
                &mut expected,
            );
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_gogen_client_gets_nothing_but_ticks() {
        let mut out = Vec::new();
        let mut gogen = GogenFormat::default();
        gogen.gap(&"A".parse().unwrap(), Sequence(1), Sequence(2), &mut out);
        gogen.caught_up(&"A".parse().unwrap(), Sequence(1), &mut out);
        gogen.heartbeat(Time::default(), &mut out);
        assert!(out.is_empty());
    }
}
