import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Delivery(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_UNSPECIFIED: _ClassVar[Delivery]
    DELIVERY_LATEST: _ClassVar[Delivery]
    DELIVERY_EVERY_TICK: _ClassVar[Delivery]

class Detail(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DETAIL_UNSPECIFIED: _ClassVar[Detail]
    DETAIL_LTP: _ClassVar[Detail]
    DETAIL_QUOTE: _ClassVar[Detail]

class SymbolStatusCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYMBOL_STATUS_CODE_UNSPECIFIED: _ClassVar[SymbolStatusCode]
    SYMBOL_STATUS_CODE_SUBSCRIBED: _ClassVar[SymbolStatusCode]
    SYMBOL_STATUS_CODE_UNSUBSCRIBED: _ClassVar[SymbolStatusCode]
    SYMBOL_STATUS_CODE_NOT_SUBSCRIBED: _ClassVar[SymbolStatusCode]
    SYMBOL_STATUS_CODE_UNKNOWN_SYMBOL: _ClassVar[SymbolStatusCode]
    SYMBOL_STATUS_CODE_INVALID_ARGUMENT: _ClassVar[SymbolStatusCode]
    SYMBOL_STATUS_CODE_LIMIT_EXCEEDED: _ClassVar[SymbolStatusCode]
    SYMBOL_STATUS_CODE_FOREIGN_TAPE: _ClassVar[SymbolStatusCode]
    SYMBOL_STATUS_CODE_UNIMPLEMENTED: _ClassVar[SymbolStatusCode]

class RejectionCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REJECTION_CODE_UNSPECIFIED: _ClassVar[RejectionCode]
    REJECTION_CODE_INVALID_SYMBOL: _ClassVar[RejectionCode]
    REJECTION_CODE_UNKNOWN_SYMBOL: _ClassVar[RejectionCode]
    REJECTION_CODE_INVALID_PRICE: _ClassVar[RejectionCode]
    REJECTION_CODE_INVALID_QUANTITY: _ClassVar[RejectionCode]
    REJECTION_CODE_INVALID_TIME: _ClassVar[RejectionCode]
    REJECTION_CODE_INVALID_QUOTE: _ClassVar[RejectionCode]
    REJECTION_CODE_PERMISSION_DENIED: _ClassVar[RejectionCode]
    REJECTION_CODE_LIMIT_EXCEEDED: _ClassVar[RejectionCode]

class InstrumentStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INSTRUMENT_STATUS_UNSPECIFIED: _ClassVar[InstrumentStatus]
    INSTRUMENT_STATUS_OPEN: _ClassVar[InstrumentStatus]
    INSTRUMENT_STATUS_CLOSED: _ClassVar[InstrumentStatus]
    INSTRUMENT_STATUS_HALTED: _ClassVar[InstrumentStatus]

class TapeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TAPE_KIND_UNSPECIFIED: _ClassVar[TapeKind]
    TAPE_KIND_SIMULATED: _ClassVar[TapeKind]
    TAPE_KIND_RECORDED: _ClassVar[TapeKind]
    TAPE_KIND_FEED: _ClassVar[TapeKind]
DELIVERY_UNSPECIFIED: Delivery
DELIVERY_LATEST: Delivery
DELIVERY_EVERY_TICK: Delivery
DETAIL_UNSPECIFIED: Detail
DETAIL_LTP: Detail
DETAIL_QUOTE: Detail
SYMBOL_STATUS_CODE_UNSPECIFIED: SymbolStatusCode
SYMBOL_STATUS_CODE_SUBSCRIBED: SymbolStatusCode
SYMBOL_STATUS_CODE_UNSUBSCRIBED: SymbolStatusCode
SYMBOL_STATUS_CODE_NOT_SUBSCRIBED: SymbolStatusCode
SYMBOL_STATUS_CODE_UNKNOWN_SYMBOL: SymbolStatusCode
SYMBOL_STATUS_CODE_INVALID_ARGUMENT: SymbolStatusCode
SYMBOL_STATUS_CODE_LIMIT_EXCEEDED: SymbolStatusCode
SYMBOL_STATUS_CODE_FOREIGN_TAPE: SymbolStatusCode
SYMBOL_STATUS_CODE_UNIMPLEMENTED: SymbolStatusCode
REJECTION_CODE_UNSPECIFIED: RejectionCode
REJECTION_CODE_INVALID_SYMBOL: RejectionCode
REJECTION_CODE_UNKNOWN_SYMBOL: RejectionCode
REJECTION_CODE_INVALID_PRICE: RejectionCode
REJECTION_CODE_INVALID_QUANTITY: RejectionCode
REJECTION_CODE_INVALID_TIME: RejectionCode
REJECTION_CODE_INVALID_QUOTE: RejectionCode
REJECTION_CODE_PERMISSION_DENIED: RejectionCode
REJECTION_CODE_LIMIT_EXCEEDED: RejectionCode
INSTRUMENT_STATUS_UNSPECIFIED: InstrumentStatus
INSTRUMENT_STATUS_OPEN: InstrumentStatus
INSTRUMENT_STATUS_CLOSED: InstrumentStatus
INSTRUMENT_STATUS_HALTED: InstrumentStatus
TAPE_KIND_UNSPECIFIED: TapeKind
TAPE_KIND_SIMULATED: TapeKind
TAPE_KIND_RECORDED: TapeKind
TAPE_KIND_FEED: TapeKind

class TickerStreamRequest(_message.Message):
    __slots__ = ("request_id", "subscribe", "unsubscribe", "set_subscriptions", "list_subscriptions", "ping", "authenticate")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    SET_SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    LIST_SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATE_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    subscribe: Subscription
    unsubscribe: Unsubscribe
    set_subscriptions: Subscription
    list_subscriptions: ListSubscriptions
    ping: Ping
    authenticate: Authenticate
    def __init__(self, request_id: _Optional[int] = ..., subscribe: _Optional[_Union[Subscription, _Mapping]] = ..., unsubscribe: _Optional[_Union[Unsubscribe, _Mapping]] = ..., set_subscriptions: _Optional[_Union[Subscription, _Mapping]] = ..., list_subscriptions: _Optional[_Union[ListSubscriptions, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., authenticate: _Optional[_Union[Authenticate, _Mapping]] = ...) -> None: ...

class Subscription(_message.Message):
    __slots__ = ("symbols", "delivery", "min_interval", "after_sequence", "start_time", "tape_id", "detail")
    class AfterSequenceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    MIN_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    TAPE_ID_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    delivery: Delivery
    min_interval: _duration_pb2.Duration
    after_sequence: _containers.ScalarMap[str, int]
    start_time: _timestamp_pb2.Timestamp
    tape_id: str
    detail: Detail
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., delivery: _Optional[_Union[Delivery, str]] = ..., min_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., after_sequence: _Optional[_Mapping[str, int]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tape_id: _Optional[str] = ..., detail: _Optional[_Union[Detail, str]] = ...) -> None: ...

class Unsubscribe(_message.Message):
    __slots__ = ("symbols",)
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, symbols: _Optional[_Iterable[str]] = ...) -> None: ...

class ListSubscriptions(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Ping(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Authenticate(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class TickerStreamResponse(_message.Message):
    __slots__ = ("tick", "subscription_result", "heartbeat", "gap", "caught_up", "draining", "pong", "token_expiring", "authentication_result")
    TICK_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_RESULT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    TOKEN_EXPIRING_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATION_RESULT_FIELD_NUMBER: _ClassVar[int]
    tick: Tick
    subscription_result: SubscriptionResult
    heartbeat: Heartbeat
    gap: Gap
    caught_up: CaughtUp
    draining: Draining
    pong: Pong
    token_expiring: TokenExpiring
    authentication_result: AuthenticationResult
    def __init__(self, tick: _Optional[_Union[Tick, _Mapping]] = ..., subscription_result: _Optional[_Union[SubscriptionResult, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., caught_up: _Optional[_Union[CaughtUp, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., token_expiring: _Optional[_Union[TokenExpiring, _Mapping]] = ..., authentication_result: _Optional[_Union[AuthenticationResult, _Mapping]] = ...) -> None: ...

class Tick(_message.Message):
    __slots__ = ("symbol", "ltp", "time", "sequence", "ltp_nanos", "last_quantity", "conflated", "snapshot", "quote")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    LTP_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LTP_NANOS_FIELD_NUMBER: _ClassVar[int]
    LAST_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    CONFLATED_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    ltp: float
    time: _timestamp_pb2.Timestamp
    sequence: int
    ltp_nanos: int
    last_quantity: int
    conflated: int
    snapshot: bool
    quote: Quote
    def __init__(self, symbol: _Optional[str] = ..., ltp: _Optional[float] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sequence: _Optional[int] = ..., ltp_nanos: _Optional[int] = ..., last_quantity: _Optional[int] = ..., conflated: _Optional[int] = ..., snapshot: bool = ..., quote: _Optional[_Union[Quote, _Mapping]] = ...) -> None: ...

class Quote(_message.Message):
    __slots__ = ("bid_nanos", "bid_quantity", "ask_nanos", "ask_quantity", "day_start_time", "open_nanos", "high_nanos", "low_nanos", "volume", "previous_close_nanos", "change_percent", "status")
    BID_NANOS_FIELD_NUMBER: _ClassVar[int]
    BID_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ASK_NANOS_FIELD_NUMBER: _ClassVar[int]
    ASK_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    DAY_START_TIME_FIELD_NUMBER: _ClassVar[int]
    OPEN_NANOS_FIELD_NUMBER: _ClassVar[int]
    HIGH_NANOS_FIELD_NUMBER: _ClassVar[int]
    LOW_NANOS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_CLOSE_NANOS_FIELD_NUMBER: _ClassVar[int]
    CHANGE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    bid_nanos: int
    bid_quantity: int
    ask_nanos: int
    ask_quantity: int
    day_start_time: _timestamp_pb2.Timestamp
    open_nanos: int
    high_nanos: int
    low_nanos: int
    volume: int
    previous_close_nanos: int
    change_percent: float
    status: InstrumentStatus
    def __init__(self, bid_nanos: _Optional[int] = ..., bid_quantity: _Optional[int] = ..., ask_nanos: _Optional[int] = ..., ask_quantity: _Optional[int] = ..., day_start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., open_nanos: _Optional[int] = ..., high_nanos: _Optional[int] = ..., low_nanos: _Optional[int] = ..., volume: _Optional[int] = ..., previous_close_nanos: _Optional[int] = ..., change_percent: _Optional[float] = ..., status: _Optional[_Union[InstrumentStatus, str]] = ...) -> None: ...

class SubscriptionResult(_message.Message):
    __slots__ = ("request_id", "tape_id", "statuses")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TAPE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    tape_id: str
    statuses: _containers.RepeatedCompositeFieldContainer[SymbolStatus]
    def __init__(self, request_id: _Optional[int] = ..., tape_id: _Optional[str] = ..., statuses: _Optional[_Iterable[_Union[SymbolStatus, _Mapping]]] = ...) -> None: ...

class SymbolStatus(_message.Message):
    __slots__ = ("symbol", "code", "message", "delivery", "min_interval", "detail")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    MIN_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    code: SymbolStatusCode
    message: str
    delivery: Delivery
    min_interval: _duration_pb2.Duration
    detail: Detail
    def __init__(self, symbol: _Optional[str] = ..., code: _Optional[_Union[SymbolStatusCode, str]] = ..., message: _Optional[str] = ..., delivery: _Optional[_Union[Delivery, str]] = ..., min_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., detail: _Optional[_Union[Detail, str]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("time", "tape_id")
    TIME_FIELD_NUMBER: _ClassVar[int]
    TAPE_ID_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    tape_id: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tape_id: _Optional[str] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("symbol", "first_sequence", "last_sequence")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    first_sequence: int
    last_sequence: int
    def __init__(self, symbol: _Optional[str] = ..., first_sequence: _Optional[int] = ..., last_sequence: _Optional[int] = ...) -> None: ...

class CaughtUp(_message.Message):
    __slots__ = ("symbol", "sequence")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    sequence: int
    def __init__(self, symbol: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class Draining(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TokenExpiring(_message.Message):
    __slots__ = ("expire_time",)
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AuthenticationResult(_message.Message):
    __slots__ = ("request_id", "authenticated", "message", "expire_time")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    authenticated: bool
    message: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, request_id: _Optional[int] = ..., authenticated: bool = ..., message: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("request_id", "time")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    time: _timestamp_pb2.Timestamp
    def __init__(self, request_id: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("symbols", "delivery", "min_interval", "after_sequence", "start_time", "tape_id", "detail", "end_time", "speed")
    class AfterSequenceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    MIN_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    TAPE_ID_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    delivery: Delivery
    min_interval: _duration_pb2.Duration
    after_sequence: _containers.ScalarMap[str, int]
    start_time: _timestamp_pb2.Timestamp
    tape_id: str
    detail: Detail
    end_time: _timestamp_pb2.Timestamp
    speed: float
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., delivery: _Optional[_Union[Delivery, str]] = ..., min_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., after_sequence: _Optional[_Mapping[str, int]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tape_id: _Optional[str] = ..., detail: _Optional[_Union[Detail, str]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., speed: _Optional[float] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("tick", "subscription_result", "heartbeat", "gap", "caught_up", "draining", "token_expiring")
    TICK_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_RESULT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    TOKEN_EXPIRING_FIELD_NUMBER: _ClassVar[int]
    tick: Tick
    subscription_result: SubscriptionResult
    heartbeat: Heartbeat
    gap: Gap
    caught_up: CaughtUp
    draining: Draining
    token_expiring: TokenExpiring
    def __init__(self, tick: _Optional[_Union[Tick, _Mapping]] = ..., subscription_result: _Optional[_Union[SubscriptionResult, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., caught_up: _Optional[_Union[CaughtUp, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ..., token_expiring: _Optional[_Union[TokenExpiring, _Mapping]] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("symbol", "time", "price_nanos", "quantity", "ticks", "publisher_id", "first_number")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PRICE_NANOS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    TICKS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHER_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    time: _timestamp_pb2.Timestamp
    price_nanos: int
    quantity: int
    ticks: _containers.RepeatedCompositeFieldContainer[PublishedTick]
    publisher_id: str
    first_number: int
    def __init__(self, symbol: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., price_nanos: _Optional[int] = ..., quantity: _Optional[int] = ..., ticks: _Optional[_Iterable[_Union[PublishedTick, _Mapping]]] = ..., publisher_id: _Optional[str] = ..., first_number: _Optional[int] = ...) -> None: ...

class PublishedTick(_message.Message):
    __slots__ = ("symbol", "time", "price_nanos", "quantity", "bid_nanos", "bid_quantity", "ask_nanos", "ask_quantity")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PRICE_NANOS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    BID_NANOS_FIELD_NUMBER: _ClassVar[int]
    BID_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ASK_NANOS_FIELD_NUMBER: _ClassVar[int]
    ASK_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    time: _timestamp_pb2.Timestamp
    price_nanos: int
    quantity: int
    bid_nanos: int
    bid_quantity: int
    ask_nanos: int
    ask_quantity: int
    def __init__(self, symbol: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., price_nanos: _Optional[int] = ..., quantity: _Optional[int] = ..., bid_nanos: _Optional[int] = ..., bid_quantity: _Optional[int] = ..., ask_nanos: _Optional[int] = ..., ask_quantity: _Optional[int] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ("accepted", "rejected", "duplicates", "rejected_ticks")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_TICKS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejected: int
    duplicates: int
    rejected_ticks: _containers.RepeatedCompositeFieldContainer[RejectedTick]
    def __init__(self, accepted: _Optional[int] = ..., rejected: _Optional[int] = ..., duplicates: _Optional[int] = ..., rejected_ticks: _Optional[_Iterable[_Union[RejectedTick, _Mapping]]] = ...) -> None: ...

class PublishStreamRequest(_message.Message):
    __slots__ = ("request_id", "ticks", "publisher_id", "first_number")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TICKS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHER_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    ticks: _containers.RepeatedCompositeFieldContainer[PublishedTick]
    publisher_id: str
    first_number: int
    def __init__(self, request_id: _Optional[int] = ..., ticks: _Optional[_Iterable[_Union[PublishedTick, _Mapping]]] = ..., publisher_id: _Optional[str] = ..., first_number: _Optional[int] = ...) -> None: ...

class PublishStreamResponse(_message.Message):
    __slots__ = ("request_id", "accepted", "rejected", "duplicates", "rejected_ticks")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_TICKS_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    accepted: int
    rejected: int
    duplicates: int
    rejected_ticks: _containers.RepeatedCompositeFieldContainer[RejectedTick]
    def __init__(self, request_id: _Optional[int] = ..., accepted: _Optional[int] = ..., rejected: _Optional[int] = ..., duplicates: _Optional[int] = ..., rejected_ticks: _Optional[_Iterable[_Union[RejectedTick, _Mapping]]] = ...) -> None: ...

class RejectedTick(_message.Message):
    __slots__ = ("index", "symbol", "code", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    symbol: str
    code: RejectionCode
    message: str
    def __init__(self, index: _Optional[int] = ..., symbol: _Optional[str] = ..., code: _Optional[_Union[RejectionCode, str]] = ..., message: _Optional[str] = ...) -> None: ...

class Instrument(_message.Message):
    __slots__ = ("symbol", "name", "reference_price_nanos", "price_increment_nanos", "quantity_increment_nanos", "annual_volatility", "tick_interval", "currency", "kind", "day_start", "hours", "closes", "status", "next_status_time")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_PRICE_NANOS_FIELD_NUMBER: _ClassVar[int]
    PRICE_INCREMENT_NANOS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_INCREMENT_NANOS_FIELD_NUMBER: _ClassVar[int]
    ANNUAL_VOLATILITY_FIELD_NUMBER: _ClassVar[int]
    TICK_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DAY_START_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    CLOSES_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NEXT_STATUS_TIME_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    name: str
    reference_price_nanos: int
    price_increment_nanos: int
    quantity_increment_nanos: int
    annual_volatility: float
    tick_interval: _duration_pb2.Duration
    currency: str
    kind: str
    day_start: _duration_pb2.Duration
    hours: str
    closes: bool
    status: InstrumentStatus
    next_status_time: _timestamp_pb2.Timestamp
    def __init__(self, symbol: _Optional[str] = ..., name: _Optional[str] = ..., reference_price_nanos: _Optional[int] = ..., price_increment_nanos: _Optional[int] = ..., quantity_increment_nanos: _Optional[int] = ..., annual_volatility: _Optional[float] = ..., tick_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., currency: _Optional[str] = ..., kind: _Optional[str] = ..., day_start: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., hours: _Optional[str] = ..., closes: bool = ..., status: _Optional[_Union[InstrumentStatus, str]] = ..., next_status_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListInstrumentsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "search")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    search: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., search: _Optional[str] = ...) -> None: ...

class ListInstrumentsResponse(_message.Message):
    __slots__ = ("instruments", "next_page_token")
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    instruments: _containers.RepeatedCompositeFieldContainer[Instrument]
    next_page_token: str
    def __init__(self, instruments: _Optional[_Iterable[_Union[Instrument, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetLastPricesRequest(_message.Message):
    __slots__ = ("symbols", "page_size", "page_token")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetLastPricesResponse(_message.Message):
    __slots__ = ("ticks", "statuses", "next_page_token")
    TICKS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ticks: _containers.RepeatedCompositeFieldContainer[Tick]
    statuses: _containers.RepeatedCompositeFieldContainer[SymbolStatus]
    next_page_token: str
    def __init__(self, ticks: _Optional[_Iterable[_Union[Tick, _Mapping]]] = ..., statuses: _Optional[_Iterable[_Union[SymbolStatus, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListTicksRequest(_message.Message):
    __slots__ = ("symbol", "start_time", "end_time", "start_sequence", "end_sequence", "newest_first", "page_size", "page_token")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    START_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    END_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    start_sequence: int
    end_sequence: int
    newest_first: bool
    page_size: int
    page_token: str
    def __init__(self, symbol: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_sequence: _Optional[int] = ..., end_sequence: _Optional[int] = ..., newest_first: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTicksResponse(_message.Message):
    __slots__ = ("ticks", "next_page_token")
    TICKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ticks: _containers.RepeatedCompositeFieldContainer[Tick]
    next_page_token: str
    def __init__(self, ticks: _Optional[_Iterable[_Union[Tick, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListCandlesRequest(_message.Message):
    __slots__ = ("symbol", "interval", "start_time", "end_time", "page_size", "page_token")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: _duration_pb2.Duration
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCandlesResponse(_message.Message):
    __slots__ = ("candles", "next_page_token")
    CANDLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    candles: _containers.RepeatedCompositeFieldContainer[Candle]
    next_page_token: str
    def __init__(self, candles: _Optional[_Iterable[_Union[Candle, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Candle(_message.Message):
    __slots__ = ("open_time", "open_nanos", "high_nanos", "low_nanos", "close_nanos", "volume", "tick_count", "open", "open_price", "high_price", "low_price", "close_price")
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    OPEN_NANOS_FIELD_NUMBER: _ClassVar[int]
    HIGH_NANOS_FIELD_NUMBER: _ClassVar[int]
    LOW_NANOS_FIELD_NUMBER: _ClassVar[int]
    CLOSE_NANOS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    TICK_COUNT_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    OPEN_PRICE_FIELD_NUMBER: _ClassVar[int]
    HIGH_PRICE_FIELD_NUMBER: _ClassVar[int]
    LOW_PRICE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
    open_time: _timestamp_pb2.Timestamp
    open_nanos: int
    high_nanos: int
    low_nanos: int
    close_nanos: int
    volume: int
    tick_count: int
    open: bool
    open_price: float
    high_price: float
    low_price: float
    close_price: float
    def __init__(self, open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., open_nanos: _Optional[int] = ..., high_nanos: _Optional[int] = ..., low_nanos: _Optional[int] = ..., close_nanos: _Optional[int] = ..., volume: _Optional[int] = ..., tick_count: _Optional[int] = ..., open: bool = ..., open_price: _Optional[float] = ..., high_price: _Optional[float] = ..., low_price: _Optional[float] = ..., close_price: _Optional[float] = ...) -> None: ...

class DigestTicksRequest(_message.Message):
    __slots__ = ("symbol", "start_sequence", "end_sequence")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    START_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    END_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    start_sequence: int
    end_sequence: int
    def __init__(self, symbol: _Optional[str] = ..., start_sequence: _Optional[int] = ..., end_sequence: _Optional[int] = ...) -> None: ...

class DigestTicksResponse(_message.Message):
    __slots__ = ("tape_id", "start_sequence", "end_sequence", "digest")
    TAPE_ID_FIELD_NUMBER: _ClassVar[int]
    START_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    END_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    tape_id: str
    start_sequence: int
    end_sequence: int
    digest: bytes
    def __init__(self, tape_id: _Optional[str] = ..., start_sequence: _Optional[int] = ..., end_sequence: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class GetTapeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTapeResponse(_message.Message):
    __slots__ = ("tape_id", "seed", "engine_version", "time", "kind", "speed")
    TAPE_ID_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ENGINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    tape_id: str
    seed: int
    engine_version: str
    time: _timestamp_pb2.Timestamp
    kind: TapeKind
    speed: float
    def __init__(self, tape_id: _Optional[str] = ..., seed: _Optional[int] = ..., engine_version: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[_Union[TapeKind, str]] = ..., speed: _Optional[float] = ...) -> None: ...
