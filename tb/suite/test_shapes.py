"""The suite's shapes: legal, named once, and of the models that they say."""

import itertools

import numpy as np
import pytest

from cleave.compile.tiling import Problem
from cleave.config import DRAM_BYTES
from cleave.suite.shapes import BATCHES, DEEPSEEK, GROUPS, LLAMA, QWEN, Workload, chosen, suite, token_counts


def test_suite_is_legal() -> None:
    names = [workload.name for workload in suite()]
    assert len(set(names)) == len(names)
    assert {workload.group for workload in suite()} == set(GROUPS)
    assert [workload.group for workload in suite()] == sorted((w.group for w in suite()), key=GROUPS.index)
    for workload in suite():
        Problem(workload.m, workload.k, workload.n)
        stored = workload.m * workload.k + len(workload.parts) * workload.k * workload.n + 4 * workload.m * workload.n
        assert stored < DRAM_BYTES
        assert any(character.isdigit() for character in workload.source)


def test_layers_are_those_of_the_model_cards() -> None:
    """Parameters of a block, without norms and biases, as the public checkpoints have them."""
    for model, parameters in [(LLAMA, 218_103_808), (QWEN, 14_909_440)]:
        layers = [k * n for k, n in model.layers.values()]
        assert sum(layers) + model.hidden * model.intermediate == parameters  # up is as gate


def test_attention_shares_keys_in_groups() -> None:
    key, value = LLAMA.attention(256, 1024)
    assert key.parts == (4 * 256,) * 8 and (key.k, key.n) == (128, 1024) and (value.k, value.n) == (1024, 128)
    heads = 32
    assert key.macs == value.macs == heads * 256 * 128 * 1024
    assert next(iter(QWEN.attention(1, 64, sequences=3))).parts == (7,) * 6


def test_decode_has_all_batches() -> None:
    found = {workload.m for workload in chosen(("decode",)) if workload.k == LLAMA.hidden}
    assert found == set(BATCHES)


def test_tokens_choose_different_experts_and_are_skewed() -> None:
    counts = np.array(token_counts(64, 8, 512))
    assert counts.sum() == 8 * 512 and counts.max() <= 512
    assert counts.max() > 4 * np.median(counts)
    assert token_counts(64, 8, 512) == token_counts(64, 8, 512)
    assert token_counts(8, 8, 3) == (3,) * 8  # no choice
    assert all(count > 0 for count in DEEPSEEK.layer("gate", 64).parts)


@pytest.mark.parametrize(("part", "k", "n"), [sizes for sizes in itertools.product((0, 1), repeat=3) if 0 in sizes])
def test_bad_size(part: int, k: int, n: int) -> None:
    with pytest.raises(ValueError, match="parts, K and N must be at least 1, not"):
        Workload("x", "decode", (part,), k, n, "")


def test_bad_group() -> None:
    with pytest.raises(ValueError, match=r"group must be one of prefill, .* not 'x'"):
        Workload("x", "x", (1,), 1, 1, "")
    with pytest.raises(ValueError, match=r"group must be one of prefill, .* not 'x'"):
        chosen(("decode", "x"))
