"""The messages and the RPCs of `ticker.v1`. `Client.call` takes those that are unary."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from ._proto.ticker.v1.ticker_pb2 import (
    Candle,
    DigestTicksRequest,
    DigestTicksResponse,
    GetLastPricesRequest,
    GetLastPricesResponse,
    GetTapeRequest,
    GetTapeResponse,
    Instrument,
    ListCandlesRequest,
    ListCandlesResponse,
    ListInstrumentsRequest,
    ListInstrumentsResponse,
    ListTicksRequest,
    ListTicksResponse,
    PublishedTick,
    PublishStreamRequest,
    PublishStreamResponse,
    RejectedTick,
    RejectionCode,
    WatchRequest,
    WatchResponse,
)

__all__ = [
    "DIGEST_TICKS",
    "GET_LAST_PRICES",
    "GET_TAPE",
    "LIST_CANDLES",
    "LIST_INSTRUMENTS",
    "LIST_TICKS",
    "PUBLISH_STREAM",
    "WATCH",
    "Candle",
    "DigestTicksRequest",
    "DigestTicksResponse",
    "GetLastPricesRequest",
    "GetLastPricesResponse",
    "GetTapeRequest",
    "GetTapeResponse",
    "Instrument",
    "ListCandlesRequest",
    "ListCandlesResponse",
    "ListInstrumentsRequest",
    "ListInstrumentsResponse",
    "ListTicksRequest",
    "ListTicksResponse",
    "PublishStreamRequest",
    "PublishStreamResponse",
    "PublishedTick",
    "RejectedTick",
    "RejectionCode",
    "Rpc",
    "WatchRequest",
    "WatchResponse",
]

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


@dataclass(frozen=True, slots=True)
class Rpc(Generic[RequestT, ResponseT]):
    """A method of the service, with the types of its messages."""

    name: str
    request: type[RequestT]
    response: type[ResponseT]

    @property
    def path(self) -> str:
        """The path of the method in HTTP/2."""
        return f"/ticker.v1.TickerStreamService/{self.name}"


LIST_INSTRUMENTS = Rpc("ListInstruments", ListInstrumentsRequest, ListInstrumentsResponse)
GET_LAST_PRICES = Rpc("GetLastPrices", GetLastPricesRequest, GetLastPricesResponse)
LIST_TICKS = Rpc("ListTicks", ListTicksRequest, ListTicksResponse)
LIST_CANDLES = Rpc("ListCandles", ListCandlesRequest, ListCandlesResponse)
DIGEST_TICKS = Rpc("DigestTicks", DigestTicksRequest, DigestTicksResponse)
GET_TAPE = Rpc("GetTape", GetTapeRequest, GetTapeResponse)
WATCH = Rpc("Watch", WatchRequest, WatchResponse)
PUBLISH_STREAM = Rpc("PublishStream", PublishStreamRequest, PublishStreamResponse)
