"""The algebra of an adder tree: its netlist, read backwards, as one weighted sum of bits."""

from cleave.gates.netlist import REGISTER, Cell, Net, Netlist


class NotConservedError(AssertionError):
    """A cell gives other weights to its outputs than to its inputs."""


def weights(tree: Netlist, output: str) -> tuple[dict[Net, int], int]:
    """Write an output as sum of weight * net, plus a constant, modulo 2**width: by substitution, cell by cell.

    Adders of any kind are replaced by their inputs, of which each has the weight of the adder's sum; carries must weigh
    twice that. So are registers, inverters (1 - x), and XOR where 1 and -1 weigh the same. What is left are the bits that
    the tree adds: inputs, or the outputs of other gates. With the adders' own proofs this is a proof of the tree.

    Raises
    ------
    NotConservedError
        If an adder's sum and carry do not weigh 1 : 2, or a net is read by two adders.
    """
    nets = tree.outputs[output]
    modulus = 1 << len(nets)
    form: dict[Net, int] = {net: 1 << weight for weight, net in enumerate(nets)}
    if len(form) != len(nets):
        raise NotConservedError("a net is two bits of the output")
    constant = 0
    summed: set[Net] = set()
    for cell in reversed(tree.cells):
        pins = {name: [form.get(net, 0) for net in nets] for name, nets in cell.outputs.items()}
        if not any(map(any, pins.values())):
            continue
        step = _substitute(cell, pins, modulus)
        if step is None:
            continue
        known, weighted = step
        constant += known
        for nets in cell.outputs.values():
            for net in nets:
                form.pop(net, None)
        for net, weight in weighted:
            form[net] = (form.get(net, 0) + weight) % modulus
        read = [net for net, _ in weighted if isinstance(net, int)] if cell.kind not in ("$_NOT_", REGISTER) else []
        if len(set(read)) < len(read) or summed & set(read):
            raise NotConservedError("a bit is added twice")
        summed |= set(read)
    constant += form.pop("1", 0)
    form.pop("0", None)
    return {net: weight for net, weight in form.items() if weight}, constant % modulus


def _substitute(cell: Cell, pins: dict[str, list[int]], modulus: int) -> tuple[int, list[tuple[Net, int]]] | None:
    """Give a constant and weighted nets that equal the weighted outputs of a cell; none if it is no adder."""
    inputs = [nets[0] for nets in cell.inputs.values()]
    if cell.kind in ("fa", "ha", "hap"):
        weight = pins["sum"][0]
        if (pins["carry"][0] - 2 * weight) % modulus:
            raise NotConservedError(f"sum and carry weigh {weight} and {pins['carry'][0]}")
        return weight * (cell.kind == "hap"), [(net, weight) for net in inputs]
    if cell.kind.startswith("adder_"):
        ladder = pins["total"]
        if any((weight - (ladder[0] << i)) % modulus for i, weight in enumerate([*ladder, 0])):
            raise NotConservedError("the last adder's bits weigh 1 : 2 : 4 ..., and twice its top bit is beyond the sum")
        return 0, [pair for port in ("a", "b") for pair in zip(cell.inputs[port], ladder, strict=True)]
    if cell.kind == "$_NOT_":
        return pins["Y"][0], [(inputs[0], -pins["Y"][0])]
    if cell.kind == REGISTER:
        return 0, [(inputs[0], pins["Q"][0])]
    if cell.kind == "$_XOR_" and 2 * pins["Y"][0] % modulus == 0:
        return 0, [(net, pins["Y"][0]) for net in inputs]
    return None
