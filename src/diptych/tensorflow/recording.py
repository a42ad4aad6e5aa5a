"""What is recorded: the open tapes of a thread, and which history of a tensor they may see.

PyTorch records whenever an operand has a history; TensorFlow only while a tape is open. So tensors
and variables of this face hide their history from the engine when no tape records, but for what
leads back to another face's tensor, which that face wants recorded always.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from diptych.core.tape import Leaf, Node
from diptych.core.tensor import Tensor as CoreTensor


class OpenTapes(threading.local):
    """The thread's tapes that record now, outermost first."""

    tapes: tuple[Any, ...] = ()


open_tapes = OpenTapes()
_foreign: weakref.WeakKeyDictionary[Node, bool] = weakref.WeakKeyDictionary()


def hidden_node(node: Node) -> Node | None:
    """What the engine sees of a node outside all tapes: the node if another face wants it."""
    return node if leads_to_another_face(node) else None


def leads_to_another_face(node: Node) -> bool:
    """Whether a leaf of another face can be reached from ``node``."""
    known = _foreign.get(node)
    if known is not None:
        return known
    seen = {node}
    stack = [node]
    found = False
    while stack and not found:
        current = stack.pop()
        if type(current) is Leaf:
            tensor = current.tensor()
            found = tensor is not None and not isinstance(tensor, FaceValue)
            continue
        if current is not node and current in _foreign:
            found = _foreign[current]
            continue
        for edge in current.edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    _foreign[node] = found
    return found


class FaceValue(CoreTensor):
    """What tensors and variables of this face share: the test that they are of this face."""


def place_of(value: CoreTensor) -> tuple[Node, int] | None:
    """Where a value lies on the tape, whether a tape is open or not."""
    history: Any = value.__dict__.get("history") if isinstance(value, FaceValue) else value.node
    return None if history is None else (history, value.output)


def leaf_of(value: CoreTensor) -> Node:
    """The value's place on the tape, made a leaf when it has none."""
    place = place_of(value)
    if place is not None:
        return place[0]
    leaf = Leaf(value)
    if isinstance(value, FaceValue):
        value.__dict__["history"] = leaf
    else:
        value.node = leaf
    value.output = 0
    return leaf
