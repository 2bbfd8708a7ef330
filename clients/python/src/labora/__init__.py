"""Matrix products for NumPy, computed by a Labora node, which mines blocks with them.

>>> c = labora.matmul(a, b)                      # int8 in: the exact int32 product
>>> c = labora.matmul(weights, activations)      # floats: 7-bit products, |error| <= labora.error_bound(…)

The node is found through the environment variable ``LABORA_GEMM`` (``http://host:port`` or ``unix:/path``), and at
``http://127.0.0.1:9955`` without it.

Products that others compute, for a price, are jobs of the market (``pip install 'labora[jobs]'``):

>>> with labora.Client("ws://127.0.0.1:9944", labora.Key.from_file("key.json", password)) as client:
...     c = client.submit(a, b, price=3).result()
"""

from typing import TYPE_CHECKING, Any

from labora._errors import (
    BadKey,
    Busy,
    CallFailed,
    FeeTooLow,
    JobGone,
    JobTimeout,
    LaboraError,
    MatrixMissing,
    MissingExtra,
    NodeError,
    NotEnough,
    NotGranted,
    NotIncluded,
    ProtocolError,
    Refused,
    RpcError,
    TransactionRefused,
    UnknownJob,
    Unreachable,
    UnsupportedChain,
    WrongPassword,
    WrongResult,
)
from labora._matmul import matmul
from labora._miner import DEFAULT_ENDPOINT, Miner, Product, Roots
from labora._quantise import Quantised, error_bound, quantise

if TYPE_CHECKING:
    from labora._jobs import AsyncClient as AsyncClient
    from labora._jobs import AsyncJob as AsyncJob
    from labora._jobs import Balance as Balance
    from labora._jobs import Client as Client
    from labora._jobs import Cost as Cost
    from labora._jobs import Explanation as Explanation
    from labora._jobs import Job as Job
    from labora._jobs import JobStatus as JobStatus
    from labora._jobs import Key as Key
    from labora._jobs import Market as Market
    from labora._jobs import MinedBlock as MinedBlock
    from labora._jobs import ProductFacts as ProductFacts
    from labora._jobs import Progress as Progress
    from labora._jobs import Window as Window

#: Names that are imported when they are first used: they need packages that products do not.
_JOBS = frozenset(
    (
        "AsyncClient",
        "AsyncJob",
        "Balance",
        "Client",
        "Cost",
        "Explanation",
        "Job",
        "JobStatus",
        "Key",
        "Market",
        "MinedBlock",
        "ProductFacts",
        "Progress",
        "Window",
    )
)
#: Those packages, as they are imported.
_EXTRA = frozenset(("bip39", "blake3", "coincurve", "nacl", "sr25519", "websockets"))

__all__ = [
    "DEFAULT_ENDPOINT",
    "BadKey",
    "Busy",
    "CallFailed",
    "FeeTooLow",
    "JobGone",
    "JobTimeout",
    "LaboraError",
    "MatrixMissing",
    "Miner",
    "MissingExtra",
    "NodeError",
    "NotEnough",
    "NotGranted",
    "NotIncluded",
    "Product",
    "ProtocolError",
    "Quantised",
    "Refused",
    "Roots",
    "RpcError",
    "TransactionRefused",
    "UnknownJob",
    "Unreachable",
    "UnsupportedChain",
    "WrongPassword",
    "WrongResult",
    "error_bound",
    "matmul",
    "quantise",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _JOBS:
        raise AttributeError(f"module 'labora' has no attribute {name!r}")
    try:
        from labora import _jobs
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        raise MissingExtra(f"labora.{name} needs the package {error.name}: pip install 'labora[jobs]'") from error
    return getattr(_jobs, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_JOBS})
