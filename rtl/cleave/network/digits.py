"""The handwritten digits network: 8x8 images, three layers, made by scripts/train_digits.py."""

import dataclasses
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .layers import FloatLayer, Layer

FILE = "digits.npz"


@dataclass(frozen=True)
class Digits:
    """The network, and the images that its training never saw."""

    images: NDArray[np.int8]  # [image, 64], pixels 0 to 16
    labels: NDArray[np.int8]  # [image], 0 to 9
    layers: list[Layer]
    float_layers: list[FloatLayer]
    peaks: NDArray[np.float64]  # [layer], see `quantise`

    def first(self, limit: int | None) -> "Digits":
        """Give the same network with the first `limit` images only."""
        return dataclasses.replace(self, images=self.images[:limit], labels=self.labels[:limit])

    def save(self, path: Path) -> None:
        """Write the file that `load` reads."""
        arrays: dict[str, NDArray] = {"images": self.images, "labels": self.labels, "peaks": self.peaks}
        for index, (layer, trained) in enumerate(zip(self.layers, self.float_layers, strict=True)):
            arrays[f"weights_{index}"] = layer.weights
            arrays[f"float_weights_{index}"] = trained.weights
            if layer.records is not None and trained.bias is not None:
                arrays[f"records_{index}"] = layer.records
                arrays[f"float_bias_{index}"] = trained.bias
        np.savez_compressed(path, allow_pickle=False, **arrays)


def load() -> Digits:
    """Read the network that is part of the package."""
    with resources.files("cleave.network").joinpath(FILE).open("rb") as file, np.load(file) as arrays:
        stored = dict(arrays)
    count = len(stored["peaks"])
    return Digits(
        stored["images"],
        stored["labels"],
        [Layer(stored[f"weights_{i}"], stored.get(f"records_{i}")) for i in range(count)],
        [FloatLayer(stored[f"float_weights_{i}"], stored.get(f"float_bias_{i}")) for i in range(count)],
        stored["peaks"],
    )
