//! Ticks from lines of a pipe or a terminal, soon after they come.

use std::{
    io::{self, BufRead, BufReader, Read},
    thread,
    time::Duration,
};

use anyhow::Context;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    batch::Batch,
    line_parser::{LineError, LineParser},
};

/// Reads lines on a thread of its own, and puts those that come within a moment into one batch.
pub(super) struct Input {
    lines: mpsc::Receiver<io::Result<Vec<u8>>>,
    parser: LineParser,
    /// Number of lines that were read.
    read: u64,
    /// The batch that is being filled, and when it is to be published.
    batch: Batch,
    closes: Option<Instant>,
}

/// How long a batch waits for more lines after its first one.
const BATCHING: Duration = Duration::from_millis(10);

/// Longest line in bytes. No line with a tick is longer.
const LONGEST: usize = 1024;

/// Number of lines that are read ahead.
const READ_AHEAD: usize = 4096;

impl Input {
    /// Begins to read. The thread ends at the end of the input, or after the line that follows the drop of the input.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(bytes: impl Read + Send + 'static, parser: LineParser) -> io::Result<Self> {
        let (sender, lines) = mpsc::channel(READ_AHEAD);
        thread::Builder::new().name("input".to_owned()).spawn(move || {
            let mut bytes = BufReader::new(bytes);
            while let Some(line) = read_line(&mut bytes).transpose() {
                let is_last = line.is_err();
                if sender.blocking_send(line).is_err() || is_last {
                    return;
                }
            }
        })?;
        Ok(Self { lines, parser, read: 0, batch: Batch::default(), closes: None })
    }

    /// Waits for lines, and returns their ticks; `None` at the end of the input. Cancel safe.
    ///
    /// # Errors
    /// The input cannot be read, or its header cannot be used.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Batch>> {
        while !self.batch.is_full() {
            let line = tokio::select! {
                biased;
                () = reached(self.closes), if self.closes.is_some() => break,
                line = self.lines.recv() => line,
            };
            match line {
                Some(line) => self.take(&line.context("cannot read standard input")?)?,
                None if self.batch.is_empty() => return Ok(None),
                None => break,
            }
        }
        self.closes = None;
        Ok(Some(std::mem::take(&mut self.batch)))
    }

    fn take(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.read += 1;
        let bad = match str::from_utf8(line) {
            _ if line.len() > LONGEST => Some(format!("the line is longer than {LONGEST} bytes")),
            Err(_) => Some("the line is no text in UTF-8".to_owned()),
            Ok(text) => match self.parser.parse(text) {
                Ok(tick) => {
                    tick.into_iter().for_each(|tick| self.batch.push(self.read, tick));
                    None
                }
                Err(LineError::Line(message)) => Some(message),
                Err(error @ LineError::Header(_)) => {
                    return Err(error).context("cannot use standard input");
                }
            },
        };
        self.batch.bad_lines.extend(bad.map(|message| (self.read, message)));
        if !self.batch.is_empty() {
            self.closes.get_or_insert_with(|| Instant::now() + BATCHING);
        }
        Ok(())
    }
}

async fn reached(time: Option<Instant>) {
    if let Some(time) = time {
        sleep_until(time).await;
    }
}

/// The next line; `None` at the end. Of a line that is longer than [`LONGEST`], one byte more than that is returned.
fn read_line(bytes: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = bytes.take(LONGEST as u64 + 1).read_until(b'\n', &mut line)?;
    if read > LONGEST && !line.ends_with(b"\n") {
        bytes.skip_until(b'\n')?;
    }
    Ok((read > 0).then_some(line))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::commands::quantity_increments::QuantityIncrements;

    fn input(bytes: impl Read + Send + 'static) -> Input {
        Input::start(bytes, LineParser::new(QuantityIncrements::default())).unwrap()
    }

    async fn all(bytes: impl Read + Send + 'static) -> Vec<Batch> {
        let (mut input, mut batches) = (input(bytes), Vec::new());
        while let Some(batch) = input.next().await.unwrap() {
            batches.push(batch);
        }
        batches
    }

    #[tokio::test]
    async fn ticks_and_bad_lines_have_the_numbers_of_their_lines() {
        let long = "X".repeat(2 * LONGEST);
        let text = [b"A 1\n\nbad\nB 2\n", long.as_bytes(), b"\n\xff\nC 3"].concat();
        let batches = all(io::Cursor::new(text)).await;
        let places: Vec<_> = batches.iter().flat_map(|batch| batch.places.clone()).collect();
        assert_eq!(places, [1, 4, 7]);
        let bad: Vec<_> = batches.into_iter().flat_map(|batch| batch.bad_lines).collect();
        let expected = [
            (3, "expected SYMBOL PRICE [QUANTITY], got 1 field"),
            (5, "the line is longer than 1024 bytes"),
            (6, "the line is no text in UTF-8"),
        ];
        assert_eq!(bad, expected.map(|(number, told)| (number, told.to_owned())));
    }

    #[tokio::test]
    async fn a_batch_has_a_request_of_ticks_at_most() {
        let sizes: Vec<_> =
            all(io::Cursor::new("A 1\n".repeat(2500))).await.iter().map(|batch| batch.ticks.len()).collect();
        assert!(sizes.iter().all(|size| *size <= 1000) && sizes.iter().sum::<usize>() == 2500, "{sizes:?}");
    }

    #[tokio::test]
    async fn a_line_is_published_although_the_next_one_has_not_come() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut input = input(reader);
        for place in 1..=3 {
            writer.write_all(b"A 1\n").unwrap();
            assert_eq!(input.next().await.unwrap().unwrap().places, [place]);
        }
        drop(writer);
        assert!(input.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_header_that_cannot_be_used_is_an_error() {
        let error = input(io::Cursor::new("symbol,price,volume\nA,1,1\n")).next().await.unwrap_err();
        assert!(format!("{error:#}").contains("unknown column \"volume\""), "{error:#}");
    }
}
