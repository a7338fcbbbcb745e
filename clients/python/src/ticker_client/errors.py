"""The errors of the package."""

import grpc


class TickerError(Exception):
    """Base of the errors below."""


class CallError(TickerError):
    """An endpoint refused a call, or no endpoint answered it in time."""

    def __init__(self, endpoint: str, code: grpc.StatusCode, details: str) -> None:
        super().__init__(endpoint, code, details)
        self.endpoint = endpoint
        self.code = code
        self.details = details

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.code.name}: {self.details}"


class ForeignTapeError(TickerError):
    """Every endpoint plays another tape than the one that the watch began with."""

    def __init__(self, tape_id: str) -> None:
        super().__init__(tape_id)
        self.tape_id = tape_id

    def __str__(self) -> str:
        return f"no endpoint plays the tape {self.tape_id} any more"
