"""LBFGS: a quasi-Newton method that remembers a few steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import tape
from diptych.torch.gradients import no_grad
from diptych.torch.joining import cat
from diptych.torch.optim.line_search import LineSearch, Point
from diptych.torch.optim.optimizer import Optimizer, number
from diptych.torch.optim.stepping import check, one_rate

# What the state keeps from one step to the next.
KEPT = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")


class LBFGS(Optimizer):
    """Newton's method with the curvature seen in the last steps; ``step`` needs a closure."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        one_rate(lr)
        check("learning rate", lr, number(lr) >= 0.0)
        super().__init__(
            params,
            {
                "lr": lr, "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change,
                "history_size": history_size, "line_search_fn": line_search_fn,
            },
        )  # fmt: skip
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params: list[Any] = self.param_groups[0]["params"]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_params": self._params}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._params = self.param_groups[0]["params"]

    # ---- parameters as one vector

    def _gradient(self) -> Any:
        return cat([
            (p.detach().new_zeros(p.numel()) if p.grad is None else p.grad.detach().reshape(-1))
            for p in self._params
        ]).clone()  # fmt: skip

    def _move(self, step: Any, direction: Any) -> None:
        start = 0
        for p in self._params:
            count = p.numel()
            p.add_(direction[start : start + count].view_as(p), alpha=number(step))
            start += count

    def _evaluate(self, closure: Any) -> tuple[float, Any]:
        with tape.recording(True):
            loss = float(closure())
        return loss, self._gradient()

    # ---- a step

    @no_grad()
    def step(self, closure: Any) -> Any:
        """Up to ``max_iter`` iterations; returns the loss before the first."""
        state, group = self.state[self._params[0]], self.param_groups[0]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        with tape.recording(True):
            before = closure()
        state["func_evals"] += 1
        gradient = self._gradient()
        if not _largest(gradient) <= group["tolerance_grad"]:
            memory = Memory(state, group["history_size"])
            self._iterate(closure, state, memory, float(before), gradient)
            memory.keep(state)
        return before

    def _iterate(
        self, closure: Any, state: dict[str, Any], memory: Memory, loss: float, gradient: Any
    ) -> None:
        group = self.param_groups[0]
        rate, evaluations = number(group["lr"]), 1
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            first = state["n_iter"] == 1
            memory.turn(state, gradient, first)
            memory.prev_loss = loss
            memory.t = rate
            if first:
                memory.t = min(1.0, 1.0 / gradient.abs().sum()) * rate
            slope = gradient.dot(memory.d)
            if slope > -group["tolerance_change"]:
                break
            used = 0
            if group["line_search_fn"] is not None:
                start = Point(0, loss, gradient, slope)
                found, used = self._search(closure, memory, start, group["max_eval"] - evaluations)
                loss, gradient, memory.t = found.loss, found.gradient, found.step
                self._move(memory.t, memory.d)
            else:
                self._move(memory.t, memory.d)
                if iteration != group["max_iter"]:
                    loss, gradient = self._evaluate(closure)
                    used = 1
            evaluations += used
            state["func_evals"] += used
            if (
                iteration == group["max_iter"]
                or evaluations >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or _largest(memory.d * memory.t) <= group["tolerance_change"]
                or abs(loss - memory.prev_loss) < group["tolerance_change"]
            ):
                break

    def _search(self, closure: Any, memory: Memory, start: Point, most: int) -> tuple[Point, int]:
        group = self.param_groups[0]
        if group["line_search_fn"] != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        held = [p.clone() for p in self._params]

        def evaluate(step: Any) -> tuple[float, Any]:
            self._move(step, memory.d)
            seen = self._evaluate(closure)
            for p, value in zip(self._params, held, strict=True):
                p.copy_(value)
            return seen

        search = LineSearch(evaluate, start, memory.d, group["tolerance_change"], most)
        return search.run(memory.t), search.evaluations


class Memory:
    """The directions of the last steps, and how the gradient changed along them."""

    def __init__(self, state: dict[str, Any], size: int) -> None:
        self.size = size
        self.d: Any = state.get("d")
        self.t: Any = state.get("t")
        self.old_dirs: list[Any] = state.get("old_dirs")  # type: ignore[assignment]
        self.old_stps: list[Any] = state.get("old_stps")  # type: ignore[assignment]
        self.ro: list[Any] = state.get("ro")  # type: ignore[assignment]
        self.H_diag: Any = state.get("H_diag")
        self.prev_flat_grad: Any = state.get("prev_flat_grad")
        self.prev_loss: Any = state.get("prev_loss")

    def keep(self, state: dict[str, Any]) -> None:
        """Enter it in the optimizer's state."""
        for name in KEPT:
            state[name] = getattr(self, name)

    def turn(self, state: dict[str, Any], gradient: Any, first: bool) -> None:
        """The next direction: the gradient itself at first, then through the two loops."""
        if first:
            self.d, self.H_diag = gradient.neg(), 1
            self.old_dirs, self.old_stps, self.ro = [], [], []
        else:
            change, moved = gradient - self.prev_flat_grad, self.d * self.t
            curvature = change.dot(moved)
            if curvature > 1e-10:
                if len(self.old_dirs) == self.size:
                    for row in (self.old_dirs, self.old_stps, self.ro):
                        row.pop(0)
                self.old_dirs.append(change)
                self.old_stps.append(moved)
                self.ro.append(1.0 / curvature)
                self.H_diag = curvature / change.dot(change)
            weights = state.setdefault("al", [None] * self.size)
            self.d = self._two_loops(gradient.neg(), weights)
        if self.prev_flat_grad is None:
            self.prev_flat_grad = gradient.clone()
        else:
            self.prev_flat_grad.copy_(gradient)

    def _two_loops(self, q: Any, weights: list[Any]) -> Any:
        """Nocedal, Wright, algorithm 7.4."""
        for i in reversed(range(len(self.old_dirs))):
            weights[i] = self.old_stps[i].dot(q) * self.ro[i]
            q.add_(self.old_dirs[i], alpha=-number(weights[i]))
        r = q * self.H_diag
        for i in range(len(self.old_dirs)):
            back = self.old_dirs[i].dot(r) * self.ro[i]
            r.add_(self.old_stps[i], alpha=number(weights[i] - back))
        return r


def _largest(x: Any) -> float:
    return float(np.abs(x.values()).max(initial=0.0))
