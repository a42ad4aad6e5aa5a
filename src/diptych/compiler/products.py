"""Products with the elementwise tree above them as their epilogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diptych.compiler.contraction.plan import Strided, plan
from diptych.compiler.contraction.spec import Contraction
from diptych.compiler.epilogues import ExpressionStage, operand_of
from diptych.compiler.expressions import applied
from diptych.compiler.lazy import Apply, Lazy, Moved, Number, Product, Stored
from diptych.compiler.readers import first_kept
from diptych.compiler.spaces import uses
from diptych.compiler.steps import KernelStep, Place
from diptych.core.dtypes import float32, float64
from diptych.core.layout import broadcast_strides
from diptych.loops import expression
from diptych.loops.expression import Expression, Load

if TYPE_CHECKING:
    from diptych.compiler.lower import Lowering


def emit_product(lowering: Lowering, lazy: Lazy, place: Place) -> bool:
    """Compute a product with the tree on top as its epilogue; False when it is none."""
    found = products(lazy, lowering.resolve)
    if len(found) != 1 or uses(lazy, lowering.resolve):
        return False
    product = found[0]
    if product is lazy:
        _add_product(lowering, product, place, (), [])
        return True
    kept = first_kept(lowering.readers, lazy, product, lowering.resolve)
    if kept is not None:
        lowering.store(kept)
        return False
    wide = (float32, float64)
    if lazy.shape != product.shape or place.dtype not in wide or product.dtype is not place.dtype:
        return False
    stage = _epilogue(lowering, lazy, product)
    if stage is None:
        return False
    value, places = stage
    operands = []
    strides = []
    for where in places:
        access = operand_of(where, place.dtype.itemsize)
        if access is None:
            return False
        operands.append(access[0])
        strides.append(access[1])
    made = ExpressionStage(value, tuple(operands), lowering.target)
    _add_product(lowering, product, place, (made,), list(zip(places, strides, strict=True)))
    return True


def _epilogue(
    lowering: Lowering, lazy: Lazy, product: Product
) -> tuple[Expression, list[Place]] | None:
    """The tree above a product as an expression of the accumulator and of other operands."""
    places: list[Place] = []
    memo: dict[int, Expression | None] = {}

    def visit(value: Lazy) -> Expression | None:
        value = lowering.resolve(value)
        if id(value) not in memo:
            memo[id(value)] = build(value)
        return memo[id(value)]

    def build(value: Lazy) -> Expression | None:
        if value is product:
            return Load(0, product.dtype)
        if isinstance(value, Stored):
            if value.place not in places:
                places.append(value.place)
            return Load(1 + places.index(value.place), value.dtype)
        if isinstance(value, Number):
            return expression.Constant(value.value, value.dtype)
        if isinstance(value, Apply):
            args = [visit(arg) for arg in value.args]
            known = [arg for arg in args if arg is not None]
            if len(known) < len(args):
                return None
            return applied(value.op, value.params[0], known, value.dtype)
        return None

    made = visit(lazy)
    return None if made is None else (made, places)


def _add_product(
    lowering: Lowering,
    product: Product,
    place: Place,
    stages: tuple[Any, ...],
    extra: list[tuple[Place, Strided]],
) -> None:
    a, b, shape = product.a, product.b, product.shape
    batch = shape[:-2]

    def strided(x: Place) -> Strided:
        lead = broadcast_strides(x.shape[:-2], x.strides[:-2], batch)
        return Strided(x.strides[-2], x.strides[-1], lead)

    contraction = Contraction(a.dtype, b.dtype, place.dtype, stages)
    made, numbers = plan(
        contraction, shape[-2], shape[-1], a.shape[-1], strided(a), strided(b), strided(place),
        [s for _, s in extra], batch, target=lowering.target,
    )  # fmt: skip
    lowering.result.steps.append(
        KernelStep(made, tuple(numbers), (a, b, *(p for p, _ in extra), place))
    )


def products(root: Lazy, resolve: Any) -> list[Product]:
    """The products in the elementwise tree at ``root`` (seen through moves)."""
    if not root.multiplies:
        return []
    found: list[Product] = []
    seen: set[int] = set()
    stack = [resolve(root)]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Product):
            found.append(value)
        elif isinstance(value, (Apply, Moved)):
            stack.extend([resolve(child) for child in value.children() if child.multiplies])
    return found
