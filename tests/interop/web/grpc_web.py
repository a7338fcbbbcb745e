"""gRPC-Web by hand, for what no client would send."""

import base64
from dataclasses import dataclass
from urllib.parse import unquote

from web.http1 import Connection

TRAILERS = 0x80


@dataclass
class Answer:
    """The answer to a call. `trailers` are those of the body, or of the head when there is no body."""

    status: int
    headers: dict
    messages: list
    trailers: dict


def frame(message, flags=0, length=None):
    """A message in its frame, which may lie about the length."""
    return bytes([flags]) + (len(message) if length is None else length).to_bytes(4, "big") + message


def request(connection, path, body, text=False, headers=()):
    """Sends a call. With `text` the body is encoded in base64, unless it is a string already."""
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
    if text and isinstance(body, bytes):
        body = base64.b64encode(body).decode()
    usual = {"Content-Type": kind, "Accept": kind, "X-Grpc-Web": "1"}
    connection.request("POST", path, list((usual | dict(headers)).items()), body.encode() if text else body)


def read(connection):
    """The answer to a call."""
    answer = connection.answer()
    assert answer, "the connection ended without an answer"
    kind = answer.headers.get("content-type", "")
    body = answer.body if kind.startswith("application/grpc-web") else b""
    if kind.startswith("application/grpc-web-text"):
        # Each part of the answer is padded by itself.
        body = b"".join(base64.b64decode(body[at : at + 4], validate=True) for at in range(0, len(body), 4))
    messages, trailers = [], {name: value for name, value in answer.headers.items() if name.startswith("grpc-")}
    while body:
        flags, length = body[0], int.from_bytes(body[1:5], "big")
        content, body = body[5 : 5 + length], body[5 + length :]
        assert len(content) == length, "a truncated frame"
        assert not trailers or "grpc-status" not in trailers, "something follows the trailers"
        if flags & TRAILERS:
            lines = content.decode().split("\r\n")
            trailers |= {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines if line)}
        else:
            messages.append(content)
    if "grpc-message" in trailers:
        trailers["grpc-message"] = unquote(trailers["grpc-message"])
    return Answer(answer.status, answer.headers, messages, trailers)


def call(address, path, body, text=False, headers=()):
    """Makes one call."""
    with Connection(address) as connection:
        request(connection, path, body, text, headers)
        return read(connection)
