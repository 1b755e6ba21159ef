"""What a configuration comes to, for people and for scripts: units stand in the names."""

import dataclasses

from .config import ACCUMULATOR_BITS, MAX_CONTRACTION, OPERAND_BITS, EngineConfig


def derived(config: EngineConfig) -> dict[str, str | int]:
    """Give every parameter of an engine and what follows from it."""
    array = config.array
    parameters = dataclasses.asdict(config)
    del parameters["array"]
    scratchpad = config.scratchpad_bytes
    return {
        "name": config.name,
        **dataclasses.asdict(array),
        **parameters,
        "macs_per_cycle": array.macs,
        "cells_per_slab": array.cells * array.columns,
        "moving_banks": array.slabs,
        "stationary_banks": array.slabs,
        "accumulator_banks": array.slabs,
        "moving_word_bytes": array.rows,
        "stationary_word_bytes": array.load_rows * array.columns,
        **{f"{kind}_scratchpad_bytes": size for kind, size in scratchpad.items()},
        "scratchpad_bytes": sum(scratchpad.values()),
        "operand_bits": OPERAND_BITS,
        "partial_sum_bits": array.sum_bits,
        "raw_result_bits": ACCUMULATOR_BITS,
        "axi_bytes_per_cycle": config.axi_bytes,
        "drain_accumulators_per_cycle": config.drain_lanes,
        "shortest_pass_cycles": array.load_cycles,
        "shortest_scaled_pass_cycles": config.tile_words,
        "result_latency_cycles": array.result_latency,
        "fused_result_latency_cycles": array.result_latency + array.slabs - 1,
        "longest_contraction": MAX_CONTRACTION,
    }
