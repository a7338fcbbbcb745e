"""The gRPC-Web clients of browsers, in one Node process for all tests: `node/client.js`."""

import itertools
import json
import queue
import subprocess
import threading
from functools import partial
from pathlib import Path

from google.protobuf import descriptor_pb2, json_format, message_factory

CLIENT = Path(__file__).resolve().parent / "node" / "client.js"
CONNECT_WEB = {"client": "connect-web", "format": "binary"}
GRPC_WEB = {"client": "grpc-web", "format": "binary"}
GRPC_WEB_TEXT = {"client": "grpc-web", "format": "text"}


def descriptors(pool, services):
    """The files of these services and all that they import, as one set."""
    found = {}

    def add(file):
        for dependency in file.dependencies:
            add(dependency)
        found.setdefault(file.name, file.serialized_pb)

    for service in services:
        add(pool.FindFileContainingSymbol(service))
    return descriptor_pb2.FileDescriptorSet(
        file=[descriptor_pb2.FileDescriptorProto.FromString(each) for each in found.values()]
    )


class NodeClient:
    """Makes calls. `pool` has the types of their messages."""

    def __init__(self, environment, descriptors, pool):
        self.pool = pool
        self.ids = itertools.count()
        self.answers = {}
        self.process = subprocess.Popen(
            ["node", CLIENT, descriptors], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            found = json.loads(line)
            self.answers[found.pop("id")].put(found)
        for answer in self.answers.values():
            answer.put(None)

    def stop(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()

    def call(self, kind, address, service, method, request=None, timeout=10, **options):
        """Begins a call through one of the clients: `CONNECT_WEB`, `GRPC_WEB` or `GRPC_WEB_TEXT`."""
        output = self.pool.FindServiceByName(service).FindMethodByName(method).output_type
        call = {"id": next(self.ids), "url": f"http://{address}", "service": service, "method": method}
        cancel = partial(self._send, {"id": call["id"], "cancel": True})
        answer = Answer(message_factory.GetMessageClass(output), timeout, cancel)
        self.answers[call["id"]] = answer.queue
        self._send(call | kind | {"request": request or {}} | options)
        return answer

    def _send(self, line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()


class Answer:
    """The answer to a call: an iterator over its messages. `end` is set when it is over, and `cancel()` ends it."""

    def __init__(self, kind, timeout, cancel):
        self.kind, self.timeout, self.cancel = kind, timeout, cancel
        self.queue = queue.Queue()
        self.end = None

    def __iter__(self):
        return self

    def __next__(self):
        if self.end:
            raise StopIteration
        try:
            found = self.queue.get(timeout=self.timeout)
        except queue.Empty:
            raise AssertionError(f"nothing for {self.timeout} s") from None
        assert found, "the clients in Node have ended"
        if "end" in found:
            self.end = found["end"]
            raise StopIteration
        return json_format.ParseDict(found["message"], self.kind())

    def until(self, event):
        """The messages up to the first one whose event is `event`, and that one."""
        found = []
        for message in self:
            found.append(message)
            if message.WhichOneof("event") == event:
                return found
        raise AssertionError(f"no {event} before the end: {self.end}")

    def ticks(self, symbols, count):
        """The ticks until each symbol has had `count`, as one of them may be silent for a while. Then cancels the call."""
        found = []
        while any(sum(tick.symbol == symbol for tick in found) < count for symbol in symbols):
            found.append(self.until("tick")[-1].tick)
        self.cancel()
        return found

    def code(self):
        """The code that the call ends with; messages before the end are dropped."""
        for _ in self:
            pass
        return self.end["code"]

    def one(self):
        """The only message of a call that succeeds."""
        (message,) = self
        assert self.end["code"] == "OK", self.end
        return message
