"""A small network for handwritten digits: trained in floats, then turned into integers of 7 bits.

The integer network has int8 weights and activations in [-63, 63], int32 sums, and between layers only integers: an
added bias, a multiplication by 8 bits, a shift. So its result is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

#: Images held back for the test: a multiple of 16, so that no row of a product is padding.
TEST_IMAGES = 592

#: Widths of the hidden layers: a million products a digit, and still trained in seconds.
HIDDEN = (1024, 1024)

EPOCHS = 12
BATCH = 100
SEED = 7
LIMIT = 63

#: Share of activations that a layer's scale leaves unclipped.
UNCLIPPED = 0.9995

Floats = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]

#: Multiplies int8 m×k by k×n exactly; the last argument names the layer, counted from 1.
Multiply = Callable[[Int8, Int8, int], Int32]


@dataclass(frozen=True)
class Data:
    """Images of 64 pixels in [0, 1], and the digits they show."""

    train_x: Floats
    train_y: npt.NDArray[np.int64]
    test_x: Floats
    test_y: npt.NDArray[np.int64]


def load() -> Data:
    """scikit-learn's digits, which come with it: no network is needed."""
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        images, digits.target, test_size=TEST_IMAGES, random_state=SEED, stratify=digits.target
    )
    return Data(train_x, train_y, test_x, test_y)


class FloatNetwork:
    """The network as it was trained."""

    def __init__(self, weights: list[Floats], biases: list[Floats]) -> None:
        #: Each layer's weights, inputs×outputs.
        self.weights = weights
        self.biases = biases

    def layers(self, images: Floats) -> list[Floats]:
        """Inputs of each layer, and last the scores of the ten digits."""
        values = [images]
        for weights, bias in zip(self.weights, self.biases, strict=True):
            is_last = len(values) == len(self.weights)
            sums = values[-1] @ weights + bias
            values.append(sums if is_last else np.maximum(sums, 0))
        return values

    def accuracy(self, images: Floats, digits: npt.NDArray[np.int64]) -> float:
        """Share of images whose best score is their digit's."""
        return float(np.mean(self.layers(images)[-1].argmax(axis=1) == digits))


def train(data: Data) -> FloatNetwork:
    """Train by Adam on the cross entropy, under a progress bar. Plain NumPy, so that Ctrl-C ends it at once."""
    random = np.random.default_rng(SEED)
    widths = (data.train_x.shape[1], *HIDDEN, 10)
    pairs = list(zip(widths, widths[1:], strict=False))
    weights = [random.normal(0, np.sqrt(2 / a), (a, b)).astype(np.float32) for a, b in pairs]
    network = FloatNetwork(weights, [np.zeros(b, np.float32) for _, b in pairs])
    adam = _Adam([*network.weights, *network.biases])
    for _ in tqdm(range(EPOCHS), "training", unit="epoch", disable=None, leave=False):
        order = random.permutation(len(data.train_x))
        for batch in np.array_split(order, len(order) // BATCH):
            adam.step(_gradients(network, data.train_x[batch], data.train_y[batch]))
    return network


def _gradients(network: FloatNetwork, images: Floats, digits: npt.NDArray[np.int64]) -> list[Floats]:
    """Of all weights, then of all biases."""
    *inputs, scores = network.layers(images)
    error = np.exp(scores - scores.max(axis=1, keepdims=True))
    error /= error.sum(axis=1, keepdims=True)
    error[np.arange(len(digits)), digits] -= 1
    error /= len(digits)
    of_weights, of_biases = [], []
    for values, weights in zip(reversed(inputs), reversed(network.weights), strict=True):
        of_weights.insert(0, values.T @ error)
        of_biases.insert(0, error.sum(axis=0))
        error = (error @ weights.T) * (values > 0)
    return of_weights + of_biases


class _Adam:
    """Kingma and Ba, arXiv 1412.6980, with the paper's constants; changes the parameters in place."""

    def __init__(self, parameters: list[Floats]) -> None:
        self._parameters = parameters
        self._means = [np.zeros_like(each) for each in parameters]
        self._squares = [np.zeros_like(each) for each in parameters]
        self._steps = 0

    def step(self, gradients: list[Floats]) -> None:
        self._steps += 1
        rate = 1e-3 * np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
        for parameter, mean, square, gradient in zip(
            self._parameters, self._means, self._squares, gradients, strict=True
        ):
            mean += np.float32(0.1) * (gradient - mean)
            square += np.float32(0.001) * (gradient * gradient - square)
            parameter -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-8))


