"""One gRPC call by hand over HTTP/2, for what no gRPC library would send."""

import socket

import h2.config
import h2.connection
import h2.events


def begin(connection, address, path, body, headers=(), stream=1, end_stream=True):
    """Begins a call on a connection whose preface is sent. `headers` are added to those of a gRPC call, or replace
    them."""
    usual = {
        ":method": "POST",
        ":scheme": "http",
        ":authority": address,
        ":path": path,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    connection.send_headers(stream, list((usual | dict(headers)).items()))
    *pieces, last = [body[at : at + 16_384] for at in range(0, len(body), 16_384)] or [b""]
    for piece in pieces:
        connection.send_data(stream, piece)
    connection.send_data(stream, last, end_stream)


def connect(address, timeout=10, tls=None):
    """A socket and the HTTP/2 that is spoken over it; what HTTP/2 has to send is the caller's to send. `tls` is an SSL
    context."""
    host, port = address.rsplit(":", 1)
    peer = socket.create_connection((host, int(port)), timeout)
    peer = tls.wrap_socket(peer, server_hostname=host) if tls else peer
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    return peer, connection


def call(address, path, body, headers=(), tls=None):
    """Sends `body` as it is, half-closes, and returns all headers and trailers of the answer in one dictionary."""
    peer, connection = connect(address, tls=tls)
    with peer:
        begin(connection, address, path, body, headers)
        peer.sendall(connection.data_to_send())
        answer = {}
        while True:
            received = peer.recv(65_536)
            if not received:
                raise AssertionError(f"the connection was closed after {answer}")
            for event in connection.receive_data(received):
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    answer.update(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamReset):
                    raise AssertionError(f"the stream was reset after {answer}: {event}")
                if isinstance(event, h2.events.StreamEnded):
                    return answer
            peer.sendall(connection.data_to_send())
