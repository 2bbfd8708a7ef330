"""Everything that can go wrong between here and a node."""

from __future__ import annotations


class LaboraError(Exception):
    """Base of all errors of this package."""


class Unreachable(LaboraError, ConnectionError):
    """No node answers at the endpoint, or the connection broke off."""


class Busy(LaboraError):
    """The node had too much to do for as long as the caller was willing to wait."""


class Refused(LaboraError, ValueError):
    """The node refused the request for what it is; trying again will not help."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(f"{sentence} (HTTP {status})")
        #: HTTP status, such as 400 or 413.
        self.status = status
        #: What the node said.
        self.sentence = sentence


class NodeError(LaboraError):
    """The node cannot compute products at the moment: no device, shutting down, or a defect."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(f"{sentence} (HTTP {status})")
        #: HTTP status, 500 or above.
        self.status = status
        #: What the node said.
        self.sentence = sentence


class ProtocolError(LaboraError):
    """What answers at the endpoint does not speak like a node."""
