//! The messages that a NATS server sends to one connection.

use anyhow::{Context, Result, bail, ensure};

use crate::pending::{Pending, Unit};

/// Reads them.
#[derive(Default)]
pub(crate) struct Messages(Pending);

/// One message.
pub(crate) struct Message<'a> {
    /// The subject that it wants an answer to.
    pub(crate) reply: Option<&'a str>,
    /// Empty in nearly all messages; JetStream has something to say about the others.
    pub(crate) headers: &'a str,
    pub(crate) payload: &'a [u8],
}

impl Messages {
    /// Lets `take` have each message that these bytes complete, and what must be answered.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        answer: &mut Vec<u8>,
        mut take: impl FnMut(Message, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        self.0.receive(bytes, |bytes| {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
            let (line, after) = bytes.split_at(end + 1);
            let line = str::from_utf8(line)?.trim_end();
            match line.split(' ').next() {
                Some("MSG" | "HMSG") => {
                    let Some((message, length)) = Message::read(line, after)? else { return Ok(None) };
                    take(message, answer)?;
                    return Ok(Some(end + 1 + length));
                }
                Some("PING") => answer.extend_from_slice(b"PONG\r\n"),
                Some("INFO") => {}
                _ => bail!("NATS says {line}"),
            }
            Ok(Some(end + 1))
        })
    }
}

impl<'a> Message<'a> {
    /// Reads `MSG subject id [reply] length` or `HMSG subject id [reply] length-of-headers length`, and what follows, whose
    /// length it returns.
    fn read(line: &'a str, after: &'a [u8]) -> Result<Unit<Self>> {
        let number = |text: &str| text.parse::<usize>().with_context(|| format!("NATS says {line}"));
        let (mut head, length) = line.rsplit_once(' ').context("a message without a length")?;
        let (mut headers, length) = (0, number(length)?);
        if line.starts_with('H') {
            let (before, text) = head.rsplit_once(' ').context("a message without a length of headers")?;
            (head, headers) = (before, number(text)?);
        }
        let whole = length + "\r\n".len();
        let Some(content) = after.get(..whole) else { return Ok(None) };
        ensure!(headers <= length && content.ends_with(b"\r\n"), "not as long as it says: {line}");
        let (headers, payload) = content[..length].split_at(headers);
        let message = Message { reply: head.split(' ').nth(3), headers: str::from_utf8(headers)?, payload };
        Ok(Some((message, whole)))
    }
}
