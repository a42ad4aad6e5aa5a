"""Engine functions typed as giving anything: mypy does not see methods attached from tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diptych.ops import indexing, movement, select
from diptych.torch.tensor import face as typed_face

Dynamic = Callable[..., Any]

concatenate: Dynamic = movement.concatenate
face: Dynamic = typed_face
index_select: Dynamic = indexing.index_select
narrow: Dynamic = movement.narrow
one_hot: Dynamic = indexing.one_hot
reshape: Dynamic = movement.reshape
take_along: Dynamic = indexing.take_along
where: Dynamic = select.where
