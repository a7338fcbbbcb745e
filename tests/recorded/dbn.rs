//! Databento's DBN, written by Databento's own crate.

use std::fs;

use dbn::{
    MappingInterval, Mbp1Msg, Metadata, RecordHeader, SType, Schema, SymbolMapping, TradeMsg, WithTsOut,
    encode::{EncodeRecord, dbn::Encoder},
    rtype,
};

use crate::{fault, read, read_bytes, sample, ticks, zstd};

/// 2024-12-31 and the day after it, in nanoseconds.
const DAY: u64 = 1_735_603_200_000_000_000;
const NEXT_DAY: u64 = DAY + 86_400_000_000_000;

/// A header of this version in which the number 5482 is ESH5, and 15144 is ESM5 and then NQM5.
fn header(version: u8, schema: Option<Schema>) -> Metadata {
    // A date, without the crate that it is of.
    let date = |nanos| {
        let builder = Metadata::builder().dataset("GLBX.MDP3").schema(None).start(nanos);
        builder.stype_in(None).stype_out(SType::InstrumentId).build().start().date()
    };
    let mapped = |raw_symbol: &str, intervals: &[(u64, u64, u32)]| SymbolMapping {
        raw_symbol: raw_symbol.to_owned(),
        intervals: intervals
            .iter()
            .map(|(from, to, number)| MappingInterval {
                start_date: date(*from),
                end_date: date(*to),
                symbol: number.to_string(),
            })
            .collect(),
    };
    Metadata::builder()
        .version(version)
        .dataset("GLBX.MDP3")
        .schema(schema)
        .start(DAY)
        .stype_in(Some(SType::RawSymbol))
        .stype_out(SType::InstrumentId)
        .symbols(["ESH5", "ESM5", "NQM5", "NONE"].map(str::to_owned).to_vec())
        .partial(vec!["ESM5".to_owned()])
        .not_found(vec!["NONE".to_owned()])
        .mappings(vec![
            mapped("ESH5", &[(DAY, NEXT_DAY + 1, 5482)]),
            mapped("ESM5", &[(DAY, NEXT_DAY, 15144)]),
            mapped("NQM5", &[(NEXT_DAY, NEXT_DAY + (NEXT_DAY - DAY), 15144)]),
        ])
        .build()
}

fn trade(number: u32, received: u64, price: i64, size: u32) -> TradeMsg {
    TradeMsg {
        hd: RecordHeader::new::<TradeMsg>(rtype::MBP_0, 1, number, received.saturating_sub(150_000)),
        price,
        size,
        ts_recv: received,
        ..TradeMsg::default()
    }
}

fn trades() -> [TradeMsg; 3] {
    [
        trade(5482, DAY + 1, 5_950_250_000_000, 3),
        trade(15144, DAY + 2_000_000, 6_001_500_000_000, 1),
        trade(15144, NEXT_DAY, 21_500_750_000_000, 7),
    ]
}

const EXPECTED: [&str; 3] = [
    "ESH5 1 2024-12-31T00:00:00.000000001Z 5950.25 3",
    "ESM5 1 2024-12-31T00:00:00.002Z 6001.5 1",
    "NQM5 1 2025-01-01T00:00:00Z 21500.75 7",
];

fn encoded(header: &Metadata, trades: &[TradeMsg]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, header).unwrap();
    trades.iter().for_each(|trade| encoder.encode_record(trade).unwrap());
    bytes
}

#[test]
fn every_version_is_read_plain_and_compressed_with_the_symbols_of_each_day() {
    for version in 1..=3 {
        let bytes = encoded(&header(version, Some(Schema::Trades)), &trades());
        assert_eq!(bytes[3], version);
        assert_eq!(ticks(&read_bytes("any.dbn", &bytes).unwrap()), EXPECTED, "version {version}");
        assert_eq!(ticks(&read_bytes("any.dbn.zst", &zstd(&bytes)).unwrap()), EXPECTED);
    }
}

#[test]
fn the_sample_is_what_databento_writes() {
    let path = sample("glbx-mdp3-20241231.trades.dbn.zst");
    if std::env::var_os("TICKER_WRITE_SAMPLES").is_some() {
        fs::write(&path, zstd(&encoded(&header(3, Some(Schema::Trades)), &trades()))).unwrap();
    }
    assert_eq!(ticks(&read(&path).unwrap()), EXPECTED);
}

