"""Area and delay on a standard-cell library: cells, blocks and whole arrays (`cleave report area`, `make report-cells`).

From Python, a component, a kind of cell, and an engine's array::

    with open_library("sky130hd_tt.lib.gz") as library:                     # cleave.report.liberty
        area_of(Adder(32, "brent_kung"), library)       # cleave.report.synthesis: area_um2, delay_ns, cells
        measure_cell(Candidate("mine", ArrayConfig(rows=32, dot=8, cell="gates")), library)   # cleave.report.cells: um2_per_mac
        measure(config, library).logic_um2                                  # cleave.report.arrays: modules, parts_um2
"""
