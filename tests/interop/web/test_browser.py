"""A real Chromium: its EventSource, and its rules for other origins."""

import json

import pytest

from grpc_client import V1, Client
from web.proto3_json import parsed
from web.ticks import END, START, check_every_tick

QUERY = "/v1/watch?symbols=RELIANCE,TCS&delivery=EVERY_TICK"
# Keeps what an EventSource gets: `messages`, the moments of `opened`, and whether it has stopped for good.
LISTEN = """url => {
  window.messages = []; window.opened = 0; window.errors = 0;
  window.source = new EventSource(url);
  source.onopen = () => opened++;
  source.onerror = () => errors++;
  source.onmessage = event => messages.push(event.data);
}"""
# Calls GetTape by gRPC-Web, with the headers that need the browser to ask first.
CALL = """url => fetch(url + "/ticker.v1.TickerStreamService/GetTape", {
  method: "POST",
  headers: {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "grpc-timeout": "5S"},
  body: new Uint8Array(5),
}).then(answer => answer.arrayBuffer()).then(bytes => bytes.byteLength)"""


@pytest.fixture
def page_of(chromium):
    """Opens pages of an origin that do nothing by themselves."""
    contexts = []

    def open_page(address):
        contexts.append(chromium.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        # Chromium makes a page of it.
        page.goto(f"http://{address}/v1/tape")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def ticks_of(contract):
    """The ticks that a page has got."""

    def convert(page):
        messages = [parsed(contract, "ticker.v1.WatchResponse", json.loads(data)) for data in page.evaluate("messages")]
        return [message.tick for message in messages if message.WhichOneof("event") == "tick"]

    return convert


def test_an_event_source_survives_a_killed_server_without_losing_a_tick(restartable, page_of, contract, ticks_of):
    server = restartable()
    page = page_of(server.address)
    page.evaluate(LISTEN, QUERY)
    page.wait_for_function("messages.length > 20")
    for opened in (1, 2):
        server.kill()
        page.wait_for_function(f"errors >= {opened}")
        server.start()
        page.wait_for_function(f"opened > {opened}")
        page.wait_for_function("messages.some(data => 'caughtUp' in JSON.parse(data))")
        count = page.evaluate("messages.length")
        page.wait_for_function(f"messages.length > {count + 10}")
    page.wait_for_function(
        "['RELIANCE', 'TCS'].every(symbol =>"
        " messages.filter(data => JSON.parse(data).tick?.symbol === symbol).length > 20)"
    )
    with Client(server.address, contract=contract) as client:
        assert min(check_every_tick(client, ticks_of(page)).values()) > 20


def test_an_event_source_behind_a_proxy_of_http_1_gets_every_tick(server, proxy, client, page_of, ticks_of):
    page = page_of(proxy(server).address)
    page.evaluate(LISTEN, QUERY)
    page.wait_for_function("messages.length > 30")
    check_every_tick(client, ticks_of(page))


def test_an_event_source_stops_when_a_replay_is_over(server, client, page_of, ticks_of):
    page = page_of(server.address)
    page.evaluate(LISTEN, f"/v1/watch?symbols=RELIANCE&startTime={START}&endTime={END}")
    page.wait_for_function("source.readyState === EventSource.CLOSED")
    listed = client.call(
        V1, "ListTicks", {"symbol": "RELIANCE", "startTime": START, "endTime": END, "pageSize": 10_000}
    )
    assert ticks_of(page) == list(listed.ticks)


def test_a_page_of_another_origin_gets_nothing(server, serve, page_of):
    page = page_of(serve().address)
    for path in ("/v1/tape", "/v1/ticks?symbol=TCS"):
        assert (
            page.evaluate("url => fetch(url).catch(error => error.name)", f"http://{server.address}{path}")
            == "TypeError"
        )
    assert (
        page.evaluate(CALL.replace("byteLength)", "byteLength).catch(error => error.name)"), f"http://{server.address}")
        == "TypeError"
    )
    page.evaluate(LISTEN, f"http://{server.address}{QUERY}")
    page.wait_for_function("source.readyState === EventSource.CLOSED")
    assert page.evaluate("messages") == []


@pytest.mark.parametrize("allowed", ["its own", "*"])
def test_a_page_of_an_origin_that_is_allowed_is_served(serve, contract, page_of, ticks_of, allowed):
    other = f"http://{serve().address}"
    server = serve("--seed", "7", "--cors-origin", other if allowed == "its own" else "*")
    page = page_of(other.removeprefix("http://"))
    assert "tapeId" in page.evaluate(
        "url => fetch(url).then(answer => answer.json())", f"http://{server.address}/v1/tape"
    )
    assert page.evaluate(CALL, f"http://{server.address}") > 50
    page.evaluate(LISTEN, f"http://{server.address}{QUERY}")
    page.wait_for_function("messages.length > 20")
    with Client(server.address, contract=contract) as client:
        check_every_tick(client, ticks_of(page))
