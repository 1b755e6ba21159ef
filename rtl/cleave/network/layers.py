"""A quantised multi-layer perceptron: how it is made from float weights, and what it must compute, in plain numpy.

    hidden layer    y = saturate(round(max(0, (x @ W + bias) * multiplier / 2**shift)))      int8 -> int8
    last layer      y = x @ W                                                                 int8 -> int32

The integer reference here shares no arithmetic with the engine's model: sums are int64, and the rounding is numpy's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..numerics.requantise import RECORD, scale_to_fixed

LARGEST = 127
"""Largest magnitude that quantisation gives; -128 stays unused, so that negation is exact."""


@dataclass(frozen=True)
class FloatLayer:
    """A layer as it was trained: `relu(x @ weights + bias)`, or `x @ weights` for the last one, which has no bias."""

    weights: NDArray[np.float32]  # [K, N]
    bias: NDArray[np.float32] | None  # [N]

    def __call__(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Give the layer's result for `x` [M, K]."""
        product = x @ self.weights
        return product if self.bias is None else np.maximum(product + self.bias, 0)


@dataclass(frozen=True)
class Layer:
    """A layer as the engine computes it: INT8 weights, and for hidden layers the drain's record of each column."""

    weights: NDArray[np.int8]  # [K, N]
    records: NDArray[np.void] | None  # RECORD[N]

    @property
    def shape(self) -> tuple[int, int]:
        """Contraction and columns, (K, N)."""
        k, n = self.weights.shape
        return k, n

    def __call__(self, x: NDArray[np.int8]) -> NDArray[Any]:
        """Give the integer reference of `x` [M, K]: int8[M, N] of a hidden layer, int32[M, N] of the last one."""
        total = x.astype(np.int64) @ self.weights.astype(np.int64)
        if self.records is None:
            return total.astype(np.int32)
        product = (total + self.records["bias"]) * self.records["multiplier"].astype(np.int64)
        # At most 49 bits, so float64 holds it and its quotient by a power of two exactly; rint rounds to nearest even.
        rounded = np.rint(np.ldexp(np.maximum(product, 0).astype(np.float64), -self.records["shift"].astype(np.int32)))
        return np.clip(rounded, -128, 127).astype(np.int8)


def quantise(layers: Sequence[FloatLayer], peaks: Sequence[float]) -> list[Layer]:
    """Quantise trained layers after training.

    `peaks[i]` is the float value that stands for `LARGEST` in the activations that enter layer i: for hidden
    activations their largest value over the training images, for pixels 127, so that a pixel stands for itself. Hidden
    layers have a weight scale per column, the last layer has one, so that its raw sums compare like its float results.
    """
    quantised = []
    for index, layer in enumerate(layers):
        last = index == len(layers) - 1
        weights = layer.weights.astype(np.float64)
        weight_scale = np.abs(weights).max(axis=None if last else 0) / LARGEST
        integers = np.rint(weights / weight_scale).astype(np.int8)
        records = None
        if not last:
            assert layer.bias is not None
            sum_scale = weight_scale * peaks[index] / LARGEST
            fixed = [scale_to_fixed(scale) for scale in sum_scale / (peaks[index + 1] / LARGEST)]
            records = np.zeros(len(fixed), RECORD)
            records["bias"] = np.rint(layer.bias / sum_scale)
            records["multiplier"], records["shift"] = np.transpose(fixed)
        quantised.append(Layer(integers, records))
    return quantised
