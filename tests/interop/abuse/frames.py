"""HTTP/2 frames and gRPC messages as bytes. A library would refuse to send most of what the attackers need, and would
be too slow for the floods."""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
INITIAL_WINDOW_SIZE = 4
LARGEST_WINDOW = 2**31 - 1

GOGEN_STREAM = "/gogen.TickerStreamService/TickerStream"
V1 = "/ticker.v1.TickerStreamService/"
V1_STREAM = V1 + "TickerStream"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

SUBSCRIBE, UNSUBSCRIBE, SET_SUBSCRIPTIONS, LIST_SUBSCRIPTIONS = 2, 3, 4, 5
LATEST, EVERY_TICK = 1, 2
LTP, QUOTE = 1, 2


def frame(kind, flags=0, stream=0, payload=b""):
    """One frame."""
    return struct.pack("!I", len(payload) << 8 | kind) + struct.pack("!BI", flags, stream) + payload


def settings(**values):
    """A SETTINGS frame. Only the initial window is of use here: `settings(window=0)`."""
    payload = b"".join(struct.pack("!HI", {"window": INITIAL_WINDOW_SIZE}[name], value) for name, value in values.items())
    return frame(SETTINGS, payload=payload)


def window_update(stream, increment):
    """A WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, stream=stream, payload=struct.pack("!I", increment))


def reset(stream, code=8):
    """A RST_STREAM frame; 8 is CANCEL."""
    return frame(RST_STREAM, stream=stream, payload=struct.pack("!I", code))


def _text(value):
    value = value.encode() if isinstance(value, str) else value
    assert len(value) < 127
    return bytes([len(value)]) + value


def header_block(path, authority="localhost"):
    """The headers of a gRPC call in HPACK that leaves the dynamic table alone, so that one block serves every stream."""
    method, scheme = b"\x83", b"\x86"
    return (
        method
        + scheme
        + b"\x04" + _text(path)
        + b"\x01" + _text(authority)
        + b"\x0f\x10" + _text("application/grpc")
        + b"\x00" + _text("te") + _text("trailers")
    )  # fmt: skip


def headers(stream, path, end_stream=False):
    """The HEADERS frame that begins a call."""
    return frame(HEADERS, END_HEADERS | (END_STREAM if end_stream else 0), stream, header_block(path))


def grpc(message):
    """A message with gRPC's prefix."""
    return struct.pack("!BI", 0, len(message)) + message


def varint(value):
    """A number of Protocol Buffers."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def field(number, value):
    """A field of Protocol Buffers: a number, a text or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(message):
    """The fields of a message: (number, value), where the value is a number or bytes."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint_at(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint_at(message, at)
        elif kind == 2:
            length, at = _varint_at(message, at)
            value, at = message[at : at + length], at + length
        else:
            size = {1: 8, 5: 4}[kind]
            value, at = message[at : at + size], at + size
        yield number, value


def _varint_at(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def seconds(value):
    """A Duration or a Timestamp of whole seconds."""
    return field(1, value)


def subscription(symbols, delivery=0, min_interval=0, start_time=0, tape_id="", detail=0):
    """A `Subscription`, and a `WatchRequest`, whose first fields are the same."""
    found = b"".join(field(1, symbol) for symbol in symbols)
    found += field(2, delivery) if delivery else b""
    found += field(3, seconds(min_interval)) if min_interval else b""
    found += field(5, seconds(start_time)) if start_time else b""
    found += field(6, tape_id) if tape_id else b""
    found += field(7, detail) if detail else b""
    return found


def request(verb, content, request_id=0):
    """One request of the v1 stream, with gRPC's prefix."""
    return grpc((field(1, request_id) if request_id else b"") + field(verb, content))


def subscribe(symbols, verb=SUBSCRIBE, request_id=0, **options):
    """A request that subscribes."""
    return request(verb, subscription(symbols, **options), request_id)


def unsubscribe(symbols):
    """A request that unsubscribes."""
    return request(UNSUBSCRIBE, b"".join(field(1, symbol) for symbol in symbols))


def list_ticks(symbol, page_size):
    """The body of a `ListTicks` from the first tick of the tape on."""
    return grpc(field(1, symbol) + field(7, page_size))


def list_candles(symbol, interval, start):
    """The body of a `ListCandles`."""
    return grpc(field(1, symbol) + field(2, seconds(interval)) + field(3, seconds(start)))
