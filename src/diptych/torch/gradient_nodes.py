"""grad_fn: the tape's nodes as PyTorch shows them (names, next_functions, hooks)."""

from __future__ import annotations

import weakref
from typing import Any

from diptych.core.tape import Leaf, Node

# Where the engine's name of an operation does not turn into PyTorch's by capital letters.
_NAMES = {
    "cast": "ToCopy", "floordiv": "FloorDivide", "truncdiv": "Div", "square": "Pow",
    "matmul": "Mm", "dot": "Mm", "broadcast": "Expand", "reshape": "View", "transpose": "Permute",
    "concatenate": "Cat", "slice": "Slice", "assign": "Copy", "select": "Select", "abs": "Abs",
    "put_strided": "CopySlices", "as_strided": "AsStrided", "convolution_input": "Convolution",
    "max": "Amax", "min": "Amin",
}  # fmt: skip
_INDEXED = {"sum_axes": "SumBackward1"}


def backward_name(operation: str) -> str:
    """``mul`` -> ``MulBackward0``."""
    if operation == "put_strided":
        return "CopySlices"
    known = _NAMES.get(operation)
    if known is None:
        known = "".join(part.capitalize() for part in operation.split("_"))
    return f"{known}Backward0"


def label(tensor: Any, name: str) -> Any:
    """Give a result the ``grad_fn`` name that PyTorch has, whatever the engine's operation."""
    node = tensor.node
    if node is not None:
        if node.metadata is None:
            node.metadata = {}
        node.metadata[_LABEL] = name
    return tensor


class _Label:
    """The key of a node's public name among its metadata."""


_LABEL = _Label()


def node_name(node: Node) -> str:
    """The public name of a tape node."""
    if node.metadata is not None and _LABEL in node.metadata:
        return str(node.metadata[_LABEL])
    if isinstance(node, Leaf):
        return "torch::autograd::AccumulateGrad"
    if hasattr(node, "op"):
        name = node.name
        if name == "sum" and node.op is not None and hasattr(node, "params"):
            layout = node.saved[0] if node.saved else None  # type: ignore[attr-defined]
            place = getattr(layout, "layout", layout)
            if place is not None and len(node.params[0]) != place.ndim:
                return "SumBackward1"
        return backward_name(name)
    return node.name


class GradFn:
    """A node of the backward graph. Two views of one node are equal."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def name(self) -> str:
        """``AddBackward0`` and so on."""
        return node_name(self.node)

    @property
    def next_functions(self) -> tuple[Any, ...]:
        return tuple(
            (None, 0) if edge is None else (grad_fn_of(edge[0]), edge[1])
            for edge in self.node.edges
        )

    @property
    def metadata(self) -> dict[Any, Any]:
        if self.node.metadata is None:
            self.node.metadata = {}
        return self.node.metadata

    @property
    def variable(self) -> Any:
        if isinstance(self.node, Leaf):
            return self.node.tensor()
        raise AttributeError(f"'{type(self).__name__}' object has no attribute 'variable'")

    def register_hook(self, hook: Any) -> NodeHook:
        """Run ``hook(grad_inputs, grad_outputs)`` after the node's backward."""
        if self.node.post_hooks is None:
            self.node.post_hooks = {}
        return NodeHook(self.node.post_hooks, hook)

    def register_prehook(self, hook: Any) -> NodeHook:
        """Run ``hook(grad_outputs)`` before the node's backward."""
        if self.node.pre_hooks is None:
            self.node.pre_hooks = {}
        return NodeHook(self.node.pre_hooks, hook)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GradFn) and other.node is self.node

    def __hash__(self) -> int:
        return hash(self.node)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self.node):#x}>"


class NodeHook:
    """What undoes a hook: ``remove()``, or leaving a ``with`` block."""

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self.id = NodeHook.next_id
        NodeHook.next_id += 1
        self.hooks = hooks
        hooks[self.id] = hook

    next_id = 0

    def remove(self) -> None:
        """Take the hook away; twice does no harm."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> NodeHook:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.remove()


_classes: dict[str, type[GradFn]] = {}
_alive: weakref.WeakValueDictionary[int, GradFn] = weakref.WeakValueDictionary()


def grad_fn_of(node: Node) -> Any:
    """The public object of a tape node; the same object while someone holds it."""
    own = getattr(node, "face_object", None)
    if own is not None:
        return own
    found = _alive.get(id(node))
    if found is None or found.node is not node:
        name = node_name(node).rpartition("::")[2]
        cls = _classes.get(name)
        if cls is None:
            cls = _classes[name] = type(name, (GradFn,), {"__module__": "torch.autograd.graph"})
        found = _alive[id(node)] = cls(node)
    return found