@dataclass(frozen=True)
class IntegerLayer:
    """``clip((x·weights + bias)·multiplier >> shift, 0, 63)``; the last layer stops at the bias."""

    #: inputs×outputs, in [-63, 63].
    weights: Int8
    #: One per output, as are the next two.
    bias: Int32
    multiplier: Int32
    shift: Int32


@dataclass(frozen=True)
class IntegerNetwork:
    """The network in 7 bits."""

    layers: list[IntegerLayer]

    @classmethod
    def quantise(cls, network: FloatNetwork, calibration: Floats) -> IntegerNetwork:
        """Weights by the largest of each output, activations by what ``calibration`` makes of each layer."""
        layers = []
        scale = 1 / LIMIT
        activations = network.layers(calibration)[1:]
        for weights, bias, outputs in zip(network.weights, network.biases, activations, strict=True):
            is_last = len(layers) == len(network.weights) - 1
            largest = np.abs(weights).max(axis=0)
            # Scores of different digits are compared, so the last layer has one scale for all.
            step = np.full_like(largest, largest.max()) if is_last else np.maximum(largest, 1e-6)
            step = (step / LIMIT).astype(np.float64)
            next_scale = float(np.quantile(outputs, UNCLIPPED)) / LIMIT
            layers.append(_layer(weights, bias, step, scale, next_scale))
            scale = next_scale
        return cls(layers)

    def scores(self, images: Floats, multiply: Multiply) -> Int32:
        """Scores of the ten digits, every product made by ``multiply``."""
        values = np.rint(images * LIMIT).astype(np.int8)
        for number, layer in enumerate(self.layers, 1):
            sums = multiply(values, layer.weights, number)
            sums += layer.bias
            if number == len(self.layers):
                return sums
            sums *= layer.multiplier
            sums += 1 << (layer.shift - 1)
            sums >>= layer.shift
            values = np.clip(sums, 0, LIMIT).astype(np.int8)
        raise ValueError("a network has at least one layer")

    def macs(self, images: int) -> int:
        """Multiply-accumulates for so many images, without padding."""
        return images * sum(layer.weights.size for layer in self.layers)


def _layer(
    weights: Floats, bias: Floats, step: npt.NDArray[np.float64], scale: float, next_scale: float
) -> IntegerLayer:
    """``step``: of each output's weights; ``scale``, ``next_scale``: of the layer's inputs and outputs."""
    small = np.rint(weights / step).astype(np.int8)
    integer_bias = np.rint(bias / (step * scale)).astype(np.int64)
    factor = step * scale / next_scale
    # Eight bits of multiplier: the largest shift that keeps it below 256, but one at least, for rounding.
    shift = np.maximum(np.floor(np.log2(255.5 / factor)), 1).astype(np.int64)
    multiplier = np.rint(factor * 2.0**shift).astype(np.int64)
    largest_sum = np.abs(small.astype(np.int64)).sum(axis=0) * LIMIT + np.abs(integer_bias)
    if (largest_sum * multiplier + (1 << (shift - 1)) >= 2**31).any():
        raise ValueError("a layer's sums leave 32 bits; use fewer bits of multiplier")
    as_int32: list[Any] = [values.astype(np.int32) for values in (integer_bias, multiplier, shift)]
    return IntegerLayer(small, *as_int32)
