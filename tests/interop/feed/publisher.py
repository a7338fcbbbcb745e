"""A publisher that is killed at any time: publisher.py NAME PLACE FIRST_NUMBER SEED ADDRESS…

The tick of a number is always the same, so that another process can go on after the last number that was acknowledged. Each
acknowledged number is a line of stdout. It ends when stdin does."""

import random
import sys
import threading
import time
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from grpc_client import V1, Client  # noqa: E402

SYMBOLS = ("ACME", "BRK.B", "CORE", "DELTA")
# Prices tell the ticks of up to ten publishers apart.
PRICES = 10


def symbol_of(number):
    return SYMBOLS[number * 7 // 3 % len(SYMBOLS)]


def price_of(number, place):
    return number * PRICES + place


def main(name, place, first, seed, *addresses):
    place, next_number, chance = int(place), int(first), random.Random(int(seed))
    stopping = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()

    def requests(count):
        number = next_number
        for request_id in range(1, count + 1):
            numbers = range(number, number + chance.randrange(1, 60))
            number = numbers.stop
            ticks = [
                {"symbol": symbol_of(number), "price_nanos": str(price_of(number, place)), "quantity": "1"}
                for number in numbers
            ]
            request = {"publisher_id": name, "first_number": str(numbers.start), "ticks": ticks}
            yield request | ({"request_id": str(request_id)} if count > 1 else {})

    def acknowledge(request, answer):
        nonlocal next_number
        assert answer.rejected == 0 and answer.accepted + answer.duplicates == len(request["ticks"]), answer
        next_number += len(request["ticks"])
        print(next_number - 1, flush=True)

    while not stopping.is_set():
        try:
            with Client(chance.choice(addresses)) as client:
                for _ in range(chance.randrange(1, 20)):
                    if stopping.is_set():
                        return
                    if chance.random() < 0.5:
                        (request,) = requests(1)
                        acknowledge(request, client.call(V1, "Publish", [request], timeout=8))
                    else:
                        batch = list(requests(10))
                        answers = client.call(V1, "PublishStream", iter(batch), timeout=8)
                        for request, answer in zip(batch, answers, strict=True):
                            acknowledge(request, answer)
        except (grpc.RpcError, KeyError, TypeError) as error:
            if isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                print(f"{name}: {error.details()}", file=sys.stderr, flush=True)
            time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
