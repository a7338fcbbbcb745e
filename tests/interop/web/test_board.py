"""The board in a real Chromium: it ticks, survives a killed server, and shows the past as it was."""

import gzip
import re

import pytest

from grpc_client import V1, Client
from web.http1 import get, refused
from web.ticks import listed

SYMBOLS = ["RELIANCE", "TCS", "BTC-USD"]
TIME = "2026-03-02T09:15:30Z"


class Board:
    """A board in a page. `errors` has what the page complains of, `requests` what it asks for."""

    def __init__(self, page):
        self.page, self.errors, self.requests = page, [], []
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, address, query=""):
        """Opens the board of a server."""
        self.page.goto(f"http://{address}/{query}")
        return self

    def text(self, name):
        """What an element of the page shows."""
        return self.page.get_by_test_id(name).inner_text()

    def number(self, name):
        """The number that an element shows."""
        return int(re.sub(r"\D", "", self.text(name)) or -1)

    def price_of(self, symbol):
        """The last price in the row of a symbol."""
        return float(self.page.locator(f'tr[data-symbol="{symbol}"] .c-last .value').inner_text().replace(",", ""))

    def wait_for(self, name, holds):
        """Waits until the text `t` of an element makes a claim in JavaScript true."""
        script = f"""() => {{
          const t = document.querySelector('[data-testid="{name}"]').textContent;
          const n = Number(t.replace(/[^0-9.]/g, ""));
          return {holds};
        }}"""
        self.page.wait_for_function(script)

    def wait_for_mode(self, mode):
        """Waits until the board is `live`, `paused` or `playing`, and shows what it has to."""
        self.page.wait_for_function(
            f"() => document.body.dataset.mode === '{mode}' && !document.querySelector('.is-seeking')"
        )

    def selected(self):
        """The symbol, sequence and price of the selected instrument, all of one moment."""
        self.wait_for("selected-sequence", "n > 0")
        read = """() => ["selected-symbol", "selected-sequence", "selected-last"].map(
          name => document.querySelector(`[data-testid="${name}"]`).textContent)"""
        symbol, sequence, price = self.page.evaluate(read)
        return symbol, int(sequence.replace(",", "")), float(price.replace(",", ""))


@pytest.fixture
def board(chromium):
    """A board that is not open yet."""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield Board(page)
    context.close()


def check_selected(board, client):
    """Checks that the price of the selected instrument is that of the tick with its sequence. Returns the tick."""
    symbol, sequence, price = board.selected()
    (tick,) = listed(client, symbol, sequence, sequence)
    assert price == tick.ltp, (symbol, sequence)
    return tick


def test_the_board_is_small_and_kept_by_browsers(server):
    size = 0
    for path in ("/", "/board.js", "/board.css", "/favicon.svg"):
        answer = get(server.address, path, [("Accept-Encoding", "gzip")])
        assert (answer.status, answer.headers["content-encoding"]) == (200, "gzip"), path
        assert get(server.address, path).body == gzip.decompress(answer.body), path
        assert "default-src 'self'" in answer.headers["content-security-policy"], path
        kept = get(server.address, path, [("If-None-Match", answer.headers["etag"])])
        assert (kept.status, kept.body) == (304, b""), path
        assert get(server.address, path, method="HEAD").status == 200, path
        assert get(server.address, path, [("Content-Length", "0")], "POST").status == 405, path
        size += len(answer.body)
    print(f"\nthe board has {size:,} bytes")
    assert size <= 150_000


def test_the_board_loads_and_ticks_without_an_error(server, client, board):
    board.open(server.address)
    board.wait_for("received", "n > 100")
    assert board.page.locator("#rows tr").count() > 5
    check_selected(board, client)
    before = board.number("received")
    board.wait_for("received", f"n > {before + 100}")
    assert board.page.get_by_test_id("connection").get_attribute("data-state") == "connected"
    assert (board.number("lost"), board.number("gaps"), board.number("reconnects")) == (0, 0, 0)
    assert board.errors == []
    # No CDN, no font of somebody else.
    assert [url for url in board.requests if not url.startswith((f"http://{server.address}/", "data:"))] == []


