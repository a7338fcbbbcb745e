"""Client of the ticker service: live ticks that survive failover, history as DataFrames."""

from . import contract
from ._aio import AsyncClient
from ._sync import Client
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
    "CallError",
    "CaughtUp",
    "Client",
    "Connected",
    "Disconnected",
    "Event",
    "ForeignTapeError",
    "Gap",
    "Quote",
    "Refused",
    "Tape",
    "Tick",
    "TickerError",
    "contract",
]
