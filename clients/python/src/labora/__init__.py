"""Matrix products for NumPy, computed by a Labora node, which mines blocks with them.

>>> c = labora.matmul(a, b)                      # int8 in: the exact int32 product
>>> c = labora.matmul(weights, activations)      # floats: 7-bit products, |error| <= labora.error_bound(…)

The node is found through the environment variable ``LABORA_GEMM`` (``http://host:port`` or ``unix:/path``), and at
``http://127.0.0.1:9955`` without it.
"""

from labora._errors import Busy, LaboraError, NodeError, ProtocolError, Refused, Unreachable
from labora._matmul import matmul
from labora._miner import DEFAULT_ENDPOINT, Miner, Product, Roots
from labora._quantise import Quantised, error_bound, quantise

__all__ = [
    "DEFAULT_ENDPOINT",
    "Busy",
    "LaboraError",
    "Miner",
    "NodeError",
    "Product",
    "ProtocolError",
    "Quantised",
    "Refused",
    "Roots",
    "Unreachable",
    "error_bound",
    "matmul",
    "quantise",
]
__version__ = "0.1.0"
