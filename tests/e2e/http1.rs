//! What a client hears that speaks HTTP/1 to the port.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    raw::Raw,
    server::{PATIENCE, Server},
};

/// Everything that the server sends before it closes the connection.
async fn ask(server: &Server, request: &str) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("the connection stays").unwrap();
    answer
}

#[tokio::test]
async fn a_browser_is_told_what_the_port_speaks_and_how_to_try_it() {
    let server = Server::start();
    let address = server.address;
    let answer = ask(&server, &format!("GET / HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\n"), "{head}");
    for field in ["content-type: text/plain; charset=utf-8", "connection: close"] {
        assert!(head.lines().any(|line| line == field), "{head}");
    }
    assert!(body.starts_with("This port speaks gRPC, which is HTTP/2, without TLS."), "{body}");
    assert!(body.contains(&format!("grpcurl -plaintext {address} list\n")), "{body}");
    assert!(body.contains(&format!("ticker watch --endpoint http://{address} ")), "{body}");
}

#[tokio::test]
async fn a_request_of_http_1_with_a_body_gets_its_answer_too() {
    let server = Server::start();
    let body = "x".repeat(10_000);
    let head = "POST /gogen.TickerStreamService/TickerStream HTTP/1.1\r\ncontent-length: 10000\r\n\r\n";
    let answer = ask(&server, &format!("{head}{body}")).await;
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
    assert!(Raw::connect(&server).await.is_served().await);
}
