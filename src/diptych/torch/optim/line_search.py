"""The line search of LBFGS: a step that satisfies the strong Wolfe conditions.

Nocedal, Wright, "Numerical Optimization", section 3.5: first an interval is found that must hold
such a step, then it is narrowed by cubic interpolation (eq. 3.59), safeguarded as in minFunc.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SUFFICIENT, CURVATURE = 1e-4, 0.9


@dataclass
class Point:
    """A step along the direction: the loss there, its gradient, and its slope along it."""

    step: Any
    loss: float
    gradient: Any
    slope: Any


def minimum_between(a: Point, b: Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """Where the cubic through two points' losses and slopes is least, within bounds."""
    low, high = bounds or ((a.step, b.step) if a.step <= b.step else (b.step, a.step))
    chord = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.step - b.step)
    inside = chord**2 - a.slope * b.slope
    if not inside >= 0:
        return (low + high) / 2.0
    root = inside.sqrt() if hasattr(inside, "sqrt") else math.sqrt(inside)
    first, last = (a, b) if a.step <= b.step else (b, a)
    least = last.step - (last.step - first.step) * (
        (last.slope + root - chord) / (last.slope - first.slope + 2 * root)
    )
    return min(max(least, low), high)


class LineSearch:
    """One search along a direction; ``evaluate(step)`` gives the loss and the gradient there."""

    def __init__(
        self, evaluate: Callable[[Any], tuple[float, Any]], start: Point, direction: Any,
        smallest: float, most: int,
    ) -> None:  # fmt: skip
        self.evaluate = evaluate
        self.start = start
        self.direction = direction
        self.smallest = smallest
        self.most = most
        self.evaluations = 0
        self.rounds = 0

    def at(self, step: Any) -> Point:
        """The point of a step, its gradient kept."""
        loss, gradient = self.evaluate(step)
        self.evaluations += 1
        return Point(step, loss, gradient.clone(), gradient.dot(self.direction))

    def decreases(self, point: Point) -> bool:
        """The first condition: the loss falls by a fair part of what the slope promised."""
        start = self.start
        return not point.loss > start.loss + SUFFICIENT * point.step * start.slope

    def flat(self, point: Point) -> bool:
        """The second condition: the slope is a fair part smaller."""
        return bool(abs(point.slope) <= -CURVATURE * self.start.slope)

    def run(self, first: Any) -> Point:
        """The point found, or the best where the evaluations ran out."""
        ends, done = self.bracket(first)
        return ends[0] if done else self.narrow(ends)

    def bracket(self, first: Any) -> tuple[list[Point], bool]:
        """An interval with a good step inside, or one good step itself."""
        before, here = self.start, self.at(first)
        while self.rounds < self.most:
            if not self.decreases(here) or (self.rounds > 1 and here.loss >= before.loss):
                return [before, here], False
            if self.flat(here):
                return [here], True
            if here.slope >= 0:
                return [before, here], False
            span = here.step - before.step
            further = minimum_between(before, here, (here.step + 0.01 * span, here.step * 10))
            before, here = here, self.at(further)
            self.rounds += 1
        return [self.start, here], False

    def narrow(self, ends: list[Point]) -> Point:
        """Close in on a good step between two ends; position ``best`` holds the better one."""
        width = self.direction.abs().max()
        best = 0 if ends[0].loss <= ends[1].loss else 1
        stuck = False
        while self.rounds < self.most:
            if abs(ends[1].step - ends[0].step) * width < self.smallest:
                break
            step, stuck = self.safeguarded(minimum_between(ends[0], ends[1]), ends, stuck)
            here = self.at(step)
            self.rounds += 1
            if not self.decreases(here) or here.loss >= ends[best].loss:
                ends[1 - best] = here
                best = 0 if ends[0].loss <= ends[1].loss else 1
                continue
            good = self.flat(here)
            if not good and here.slope * (ends[1 - best].step - ends[best].step) >= 0:
                ends[1 - best] = ends[best]
            ends[best] = here
            if good:
                break
        return ends[best]

    def safeguarded(self, step: Any, ends: list[Point], stuck: bool) -> tuple[Any, bool]:
        """A trial step kept a tenth away from the ends when it would hardly move them."""
        low, high = sorted((ends[0].step, ends[1].step))
        margin = 0.1 * (high - low)
        if min(high - step, step - low) >= margin:
            return step, False
        if stuck or step >= high or step <= low:
            return (high - margin if abs(step - high) < abs(step - low) else low + margin), False
        return step, True
