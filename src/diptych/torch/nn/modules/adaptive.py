"""Softmax over many classes, the rare ones in clusters (Grave et al., arXiv 1609.04309)."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from diptych.torch.creation import empty, zeros
from diptych.torch.dynamic import face
from diptych.torch.joining import cat
from diptych.torch.nn import functional as F
from diptych.torch.nn.modules.container import ModuleList, Sequential
from diptych.torch.nn.modules.linear import Linear
from diptych.torch.nn.modules.module import Module

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """The frequent classes and a word for each cluster in the head; every cluster a small tail."""

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(cutoffs)
            or min(cutoffs) <= 0
            or max(cutoffs) > n_classes - 1
            or len(set(cutoffs)) != len(cutoffs)
            or any(int(c) != c for c in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                "order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        made = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **made)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // (div_value ** (i + 1)))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            first = Linear(in_features, width, bias=False, **made)
            self.tail.append(Sequential(first, Linear(width, size, bias=False, **made)))

    def reset_parameters(self) -> None:
        self.head.reset_parameters()
        for pair in self.tail:
            for layer in pair:
                layer.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> Any:
        x, target = face(input_, "adaptive_log_softmax"), face(target_, "adaptive_log_softmax")
        single = target.dim() == 0
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if single:
            if x.dim() != 1:
                raise RuntimeError(
                    "0D target tensor expects 1D input tensors, but found inputs with size "
                    f"{x.size()}"
                )
            x, target = x.unsqueeze(0), target.unsqueeze(0)
        elif x.shape[0] != target.shape[0]:
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        elif x.dim() != 2:
            raise RuntimeError(
                f"1D target tensor expects 2D input tensors, but found inputs with size {x.size()}"
            )
        output = self._gathered(x, target)
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if single else output, loss)

    def _gathered(self, x: Any, target: Any) -> Any:
        """The log probability of each row's target."""
        batch, used = target.shape[0], 0
        output: Any = zeros(batch, dtype=x.dtype)
        indices = empty(batch, dtype=target.dtype)
        cutoffs = [0, *self.cutoffs]
        for i in range(len(cutoffs) - 1):
            low, high = cutoffs[i], cutoffs[i + 1]
            rows = ((target >= low) & (target < high)).nonzero().squeeze(-1)
            if not rows.numel():
                continue
            if i == 0:
                indices.index_copy_(0, rows, target[rows])
            else:
                local = F.log_softmax(self.tail[i - 1](x.index_select(0, rows)), dim=1)
                relative = (target[rows] - low).unsqueeze(1)
                output = output.index_copy(0, rows, local.gather(1, relative).squeeze(1))
                indices.index_fill_(0, rows, self.shortlist_size + i - 1)
            used += rows.numel()
        if used != batch:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found. "
            )
        head = F.log_softmax(self.head(x), dim=1)
        return output + head.gather(1, indices.unsqueeze(1)).squeeze(1)

    def _get_full_log_prob(self, input: Any, head_output: Any) -> Any:
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i in range(self.n_clusters):
            local = F.log_softmax(self.tail[i](input), dim=1)
            parts.append(local + head[:, self.shortlist_size + i].unsqueeze(1))
        return cat(parts, 1)

    def log_prob(self, input: Any) -> Any:
        """The log probabilities of all classes."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input: Any) -> Any:
        """The most probable class; only the clusters that the head chose are looked into."""
        head = self.head(input)
        output: Any = head.argmax(1)
        beyond = output >= self.shortlist_size
        if not bool(beyond.any()):
            return output
        if bool(beyond.all()):
            return self._get_full_log_prob(input, head).argmax(1)
        rows = beyond.nonzero().squeeze(-1)
        full = self._get_full_log_prob(input.index_select(0, rows), head.index_select(0, rows))
        return output.index_copy(0, rows, full.argmax(1))
