"""SparseAdam: for sparse gradients, which this face does not have."""

from __future__ import annotations

from typing import Any

from diptych.torch.optim.optimizer import Optimizer, number
from diptych.torch.optim.stepping import check, one_rate


class SparseAdam(Optimizer):
    """Adam on the rows that a sparse gradient names; every gradient here is dense."""

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        one_rate(lr)
        check("learning rate", lr, number(lr) > 0.0)
        check("epsilon value", eps, eps > 0.0)
        check("beta parameter at index 0", betas[0], 0.0 <= betas[0] < 1.0)
        check("beta parameter at index 1", betas[1], 0.0 <= betas[1] < 1.0)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def step(self, closure: Any = None) -> Any:
        """Raises RuntimeError when there is a gradient: it is a dense one."""
        loss = self.closed(closure)
        for group in self.param_groups:
            if any(param.grad is not None for param in group["params"]):
                raise RuntimeError(
                    "SparseAdam does not support dense gradients, please consider Adam instead "
                    "(diptych has no sparse tensors)"
                )
        return loss
