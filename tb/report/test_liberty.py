"""Liberty files: what is read of them, and one clear error for those that are none."""

import gzip
from pathlib import Path

import pytest

from cleave.report.liberty import LibraryError, open_library
from tb.report.mini import ADDERS, FLIP_FLOP, GATES, liberty

GATES_ONLY = liberty(clock_gate=False).replace(FLIP_FLOP.split("pin (Q)", maxsplit=1)[0], "  cell (DFF) { area : 6.0;\n")


def test_contents(tmp_path: Path) -> None:
    (tmp_path / "mini.lib.gz").write_bytes(gzip.compress(liberty().encode()))
    with open_library(tmp_path / "mini.lib.gz") as library:
        areas = {name: parts[0] for name, parts in (GATES | ADDERS["sky130"]).items()}
        assert library.areas_um2 == areas | {"DFF": 6.0, "ICG": 8.0}
        assert (library.name, library.registers) == ("mini", {"DFF"})
        (file,) = library.files
        assert file.read_text() == liberty()
    assert not file.exists(), "nothing is left behind"


def test_several_files_are_one_library(tmp_path: Path) -> None:
    (tmp_path / "gates.lib").write_text(GATES_ONLY)
    (tmp_path / "rest.lib").write_text(liberty("asap7"))
    with open_library(tmp_path / "gates.lib", tmp_path / "rest.lib") as library:
        assert library.areas_um2.keys() >= {"FAx1_ASAP7_75t_R", "sky130_fd_sc_hd__fa_1", "DFF"}
        assert library.registers == {"DFF"}


BAD = {
    "missing.lib": (None, "missing.lib cannot be read: No such file"),
    "text.lib": (b"not Liberty", "text.lib must be a Liberty file, with a library"),
    "bytes.lib": (b"\xff\xfe\x00", "bytes.lib must be a Liberty file, plain or compressed"),
    "cut.lib.gz": (gzip.compress(liberty().encode())[:-20], "cut.lib.gz must be a Liberty file, plain or compressed"),
    "damaged.lib.gz": (b"\x1f\x8bnot gzip", "damaged.lib.gz cannot be read: "),
    "empty.lib": (b"library (a) {\n}", "empty.lib must be a Liberty file with cells"),
    "area.lib": (
        liberty().replace("area : 7.0", "area : much").encode(), "area of sky130_fd_sc_hd__fa_1 must be a number, not much",
    ),
    "gates.lib": (GATES_ONLY.encode(), "must have flip-flops, which gates.lib lacks"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    contents, message = BAD[name]
    if contents is not None:
        Path(name).write_bytes(contents)
    with pytest.raises(LibraryError) as caught, open_library(name):
        pass
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
