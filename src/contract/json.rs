//! The messages as JSON, for clients that have no gRPC. `build.rs` derives `Serialize` for them with the forms below.
//!
//! It is the JSON of proto3, so every parser of proto3 JSON reads it: names in lowerCamelCase, no fields with default values,
//! times in RFC 3339, enums by name, bytes in base64. With one difference in the writing, which such parsers accept too: a
//! 64-bit integer is a number as long as JavaScript can hold it, and decimal text beyond. Exact prices (`…Nanos`) are always
//! text, so that they have one type.

use std::{collections::BTreeMap, fmt::Display, marker::PhantomData};

use base64::{display::Base64Display, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::Error};

/// How to write values of a type. A form of `Option<T>` and of the values of a map is named after that of `T`.
pub(super) trait Form<T> {
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error>;
}

/// A 64-bit integer: a number up to 2^53 − 1 on either side of zero, else text.
pub(super) enum Integer {}

/// A 64-bit integer, always as text.
pub(super) enum Digits {}

/// A double: a number, or one of the texts `NaN`, `Infinity` and `-Infinity`.
pub(super) enum Double {}

/// Bytes in base64.
pub(super) enum Base64 {}

/// A time in RFC 3339 and UTC with 0, 3, 6 or 9 decimals.
pub(super) enum Rfc3339 {}

/// A duration in seconds with as many decimals as it needs: `1.5s`.
pub(super) enum Seconds {}

/// An enum: the name of the value in the `.proto` file, or the number of a value that the file does not have.
pub(super) struct Enum<E>(PhantomData<E>);

/// A value in the form `F`.
struct In<'a, T, F>(&'a T, PhantomData<F>);

/// Whether a field has its default value, with which it is left out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl<T: Copy + Display + Into<i128>> Form<T> for Integer {
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        const LARGEST: i64 = (1 << 53) - 1;
        match i64::try_from((*value).into()) {
            Ok(number) if (-LARGEST..=LARGEST).contains(&number) => serializer.serialize_i64(number),
            _ => serializer.collect_str(value),
        }
    }
}

impl<T: Display> Form<T> for Digits {
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }
}

impl Form<f64> for Double {
    fn write<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match *value {
            value if value.is_finite() => serializer.serialize_f64(value),
            f64::INFINITY => serializer.serialize_str("Infinity"),
            f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
            _ => serializer.serialize_str("NaN"),
        }
    }
}

impl Form<Vec<u8>> for Base64 {
    fn write<S: Serializer>(value: &Vec<u8>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(value, &BASE64_STANDARD))
    }
}

impl Form<prost_types::Timestamp> for Rfc3339 {
    fn write<S: Serializer>(value: &prost_types::Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::new(value.seconds, value.nanos).map_err(S::Error::custom)?;
        let decimals = match value.nanos {
            0 => 0,
            nanos if nanos % 1_000_000 == 0 => 3,
            nanos if nanos % 1_000 == 0 => 6,
            _ => 9,
        };
        serializer.collect_str(&format_args!("{time:.decimals$}"))
    }
}

impl Form<prost_types::Duration> for Seconds {
    fn write<S: Serializer>(value: &prost_types::Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let sign = if value.seconds < 0 || value.nanos < 0 { "-" } else { "" };
        let (seconds, nanos) = (value.seconds.unsigned_abs(), value.nanos.unsigned_abs());
        if nanos == 0 {
            return serializer.collect_str(&format_args!("{sign}{seconds}s"));
        }
        let decimals = format!("{nanos:09}");
        let decimals = decimals.trim_end_matches('0');
        serializer.collect_str(&format_args!("{sign}{seconds}.{decimals}s"))
    }
}

impl<E: Serialize + TryFrom<i32>> Form<i32> for Enum<E> {
    fn write<S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        match E::try_from(*value) {
            Ok(known) => known.serialize(serializer),
            Err(_) => serializer.serialize_i32(*value),
        }
    }
}

/// The value, which is there: a field without one is left out.
impl<T, F: Form<T>> Form<Option<T>> for Option<F> {
    fn write<S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(|value| In::<T, F>(value, PhantomData)).serialize(serializer)
    }
}

