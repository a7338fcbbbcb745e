"""Traces, with the feature `otel`: a collector of our own receives what the server exports."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent import futures

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from grpc_client import HEALTH, V1, Client
from processes import Server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that it is sent."""

    def __init__(self):
        self.spans, self.services, self.lock = [], set(), threading.Lock()
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def Export(self, request, context):
        with self.lock:
            for of_resource in request.resource_spans:
                self.services |= {
                    each.value.string_value for each in of_resource.resource.attributes if each.key == "service.name"
                }
                for of_scope in of_resource.scope_spans:
                    self.spans += of_scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()


def attributes(span):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@pytest.fixture(scope="module")
def traced(root):
    """A binary with the feature, of the debug profile."""
    command = ["cargo", "build", "--quiet", "--locked", "--bin", "ticker", "--features", "otel"]
    subprocess.run(command, cwd=root, check=True)
    # A build without the feature would replace the binary.
    kept = root / "target" / "otel" / "ticker"
    kept.parent.mkdir(exist_ok=True)
    shutil.copy2(root / "target" / "debug" / "ticker", kept)
    return str(kept)


def start(binary, **variables):
    environment = {**os.environ, "OTEL_BSP_SCHEDULE_DELAY": "200", **variables}
    return Server([binary, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], env=environment)


@pytest.mark.timeout(900)
def test_a_call_and_a_stream_are_spans_under_the_clients_own(traced):
    collector = Collector()
    server = start(traced, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}")
    metadata = [("traceparent", f"00-{TRACE}-{PARENT}-01")]
    with Client(server.address) as client:
        client.call(HEALTH, "Check", {"service": ""})
        client.call(V1, "GetLastPrices", {"symbols": ["RELIANCE"]}, metadata=metadata)
        with client.stream(V1, "TickerStream", metadata=metadata) as stream:
            stream.ask({"subscribe": {"symbols": ["RELIANCE", "TCS"]}})
            for _ in range(5):
                stream.until("tick", 5)
        with pytest.raises(grpc.RpcError):
            client.call(V1, "ListTicks", {"symbol": "NOBODY"})
    code, seconds = server.terminate()
    assert (code, seconds < 3) == (0, True)
    collector.server.stop(None)

    spans = {span.name: span for span in collector.spans if "Reflection" not in span.name}
    assert set(spans) == {f"{V1}/{method}" for method in ("GetLastPrices", "TickerStream", "ListTicks")}
    assert collector.services == {"ticker"}
    for method in ("GetLastPrices", "TickerStream"):
        span = spans[f"{V1}/{method}"]
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert span.kind == 2, "SERVER"
        assert span.end_time_unix_nano > span.start_time_unix_nano
    call = attributes(spans[f"{V1}/GetLastPrices"])
    assert call["rpc.system.name"] == "grpc"
    assert call["rpc.method"] == f"{V1}/GetLastPrices"
    assert "error.type" not in call
    assert call["rpc.response.status_code"] == "OK"
    assert call["client.address"] == "127.0.0.1"
    stream = attributes(spans[f"{V1}/TickerStream"])
    assert stream["ticker.symbols"] == 2
    assert stream["ticker.ticks"] >= 5
    assert stream["ticker.conflated"] >= 0 and stream["ticker.gaps"] == 0
    assert stream["ticker.reason"] == "reset_by_client"
    assert stream["rpc.response.status_code"] == "CANCELLED"
    failed = spans[f"{V1}/ListTicks"]
    assert attributes(failed)["rpc.response.status_code"] == "NOT_FOUND"
    assert not failed.parent_span_id and failed.status.code == 0, "the client's fault is no error of the server"


def test_a_method_that_does_not_exist_is_an_error_under_one_name(traced):
    collector = Collector()
    server = start(traced, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}")
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary("/no.such.Service/Method")(b"")
    assert server.terminate()[0] == 0
    collector.server.stop(None)
    (span,) = collector.spans
    assert (span.name, span.status.code) == ("other", 2)
    assert attributes(span)["rpc.method"] == "_OTHER"
    assert attributes(span)["error.type"] == attributes(span)["rpc.response.status_code"] == "UNIMPLEMENTED"


@pytest.mark.parametrize(
    ("variables", "services"),
    [
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=quotes"}, {"quotes"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=quotes", "OTEL_SERVICE_NAME": "prices"}, {"prices"}),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, set()),
        ({"OTEL_SDK_DISABLED": "true"}, set()),
        ({"OTEL_TRACES_EXPORTER": "none"}, set()),
    ],
)
def test_the_variables_of_opentelemetry_name_the_service_and_turn_traces_off(traced, variables, services):
    collector = Collector()
    server = start(traced, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}", **variables)
    with Client(server.address) as client:
        client.call(V1, "GetTape", {})
    assert server.terminate()[0] == 0
    collector.server.stop(None)
    assert collector.services == services
    assert bool(collector.spans) == bool(services)


def call_often(server, calls):
    """Makes calls that take at most a few milliseconds each, whatever the collector does."""
    with Client(server.address) as client:
        # The first call also connects and asks for the contract.
        client.call(V1, "GetTape", {})
        began = time.monotonic()
        for _ in range(calls):
            client.call(V1, "GetTape", {})
        assert time.monotonic() - began < calls / 20


@pytest.fixture(params=["refuses connections", "takes connections and is silent", "knows no traces"])
def bad_collector(request):
    """The port of a collector that takes no spans."""
    if request.param == "refuses connections":
        yield 1
    elif request.param == "knows no traces":
        other = grpc.server(futures.ThreadPoolExecutor(1))
        port = other.add_insecure_port("127.0.0.1:0")
        other.start()
        yield port
        other.stop(None)
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener.getsockname()[1]


def test_a_collector_that_takes_no_spans_delays_nothing_and_is_logged_rarely(traced, bad_collector):
    server = start(
        traced,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{bad_collector}",
        OTEL_BSP_SCHEDULE_DELAY="10",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2",
    )
    call_often(server, 300)
    code, seconds = server.terminate()
    assert code == 0
    assert seconds < 2, "the drain of an idle server takes no time, and the last spans have 800 ms"
    lines = [line for line in server.stderr if re.search("span|opentelemetry", line, re.IGNORECASE)]
    assert 1 <= len(lines) <= 5, server


def test_a_second_signal_does_not_wait_for_the_last_spans(traced):
    def stop_twice():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            server = start(traced, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}")
            call_often(server, 1)
            server.send(signal.SIGTERM)
            deadline = time.monotonic() + 5
            while not any("streams_cut" in line for line in server.stderr) and time.monotonic() < deadline:
                time.sleep(0.01)
            server.send(signal.SIGTERM)
            return server.wait(5)

    # On a machine that is very busy the 800 ms of the flush may be over before the second signal is sent.
    codes = [stop_twice()]
    while codes[-1] == 0 and len(codes) < 4:
        codes.append(stop_twice())
    assert codes[-1] == 143, codes


def test_a_protocol_that_is_not_supported_is_warned_of_and_ignored(traced):
    collector = Collector()
    server = start(
        traced,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )
    with Client(server.address) as client:
        client.call(V1, "GetTape", {})
    assert server.terminate()[0] == 0
    collector.server.stop(None)
    assert collector.spans
    assert any("OTEL_EXPORTER_OTLP_PROTOCOL" in line for line in server.stderr), server


def test_without_a_collector_nothing_is_exported_or_said(traced):
    server = start(traced)
    with Client(server.address) as client:
        client.call(V1, "GetTape", {})
    code, _ = server.terminate()
    assert code == 0
    assert not any("span" in line.lower() or "collector" in line.lower() for line in server.stderr), server