def test_the_board_behind_a_proxy_of_http_1_ticks(server, proxy, board):
    board.open(proxy(server).address, "?symbols=" + ",".join(SYMBOLS))
    board.wait_for("received", "n > 60")
    assert board.number("lost") == 0
    assert board.errors == []


def test_a_killed_server_costs_the_board_no_tick(restartable, contract, board):
    servers = [restartable("--cors-origin", "*"), restartable("--cors-origin", "*")]
    endpoints = ",".join(f"http://{server.address}" for server in servers)
    board.open(servers[0].address, f"?endpoints={endpoints}&symbols={','.join(SYMBOLS)}&selected=TCS")
    for reconnects in (1, 2):
        count = board.number("received") if reconnects > 1 else 0
        board.wait_for("received", f"n > {count + 60}")
        connected = board.text("endpoint")
        (killed,) = [server for server in servers if server.address == connected]
        killed.kill()
        board.wait_for("endpoint", f"t !== '{connected}'")
        board.wait_for("reconnects", f"n === {reconnects}")
        killed.start()
    count = board.number("received")
    board.wait_for("received", f"n > {count + 60}")
    assert (board.number("lost"), board.number("gaps")) == (0, 0)
    with Client(servers[0].address, contract=contract) as client:
        check_selected(board, client)


def test_a_server_that_drains_costs_the_board_neither_a_tick_nor_a_word(restartable, contract, board):
    servers = [restartable("--cors-origin", "*"), restartable("--cors-origin", "*")]
    endpoints = ",".join(f"http://{server.address}" for server in servers)
    board.open(servers[0].address, f"?endpoints={endpoints}&symbols={','.join(SYMBOLS)}")
    board.wait_for("received", "n > 60")
    stopped, other = servers if board.text("endpoint") == servers[0].address else reversed(servers)
    code, _ = stopped.server.terminate()
    assert code == 0
    board.wait_for("endpoint", f"t === '{other.address}'")
    count = board.number("received")
    board.wait_for("received", f"n > {count + 60}")
    assert (board.number("lost"), board.number("gaps"), board.number("reconnects")) == (0, 0, 1)


def test_the_past_on_the_board_is_that_of_list_ticks(server, client, board):
    board.open(server.address, f"?symbols={','.join(SYMBOLS)}&selected=TCS&time={TIME}")
    board.wait_for_mode("paused")
    board.page.wait_for_function("""() => document.querySelectorAll("#rows .c-last .value").length === 3
      && [...document.querySelectorAll("#rows .c-last .value")].every(cell => /[0-9]/.test(cell.textContent))""")
    # What was last at that instant, of each symbol.
    for symbol in SYMBOLS:
        request = {"symbol": symbol, "endTime": "2026-03-02T09:15:30.000000001Z", "newestFirst": True, "pageSize": 1}
        (tick,) = client.call(V1, "ListTicks", request).ticks
        assert board.price_of(symbol) == tick.ltp, symbol
        if symbol == "TCS":
            assert board.selected() == (symbol, tick.sequence, tick.ltp)
            at = tick.sequence
    # A tick forward twice, and one back.
    for button, sequence in (("step-forward", at + 1), ("step-forward", at + 2), ("step-back", at + 1)):
        board.page.get_by_test_id(button).click()
        board.wait_for("selected-sequence", f"n === {sequence}")
        check_selected(board, client)
    # A replay, a hundred times as fast, and a pause somewhere.
    board.page.get_by_test_id("speed").select_option("100")
    board.page.get_by_test_id("play").click()
    board.wait_for_mode("playing")
    board.wait_for("selected-sequence", f"n > {at + 300}")
    board.page.get_by_test_id("play").click()
    board.wait_for_mode("paused")
    check_selected(board, client)
    assert board.number("lost") == 0
    # And back to the present.
    board.page.get_by_test_id("live").click()
    board.wait_for_mode("live")
    (newest,) = client.call(V1, "GetLastPrices", {"symbols": ["TCS"]}).ticks
    board.wait_for("selected-sequence", f"n >= {newest.sequence}")
    assert check_selected(board, client).time.ToSeconds() >= newest.time.ToSeconds()
    assert board.number("lost") == 0
    assert board.errors == []


def test_a_server_without_a_board_has_none(serve):
    server = serve("--no-board")
    for path in ("/", "/board.js"):
        refused(get(server.address, path), 404, "NOT_FOUND")
