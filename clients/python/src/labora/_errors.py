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


class MissingExtra(LaboraError, ImportError):
    """A package is not installed that jobs need: ``pip install 'labora[jobs]'``."""


class BadKey(LaboraError, ValueError):
    """A secret, a keystore or an address that cannot be read."""


class WrongPassword(BadKey):
    """The password does not open the keystore."""


class UnsupportedChain(LaboraError):
    """The chain describes itself, or what transactions must carry, in a way that this version does not know."""


class RpcError(LaboraError):
    """The node refused an RPC call for what it is."""

    def __init__(self, method: str, code: int, sentence: str) -> None:
        super().__init__(f"{method}: {sentence} ({code})")
        #: JSON-RPC code, such as -32060.
        self.code = code
        #: What the node said.
        self.sentence = sentence


class TransactionRefused(LaboraError):
    """The transaction pool does not take the transaction. Nothing was paid, and nothing happened."""


class CallFailed(LaboraError):
    """A transaction is in a block, its fee is paid, and the runtime refused what it asked for."""

    def __init__(self, call: str, name: str, sentence: str) -> None:
        super().__init__(f"{call}: {sentence} ({name})")
        #: The error's name in the runtime, such as ``Jobs.WrongStage``.
        self.name = name
        #: What the runtime says of it.
        self.sentence = sentence


class NotIncluded(LaboraError, TimeoutError):
    """A transaction was not in a block in time. It can still come into one, so look before it is sent again."""


class NotEnough(LaboraError):
    """The account cannot pay for this."""


class NotGranted(LaboraError):
    """The research fund does not pay for this."""


class FeeTooLow(LaboraError, ValueError):
    """The market takes no job for so little."""


class UnknownJob(LaboraError, LookupError):
    """No job of this number was posted, or it was refunded or forgotten."""


class JobGone(UnknownJob):
    """The job was there, and is not any more: refunded, or settled and forgotten."""


class JobTimeout(LaboraError, TimeoutError):
    """The job did not get so far in time. It goes on; ask again."""


class MatrixMissing(LaboraError):
    """A matrix cannot be had from the node's store, nor from its peers."""


class WrongResult(LaboraError):
    """The worker's result is not A·B. It is neither returned nor accepted."""

    def __init__(self, job: int, product: int, row: int, column: int, committed: int, exact: int) -> None:
        super().__init__(
            f"job {job}, product {product}: entry ({row}, {column}) is {committed} and must be {exact}; do not "
            f"accept it: auditors find it too, or `labora job prove {job}` proves it, and then the job is open again"
        )
        self.job = job
        #: Which of the job's products, from 0.
        self.product = product
        #: Row and column of C, padding included.
        self.row = row
        self.column = column
        #: What the worker's result has there.
        self.committed = committed
        #: What A·B has there.
        self.exact = exact
