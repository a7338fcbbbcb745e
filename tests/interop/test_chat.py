"""The chats of examples/: either client with either server, and grpcurl."""

import json
import queue
import shutil
import signal
import subprocess
import threading

import pytest

from conftest import TOOLS, tool
from grpc_client import Client
from markdown import Page
from processes import Server
from test_codegen import generated

LANGUAGES = ["rust", "go"]
ENDED = ["SayHello of anna ended early", "ServerStream of anna ended early"]


@pytest.fixture(params=LANGUAGES)
def chat(request):
    """The server in one of the languages."""
    with Server([tool(f"chat-{request.param}", TOOLS / "bin"), "server", "--listen", "127.0.0.1:0"]) as server:
        yield server


@pytest.fixture(scope="module")
def tour(root):
    """What the page shows."""
    blocks = [block.text for block in Page(root / "examples/chat/README.md").blocks()]
    (shown,) = (text.split("\n", 1)[1] for text in blocks if " client " in text)
    return shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_client_tours_each_server(chat, tour, language):
    command = [tool(f"chat-{language}", TOOLS / "bin"), "client", "--connect", chat.address]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, tour, "")
    # The server has noticed the deadline and the cancellation.
    for text in ENDED:
        assert text in chat.line()


def test_members_hear_each_other_and_the_end_of_the_server(chat):
    commands = [[tool(f"chat-{one}", TOOLS / "bin"), "client", "--connect", chat.address, "--chat", one] for one in LANGUAGES]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    members = [subprocess.Popen(command, **pipes) for command in commands]
    for member in members:
        assert "is in the room" in member.stdout.readline()
    for name, member in zip(LANGUAGES, members):
        member.stdin.write(f"good morning from {name}\n")
        member.stdin.flush()
    for name, member in zip(reversed(LANGUAGES), members):
        assert member.stdout.readline() == f"{name}: good morning from {name}\n"
    # One leaves by Ctrl-D, and the other one is told when the server stops.
    out, err = members[0].communicate("", timeout=5)
    assert (members[0].returncode, out, err) == (0, "", "")
    code, seconds = chat.terminate(signal.SIGINT)
    assert code == 0 and seconds < 3, chat
    _, err = members[1].communicate(timeout=5)
    assert members[1].returncode == 1 and "the server stops" in err


def test_a_slow_reader_delays_nobody_and_is_told_what_it_has_missed(chat):
    with Client(chat.address) as client:

        def enter(name, texts):
            call = client.call("chat.v1.ChatService", "StreamChat", texts, metadata=[("user", name)], timeout=30)
            call.initial_metadata()
            return call

        sent, known, missed, hears = 3000, 0, 0, queue.Queue()
        from_slow, from_carl = queue.Queue(), queue.Queue()
        slow = enter("slow", iter(from_slow.get, None))
        # 30 MB, more than the connection buffers. The call ends when the server has read all of them.
        assert list(enter("ben", [{"text": "x" * 10_000}] * sent)) == []

        reader = threading.Thread(target=lambda: [hears.put(message) for message in slow], daemon=True)
        reader.start()
        # grpcio cancels a call that nothing refers to.
        carl = enter("carl", iter(from_carl.get, None))
        while known < sent:
            try:
                message = hears.get(timeout=0.3)
                known, missed = known + 1 + message.missed, missed + message.missed
            except queue.Empty:
                # What was left out at the end is told with the next message.
                from_carl.put({"text": "do you hear me?"})
                sent += 1
        from_slow.put(None)
        reader.join(5)
        carl.cancel()
        assert known == sent and missed > 1000


def test_grpcurl_needs_no_files(chat, grpcurl):
    def call(method, data, *headers):
        command = [grpcurl, "-plaintext", *headers, "-d", data, chat.address, f"chat.v1.ChatService/{method}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10)

    carl = ["-H", "user: carl"]
    assert json.loads(call("SayHello", '{"text":"hi"}', *carl).stdout) == {"text": "hello carl: hi", "attempt": 1}
    assert json.loads(call("ClientStream", '{"text":"a"} {"text":"b"}', *carl).stdout) == {"count": 2}
    assert "Code: Unauthenticated" in call("ServerStream", '{"text":"hi","count":2}').stderr
    refused = call("SayHello", "{}", *carl).stderr
    assert "Code: InvalidArgument" in refused and '"description": "must not be empty"' in refused
    unavailable = call("SayHello", '{"text":"hi","failures":1}', *carl).stderr
    assert "Code: Unavailable" in unavailable


def test_the_code_for_go_is_that_of_the_contract(buf, root, tmp_path):
    tool("go")
    chat = root / "examples/chat"
    shutil.copytree(chat, tmp_path / "chat")
    shutil.rmtree(tmp_path / "chat/go/chatv1")
    subprocess.run([buf, "generate"], cwd=tmp_path / "chat/go", check=True, capture_output=True)
    assert generated(tmp_path / "chat/go/chatv1") == generated(chat / "go/chatv1")
