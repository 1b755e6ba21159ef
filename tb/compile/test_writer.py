"""Programs of long loops whose turns are copied: the same bytes as written one by one."""

from itertools import islice

import pytest

from cleave.compile import writer
from cleave.compile.choose import Memory, ranked
from cleave.compile.layout import Layout
from cleave.compile.pipeline import schedule
from cleave.compile.problem import Problem
from cleave.compile.program import Program
from cleave.compile.writer import Writer, write
from cleave.config import PRESETS

PROBLEMS = {
    "rows": Problem(1300, 40, 33),
    "columns": Problem(9, 100, 3000),
    "both": Problem(350, 24, 450),
    "chunks": Problem(150, 300, 200),
    "parts": Problem(13 * 40, 48, 70, parts=(13,) * 40),
    "requantised": Problem(1300, 40, 33, requantised=True),
}


@pytest.mark.parametrize("name", ["tiny", "odd"])
def test_copies_of_turns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = PRESETS[name]
    monkeypatch.setattr(writer, "LONG", 0)
    copied: set[str] = set()
    kind = ""
    original = Program.turned

    def noted(self: Program, *arguments: object) -> Program | None:
        found = original(self, *arguments)  # type: ignore[arg-type]
        if found is not None:
            copied.add(kind)
        return found

    monkeypatch.setattr(Program, "turned", noted)
    counts = tuple(range(1, config.array.slabs + 1))
    for kind, problem in PROBLEMS.items():  # noqa: B007  the name is noted above
        for number, tiling in enumerate(islice(ranked(problem, config, counts, Memory()), 12)):
            layout, order = Layout(tiling), schedule(tiling, 32, (5, 0, 20)[number % 3])
            whole = Writer(layout, order).write(tiling.blocks()).encode()
            assert write([(layout, order)]) == whole, tiling
    assert len(copied) >= len(PROBLEMS) / 2
