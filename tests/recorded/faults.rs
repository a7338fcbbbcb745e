//! Files that cannot be played: each has an error that names the file, the line and what to do.

use std::fs;

use proptest::prelude::*;

use ticker::{
    tape::{Recorded, Tape},
    tick::{Sequence, Time},
};

use crate::{fault, gzip, read, read_bytes, sample, ticks, zstd};

/// What is said of a second line that comes after a good one.
fn fault_of_line(header: &str, good: &str, line: &str) -> String {
    fault("my.csv", format!("{header}\n{good}\n{line}\n").as_bytes())
}

#[test]
fn a_bad_line_is_told_with_its_number_and_what_is_wrong() {
    for (line, told) in [
        ("5,A,0,1", "price: must be positive, got 0"),
        ("5,A,-1.5,1", "price: must be positive, got -1.5"),
        ("5,A,cheap,1", "price: must be a decimal number such as 2930.55, got cheap"),
        ("5,A,1.0000000001,1", "price: must have at most 9 decimals, got 1.0000000001"),
        ("5,A,99999999999,1", "price: must be below 9223372036, got 99999999999"),
        ("5,A,,1", "price: must be a decimal number such as 2930.55, got "),
        ("5,A,1,-2", "quantity: must not be negative, got -2"),
        ("5,A,1,", "quantity: must be a decimal number such as 2930.55, got "),
        ("5,A,1,many", "quantity: must be a decimal number such as 2930.55, got many"),
        ("5,NIFTY 50,1,1", "symbol: a symbol is made of letters, digits and & . _ - / : ^ = "),
        ("5,,1,1", "symbol: a symbol must not be empty"),
        (
            "4,A,1,1",
            "time: A goes back from 1970-01-01T00:00:05Z to 1970-01-01T00:00:04Z; sort the lines of a symbol by time",
        ),
        (
            "2025-01-02T09:15:00,A,1,1",
            "time: must be a time with its zone such as 2026-11-20T09:15:00Z, or seconds,",
        ),
        ("soon,A,1,1", "time: must be a time with its zone"),
        ("99999999999,A,1,1", "time: must be a time with its zone"),
        ("5,A,1", "the line has 3 fields and not 4"),
        ("5,A,1,1,", "the line has 5 fields and not 4"),
        ("5,A,1,\u{1b}[31m", "quantity: this is no text of one line: \\u{1b}[31m"),
    ] {
        let fault = fault_of_line("time,symbol,price,quantity", "5,A,1,1", line);
        assert!(fault.starts_with(&format!("my.csv:3: {told}")), "{line}: {fault}");
    }
}

#[test]
fn a_line_is_counted_as_an_editor_counts_it() {
    for text in [
        "time,symbol,price\r\n1,A,1\r\n\r\n\r\n5,A,0\r\n",
        "time,symbol,price\n1,A,1\n\n\n5,A,0",
        "\n\n\ntime,symbol,price\n5,A,0\n",
        "time,symbol,price\n1,A,1\n2,A,1\r\n\n5,A,0\n7,A,7\n",
    ] {
        assert_eq!(fault("my.csv", text.as_bytes()), "my.csv:5: price: must be positive, got 0", "{text}");
    }
    assert!(fault("my.csv", b"\ntime,price\n").starts_with("my.csv:2: there is no column symbol"));
}

