"""A grpcio client without generated code: messages and methods come from the server's reflection."""

import queue
import threading
import time
from dataclasses import dataclass

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

GOGEN = "gogen.TickerStreamService"
V1 = "ticker.v1.TickerStreamService"
HEALTH = "grpc.health.v1.Health"


class Client:
    """One connection, which no other client in this process shares. `tls` are channel credentials. `token` is sent with
    each call. `contract` is the descriptor pool of another client, for a server without reflection."""

    def __init__(self, address, tls=None, token=None, contract=None):
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.metadata = []
        if tls and token:
            tls = grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(token))
        elif token:
            # grpcio sends call credentials over TLS only.
            self.metadata = [("authorization", f"Bearer {token}")]
        if tls:
            self.channel = grpc.secure_channel(address, tls, options)
        else:
            self.channel = grpc.insecure_channel(address, options)
        self.pool = contract or DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def message(self, name, content=None):
        """A message of the type `name` with the content of a dictionary, in JSON's names."""
        kind = message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))
        return json_format.ParseDict(content or {}, kind())

    def call(self, service, method, requests=None, raw=False, **options):
        """Calls a method of any shape. `requests` is a dictionary, or for a stream of requests an iterable of
        them; with `raw` they are bytes, sent as they are."""
        described = self.pool.FindServiceByName(service).FindMethodByName(method)
        options.setdefault("metadata", self.metadata)
        shape = "_".join(
            "stream" if streams else "unary" for streams in (described.client_streaming, described.server_streaming)
        )
        output = message_factory.GetMessageClass(described.output_type)
        stub = getattr(self.channel, shape)(
            f"/{service}/{method}",
            request_serializer=None if raw else lambda message: message.SerializeToString(),
            response_deserializer=output.FromString,
        )

        def build(content):
            return content if raw else self.message(described.input_type.full_name, content)

        if described.client_streaming:
            return stub((build(content) for content in requests), **options)
        return stub(build(requests or {}), **options)

    def stream(self, service, method, **options):
        """Opens a method that streams both ways."""
        return Stream(self, service, method, **options)


def past_ticks(client, symbol, **within):
    """All past ticks of a symbol within a range, in the names of `ListTicks`."""
    found, token = [], ""
    while not found or token:
        page = client.call(V1, "ListTicks", {"symbol": symbol, "pageSize": 10_000, "pageToken": token, **within})
        assert page.ticks, f"no tick of {symbol} within {within}"
        found += page.ticks
        token = page.next_page_token
    return found


class Stream:
    """A bidirectional stream: requests are sent at will, responses are awaited one by one."""

    def __init__(self, client, service, method, **options):
        self.requests = queue.Queue()
        self.responses = queue.Queue()
        self.call = client.call(service, method, iter(self.requests.get, None), **options)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.half_close()
        self.call.cancel()

    def _read(self):
        try:
            for response in self.call:
                self.responses.put(response)
        except grpc.RpcError:
            pass
        self.responses.put(None)

    def send(self, content):
        """Sends one request."""
        self.requests.put(content)

    def half_close(self):
        """Says that no request follows."""
        self.requests.put(None)

    def next(self, timeout=5):
        """The next response."""
        try:
            response = self.responses.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no response for {timeout} s") from None
        assert response is not None, f"the stream ended: {self.call.code()} {self.call.details()}"
        return response

    def until(self, event, timeout=5):
        """Responses up to the first one whose event is `event`, and that one."""
        passed, deadline = [], time.monotonic() + timeout
        while True:
            response = self.next(max(0.01, deadline - time.monotonic()))
            if response.WhichOneof("event") == event:
                return passed, getattr(response, event)
            passed.append(response)

    def ask(self, content, event="subscription_result"):
        """Sends one request and returns the next event of that kind."""
        self.send(content)
        return self.until(event)[1]

    def end(self, timeout=5):
        """The status that ended the stream; responses before it are dropped."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                if self.responses.get(timeout=max(0.01, deadline - time.monotonic())) is None:
                    return self.call.code(), self.call.details()
            except queue.Empty:
                raise AssertionError(f"the stream goes on after {timeout} s") from None


def codes(result):
    """The outcome of each symbol of a subscription result, without the prefix of the enum."""
    enum = result.DESCRIPTOR.fields_by_name["statuses"].message_type.fields_by_name["code"].enum_type
    prefix = "SYMBOL_STATUS_CODE_"
    return [enum.values_by_number[status.code].name.removeprefix(prefix) for status in result.statuses]


def failure(call):
    """The status of a call that must fail: `call()` makes it."""
    try:
        answer = call()
        if isinstance(answer, grpc.Call):
            for _ in answer:
                pass
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError("the call succeeded")


@dataclass
class Record:
    """What a server sent: each tick as bytes, by its symbol and sequence."""

    tape_id: str
    ticks: dict


def record(addresses, symbols, count=60):
    """Watches several servers of one tape at the same time: for `count` ticks each, after the last one has begun."""
    clients = [Client(address) for address in addresses]
    streams = [client.stream(V1, "TickerStream") for client in clients]
    request = {"subscribe": {"symbols": symbols, "delivery": "DELIVERY_EVERY_TICK"}}
    records = [Record(stream.ask(request).tape_id, {}) for stream in streams]
    begun = {}
    for stream, found in reversed(list(zip(streams, records))):
        left = count
        while left:
            tick = stream.until("tick")[1]
            # The last price on subscribing is marked as such; it is the same tick all the same.
            tick.snapshot = False
            found.ticks[tick.symbol, tick.sequence] = tick.SerializeToString(deterministic=True)
            left -= tick.sequence >= begun.setdefault(tick.symbol, tick.sequence)
    for client in clients:
        client.channel.close()
    return records
