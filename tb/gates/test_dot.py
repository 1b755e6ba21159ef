"""The merged dot product, proven in parts: its tree conserves weights, its partial products mean products.

The adders are proven in `test_blocks.py`, the last one in its full width in `test_wide.py`.
"""

from itertools import product as choices
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import signed
from numpy.typing import NDArray

from cleave.gates.dot import DotProduct
from cleave.gates.netlist import KEPT, REGISTER, Net, Netlist, netlist
from cleave.gates.products import PRODUCTS
from cleave.gates.reduction import REDUCTIONS
from tb.gates.conservation import weights
from tb.gates.proof import all_cases, pack, unpack

P = Q = 8

Term = tuple[int, ...]
"""Number of a product, or of a pair of products and a bit of their a."""


def prove_dot(component: DotProduct) -> None:
    """Prove a dot product of any size, given its adders."""
    tree = netlist(component, keep=(*KEPT, "adder"))
    form, constant = weights(tree, "total")
    width, modulus = component.width, 1 << component.width
    for weight, net in enumerate(tree.inputs["addend"]):
        assert form.pop(net, 0) == 1 << weight, "the addend enters with its weight"

    inputs, wanted = (paired_cases if component.products == "paired" else product_cases)(component)
    cases = len(next(iter(wanted.values())))
    values = tree.solve((1 << cases) - 1, addend=[0] * width, **inputs)
    owners = owners_of(tree, component)
    terms = {term: np.zeros(cases, np.int64) for term in wanted}
    for net, weight in form.items():
        assert len(owners[net]) == 1, "each weighted bit is made of one term's factors"
        (owner,) = owners[net]
        terms[owner] += unpack([values[net]], cases) * weight
    for term, value in terms.items():
        rest = (value - (-1 if component.subtract else 1) * wanted[term]) % modulus
        assert (rest == rest[0]).all(), "what a term's bits weigh differs from the term by a constant"
        constant += int(rest[0])
    assert constant % modulus == 0, "all constants cancel"


def product_cases(component: DotProduct) -> tuple[dict[str, list[int]], dict[Term, NDArray[np.int64]]]:
    """Every pair of factors, for all products at once; the terms are the products."""
    p, q = component.p, component.q
    factors = all_cases(p + q)
    a, b = (unpack(some, 1 << (p + q), signed(len(some))) for some in (factors[:p], factors[p:]))
    return {"a": factors[:p] * component.dot, "b": factors[p:] * component.dot}, {(i,): a * b for i in range(component.dot)}


def paired_cases(component: DotProduct) -> tuple[dict[str, list[int]], dict[Term, NDArray[np.int64]]]:
    """Every pair of b with every choice of them; the terms are what bits k of the two a of a pair choose."""
    p, q = component.p, component.q
    bits = all_cases(2 * q + 2)
    numbers = [unpack(bits[some], 1 << (2 * q + 2), signed(q)) for some in (slice(q), slice(q, 2 * q))]
    chosen = [unpack([bit], 1 << (2 * q + 2)) for bit in bits[2 * q :]]
    term = numbers[0] * chosen[0] + numbers[1] * chosen[1]
    pairs = component.dot // 2
    inputs = {
        "a": ([bits[2 * q]] * p + [bits[2 * q + 1]] * p) * pairs,
        "b": bits[: 2 * q] * pairs,
        "b_sums": pack(numbers[0] + numbers[1], q + 1) * pairs,
    }
    return inputs, {(i, k): term * (-(1 << k) if k == p - 1 else 1 << k) for i in range(pairs) for k in range(p)}


def owners_of(tree: Netlist, component: DotProduct) -> dict[Net, set[Term]]:
    """Give the terms of whose factors each net is made; b, which all terms of a pair share, is nobody's."""
    p, q, is_paired = component.p, component.q, component.products == "paired"
    owners: dict[Net, set[Term]] = {net: set() for nets in tree.inputs.values() for net in nets} | {"0": set(), "1": set()}
    owners |= {net: {(i // (2 * p), i % p) if is_paired else (i // p,)} for i, net in enumerate(tree.inputs["a"])}
    if not is_paired:
        owners |= {net: {(i // q,)} for i, net in enumerate(tree.inputs["b"])}
    else:
        shared = {net: i // (2 * q) for i, net in enumerate(tree.inputs["b"])}
        shared |= {net: i // (q + 1) for i, net in enumerate(tree.inputs["b_sums"])}
    owners |= {net: {(component.dot,)} for net in tree.inputs["addend"]}
    for cell in tree.cells:
        nets = [net for nets in cell.inputs.values() for net in nets]
        owner = set().union(*(owners[net] for net in nets))
        if is_paired:
            foreign = {shared[net] for net in nets if net in shared} - {term[0] for term in owner}
            assert not foreign, "a pair's b meet only its own a"
        owners |= {net: owner for nets in cell.outputs.values() for net in nets}
    return owners


@pytest.mark.parametrize("kinds", list(choices((*PRODUCTS, "paired"), REDUCTIONS)), ids="-".join)
@pytest.mark.parametrize(("stages", "subtract"), [(0, False), (0, True), (2, True)])
def test_merged_dot_product_of_eight(kinds: tuple[str, str], stages: int, *, subtract: bool) -> None:
    prove_dot(DotProduct(8, P, Q, 21, products=kinds[0], reduction=kinds[1], stages=stages, subtract=subtract))


@pytest.mark.parametrize("dot", [1, 4, 16])
def test_merged_dot_product(dot: int) -> None:
    prove_dot(DotProduct(dot, P, Q, 21))
    prove_dot(DotProduct(dot, P, Q, 32, stages=1))
    prove_dot(DotProduct(2 * dot, P, Q, 24, products="paired", stages=1, subtract=True))


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
     ({"reduction": ""}, "reduction must be one of dadda, wallace, reduced_area, not ''"),
     ({"products": "paired", "dot": 3}, "dot must be even for paired products, not 3")],
)  # fmt: skip
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DotProduct(**{"dot": 1, "p": P, "q": Q, "width": 16} | parameters)
