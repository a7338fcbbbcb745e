//! Tells a rejected client the reason in its own protocol, then closes the connection.

use std::{io, time::Duration};

use http::uri::Authority;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::opening::Opening;

/// Largest head of a request that is read.
const MAX_HEAD: usize = 16 * 1024;
/// Bytes that are read of a client that is refused.
const MAX_UNREAD: u64 = 1024 * 1024;
/// How long a client that is refused may take to close the connection.
const LINGER: Duration = Duration::from_secs(1);

/// Rejects a client. `hint` may follow the reason where the protocol has room for it, with the address of the server for
/// `ADDRESS`. The caller limits the time.
pub(super) async fn reject(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    why: &str,
    hint: &str,
) -> io::Result<()> {
    match Opening::read(io).await? {
        Opening::Http1(begun) => answer(io, begun, why, hint).await,
        Opening::Http2(_) => {
            io.write_all(&goaway(why)).await?;
            close(io).await;
            Ok(())
        }
        Opening::Tls | Opening::Unknown | Opening::Closed => Ok(()),
    }
}

/// Closes a connection so that its client gets the reason, which was sent: a connection that is closed with unread bytes is
/// reset, and the client may lose the reason.
pub(super) async fn close(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let closing = async {
        io.shutdown().await?;
        tokio::io::copy(&mut io.take(MAX_UNREAD), &mut tokio::io::sink()).await
    };
    // How the client closes it does not matter.
    let _ = timeout(LINGER, closing).await;
}

/// Reads the rest of a request of HTTP/1, which began with `head`, and answers it.
async fn answer(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut head: Vec<u8>,
    why: &str,
    hint: &str,
) -> io::Result<()> {
    read_head(io, &mut head).await?;
    io.write_all(response(&head, why, hint).as_bytes()).await?;
    close(io).await;
    Ok(())
}

/// Reads the rest of a head.
async fn read_head(io: &mut (impl AsyncRead + Unpin), head: &mut Vec<u8>) -> io::Result<()> {
    const END: &[u8] = b"\r\n\r\n";
    let mut searched = 0;
    while !head.get(searched..).is_some_and(|rest| rest.windows(END.len()).any(|found| found == END)) {
        if head.len() >= MAX_HEAD {
            return Err(io::Error::other("the head of the request is too long"));
        }
        searched = head.len().saturating_sub(END.len() - 1);
        if io.read_buf(head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// The response to a request with this head.
fn response(head: &[u8], why: &str, hint: &str) -> String {
    let address = host(head);
    let body = format!("{why}\n{}", hint.replace("ADDRESS", address.as_deref().unwrap_or("ADDRESS")));
    let sent = if head.starts_with(b"HEAD ") { "" } else { body.as_str() };
    format!(
        "HTTP/1.1 400 Bad Request\r\n\
         content-type: text/plain; charset=utf-8\r\n\
         content-length: {length}\r\n\
         connection: close\r\n\r\n\
         {sent}",
        length = body.len(),
    )
}

/// The address of this server as the client names it.
fn host(head: &[u8]) -> Option<String> {
    let lines = head.split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok());
    let fields = lines.filter_map(|line| line.split_once(':'));
    let (_, host) = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("host"))?;
    let host: Authority = host.trim().parse().ok()?;
    Some(host.to_string())
}

/// GOAWAY with the error INADEQUATE_SECURITY. (RFC 9113, sections 6.8 and 7) No SETTINGS go before it: clients of gRPC take a
/// connection with SETTINGS for a good one, and would connect again at once, for ever.
fn goaway(why: &str) -> Vec<u8> {
    const GOAWAY: u8 = 7;
    const INADEQUATE_SECURITY: u32 = 0xc;
    let length = 8 + why.len() as u32;
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[GOAWAY, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&0_u32.to_be_bytes());
    bytes.extend_from_slice(&INADEQUATE_SECURITY.to_be_bytes());
    bytes.extend_from_slice(why.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server sends to a client that sends these bytes and then nothing.
    async fn answered(request: &[u8]) -> (io::Result<()>, String) {
        let (mut client, mut server) = tokio::io::duplex(100);
        let (begun, rest) = request.split_at(request.len().min(4));
        let mut text = String::new();
        let asking = async {
            client.write_all(rest).await.ok();
            client.shutdown().await.ok();
            client.read_to_string(&mut text).await.unwrap();
        };
        let answering = async {
            let answered = answer(&mut server, begun.to_vec(), "the reason", "try ADDRESS").await;
            drop(server);
            answered
        };
        let ((), answered) = tokio::join!(asking, answering);
        (answered, text)
    }

    #[tokio::test]
    async fn the_answer_says_why_and_what_to_try_at_the_address_that_was_asked() {
        let (answered, text) =
            answered(b"GET / HTTP/1.1\r\naccept: */*\r\nHOST: localhost:50051\r\n\r\n").await;
        answered.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains("\r\nconnection: close"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        assert_eq!(body, "the reason\ntry localhost:50051");
    }

    #[tokio::test]
    async fn a_host_that_is_no_address_is_not_repeated() {
        for request in [
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a b<c>\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: \r\n\r\nbody",
        ] {
            let (answered, text) = answered(request.as_bytes()).await;
            answered.unwrap();
            assert!(text.ends_with("the reason\ntry ADDRESS"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_head_request_gets_no_body() {
        let (_, text) = answered(b"HEAD / HTTP/1.1\r\n\r\n").await;
        assert!(text.ends_with("\r\n\r\n") && text.contains("content-length: "), "{text}");
    }

    #[tokio::test]
    async fn a_head_without_an_end_is_not_answered() {
        let endless = [&b"GET / HTTP/1.1\r\nx: "[..], &b"x".repeat(2 * MAX_HEAD)].concat();
        for request in [&endless[..], b"GET / HTTP/1.1\r\n"] {
            let (answered, text) = answered(request).await;
            assert!(answered.is_err() && text.is_empty());
        }
    }
}