impl<K: Serialize, T, F: Form<T>> Form<BTreeMap<K, T>> for BTreeMap<(), F> {
    fn write<S: Serializer>(value: &BTreeMap<K, T>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(value.iter().map(|(key, value)| (key, In::<T, F>(value, PhantomData))))
    }
}

impl<T, F: Form<T>> Serialize for In<'_, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        F::write(self.0, serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::{btree_map, vec},
        option,
        prelude::*,
        strategy::Union,
    };
    use prost::Message;
    use prost_reflect::{
        Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
        ReflectMessage, Value,
    };
    use serde_json::json;

    use super::*;
    use crate::contract::{DESCRIPTORS, v1};

    /// Any message of a type. Times and durations are such as protobuf allows.
    fn message(of: &MessageDescriptor) -> BoxedStrategy<DynamicMessage> {
        let of = of.clone();
        let fields: Vec<_> = of.fields().collect();
        let values: Vec<_> = fields.iter().map(|field| option::of(field_value(field))).collect();
        values
            .prop_map(move |values| {
                let mut message = DynamicMessage::new(of.clone());
                for (field, value) in fields.iter().zip(values) {
                    if let Some(value) = value {
                        message.set_field(field, value);
                    }
                }
                message
            })
            .boxed()
    }

    fn field_value(field: &FieldDescriptor) -> BoxedStrategy<Value> {
        if let Kind::Message(entry) = field.kind()
            && field.is_map()
        {
            let entries =
                btree_map(".{0,3}".prop_map(MapKey::String), one_value(&entry.map_entry_value_field()), 0..3);
            return entries.prop_map(|entries| Value::Map(entries.into_iter().collect())).boxed();
        }
        match field.cardinality() {
            Cardinality::Repeated => vec(one_value(field), 0..3).prop_map(Value::List).boxed(),
            _ => one_value(field),
        }
    }

    fn one_value(field: &FieldDescriptor) -> BoxedStrategy<Value> {
        match field.kind() {
            Kind::Message(of) if of.full_name() == "google.protobuf.Timestamp" => {
                (-62_135_596_800..=253_402_207_200i64, nanos())
                    .prop_map(|(seconds, nanos)| {
                        Value::Message(prost_types::Timestamp { seconds, nanos }.transcode_to_dynamic())
                    })
                    .boxed()
            }
            Kind::Message(of) if of.full_name() == "google.protobuf.Duration" => {
                (-315_576_000_000..=315_576_000_000i64, nanos())
                    .prop_map(|(seconds, nanos)| {
                        let nanos = if seconds < 0 { -nanos } else { nanos };
                        Value::Message(prost_types::Duration { seconds, nanos }.transcode_to_dynamic())
                    })
                    .boxed()
            }
            Kind::Message(of) => message(&of).prop_map(Value::Message).boxed(),
            Kind::Enum(of) => {
                let known = of.values().map(|value| Just(value.number()).boxed()).collect::<Vec<_>>();
                Union::new(known.into_iter().chain([any::<i32>().boxed()]))
                    .prop_map(Value::EnumNumber)
                    .boxed()
            }
            Kind::String => any::<String>().prop_map(Value::String).boxed(),
            Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
            Kind::Bytes => vec(any::<u8>(), 0..9).prop_map(|bytes| Value::Bytes(bytes.into())).boxed(),
            Kind::Uint32 => any::<u32>().prop_map(Value::U32).boxed(),
            Kind::Uint64 => prop_oneof![any::<u64>(), 0..1000u64, (1 << 53) - 3..(1 << 53) + 3u64]
                .prop_map(Value::U64)
                .boxed(),
            Kind::Int64 => prop_oneof![any::<i64>(), -1000..1000i64].prop_map(Value::I64).boxed(),
            Kind::Double => prop_oneof![
                any::<f64>(),
                Just(f64::NAN),
                Just(f64::INFINITY),
                Just(f64::NEG_INFINITY),
                Just(0.0)
            ]
            .prop_map(Value::F64)
            .boxed(),
            other => panic!("no message had a field of the type {other:?} before: add it here"),
        }
    }

    fn nanos() -> impl Strategy<Value = i32> {
        prop_oneof![
            Just(0),
            (0..1_000).prop_map(|millis| millis * 1_000_000),
            (0..1_000_000).prop_map(|micros| micros * 1_000),
            0..1_000_000_000
        ]
    }

    fn descriptor(name: &str) -> MessageDescriptor {
        let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
        pool.get_message_by_name(&format!("ticker.v1.{name}")).unwrap()
    }

    /// Whether a parser of proto3 JSON reads what we write of any message of this type as the same message.
    fn is_proto3_json<M: Message + Default + Serialize>(name: &str) {
        let of = descriptor(name);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        runner
            .run(&message(&of), |dynamic| {
                let message = M::decode(&*dynamic.encode_to_vec()).unwrap();
                let json = serde_json::to_string(&message).unwrap();
                let mut parser = serde_json::Deserializer::from_str(&json);
                let parsed = DynamicMessage::deserialize(of.clone(), &mut parser);
                let parsed = M::decode(
                    &*parsed
                        .map_err(|error| TestCaseError::fail(format!("{error}: {json}")))?
                        .encode_to_vec(),
                )
                .unwrap();
                // As bytes: a NaN equals itself.
                prop_assert_eq!(parsed.encode_to_vec(), message.encode_to_vec(), "{}", json);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn every_message_is_written_as_proto3_json() {
        is_proto3_json::<v1::WatchResponse>("WatchResponse");
        is_proto3_json::<v1::ListInstrumentsResponse>("ListInstrumentsResponse");
        is_proto3_json::<v1::GetLastPricesResponse>("GetLastPricesResponse");
        is_proto3_json::<v1::ListTicksResponse>("ListTicksResponse");
        is_proto3_json::<v1::ListCandlesResponse>("ListCandlesResponse");
        is_proto3_json::<v1::GetTapeResponse>("GetTapeResponse");
        // Has a map, and this one has bytes.
        is_proto3_json::<v1::WatchRequest>("WatchRequest");
        is_proto3_json::<v1::DigestTicksResponse>("DigestTicksResponse");
    }

    #[test]
    fn a_tick_reads_as_people_expect_it() {
        let time = prost_types::Timestamp { seconds: 1_700_000_000, nanos: 500_000_000 };
        let tick = v1::Tick {
            symbol: "TCS".to_owned(),
            ltp: 2772.05,
            time: Some(time),
            sequence: 17,
            ltp_nanos: 2_772_050_000_000,
            last_quantity: (1 << 53) - 1,
            conflated: 1 << 53,
            snapshot: true,
            quote: Some(v1::Quote { change_percent: Some(0.0), ..v1::Quote::default() }),
        };
        let event = v1::watch_response::Event::Tick(tick);
        let json = serde_json::to_value(v1::WatchResponse { event: Some(event) }).unwrap();
        let expected = json!({"tick": {
            "symbol": "TCS", "ltp": 2772.05, "time": "2023-11-14T22:13:20.500Z", "sequence": 17,
            "ltpNanos": "2772050000000", "lastQuantity": 9_007_199_254_740_991u64,
            "conflated": "9007199254740992", "snapshot": true, "quote": {"changePercent": 0.0},
        }});
        assert_eq!(json, expected);
    }

    #[test]
    fn durations_enums_and_empty_messages_read_as_people_expect_them() {
        let status = v1::SymbolStatus {
            code: v1::SymbolStatusCode::Subscribed.into(),
            delivery: v1::Delivery::EveryTick.into(),
            min_interval: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
            detail: 77,
            ..v1::SymbolStatus::default()
        };
        let expected = json!({
            "code": "SYMBOL_STATUS_CODE_SUBSCRIBED", "delivery": "DELIVERY_EVERY_TICK", "minInterval": "1.5s", "detail": 77,
        });
        assert_eq!(serde_json::to_value(status).unwrap(), expected);
        let draining = v1::watch_response::Event::Draining(v1::Draining {});
        let draining = v1::WatchResponse { event: Some(draining) };
        assert_eq!(serde_json::to_string(&draining).unwrap(), r#"{"draining":{}}"#);
        assert_eq!(serde_json::to_string(&v1::WatchResponse { event: None }).unwrap(), "{}");
    }

    #[test]
    fn a_time_outside_of_the_calendar_is_an_error() {
        let time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
        assert!(serde_json::to_string(&v1::Heartbeat { time, ..v1::Heartbeat::default() }).is_err());
    }
}
