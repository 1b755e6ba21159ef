"""A standard-cell library of a dozen cells, as a Liberty file; which adders it has, and under whose names, is a parameter."""

GATES = {
    "INV": (1.0, "A", {"Y": "!A"}),
    "BUF": (1.5, "A", {"Y": "A"}),
    "NAND2": (1.5, "A B", {"Y": "!(A & B)"}),
    "NOR2": (1.5, "A B", {"Y": "!(A | B)"}),
    "AOI21": (2.0, "A B C", {"Y": "!((A & B) | C)"}),
    "XOR2": (3.0, "A B", {"Y": "A ^ B"}),
    "MUX2": (3.5, "A B S", {"Y": "(A & !S) | (B & S)"}),
}
"""Area, inputs and outputs of each cell."""

_SUM, _CARRY = "(A ^ B) ^ {c}", "((A & B) | (A & {c})) | (B & {c})"
_AOI = "!(((A1 & A2) | (B1 & B2)) | (C1 & C2))"

ADDERS = {
    "sky130": {
        "sky130_fd_sc_hd__fa_1": (7.0, "A B CIN", {"SUM": _SUM.format(c="CIN"), "COUT": _CARRY.format(c="CIN")}),
        "sky130_fd_sc_hd__ha_1": (4.0, "A B", {"SUM": "A ^ B", "COUT": "A & B"}),
        "sky130_fd_sc_hd__a222oi_1": (3.0, "A1 A2 B1 B2 C1 C2", {"Y": _AOI}),
    },
    "asap7": {
        "FAx1_ASAP7_75t_R": (5.0, "A B CI", {"SN": f"!({_SUM.format(c='CI')})", "CON": f"!({_CARRY.format(c='CI')})"}),
        "HAxp5_ASAP7_75t_R": (3.0, "A B", {"SN": "!(A ^ B)", "CON": "!(A & B)"}),
    },
    "none": {},
}
"""Cells of libraries that have adders."""

FLIP_FLOP = """\
  cell (DFF) {
    area : 6.0;
    ff (IQ, IQN) { clocked_on : "CK"; next_state : "D"; }
    pin (CK) { direction : input; clock : true; capacitance : 0.001; }
    pin (D) { direction : input; capacitance : 0.001;
      timing () { related_pin : "CK"; timing_type : setup_rising;
        rise_constraint (scalar) { values ("0.05"); } fall_constraint (scalar) { values ("0.05"); } } }
    pin (Q) { direction : output; function : "IQ";
      timing () { related_pin : "CK"; timing_type : rising_edge; DELAY } }
  }
"""
CLOCK_GATE = """\
  cell (ICG) {
    area : 8.0;
    clock_gating_integrated_cell : latch_posedge;
    pin (CK) { direction : input; clock : true; clock_gate_clock_pin : true; capacitance : 0.001; }
    pin (E) { direction : input; clock_gate_enable_pin : true; capacitance : 0.001; }
    pin (GCK) { direction : output; clock_gate_out_pin : true; state_function : "CK & E";
      timing () { related_pin : "CK"; timing_sense : positive_unate; DELAY } }
  }
"""
THRESHOLDS = {"input_threshold_pct": 50, "output_threshold_pct": 50, "slew_lower_threshold_pct": 20, "slew_upper_threshold_pct": 80}
_DELAY = " ".join(
    f'{kind} (scalar) {{ values ("0.1"); }}' for kind in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
)


def liberty(adders: str = "sky130", *, name: str = "mini", clock_gate: bool = True, unit: str = "1ns") -> str:
    """Write the library; every gate takes 0.1 units of time, whatever it drives."""
    cells = "".join(_gate(cell, *parts) for cell, parts in (GATES | ADDERS[adders]).items())
    registers = FLIP_FLOP + (CLOCK_GATE if clock_gate else "")
    thresholds = [f"  {threshold}_{edge} : {at}.0;" for threshold, at in THRESHOLDS.items() for edge in ("rise", "fall")]
    return f"""\
library ({name}) {{
  delay_model : table_lookup;
  time_unit : "{unit}";
  capacitive_load_unit (1, pf);
  voltage_unit : "1V";
  current_unit : "1mA";
  leakage_power_unit : "1nW";
  pulling_resistance_unit : "1kohm";
  nom_voltage : 1.0; nom_temperature : 25.0; nom_process : 1.0;
{" ".join(thresholds)}
{cells}{registers.replace("DELAY", _DELAY)}}}
"""


def _gate(name: str, area: float, inputs: str, outputs: dict[str, str]) -> str:
    pins = [f"    pin ({pin}) {{ direction : input; capacitance : 0.001; }}\n" for pin in inputs.split()]
    for pin, function in outputs.items():
        timing = f'timing () {{ related_pin : "{inputs}"; timing_sense : non_unate; {_DELAY} }}'
        pins.append(f'    pin ({pin}) {{ direction : output; function : "{function}";\n      {timing} }}\n')
    return f"  cell ({name}) {{\n    area : {area};\n{''.join(pins)}  }}\n"
