"""A gRPC client that must not notice what others do."""

from grpc_client import V1, Client
from web.ticks import check_every_tick


class Neighbour:
    """One stream of every tick."""

    def __init__(self, address, contract):
        self.client = Client(address, contract=contract)
        self.stream = self.client.stream(V1, "TickerStream")
        self.stream.ask({"subscribe": {"symbols": ["RELIANCE", "TCS"], "delivery": "DELIVERY_EVERY_TICK"}})
        self.ticks = []

    def take(self, response):
        """Keeps a response, which is no gap and no end."""
        assert response, f"the stream ended: {self.stream.call.code()}"
        kind = response.WhichOneof("event")
        assert kind in ("tick", "heartbeat", "pong"), response
        if kind == "tick":
            self.ticks.append(response.tick)
        return kind

    def check(self):
        """Checks what has come, without waiting for more."""
        while not self.stream.responses.empty():
            self.take(self.stream.responses.get())

    def finish(self):
        """Checks that the stream lives, and that every tick came."""
        self.stream.send({"ping": {}})
        while self.take(self.stream.next()) != "pong":
            pass
        while self.take(self.stream.next()) != "tick":
            pass
        check_every_tick(self.client, self.ticks)
        self.stream.call.cancel()
        self.client.channel.close()
