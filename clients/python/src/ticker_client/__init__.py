"""Client of the ticker service: live ticks that survive failover, history, and publishing."""

from . import contract
from ._aio import AsyncClient, AsyncPublisher
from ._new_tick import NewTick, PublisherEvent, Receipt, Rejection
from ._sync import Client, Publisher
from .errors import CallError, ForeignTapeError, TickerError
from .events import (
    CaughtUp,
    Connected,
    Disconnected,
    Event,
    Gap,
    Quote,
    Refused,
    Tape,
    Tick,
)

__all__ = [
    "AsyncClient",
    "AsyncPublisher",
    "CallError",
    "CaughtUp",
    "Client",
    "Connected",
    "Disconnected",
    "Event",
    "ForeignTapeError",
    "Gap",
    "NewTick",
    "Publisher",
    "PublisherEvent",
    "Quote",
    "Receipt",
    "Refused",
    "Rejection",
    "Tape",
    "Tick",
    "TickerError",
    "contract",
]
