"""Operations as declared objects: primitives, composites, and the registry that checks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from diptych.core.layout import Layout
from diptych.core.tensor import Tensor
from diptych.errors import ArgumentError

R = TypeVar("R")
Params = tuple[Any, ...]
Infer = Callable[..., "Layout | tuple[Layout, ...]"]


NO_OUTPUTS = 1 << 30  # the first output kept, where none is


class NotDifferentiable:
    """The word that an operation has no gradient, with the reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class NoBatching:
    """The word that an operation has no batching rule, with the reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


@dataclass(frozen=True)
class Tolerance:
    """How far compiled code may be from the reference, per dtype name; ``ulp`` where not listed."""

    relative: dict[str, float] = field(default_factory=dict)
    default: float = 1e-5
    half: float = 1e-2

    def of(self, dtype_name: str) -> float:
        if dtype_name in self.relative:
            return self.relative[dtype_name]
        if dtype_name in ("float16", "bfloat16"):
            return self.half
        return 1e-10 if dtype_name in ("float64", "complex128") else self.default


@dataclass(frozen=True)
class Sample:
    """One call of an operation for the generated tests: operand arrays (NumPy) and parameters."""

    operands: tuple[Any, ...]
    params: Params = ()


@dataclass(frozen=True)
class BadCall:
    """One call that must fail: operands, parameters, the error class and a pattern of its text."""

    operands: tuple[Any, ...]
    error: type[Exception]
    match: str
    params: Params = ()


class Context:
    """What a gradient rule sees: operands and outputs (Tensors where saved, else their Layouts).

    ``x`` the operands, ``y`` the outputs, ``params``, ``needs``: which operands want a gradient.
    """

    __slots__ = ("needs", "params", "x", "y")

    def __init__(
        self, x: tuple[Any, ...], y: tuple[Any, ...], params: Params, needs: tuple[bool, ...]
    ) -> None:
        self.x = x
        self.y = y
        self.params = params
        self.needs = needs

    def layout(self, index: int) -> Layout:
        """The layout of operand ``index``, saved or not."""
        operand = self.x[index]
        return operand.layout if isinstance(operand, Tensor) else operand


class Operation:
    """What primitives and composites share: everything the call path and the tape ask for.

    ``params`` names the static parameters in order; ``saves`` says what the gradient rule reads:
    operand positions as digits, ``+`` after one for all later too, ``o`` for the outputs, ``r``
    for those after the first (``rr`` after the second, and so on), ``*`` for all operands; as a
    tuple, what it reads for each operand's gradient (the last ones may be left out of a call).
    ``plans`` belongs to the evaluator.
    """

    __slots__ = (
        "backward_plans", "batch", "differentiable", "errors", "family", "infer", "name", "params",
        "plans", "samples", "saves", "saving_for", "tolerance", "vjp", "why_no_gradient",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        family: str,
        *,
        params: tuple[str, ...],
        infer: Infer,
        vjp: Callable[..., Any] | NotDifferentiable,
        saves: str | tuple[str, ...],
        batch: Callable[..., Any] | NoBatching,
        samples: Callable[[], Iterable[Sample]],
        errors: Callable[[], Iterable[BadCall]],
        tolerance: Tolerance,
    ) -> None:
        for part, value in (
            ("a shape-and-dtype rule", infer), ("a gradient rule or NotDifferentiable", vjp),
            ("a batching rule or NoBatching", batch), ("samples", samples),
            ("inputs that must fail", errors), ("a tolerance", tolerance),
        ):  # fmt: skip
            if value is None:
                raise ArgumentError(
                    op=name, got=None, argument="declaration", expected=f"it needs {part}"
                )
        self.name = name
        self.family = family
        self.params = params
        self.infer = infer
        self.differentiable = not isinstance(vjp, NotDifferentiable)
        self.why_no_gradient = vjp.reason if isinstance(vjp, NotDifferentiable) else ""
        self.vjp: Any = None if isinstance(vjp, NotDifferentiable) else vjp
        self.saves = saves
        self.saving_for: dict[tuple[bool, ...], tuple[frozenset[int], int]] = {}
        self.batch = batch
        self.samples = samples
        self.errors = errors
        self.tolerance = tolerance
        self.plans: dict[Any, Any] = {}
        self.backward_plans: dict[Any, Any] = {}

    def saving(self, needs: tuple[bool, ...]) -> tuple[frozenset[int], int]:
        """Which operands, and from which output on, are kept when these operands need gradients."""
        found = self.saving_for.get(needs)
        if found is None:
            parts = self.saves
            if isinstance(parts, tuple):
                letters = "".join(part for part, need in zip(parts, needs, strict=False) if need)
            else:
                letters = parts
            first = 0 if "*" in letters else len(needs)
            if "+" in letters:
                first = int(letters[letters.index("+") - 1])
            named = [int(c) for c in letters if c.isdigit()]
            kept = frozenset([*range(first, len(needs)), *named])
            outputs = 0 if "o" in letters else letters.count("r") or NO_OUTPUTS
            found = self.saving_for[needs] = (kept, outputs)
        return found

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (lookup, (self.name,))


class Primitive(Operation):
    """The unit of meaning: NumPy reference and lowering besides what every operation has.

    ``reference(arrays, params)`` computes with NumPy; ``lower`` is what the family's lowering in
    the compiler takes (for elementwise operations, a function from expressions to an expression),
    or ``"host"`` when the reference is the implementation. ``view(layout, params)``, for movement,
    gives (strided layout, offset) when the result can share memory, else None. ``reads``, for
    elementwise operations, names per operand the dtype it is read in (None: the computed one).
    """

    __slots__ = ("lower", "reads", "reference", "view")

    def __init__(
        self,
        name: str,
        family: str,
        *,
        reference: Callable[..., Any],
        lower: Any,
        view: Callable[..., tuple[Layout, int] | None] | None = None,
        reads: tuple[Any, ...] = (),
        **rest: Any,
    ) -> None:
        super().__init__(name, family, **rest)
        if reference is None or lower is None:
            raise ArgumentError(
                op=name,
                argument="declaration",
                got=None,
                expected="it needs a reference and a lowering",
            )
        self.reference = reference
        self.lower = lower
        self.view = view
        self.reads = reads
        register(self)


def _by_tracing(*_: Any) -> Any:
    raise NotImplementedError("a composite's shapes and gradient follow from tracing its forward")


class Composite(Operation):
    """An operation written in others: ``forward(*operands, *params)`` is traced and compiled whole.

    It returns a Tensor, or a tuple: ``outputs`` of them followed by ``residuals`` values that only
    the gradient rule sees (as the last entries of ``Context.y``). Without ``vjp`` the gradient is
    that of the operations it is made of.
    """

    __slots__ = ("forward", "outputs", "residuals")

    def __init__(
        self,
        name: str,
        *,
        forward: Callable[..., Any],
        outputs: int = 1,
        residuals: int = 0,
        vjp: Any = None,
        saves: str | tuple[str, ...] = "",
        **rest: Any,
    ) -> None:
        derived = vjp is None
        super().__init__(
            name,
            "composite",
            infer=_by_tracing,
            vjp=_by_tracing if derived else vjp,
            saves="*" if derived else saves,
            **rest,
        )
        if derived:
            self.vjp = None
        self.forward = forward
        self.outputs = outputs
        self.residuals = residuals
        register(self)


_registry: dict[str, Operation] = {}


def register(operation: Operation) -> None:
    """Enter an operation under its name; ArgumentError when the name is taken."""
    if operation.name in _registry:
        raise ArgumentError(
            op=operation.name, argument="name", got=operation.name, expected="a name not yet taken"
        )
    _registry[operation.name] = operation


def lookup(name: str) -> Operation:
    """The operation called ``name``; KeyError if there is none."""
    return _registry[name]


records: dict[str, type[Any]] = {}  # kinds of named tuples among parameters, by their names


def record(cls: type[R]) -> type[R]:
    """Enter a NamedTuple that stands in parameters, so that graphs with it can be read back."""
    records[cls.__name__] = cls
    return cls


def registered() -> tuple[Operation, ...]:
    """All operations in the order of their declaration."""
    return tuple(_registry.values())
