"""The shapes of the suite, each with the public model it is from.

A workload is a group of GEMMs of the same K and N: the rows of the moving operand are cut into *parts*, and each part is multiplied
by a stationary matrix of its own, K x N. A plain GEMM has one part; heads of attention, experts and depthwise convolutions have
several.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

GROUPS = ("prefill", "decode", "attention", "experts", "convolutions")

BATCHES = (1, 4, 16, 64, 256)
"""Sequences that are decoded together, one token each."""

CONTEXT = 1024
"""Tokens that a decoded token attends to."""

ZIPF = 1.0
"""Exponent of the experts' popularity: the r-th most popular is chosen with a weight of 1 / r**ZIPF."""

SEED = 1
"""Of the experts' order of popularity and of what tokens choose."""


@dataclass(frozen=True)
class Workload:
    """Products of the parts of A, one below the other, with a stationary matrix each.

    Attributes
    ----------
    name, group
        What it is, and one of `GROUPS`.
    parts
        Rows of A that are multiplied by the same stationary matrix, for each of these.
    k, n
        Contraction, and columns of the result.
    source
        The public model and its numbers.

    Raises
    ------
    ValueError
        If a size is below 1, or there is no such group.
    """

    name: str
    group: str
    parts: tuple[int, ...]
    k: int
    n: int
    source: str

    def __post_init__(self) -> None:
        if not self.parts or min(*self.parts, self.k, self.n) < 1:
            raise ValueError(f"parts, K and N must be at least 1, not {self.parts}, {self.k} and {self.n}")
        if self.group not in GROUPS:
            raise ValueError(f"group must be one of {', '.join(GROUPS)}, not {self.group!r}")

    @property
    def m(self) -> int:
        """Rows of A."""
        return sum(self.parts)

    @property
    def macs(self) -> int:
        """Multiply-accumulates without padding."""
        return self.m * self.k * self.n