#[test]
fn symbols_that_were_asked_for_by_number_are_found() {
    let mut header = header(3, Some(Schema::Trades));
    header.stype_in = Some(SType::InstrumentId);
    header.stype_out = SType::RawSymbol;
    for mapping in &mut header.mappings {
        let symbol = mapping.raw_symbol.clone();
        for interval in &mut mapping.intervals {
            mapping.raw_symbol = std::mem::replace(&mut interval.symbol, symbol.clone());
        }
    }
    assert_eq!(ticks(&read_bytes("any.dbn", &encoded(&header, &trades())).unwrap()), EXPECTED);
}

#[test]
fn a_file_of_several_schemas_and_longer_records_has_its_trades_read() {
    let mut bytes = Vec::new();
    let mut header = header(3, None);
    header.ts_out = true;
    let mut encoder = Encoder::new(&mut bytes, &header).unwrap();
    for trade in trades() {
        encoder.encode_record(&WithTsOut::new(Mbp1Msg::default(), 5)).unwrap();
        encoder.encode_record(&WithTsOut::new(trade, 6)).unwrap();
    }
    assert_eq!(ticks(&read_bytes("any.dbn", &bytes).unwrap()), EXPECTED);
}

#[test]
fn a_trade_that_cannot_be_on_the_tape_is_told_with_its_number() {
    let header = header(3, Some(Schema::Trades));
    for (bad, told) in [
        (trade(5482, DAY + 2, -5_000_000_000, 1), "price: must be positive, got -5000000000e-9"),
        (trade(5482, DAY + 2, i64::MAX, 1), "price: there is none"),
        (trade(5482, DAY + 2, 1, 0), "size: must be positive, got 0"),
        (
            trade(5482, DAY, 1, 1),
            "time: ESH5 goes back from 2024-12-31T00:00:00.000000001Z to 2024-12-31T00:00:00Z; sort",
        ),
        (trade(7, DAY, 1, 1), "the header has no symbol for the instrument 7 at 2024-12-31T00:00:00Z"),
        (
            trade(15144, DAY - 1, 1, 1),
            "the header has no symbol for the instrument 15144 at 2024-12-30T23:59:59",
        ),
    ] {
        let told = format!("any.dbn: record 2: {told}");
        let fault = fault("any.dbn", &encoded(&header, &[trades()[0].clone(), bad]));
        assert!(fault.starts_with(&told), "{fault}");
    }
}

#[test]
fn a_trade_that_is_too_short_is_told_and_a_short_record_of_another_type_is_passed_over() {
    let with = |kind: u8| {
        let mut bytes = encoded(&header(3, Some(Schema::Trades)), &trades());
        let mut short = [0; 16];
        (short[0], short[1]) = (4, kind);
        bytes.splice(bytes.len() - 48..bytes.len() - 48, short);
        bytes
    };
    assert_eq!(
        fault("any.dbn", &with(rtype::MBP_0)),
        "any.dbn: record 3: a trade of 16 bytes is too short; the file is damaged"
    );
    assert_eq!(ticks(&read_bytes("any.dbn", &with(rtype::SYSTEM)).unwrap()), EXPECTED);
}

#[test]
fn a_file_that_is_not_whole_is_told_wherever_it_was_cut() {
    let bytes = encoded(&header(2, Some(Schema::Trades)), &trades());
    let records = bytes.len() - 3 * 48;
    for len in 3..bytes.len() {
        if len >= records && (len - records).is_multiple_of(48) {
            // Between two records nothing is missing that anybody could know of.
            continue;
        }
        let fault = fault("any.dbn", &bytes[..len]);
        assert!(fault.contains("fetch"), "{len}: {fault}");
        let packed = crate::fault("any.dbn.zst", &zstd(&bytes[..len]));
        assert_eq!(packed.replace(".zst", ""), fault, "the stream is whole and what it holds is not");
    }
}

#[test]
fn what_is_no_file_of_trades_is_told() {
    let quotes = encoded(&header(3, Some(Schema::Mbp1)), &[]);
    assert!(fault("a.dbn", &quotes).contains("ask Databento for the schema trades"));
    let empty = encoded(&header(3, Some(Schema::Trades)), &[]);
    assert_eq!(fault("a.dbn", &empty), "a.dbn: there is no trade in the file");
    let mut later = encoded(&header(3, Some(Schema::Trades)), &trades());
    later[3] = 9;
    assert_eq!(fault("a.dbn", &later), "a.dbn: DBN of version 9: ticker reads 1 to 3; convert it with `dbn`");
    let mut nameless = header(3, Some(Schema::Trades));
    (nameless.stype_in, nameless.stype_out) = (Some(SType::Isin), SType::RawSymbol);
    assert!(fault("a.dbn", &encoded(&nameless, &trades())).contains("maps no instrument numbers"));
}
