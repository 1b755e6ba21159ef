"""Write the README's table of numbers from measurements: `cleave run --json` and `scripts/bench_sim.py --json`.

`make numbers` measures and writes. Nothing is written that is not in the two files.
"""

import argparse
import json
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"
START, END = "<!-- numbers -->\n", "<!-- /numbers -->"


def rows(run: dict[str, Any], speeds: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Give what was measured, the value, and the conditions."""
    accuracy = run["accuracy_percent"]
    table = [
        (
            "digits recognised, RTL / float network",
            f"{accuracy['engine']:.2f} % / {accuracy['float network']:.2f} %",
            f"{run['images']} held-out images, `{run['config']}`; {run['values_checked']:,} values checked bit for bit",
        )
    ]
    own = {(work["m"], work["layer"]): work for work in run["comparison"] if work["engine"] == "this array"}
    for work in run["comparison"]:
        if work["engine"] == "this array" or work["layer"] != 1:
            continue
        mine = own[work["m"], work["layer"]]
        busy, other = mine["resident_utilisation_percent"], work["resident_utilisation_percent"]
        table.append((
            f"M = {work['m']}: speed-up over {work['engine']}",
            f"{work['resident_cycles'] / mine['resident_cycles']:.2f}",
            f"{work['m']} x {work['k']} x {work['n']}, operands resident; utilisation {busy:.1f} %, {other:.1f} %",
        ))
    table += [
        (
            f"simulation, {speed['simulator']}",
            f"{speed['useful_macs_per_second'] / 1e6:,.3g} million MAC/s",
            f"`{speed['config']}`, {speed['cycles_per_second']:,.0f} cycles/s, one thread, built in "
            f"{speed['build_seconds']:.0f} s",
        )
        for speed in speeds
    ]
    return table


def main() -> None:
    """Write the table into the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="what cleave run --json wrote")
    parser.add_argument("speeds", type=Path, help="what scripts/bench_sim.py --json wrote")
    arguments = parser.parse_args()
    run, speeds = json.loads(arguments.run.read_text()), json.loads(arguments.speeds.read_text())
    if run["backend"] != "rtl":
        parser.error(f"{arguments.run} must come from the rtl backend, not {run['backend']}")
    table = rows(run, speeds)
    lines = ["| what | measured | conditions |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in table)]
    before, _, rest = README.read_text().partition(START)
    _, _, after = rest.partition(END)
    README.write_text(before + START + "\n".join(lines) + "\n" + END + after)


if __name__ == "__main__":
    main()
