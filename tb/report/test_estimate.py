"""Estimated areas: near the measured ones, and growing with what they are of."""

from dataclasses import replace

import pytest

from cleave.config import PRESETS
from cleave.report.estimate import KINDS, AreaEstimate, libraries, recorded
from cleave.report.goals import ARRAYS
from cleave.report.liberty import LibraryError


@pytest.mark.parametrize("library", libraries())
def test_measured_arrays(library: str) -> None:
    estimate = AreaEstimate(library)
    for shape, kinds in recorded()[library]["parts_um2"].items():
        for kind, parts in kinds.items():
            assert estimate.um2(KINDS[kind](ARRAYS[shape])) == pytest.approx(sum(parts.values()), rel=0.03), (shape, kind)
    assert 0 < estimate.worst < 0.03


@pytest.mark.parametrize("library", libraries())
def test_more_is_larger(library: str) -> None:
    estimate, base = AreaEstimate(library), PRESETS["medium"]
    area = estimate.um2(base)
    for change in ({"slabs": 8}, {"rows": 32}, {"columns": 128}, {"dot": 4}, {"load_rows": 8}):
        assert estimate.um2(replace(base, array=replace(base.array, **change))) > area, change
    assert estimate.um2(base.plain()) < area
    # The same MACs in more slabs cost seams.
    assert estimate.um2(base.monolithic()) < area


def test_unknown_library() -> None:
    with pytest.raises(LibraryError, match=r"library must be one of sky130hd, .* not 'x'"):
        AreaEstimate("x")
