//! The answer to HTTP/1, which the port of the service does not speak: a text that says what it speaks.

use std::io;

use http::uri::Authority;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest head of a request that is read.
const MAX_HEAD: usize = 16 * 1024;
/// Largest number of bytes that are read after the head. A connection that is closed with unread bytes is reset, and the
/// client may lose the answer.
const MAX_REST: u64 = 64 * 1024;

/// How the port is reached.
#[derive(Clone, Copy)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// Reads the rest of a request, which began with `head`, and answers it. The caller limits the time.
///
/// # Errors
/// The connection failed, or the head has no end.
pub(super) async fn answer(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut head: Vec<u8>,
    scheme: Scheme,
) -> io::Result<()> {
    read_until(io, &mut head, b"\n").await?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    if !(line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0")) {
        return Err(io::Error::other("the first line is neither of HTTP/1 nor of HTTP/2"));
    }
    read_until(io, &mut head, b"\r\n\r\n").await?;
    io.write_all(response(&head, scheme).as_bytes()).await?;
    io.shutdown().await?;
    tokio::io::copy(&mut io.take(MAX_REST), &mut tokio::io::sink()).await?;
    Ok(())
}

/// Reads more of a head, until it has `end`.
async fn read_until(io: &mut (impl AsyncRead + Unpin), head: &mut Vec<u8>, end: &[u8]) -> io::Result<()> {
    let mut searched = 0;
    while !head.get(searched..).is_some_and(|rest| rest.windows(end.len()).any(|found| found == end)) {
        if head.len() >= MAX_HEAD {
            return Err(io::Error::other("the head of the request is too long"));
        }
        searched = head.len().saturating_sub(end.len() - 1);
        if io.read_buf(head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// The response to a request with this head.
fn response(head: &[u8], scheme: Scheme) -> String {
    let address = host(head);
    let address = address.as_deref().unwrap_or("ADDRESS");
    let (tls, grpcurl, scheme, watch) = match scheme {
        Scheme::Http => ("without", "-plaintext", "http", ""),
        Scheme::Https => ("with", "-cacert CA.pem", "https", "--tls-ca CA.pem "),
    };
    let body = format!(
        "This port speaks gRPC, which is HTTP/2, {tls} TLS. Your request was HTTP/1.\n\n\
         List the services:  grpcurl {grpcurl} {address} list\n\
         Watch live prices:  ticker watch {watch}--endpoint {scheme}://{address} '*'\n"
    );
    let sent = if head.starts_with(b"HEAD ") { "" } else { body.as_str() };
    // RFC 9110, 15.6.6: the major version of HTTP is not supported.
    format!(
        "HTTP/1.1 505 HTTP Version Not Supported\r\n\
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
            let answered = answer(&mut server, begun.to_vec(), Scheme::Http).await;
            drop(server);
            answered
        };
        let ((), answered) = tokio::join!(asking, answering);
        (answered, text)
    }

    #[tokio::test]
    async fn the_answer_says_what_the_port_speaks_and_how_to_try_it_at_the_address_that_was_asked() {
        let (answered, text) =
            answered(b"GET / HTTP/1.1\r\naccept: */*\r\nHOST: localhost:50051\r\n\r\n").await;
        answered.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\n"), "{head}");
        assert!(head.contains("\r\nconnection: close"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        assert!(body.contains("grpcurl -plaintext localhost:50051 list\n"), "{body}");
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
            assert!(text.contains("grpcurl -plaintext ADDRESS list\n"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_head_request_gets_no_body() {
        let (_, text) = answered(b"HEAD / HTTP/1.1\r\n\r\n").await;
        assert!(text.ends_with("\r\n\r\n") && text.contains("content-length: "), "{text}");
    }

    #[tokio::test]
    async fn a_head_without_an_end_and_other_protocols_are_not_answered() {
        let endless = [&b"GET / HTTP/1.1\r\nx: "[..], &b"x".repeat(2 * MAX_HEAD)].concat();
        for request in
            [&endless[..], b"GET / HTTP/1.1\r\n", b"INVALID PREFACE\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n"]
        {
            let (answered, text) = answered(request).await;
            assert!(answered.is_err() && text.is_empty());
        }
    }
}
