"""The merged dot product, proven in parts: its tree conserves weights, its partial products mean products.

The adders are proven in `test_blocks.py`, the last one in its full width in `test_wide.py`.
"""

from itertools import product as choices
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import signed

from cleave.gates.dot import DotProduct
from cleave.gates.netlist import KEPT, REGISTER, Net, Netlist, netlist
from cleave.gates.products import PRODUCTS
from cleave.gates.reduction import REDUCTIONS
from tb.gates.conservation import weights
from tb.gates.proof import all_cases, unpack

P = Q = 8
CASES = 1 << (P + Q)


def prove_dot(component: DotProduct) -> None:
    """Prove a dot product of any size, given its adders."""
    tree = netlist(component, keep=(*KEPT, "adder"))
    form, constant = weights(tree, "total")
    width, modulus = component.width, 1 << component.width
    for weight, net in enumerate(tree.inputs["addend"]):
        assert form.pop(net, 0) == 1 << weight, "the addend enters with its weight"

    factors = all_cases(P + Q)
    inputs = {"a": factors[:P] * component.dot, "b": factors[P:] * component.dot, "addend": [0] * width}
    values = tree.solve((1 << CASES) - 1, **inputs)
    wanted = unpack(factors[:P], CASES, signed(P)) * unpack(factors[P:], CASES, signed(Q))
    owners = owners_of(tree, component)
    terms = [np.zeros(CASES, np.int64) for _ in range(component.dot)]
    for net, weight in form.items():
        assert len(owners[net]) == 1, "each weighted bit is made of one product's factors"
        (owner,) = owners[net]
        terms[owner] += unpack([values[net]], CASES) * weight
    for term in terms:
        rest = (term - wanted) % modulus
        assert (rest == rest[0]).all(), "what a product's bits weigh differs from the product by a constant"
        constant += int(rest[0])
    assert constant % modulus == 0, "all constants cancel"


def owners_of(tree: Netlist, component: DotProduct) -> dict[Net, set[int]]:
    """Give the products whose factors each net is made of."""
    owners: dict[Net, set[int]] = {"0": set(), "1": set()}
    for port, size in (("a", P), ("b", Q)):
        owners |= {net: {i // size} for i, net in enumerate(tree.inputs[port])}
    owners |= {net: {component.dot} for net in tree.inputs["addend"]}
    for cell in tree.cells:
        sources = [owners[net] for nets in cell.inputs.values() for net in nets]
        owners |= {net: set().union(*sources) for nets in cell.outputs.values() for net in nets}
    return owners


@pytest.mark.parametrize("kinds", list(choices(PRODUCTS, REDUCTIONS)), ids="-".join)
@pytest.mark.parametrize("stages", [0, 2])
def test_merged_dot_product_of_eight(kinds: tuple[str, str], stages: int) -> None:
    prove_dot(DotProduct(8, P, Q, 21, products=kinds[0], reduction=kinds[1], stages=stages))


@pytest.mark.parametrize("dot", [1, 4, 16])
def test_merged_dot_product(dot: int) -> None:
    prove_dot(DotProduct(dot, P, Q, 21))
    prove_dot(DotProduct(dot, P, Q, 32, stages=1))


@pytest.mark.parametrize("stages", [0, 1, 2, 4])
def test_every_path_has_its_registers(stages: int) -> None:
    """From a factor to the sum `stages` registers, whatever the way, and none from the addend."""
    tree = netlist(DotProduct(2, P, Q, 20, stages=stages))
    late: dict[Net, set[int]] = {net: {stages if port == "addend" else 0} for port, nets in tree.inputs.items() for net in nets}
    for cell in tree.cells:
        at = set().union(*(late.get(net, set()) for nets in cell.inputs.values() for net in nets))
        at = {stage + (cell.kind == REGISTER) for stage in at}
        late |= {net: at for nets in cell.outputs.values() for net in nets}
    assert set().union(*(late[net] for net in tree.outputs["total"])) == {stages}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"dot": 0}, "dot must be at least 1, not 0"), ({"stages": -1}, "stages must be at least 0, not -1"),
     ({"adder": "carry"}, "adder must be one of ripple, sklansky, kogge_stone, brent_kung, han_carlson, not 'carry'"),
     ({"reduction": ""}, "reduction must be one of dadda, wallace, not ''")],
)  # fmt: skip
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DotProduct(**{"dot": 1, "p": P, "q": Q, "width": 16} | parameters)