#[test]
fn a_line_that_has_no_end_is_told_and_is_read_no_further() {
    const MOST: usize = 1 << 16;
    let told = "what begins here goes on for more than 64 KiB: this is no line of CSV";
    let endless = vec![b'7'; 1 << 22];
    assert_eq!(fault("my.csv", &endless), format!("my.csv:1: {told}"));
    assert_eq!(fault("my.csv.gz", &gzip(&endless)), format!("my.csv.gz:1: {told}"));
    let after = |line: &str| ["time,symbol,price,note\n5,A,1,\n", line, "\n9,A,1,\n"].concat();
    assert_eq!(fault("my.csv", after(&"7".repeat(MOST + 1)).as_bytes()), format!("my.csv:3: {told}"));
    let unclosed = format!("6,A,1,\"{}", "\n7,A,1,".repeat(MOST));
    assert_eq!(fault("my.csv", after(&unclosed).as_bytes()), format!("my.csv:3: {told}"));

    let longest = format!("6,A,1,{}", "7".repeat(MOST - 6));
    assert_eq!(ticks(&read_bytes("my.csv", after(&longest).as_bytes()).unwrap()).len(), 3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endless.csv");
    fs::write(&path, endless).unwrap();
    let mut read = 0;
    Recorded::read(&path, false, None, &mut |progress| read = progress.read).unwrap_err();
    assert!(read < 1 << 20, "{read} bytes were read");
}

#[test]
fn a_sequence_that_does_not_rise_by_one_is_told() {
    for (line, told) in [
        (
            "5,A,1,9",
            "sequence: A has 9 where 8 is next: ticks are missing, twice there or out of order; without the column",
        ),
        ("5,A,1,7", "sequence: A has 7 where 8 is next"),
        ("5,A,1,-1", "sequence: must be a whole number, got -1"),
        ("5,A,1,", "sequence: must be a whole number, got "),
    ] {
        let fault = fault_of_line("time,symbol,price,sequence", "5,A,1,7", line);
        assert!(fault.starts_with(&format!("my.csv:3: {told}")), "{line}: {fault}");
    }
}

#[test]
fn the_last_sequence_of_all_is_refused_since_no_reader_could_go_on_after_it() {
    const HEADER: &str = "time,symbol,price,sequence";
    let (last, before) = (format!("5,A,1,{}", u64::MAX), format!("5,A,1,{}", u64::MAX - 1));
    let told =
        format!("sequence: A has {}, after which there is no number: let them end before it", u64::MAX);
    for (place, text) in [(2, format!("{HEADER}\n{last}\n")), (3, format!("{HEADER}\n{before}\n{last}\n"))] {
        let fault = fault("my.csv", text.as_bytes());
        assert!(fault.starts_with(&format!("my.csv:{place}: {told}")), "{fault}");
    }
    let tape = read_bytes("my.csv", format!("{HEADER}\n{before}\n").as_bytes()).unwrap();
    let series = tape.series(&tape.instruments()[0]);
    assert_eq!(series.sequence_at(Time::MAX).map(Sequence::next), Some(Sequence(u64::MAX)));
}

#[test]
fn a_header_without_what_is_needed_is_told_with_what_is_there() {
    for (header, column) in
        [("time,symbol,volume", "price"), ("symbol,price", "time"), ("time,price", "symbol")]
    {
        let fault = fault("my.csv", format!("{header}\n1,2,3").as_bytes());
        assert!(fault.starts_with(&format!("my.csv:1: there is no column {column}: ")), "{fault}");
        assert!(fault.ends_with(&format!("this begins with {header}")), "{fault}");
    }
}

#[test]
fn a_column_that_is_there_twice_is_told_unless_nothing_is_read_of_it() {
    for (header, told) in [
        ("time,symbol,price,price", "the columns price and price are both the price"),
        ("time,Symbol, SYMBOL,price", "the columns Symbol and SYMBOL are both the symbol"),
        ("time,symbol,price,timestamp", "the columns time and timestamp are both the time"),
        ("time,symbol,ltp,qty,quantity", "the columns qty and quantity are both the quantity"),
    ] {
        let fault = fault("my.csv", format!("{header}\n1,2,3,4,5\n").as_bytes());
        assert_eq!(fault, format!("my.csv:1: {told}: leave one of them out"));
    }
    assert!(read_bytes("my.csv", b"time,symbol,price,note,note\n1,A,3,,\n").is_ok());
}

#[test]
fn what_a_watch_writes_is_refused_since_its_quantities_are_increments() {
    let watched = "symbol,ltp,time,sequence,ltp_nanos,last_quantity,conflated,snapshot\n\
                   A,10.5,2025-01-02T09:15:00.000000000Z,1,10500000000,12,0,true\n";
    assert_eq!(
        fault("my.csv", watched.as_bytes()),
        "my.csv:1: last_quantity counts increments and no column says how large they are: `ticker record` writes a \
         file with the column quantity"
    );
}

#[test]
fn what_is_no_recording_is_told_with_what_ticker_reads() {
    for bytes in [
        &b"{\"price\": 1}"[..],
        b"\x7fELF\x02\x01\x01\0\0",
        b"PAR1\x15\x04",
        b"\xff\xfe1\0,\0",
        b"\n\n\n \n",
        b"1,2,3\n",
    ] {
        let fault = fault("my.csv", bytes);
        assert!(fault.starts_with("my.csv:") && fault.contains("ticker reads CSV"), "{fault}");
        assert!(!fault.contains(char::is_control), "{fault:?}");
    }
}

#[test]
fn nothing_at_all_is_told() {
    assert_eq!(fault("my.csv", b""), "my.csv: the file is empty");
    assert_eq!(fault("my.csv.gz", &gzip(b"")), "my.csv.gz: the file is empty");
    assert_eq!(fault("my.csv.zst", &zstd(b"")), "my.csv.zst: the file is empty");
    assert_eq!(fault("my.csv", b"time,symbol,price\n"), "my.csv: there is no trade in the file");
    assert_eq!(fault("my.csv", b"time,symbol,price"), "my.csv: there is no trade in the file");
}

#[test]
fn a_file_that_is_not_there_or_is_a_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.csv");
    assert_eq!(read(&missing).unwrap_err().to_string(), format!("cannot read {}", missing.display()));
    assert_eq!(
        read(folder.path()).unwrap_err().to_string(),
        format!("cannot read {}", folder.path().display())
    );
}

