"""Holds streams of every tick through grpcio, resumes them wherever the balancer leads, and counts what was lost. It ends
when its standard input is closed, and prints one JSON document.

    python python_client.py DESCRIPTORS TARGET SERVICE_CONFIG STREAMS CHANNELS
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "/ticker.v1.TickerStreamService/"
SYMBOLS = ["RELIANCE", "TEST.SQUARE"]


class Report:
    """What all clients of this test print."""

    def __init__(self):
        self.streams = self.ticks = self.missing = self.twice = self.out_of_order = self.calls = 0
        self.silences = []
        self.codes, self.failed_calls = Counter(), Counter()


class Stream:
    """One stream that is kept open."""

    def __init__(self, channel, types, report):
        self.types, self.report = types, report
        self.last, self.attempt = {}, 0
        # When the last tick came, and whether its stream has ended since.
        self.heard, self.ended = None, False
        self.method = channel.stream_stream(
            SERVICE + "TickerStream",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=types["TickerStreamResponse"].FromString,
        )
        report.streams += 1

    async def run(self):
        # Streams that begin before all connections are ready would all go to the first.
        await asyncio.sleep(1)
        while True:
            try:
                call = self.method()
                request = self.types["TickerStreamRequest"]()
                request.subscribe.symbols.extend(SYMBOLS)
                request.subscribe.delivery = 2
                request.subscribe.after_sequence.update(self.last)
                await call.write(request)
                async for response in call:
                    self.on_response(response)
                code = (await call.code()).name
            except grpc.aio.AioRpcError as error:
                code = error.code().name
            self.report.codes[code] += 1
            self.ended = True
            # Jitter, from nothing up to a backoff that grows to a second.
            await asyncio.sleep(random.random() * min(0.05 * 2 ** min(self.attempt, 5), 1))
            self.attempt += 1

    def on_response(self, response):
        event = response.WhichOneof("event")
        if event == "gap":
            gap = response.gap
            self.report.missing += gap.last_sequence - gap.first_sequence + 1
            self.last[gap.symbol] = gap.last_sequence
        if event != "tick":
            return
        report, tick = self.report, response.tick
        report.ticks += 1
        self.attempt = 0
        now = time.monotonic()
        if self.heard and (self.ended or now - self.heard > 1):
            report.silences.append((now - self.heard) * 1000)
        self.heard, self.ended = now, False
        last = self.last.get(tick.symbol)
        if last is not None:
            if tick.sequence < last:
                report.out_of_order += 1
                return
            report.twice += tick.sequence == last
            report.missing += max(0, tick.sequence - last - 1)
        self.last[tick.symbol] = tick.sequence


async def ask(channel, types, report):
    """Asks for last prices again and again."""
    method = channel.unary_unary(
        SERVICE + "GetLastPrices",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=types["GetLastPricesResponse"].FromString,
    )
    while True:
        report.calls += 1
        try:
            await method(types["GetLastPricesRequest"](symbols=["RELIANCE"]), timeout=5)
        except grpc.aio.AioRpcError as error:
            report.failed_calls[f"{error.code().name}: {error.details()}"] += 1
        await asyncio.sleep(0.02)


async def main(descriptors, target, config, streams, channels):
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(Path(descriptors).read_bytes()).file:
        pool.Add(file)
    names = ["TickerStreamRequest", "TickerStreamResponse", "GetLastPricesRequest", "GetLastPricesResponse"]
    types = {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ticker.v1.{name}")) for name in names}
    options = [
        ("grpc.service_config", Path(config).read_text()),
        # The default of 30 s would hide a replica that was added for longer than this test runs.
        ("grpc.dns_min_time_between_resolutions_ms", 1000),
        # Otherwise channels to one target share their connections.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    report = Report()
    tasks = []
    for number in range(channels):
        channel = grpc.aio.insecure_channel(target, options=options)
        tasks.append(asyncio.create_task(ask(channel, types, report)))
        for _ in range((streams + number) // channels):
            tasks.append(asyncio.create_task(Stream(channel, types, report).run()))
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in tasks if task.done()]
    print(json.dumps(vars(report)), flush=True)
    for task in failed:
        task.result()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], *map(int, sys.argv[4:6])))
