"""The requests of a publisher that have no answer: the next endpoint gets them again. No I/O."""

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc

from . import _attempts
from ._base import Future, Queue
from ._new_tick import Receipt, Rejection
from ._proto.ticker.v1 import ticker_pb2 as pb

# Largest number of ticks of a request, and its largest size in bytes.
MOST_TICKS = 1000
MOST_BYTES = 128 * 1024
# Largest number of requests without an answer.
MOST_REQUESTS = 32
# The id of the request that opens a stream.
GREETING = 0


class MalformedError(grpc.RpcError):
    """The server does not keep to the contract."""

    def code(self) -> grpc.StatusCode:
        """As if the server had said it."""
        return grpc.StatusCode.INTERNAL

    def details(self) -> str:
        """What is wrong."""
        return str(self)


@dataclass(slots=True)
class Batch:
    """The ticks of a call of `publish` or `send`. `future` is for its receipt."""

    first_number: int
    ticks: int
    future: Future
    accepted: int = 0
    duplicates: int = 0
    answered: int = 0
    rejected: list[Rejection] = field(default_factory=list)


class Outbox:
    """Requests in their order, and the queue of the stream that they are sent to.

    Attributes:
        error: Why nothing more is sent.
    """

    def __init__(
        self,
        publisher_id: str,
        first_number: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if first_number < 1:
            raise ValueError(f"first_number {first_number} is not at least 1")
        self.publisher_id = publisher_id
        self.error: BaseException | None = None
        self._next_number = first_number
        self._ids = itertools.count(GREETING + 1)
        self._clock = clock
        # One thread sends, and another one receives.
        self._lock = threading.Lock()
        self._unanswered: deque[tuple[pb.PublishStreamRequest, Batch]] = deque()
        self._queue: Queue | None = None
        # Whether the stream has answered its first request.
        self._greeted = False
        # When the stream has sent its last answer, or was given a request while it owed none.
        self._moved = 0.0

    def batch(self, ticks: int, first_number: int | None, future: Future) -> Batch:
        """Numbers the ticks of a call."""
        with self._lock:
            if self.error is not None:
                raise self.error
            first = self._next_number if first_number is None else first_number
            if first < 1:
                raise ValueError(f"first_number {first} is not at least 1")
            self._next_number = first + ticks
            return Batch(first, ticks, future)

    def push(self, batch: Batch, begin: int, ticks: Sequence[pb.PublishedTick]) -> None:
        """Adds a request with the ticks of a batch from the one with the index `begin` on."""
        request = pb.PublishStreamRequest(
            request_id=next(self._ids),
            publisher_id=self.publisher_id,
            first_number=batch.first_number + begin,
            ticks=ticks,
        )
        with self._lock:
            if self.error is not None:
                raise self.error
            if not self._unanswered and self._greeted:
                self._moved = self._clock()
            self._unanswered.append((request, batch))
            if self._queue is not None and self._greeted:
                self._queue.put_nowait(request)

    def open(self, queue: Queue) -> None:
        """Gives a stream a request without ticks.

        The answer shows that the server takes ticks of this publisher. All requests without an
        answer follow then.
        """
        with self._lock:
            oldest = self._unanswered[0][0].first_number if self._unanswered else self._next_number
            queue.put_nowait(
                pb.PublishStreamRequest(
                    request_id=GREETING, publisher_id=self.publisher_id, first_number=oldest
                )
            )
            self._queue, self._greeted, self._moved = queue, False, self._clock()

    def close(self) -> bool:
        """Ends the requests of the stream, and returns whether it has answered its first one."""
        with self._lock:
            if self._queue is not None:
                self._queue.put_nowait(None)
            greeted, self._queue, self._greeted = self._greeted, None, False
            return greeted

    def answer_by(self) -> float:
        """When the next answer must be there, on the clock; infinite if none is awaited."""
        if self._greeted and not self._unanswered:
            return math.inf
        return self._moved + _attempts.SILENCE

    def receive(self, answer: pb.PublishStreamResponse) -> Batch | None:
        """Takes an answer, and returns the batch that it completes; None for the first answer.

        Raises:
            MalformedError: It is not the answer to the oldest request.
        """
        with self._lock:
            self._moved = self._clock()
            if not self._greeted:
                if answer.request_id != GREETING:
                    raise MalformedError("an answer to no request")
                self._greeted = True
                if self._queue is not None:
                    for request, _ in self._unanswered:
                        self._queue.put_nowait(request)
                return None
            if not self._unanswered or self._unanswered[0][0].request_id != answer.request_id:
                raise MalformedError("an answer to no request")
            request, batch = self._unanswered[0]
            ticks, begin = len(request.ticks), request.first_number - batch.first_number
            counted = answer.accepted + answer.duplicates + answer.rejected
            indexes = [tick.index for tick in answer.rejected_ticks]
            if (
                counted != ticks
                or len(indexes) != answer.rejected
                or max(indexes, default=0) >= ticks
            ):
                raise MalformedError("an answer with other counts than those of its request")
            self._unanswered.popleft()
            batch.accepted += answer.accepted
            batch.duplicates += answer.duplicates
            batch.answered += ticks
            batch.rejected += [
                Rejection(
                    begin + tick.index,
                    request.first_number + tick.index,
                    tick.symbol,
                    pb.RejectionCode.Name(tick.code).removeprefix("REJECTION_CODE_"),
                    tick.message,
                )
                for tick in answer.rejected_ticks
            ]
            return batch

    def last(self) -> Batch | None:
        """The batch whose answer comes last."""
        with self._lock:
            if self.error is not None:
                raise self.error
            return self._unanswered[-1][1] if self._unanswered else None

    def fail(self, error: BaseException) -> list[Batch]:
        """Refuses further ticks, and returns the batches that get no receipt."""
        with self._lock:
            self.error = self.error or error
            return [batch for _, batch in self._unanswered]


def receipt(batch: Batch) -> Receipt | None:
    """The receipt of a batch, once all its ticks are answered."""
    if batch.answered < batch.ticks:
        return None
    return Receipt(
        batch.first_number, batch.ticks, batch.accepted, batch.duplicates, tuple(batch.rejected)
    )
