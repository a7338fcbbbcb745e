"""Where and when the next stream is opened, after one has ended. Without I/O."""

import random
import time
from collections.abc import Callable, Iterator, Sequence

import grpc

from .errors import CallError
from .events import Disconnected

# A stream without a message for this long, in seconds, is broken: heartbeats come every 5 s.
SILENCE = 15.0
# A stream that lives for this long, in seconds, ends an outage. If any stream did, a server that
# accepts streams and ends them at once would be asked without a pause.
STABLE = 1.0

RETRYABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class SilenceError(grpc.RpcError):
    """No message came for `SILENCE` seconds."""


def backoff() -> Iterator[float]:
    """Pauses in seconds, with full jitter: from zero up to 50 ms, 100 ms, … 1 s."""
    longest = 0.05
    while True:
        yield random.uniform(0, longest)
        longest = min(2 * longest, 1.0)


class Attempts:
    """Attempts to open a stream, at one endpoint after the other.

    Attributes:
        endpoint: The index of the endpoint of this attempt.
    """

    def __init__(
        self, endpoints: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.endpoint = -1
        self._endpoints = endpoints
        self._clock = clock
        self._begun = clock()
        # Attempts since a stream was stable, which `backoff` paces when every endpoint was tried.
        self._count = 0
        self._backoff = backoff()

    @property
    def name(self) -> str:
        """The endpoint of this attempt, as `HOST:PORT`."""
        return self._endpoints[self.endpoint]

    def begin(self, longest_pause: float | None = None) -> tuple[int, float]:
        """The endpoint of the next attempt, and the pause before it in seconds."""
        self.endpoint = (self.endpoint + 1) % len(self._endpoints)
        self._count += 1
        pause = next(self._backoff) if self._count > len(self._endpoints) else 0.0
        if longest_pause is not None:
            pause = min(pause, longest_pause)
        self._begun = self._clock() + pause
        return self.endpoint, pause

    def alive(self) -> None:
        """Takes note of a message, or that the stream was open until now."""
        if self._count and self._clock() - self._begun >= STABLE:
            self._count = 0
            self._backoff = backoff()

    def end(self, error: grpc.RpcError | None) -> Disconnected:
        """Takes note that the stream has ended, with OK if there is no error.

        Raises:
            CallError: Another attempt cannot succeed.
        """
        if error is None:
            return Disconnected(self.name, "the server ended the stream")
        if isinstance(error, SilenceError):
            return Disconnected(self.name, f"no message for {SILENCE:g} s")
        code, details = error.code(), error.details() or ""
        # The token has expired. The next stream has the one that there is by now.
        is_expired = code is grpc.StatusCode.UNAUTHENTICATED and self._count == 0
        if code not in RETRYABLE and not is_expired:
            raise CallError(self.name, code, details) from error
        return Disconnected(self.name, f"{code.name}: {details}")
