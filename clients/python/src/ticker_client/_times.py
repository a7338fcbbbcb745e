"""Times: the contract has nanoseconds, of which `datetime` keeps microseconds."""

import re
from datetime import datetime, timedelta, timezone
from typing import TypeAlias

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

# A point in time: with a time zone (a pandas.Timestamp keeps its nanoseconds), ISO 8601 text with
# a zone, or nanoseconds since the Unix epoch.
Time: TypeAlias = datetime | str | int

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SECOND_NS = 1_000_000_000
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def nanoseconds(time: Time) -> int:
    """Nanoseconds since the Unix epoch."""
    if isinstance(time, int):
        return time
    if isinstance(time, str):
        # Python 3.10 does not read a `Z`.
        time = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", time))
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone: add one, for example timezone.utc")
    return (time - EPOCH) // timedelta(microseconds=1) * 1000 + int(getattr(time, "nanosecond", 0))


def timestamp(time: Time | None) -> Timestamp | None:
    """The time in the contract."""
    if time is None:
        return None
    seconds, nanos = divmod(nanoseconds(time), SECOND_NS)
    return Timestamp(seconds=seconds, nanos=nanos)


def time_ns(time: Timestamp) -> int:
    """Nanoseconds since the Unix epoch, of a time in the contract."""
    return time.seconds * SECOND_NS + time.nanos


def utc(time_ns: int) -> datetime:
    """The time in UTC, without what is less than a microsecond."""
    return EPOCH + timedelta(microseconds=time_ns // 1000)


def duration(interval: str | timedelta) -> Duration:
    """The duration in the contract. Text is a number and one of s, m, h, d, such as `5m`."""
    if isinstance(interval, str):
        match = re.fullmatch(r"(\d+)([smhd])", interval)
        if match is None:
            raise ValueError(f"interval {interval!r} is not of the form 30s, 5m, 1h or 1d")
        interval = timedelta(**{UNITS[match[2]]: int(match[1])})
    return Duration(seconds=interval // timedelta(seconds=1), nanos=interval.microseconds * 1000)