@dataclass(frozen=True)
class Model:
    """A decoder of a language model, by the names of its `config.json`.

    Attributes
    ----------
    hidden, intermediate
        Widths of a token and of a feed-forward layer.
    heads, kv_heads, head
        Query heads, heads of keys and values that they share in equal groups, and the size of each.
    """

    name: str
    config: str
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head: int

    @property
    def source(self) -> str:
        """The model, and the numbers that are used."""
        return (
            f"{self.config}: hidden_size {self.hidden}, intermediate_size {self.intermediate}, "
            f"num_attention_heads {self.heads}, num_key_value_heads {self.kv_heads}"
        )

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """K and N of a block's layers; up is as gate."""
        return {
            "qkv": (self.hidden, (self.heads + 2 * self.kv_heads) * self.head),
            "output": (self.heads * self.head, self.hidden),
            "gate": (self.hidden, self.intermediate),
            "down": (self.intermediate, self.hidden),
        }

    def layer(self, group: str, layer: str, tokens: int) -> Workload:
        """Give a layer for so many tokens."""
        return Workload(f"{self.name} {layer}, {tokens}", group, (tokens,), *self.layers[layer], self.source)

    def attention(self, tokens: int, context: int, sequences: int = 1) -> Iterator[Workload]:
        """Give both products of attention; the queries of a group share keys and values, so they are rows of one part."""
        parts = (self.heads // self.kv_heads * tokens,) * (self.kv_heads * sequences)
        what = f"{sequences} x {tokens} of {context}" if sequences > 1 else f"{tokens} of {context}"
        yield Workload(f"{self.name} QK, {what}", "attention", parts, self.head, context, self.source)
        yield Workload(f"{self.name} PV, {what}", "attention", parts, context, self.head, self.source)


@dataclass(frozen=True)
class Experts:
    """A mixture of experts.

    Attributes
    ----------
    experts, chosen
        Routed experts of a layer, and how many of them a token goes to.
    held
        Experts on one device, the first of a random order.
    """

    name: str
    config: str
    hidden: int
    intermediate: int
    experts: int
    chosen: int
    held: int

    def layer(self, layer: str, tokens: int) -> Workload:
        """Give a layer, gate or down, for a batch of so many tokens in all; experts without tokens have no part."""
        shape = (self.hidden, self.intermediate) if layer == "gate" else (self.intermediate, self.hidden)
        counts = token_counts(self.experts, self.chosen, tokens)[: self.held]
        source = (
            f"{self.config}: {self.hidden} x {self.intermediate}, {self.chosen} of {self.experts} experts a token, {self.held} on "
            f"the device; tokens by a Zipf law of exponent {ZIPF}, seed {SEED}"
        )
        return Workload(f"{self.name} {layer}, {tokens} tokens", "experts", tuple(c for c in counts if c), *shape, source)


@cache
def token_counts(experts: int, chosen: int, tokens: int) -> tuple[int, ...]:
    """Draw how many of so many tokens go to each expert, every one to `chosen` different experts.

    Weights follow a Zipf law over a random order of the experts. The largest `chosen` of the weights' logarithms with Gumbel noise
    are a sample without replacement (Yellott, 1977).
    """
    rng = np.random.default_rng(SEED)
    logarithms = -ZIPF * np.log1p(rng.permutation(experts))
    noisy = logarithms + rng.gumbel(size=(tokens, experts))
    taken = np.argpartition(noisy, experts - chosen, axis=1)[:, experts - chosen :]
    return tuple(int(count) for count in np.bincount(taken.reshape(-1), minlength=experts))


LLAMA = Model("Llama-3-8B", "meta-llama/Meta-Llama-3-8B config.json", 4096, 14336, 32, 8, 128)
QWEN = Model("Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B config.json", 896, 4864, 14, 2, 64)
GPT2 = Model("GPT-2", "openai-community/gpt2 config.json, without grouped queries", 768, 3072, 12, 12, 64)
DEEPSEEK = Experts(
    "DeepSeek-V3", "deepseek-ai/DeepSeek-V3 config.json, 32-way expert parallelism as in its report", 7168, 2048, 256, 8, 8
)
GRANITE = Experts("Granite-3.0-1B-A400M", "ibm-granite/granite-3.0-1b-a400m-base config.json", 1024, 512, 32, 8, 32)

_TINY = "MLPerf Tiny (Banbury et al., 2021), reference model of {}, {}"
_RESNET = _TINY.format("image classification", "ResNet-8, 32 x 32 x 3")
_MOBILENET = _TINY.format("visual wake words", "MobileNetV1 x 0.25, 96 x 96 x 3")
_DS_CNN = _TINY.format("keyword spotting", "DS-CNN, 49 x 10")
_ENCODER = _TINY.format("anomaly detection", "autoencoder, 640 inputs")

CONVOLUTIONS = (
    ("ResNet-8 3x3, 3 to 16", (32 * 32,), 3 * 3 * 3, 16, _RESNET),
    ("ResNet-8 3x3, 16 to 16", (32 * 32,), 3 * 3 * 16, 16, _RESNET),
    ("ResNet-8 3x3, 64 to 64", (8 * 8,), 3 * 3 * 64, 64, _RESNET),
    ("MobileNet 1x1, 8 to 16", (48 * 48,), 8, 16, _MOBILENET),
    ("MobileNet 1x1, 128 to 128", (6 * 6,), 128, 128, _MOBILENET),
    ("MobileNet depthwise 3x3, 128", (6 * 6,) * 128, 3 * 3, 1, _MOBILENET),
    ("DS-CNN 10x4, 1 to 64", (25 * 5,), 10 * 4, 64, _DS_CNN),
    ("DS-CNN 1x1, 64 to 64", (25 * 5,), 64, 64, _DS_CNN),
    ("autoencoder, 640 to 128", (1,), 640, 128, _ENCODER),
)
"""Name, parts, K, N and source of convolutions as GEMMs (im2col): a row for each output pixel, a part for each channel that is
convolved alone."""


@cache
def suite() -> tuple[Workload, ...]:
    """Give all workloads, group by group."""
    found = [LLAMA.layer("prefill", layer, 128) for layer in LLAMA.layers]
    found += [QWEN.layer("prefill", layer, 512) for layer in QWEN.layers]
    for model in (LLAMA, QWEN):
        found += [model.layer("decode", "qkv", batch) for batch in BATCHES]
        found += [model.layer("decode", "down", batch) for batch in BATCHES[:3:2]]
    for model in (LLAMA, QWEN):
        found += model.attention(1, CONTEXT)
        found += model.attention(256, 256)
    found += QWEN.attention(1, CONTEXT, sequences=16)
    found += GPT2.attention(1, CONTEXT)
    found += [DEEPSEEK.layer(layer, tokens) for tokens in (64, 1024) for layer in ("gate", "down")]
    found += [GRANITE.layer(layer, tokens) for tokens in (16, 256) for layer in ("gate", "down")]
    found += [Workload(name, "convolutions", parts, k, n, source) for name, parts, k, n, source in CONVOLUTIONS]
    return tuple(found)


def chosen(groups: tuple[str, ...]) -> tuple[Workload, ...]:
    """Give the workloads of these groups; all of them if there is none.

    Raises
    ------
    ValueError
        If there is no such group.
    """
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"group must be one of {', '.join(GROUPS)}, not {group!r}")
    return tuple(workload for workload in suite() if not groups or workload.group in groups)
