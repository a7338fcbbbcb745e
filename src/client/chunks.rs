//! Splits symbols into requests that the server accepts.

/// Most symbols of one request.
const SYMBOLS: usize = 1000;
/// Most bytes that the symbols of one request take, each of them twice. The server allows 128 KiB in all.
const BYTES: usize = 120 * 1024;
/// Most bytes of a symbol and its sequence besides the symbol's text.
const OVERHEAD: usize = 24;

pub(super) fn chunks<'a>(symbols: &'a [&'a str]) -> Vec<&'a [&'a str]> {
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, symbol) in symbols.iter().enumerate() {
        let more = 2 * symbol.len() + OVERHEAD;
        if at > start && (at - start == SYMBOLS || bytes + more > BYTES) {
            chunks.push(&symbols[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += more;
    }
    if start < symbols.len() {
        chunks.push(&symbols[start..]);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_keep_within_what_the_server_takes() {
        let many: Vec<String> = (0..2500).map(|n| format!("S{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let sizes = |symbols: &[&str]| chunks(symbols).iter().map(|chunk| chunk.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&many), [1000, 1000, 500]);
        assert_eq!(sizes(&[]), [0; 0]);
        let long = "X".repeat(40_000);
        assert_eq!(sizes(&[&long, &long, &long]), [1, 1, 1]);
        assert_eq!(chunks(&many).concat(), many);
    }
}