#[test]
fn a_zip_archive_is_to_be_unzipped_first() {
    assert_eq!(
        fault("BTCUSDT-trades-2025-01-01.zip", b"PK\x03\x04\x14\0"),
        "BTCUSDT-trades-2025-01-01.zip: unzip it first: ticker reads the file that is in this archive"
    );
}

#[test]
fn a_dump_of_binance_without_its_name_is_told_how_to_name_it() {
    let fault = fault("mine.csv", &fs::read(sample("BTCUSDT-trades-2024-12-31.csv")).unwrap());
    assert_eq!(
        fault,
        "mine.csv:1: a dump of Binance has its symbol in its name: name the file as it was, such as \
         BTCUSDT-trades-2025-01-01.csv"
    );
}

#[test]
fn a_compressed_file_that_was_cut_off_is_told_wherever_it_was_cut() {
    let plain: String =
        (0..500).fold("time,symbol,price\n".to_owned(), |text, n| format!("{text}{n},A,{}\n", n * n + 1));
    for (name, kind, bytes) in
        [("a.csv.gz", "gzip", gzip(plain.as_bytes())), ("a.csv.zst", "zstd", zstd(plain.as_bytes()))]
    {
        for len in 4..bytes.len() {
            let told = format!(
                "{name} ends in the middle of its {kind} stream: it is not whole, so fetch or make it again"
            );
            assert_eq!(fault(name, &bytes[..len]), told, "{len} of {}", bytes.len());
        }
    }
}

#[test]
fn a_compressed_file_that_is_damaged_is_told() {
    let mut bytes = gzip(b"time,symbol,price\n1,A,1\n");
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    assert_eq!(fault("a.csv.gz", &bytes), "cannot read a.csv.gz");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(head in prop::sample::select(vec![
        &b"time,symbol,price,sequence\n"[..], b"1,1,1,1,5,true\n", b"DBN\x01", b"DBN\x03\x64\0\0\0", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"",
    ]), rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_bytes("A-trades-.csv", &[head, &rest].concat());
    }
}
