//! CSV with a header and the dumps of Binance, as they are and compressed.

use std::fs;

use ticker::tape::{LoadProgress, Recorded, Tape};

use crate::{gzip, read, read_bytes, sample, ticks, zstd};

#[test]
fn a_csv_that_names_its_columns_is_read() {
    let tape = read(&sample("ticks.csv")).unwrap();
    assert_eq!(
        ticks(&tape),
        [
            "BTC-USD 1 2025-01-02T09:15:00.25Z 94321.5 0.015",
            "BTC-USD 2 2025-01-02T09:15:01.000000001Z 94322 0.4",
            "RELIANCE 1 2025-01-02T09:15:00Z 1241.05 12",
            "RELIANCE 2 2025-01-02T09:15:00.25Z 1241.1 3",
            "RELIANCE 3 2025-01-02T09:15:01Z 1240.95 40",
            "RELIANCE 4 2025-01-02T09:15:02Z 1241 7",
        ]
    );
    let reliance = tape.instrument(&"RELIANCE".parse().unwrap()).unwrap();
    assert_eq!(reliance.price_increment.to_string(), "0.01");
}

#[test]
fn columns_come_in_any_order_and_form_and_what_is_optional_may_be_missing() {
    let same = [
        "time,symbol,price\n1735809300000,A,10.5\n1735809301000,A,11\n",
        "price,venue,Symbol, TIME \r\n 10.50 ,X,A,1735809300\r\n11.0,Y,A,2025-01-02T14:45:01+05:30\r\n",
        "\u{feff}\"symbol\",\"time\",\"ltp\"\n\"A\",\"1735809300000000\",\"1050e-2\"\n\nA,1735809301.000,11",
        "symbol,quantity,time,price,sequence\nA,1,1735809300000000000,10.5,1\nA,1,1735809301000000000,11,2\n",
        "time,symbol,ltp,last_quantity,quantity\n1735809300,A,10.5,100,1\n1735809301,A,11,100,1\n",
    ];
    let first = read_bytes("any.csv", same[0].as_bytes()).unwrap();
    assert_eq!(ticks(&first), ["A 1 2025-01-02T09:15:00Z 10.5 1", "A 2 2025-01-02T09:15:01Z 11 1"]);
    for text in same {
        let tape = read_bytes("any", text.as_bytes()).unwrap();
        assert_eq!(ticks(&tape), ticks(&first), "{text}");
        assert_eq!(tape.identity(), first.identity(), "the same ticks are the same tape");
    }
}

#[test]
fn the_sequences_of_a_file_are_kept() {
    let text = "time,symbol,price,sequence\n1,A,1,17951673284\n1,B,2,0\n2,A,1,17951673285\n";
    assert_eq!(
        ticks(&read_bytes("any.csv", text.as_bytes()).unwrap()),
        [
            "A 17951673284 1970-01-01T00:00:01Z 1 1",
            "A 17951673285 1970-01-01T00:00:02Z 1 1",
            "B 0 1970-01-01T00:00:01Z 2 1"
        ]
    );
}

#[test]
fn a_file_is_the_same_tape_plain_and_compressed_by_whatever_name() {
    let plain = fs::read(sample("ticks.csv")).unwrap();
    let (head, tail) = plain.split_at(100);
    let tape = read(&sample("ticks.csv")).unwrap();
    for (name, bytes) in [
        ("ticks.csv.gz", gzip(&plain)),
        ("ticks.csv.zst", zstd(&plain)),
        ("ticks", gzip(&plain)),
        ("ticks.csv", zstd(&plain)),
        ("in two members.gz", [gzip(head), gzip(tail)].concat()),
        ("in two frames.zst", [zstd(head), zstd(tail)].concat()),
    ] {
        let packed = read_bytes(name, &bytes).unwrap();
        assert_eq!(packed.identity(), tape.identity(), "{name}");
        assert_eq!(ticks(&packed), ticks(&tape), "{name}");
    }
}

#[test]
fn the_dumps_of_binance_are_read_with_and_without_their_header() {
    for (name, expected) in [
        (
            "BTCUSDT-trades-2024-12-31.csv",
            &[
                "BTCUSDT 1 2024-12-31T00:00:00Z 93576 0.00017",
                "BTCUSDT 2 2024-12-31T00:00:00Z 93576 0.001",
                "BTCUSDT 3 2024-12-31T00:00:00.041Z 93575.99 0.01337",
                "BTCUSDT 4 2024-12-31T00:00:00.877Z 93576.01 0.0001",
            ][..],
        ),
        (
            "BTCUSDT-trades-2025-01-01.csv",
            &[
                "BTCUSDT 1 2025-01-01T00:00:00.010866Z 93576 0.00017",
                "BTCUSDT 2 2025-01-01T00:00:00.010866Z 93576 0.001",
                "BTCUSDT 3 2025-01-01T00:00:00.041277Z 93575.99 0.01337",
            ],
        ),
        (
            "ETHUSDT-aggTrades-2024-12-31.csv",
            &[
                "ETHUSDT 1 2024-12-31T00:00:00.034Z 3356.54 0.0477",
                "ETHUSDT 2 2024-12-31T00:00:00.091Z 3356.55 1.2",
            ],
        ),
        (
            "BTCUSD_PERP-aggTrades-2024-12-31.csv",
            &[
                "BTCUSD_PERP 1 2024-12-31T00:00:00.218Z 93521.6 120",
                "BTCUSD_PERP 2 2024-12-31T00:00:00.535Z 93521.7 3",
            ],
        ),
        (
            "BTCUSDT_250328-trades-2024-12-31.csv",
            &[
                "BTCUSDT_250328 1 2024-12-31T00:00:01.002Z 97330.1 0.002",
                "BTCUSDT_250328 2 2024-12-31T00:00:01.78Z 97330 0.015",
            ],
        ),
    ] {
        let path = sample(name);
        assert_eq!(ticks(&read(&path).unwrap()), expected, "{name}");
        let packed = read_bytes(&format!("{name}.gz"), &gzip(&fs::read(path).unwrap())).unwrap();
        assert_eq!(ticks(&packed), expected, "{name}.gz");
    }
}

#[test]
fn whoever_reads_is_told_how_far_it_is() {
    let path = sample("ticks.csv");
    let size = fs::metadata(&path).unwrap().len();
    let mut told = Vec::new();
    Recorded::read(&path, false, None, &mut |progress| told.push(progress)).unwrap();
    assert!(told.is_sorted_by_key(|progress| progress.read));
    assert_eq!(told.last(), Some(&LoadProgress { read: size, size }));
}
