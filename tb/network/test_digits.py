import numpy as np
import pytest

from cleave.network.digits import load
from cleave.network.layers import quantise
from cleave.numerics.requantise import requantise

DIGITS = load()


def test_the_stored_integers_are_the_quantised_float_weights() -> None:
    again = quantise(DIGITS.float_layers, DIGITS.peaks.tolist())
    for stored, layer in zip(DIGITS.layers, again, strict=True):
        np.testing.assert_array_equal(stored.weights, layer.weights)
        if stored.records is None:
            assert layer.records is None
        else:
            np.testing.assert_array_equal(stored.records, layer.records)


def test_images_are_held_out_digits() -> None:
    assert DIGITS.images.shape == (450, 64)
    assert (DIGITS.images.min(), DIGITS.images.max()) == (0, 16)
    assert set(DIGITS.labels) == set(range(10))


@pytest.mark.parametrize("arithmetic", ["float", "integer"])
def test_accuracy(arithmetic: str) -> None:
    values = DIGITS.images.astype(np.float32 if arithmetic == "float" else np.int8)
    for layer in DIGITS.float_layers if arithmetic == "float" else DIGITS.layers:
        values = layer(values)
    assert (values.argmax(axis=1) == DIGITS.labels).mean() > 0.98


def test_the_reference_rounds_as_the_drain_does() -> None:
    x = DIGITS.images
    for layer in DIGITS.layers:
        if layer.records is not None:
            sums = x.astype(np.int32) @ layer.weights.astype(np.int32)
            np.testing.assert_array_equal(layer(x), requantise(sums, layer.records, relu=True))
        x = layer(x)
