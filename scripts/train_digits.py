"""Train the digits network, quantise it, and write rtl/cleave/network/digits.npz (`make train`).

The data are scikit-learn's 1797 handwritten digits, 8x8 pixels of 0 to 16. A quarter of them, chosen by a fixed seed,
is held out: training and calibration never see it, and only it is stored. (Noise and epochs were chosen by
cross-validation inside the other three quarters.) Training is plain numpy in float64 with a fixed seed, so that a
second run on the same machine gives the same bytes; another BLAS may round its sums differently.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from cleave.network import digits
from cleave.network.layers import LARGEST, FloatLayer, quantise

SEED = 2024
HELD_OUT = 450
HIDDEN = (128, 64)
EPOCHS = 150
BATCH = 32
RATE = 1e-3
WEIGHT_DECAY = 1e-4
PIXEL_RANGE = 16.0
NOISE = 0.2

Floats = NDArray[np.float64]


def forward(x: Floats, weights: Sequence[Floats], biases: Sequence[Floats]) -> list[Floats]:
    """Give the input of every layer and, last, the logits."""
    values = [x]
    for weight, bias in zip(weights, biases, strict=False):
        values.append(np.maximum(values[-1] @ weight + bias, 0))
    return [*values, values[-1] @ weights[-1]]


def gradients(
    values: list[Floats], labels: NDArray[np.int8], weights: Sequence[Floats]
) -> tuple[list[Floats], list[Floats]]:
    """Give the gradients of the mean cross-entropy for weights and hidden biases."""
    logits = values[-1]
    likelihood = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = likelihood / likelihood.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    by_weight, by_bias = [values[-2].T @ error], []
    for index in reversed(range(len(weights) - 1)):
        error = (error @ weights[index + 1].T) * (values[index + 1] > 0)
        by_weight.insert(0, values[index].T @ error)
        by_bias.insert(0, error.sum(axis=0))
    return by_weight, by_bias


def train(images: Floats, labels: NDArray[np.int8], rng: np.random.Generator) -> list[list[Floats]]:
    """Train with Adam on noisy images; give weights and hidden biases."""
    sizes = [64, *HIDDEN, 10]
    weights = [rng.normal(0, np.sqrt(2 / k), (k, n)) for k, n in pairwise(sizes)]
    biases = [np.zeros(n) for n in HIDDEN]
    parameters = [*weights, *biases]
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    step = 0
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(images))
        for start in range(0, len(images), BATCH):
            chosen = order[start : start + BATCH]
            values = forward(images[chosen] + rng.normal(0, NOISE, (len(chosen), 64)), weights, biases)
            by_weight, by_bias = gradients(values, labels[chosen], weights)
            step += 1
            for parameter, gradient, m, v in zip(parameters, [*by_weight, *by_bias], first, second, strict=True):
                m[...] += 0.1 * (gradient - m)
                v[...] += 0.001 * (gradient**2 - v)
                scale = np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                parameter[...] -= rate * (scale * m / (np.sqrt(v) + 1e-8) + WEIGHT_DECAY * parameter)
    return [weights, biases]


def main() -> None:
    """Train, quantise, store, and print both accuracies on the held-out images."""
    data, target = load_digits(return_X_y=True)
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(data))
    held_out, learnt = order[:HELD_OUT], order[HELD_OUT:]
    weights, biases = train(data[learnt] / PIXEL_RANGE, target[learnt], rng)
    weights[0] /= PIXEL_RANGE  # so that the network takes pixels as they are

    layers = [FloatLayer(w.astype(np.float32), b.astype(np.float32)) for w, b in zip(weights, biases, strict=False)]
    layers.append(FloatLayer(weights[-1].astype(np.float32), None))
    peaks = [float(LARGEST)]
    x = data[learnt].astype(np.float32)
    for layer in layers[:-1]:
        x = layer(x)
        peaks.append(float(x.max()))
    images, labels = data[held_out].astype(np.int8), target[held_out].astype(np.int8)
    network = digits.Digits(images, labels, quantise(layers, peaks), layers, np.array(peaks))
    network.save(Path(digits.__file__).with_name(digits.FILE))

    result, exact = network.images, network.images.astype(np.float32)
    for layer, trained in zip(network.layers, layers, strict=True):
        result, exact = layer(result), trained(exact)
    for name, logits in [("float", exact), ("INT8", result)]:
        right = int((logits.argmax(axis=1) == network.labels).sum())
        print(f"{name} network: {right} of {HELD_OUT} held-out images right, {right / HELD_OUT:.2%}")


if __name__ == "__main__":
    main()
