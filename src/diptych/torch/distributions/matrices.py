"""Distributions with covariances: multivariate normal, Wishart, LKJ."""

from __future__ import annotations

import math
import warnings
from typing import Any

import diptych.torch as torch
from diptych.torch.distributions import constraints
from diptych.torch.distributions.distribution import Distribution, ExponentialFamily
from diptych.torch.distributions.drawing import standard_normal
from diptych.torch.distributions.positive import Beta, Chi2
from diptych.torch.distributions.utils import lazy_property


def batch_mv(matrix: Any, vector: Any) -> Any:
    """Matrices times vectors."""
    return torch.matmul(matrix, vector.unsqueeze(-1)).squeeze(-1)


def squared_length(factor: Any, x: Any) -> Any:
    """x' (L L')^-1 x, the batches broadcast."""
    shape = torch.broadcast_shapes(factor.shape[:-2], x.shape[:-1])
    size = x.shape[-1]
    factor = factor.expand((*shape, size, size))
    column = x.expand((*shape, size)).unsqueeze(-1)
    return torch.linalg.solve_triangular(factor, column, upper=False).squeeze(-1).pow(2).sum(-1)


def precision_to_scale_tril(precision: Any) -> Any:
    """The Cholesky factor of a precision matrix's inverse."""
    factor = torch.linalg.cholesky(torch.flip(precision, (-2, -1)))
    upper = torch.transpose(torch.flip(factor, (-2, -1)), -2, -1)
    eye = torch.eye(precision.shape[-1], dtype=precision.dtype).expand(precision.shape)
    return torch.linalg.solve_triangular(upper, eye, upper=False)


def half_log_det(factor: Any) -> Any:
    """Half the log determinant of L L'."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _inverse_of(factor: Any) -> Any:
    """(L L')^-1."""
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype).expand(factor.shape)
    inner = torch.linalg.solve_triangular(factor, eye, upper=False)
    return inner.mT @ inner


class _Covariance(Distribution):
    """What is given by one of three: a covariance, its inverse, or its Cholesky factor."""

    _unbroadcasted_scale_tril: Any
    _matrices = ("covariance_matrix", "precision_matrix", "scale_tril")

    def _factor_of(self, name: str, matrix: Any) -> Any:
        if name == "scale_tril":
            return matrix
        if name == "covariance_matrix":
            return torch.linalg.cholesky(matrix)
        return precision_to_scale_tril(matrix)

    def _one_matrix(self, given: dict[str, Any]) -> tuple[str, Any]:
        held = [(name, matrix) for name, matrix in given.items() if matrix is not None]
        if len(held) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        name, matrix = held[0]
        if matrix.dim() < 2:
            raise ValueError(f"{name} must be at least two-dimensional, with optional leading "
                             "batch dimensions")  # fmt: skip
        return name, matrix

    def _whole(self, matrix: Any) -> Any:
        size = self._event_shape[-1]
        return matrix.expand((*self._batch_shape, size, size))

    @lazy_property
    def scale_tril(self) -> Any:
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Any:
        factor = self._unbroadcasted_scale_tril
        return self._whole(torch.matmul(factor, factor.mT))

    @lazy_property
    def precision_matrix(self) -> Any:
        return self._whole(_inverse_of(self._unbroadcasted_scale_tril))


class MultivariateNormal(_Covariance):
    """Normal vectors."""

    arg_constraints = {
        "loc": constraints.real_vector, "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }  # fmt: skip
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Any, covariance_matrix: Any = None, precision_matrix: Any = None,
        scale_tril: Any = None, validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = (covariance_matrix, precision_matrix, scale_tril)
        name, matrix = self._one_matrix(dict(zip(self._matrices, given, strict=True)))
        batch = torch.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        self.loc = loc.expand((*batch, -1))
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = self._factor_of(name, matrix)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._expanded(MultivariateNormal, batch_shape, _instance, "loc", 1)
        for name in self._matrices:
            if name in self.__dict__:
                size = self._event_shape[-1]
                new.__dict__[name] = self.__dict__[name].expand((*new._batch_shape, size, size))
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril
        return new

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        width = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return width.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        eps = standard_normal(self._extended_shape(sample_shape), self.loc.dtype)
        return self.loc + batch_mv(self._unbroadcasted_scale_tril, eps)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        length = squared_length(self._unbroadcasted_scale_tril, value - self.loc)
        half = half_log_det(self._unbroadcasted_scale_tril)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + length) - half

    def entropy(self) -> Any:
        half = half_log_det(self._unbroadcasted_scale_tril)
        entropy = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + half
        return entropy if len(self._batch_shape) == 0 else entropy.expand(self._batch_shape)


class LowRankMultivariateNormal(Distribution):
    """Normal vectors whose covariance is a diagonal and a product of few columns."""

    arg_constraints = {
        "loc": constraints.real_vector, "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }  # fmt: skip
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading "
                             "batch dimensions")  # fmt: skip
        if cov_factor.shape[-2:-1] != event:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event[0]} x m")
        if cov_diag.shape[-1:] != event:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event}")
        try:
            batch = torch.broadcast_shapes(
                loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1]
            )
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, "
                f"cov_diag {cov_diag.shape}"
            ) from error
        self.loc = loc.expand((*batch, -1))
        self.cov_factor = cov_factor.expand((*batch, *cov_factor.shape[-2:]))
        self.cov_diag = cov_diag.expand((*batch, -1))
        super().__init__(batch, event, validate_args=validate_args)
        self._unbroadcasted_cov_factor = cov_factor
        self._unbroadcasted_cov_diag = cov_diag
        self._capacitance_tril = torch.linalg.cholesky(self._capacitance())

    def _capacitance(self) -> Any:
        """I + W' D^-1 W, the small matrix that stands for the large one."""
        w, d = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        scaled = w.mT / d.unsqueeze(-2)
        inner = torch.matmul(scaled, w)
        return inner + torch.eye(w.shape[-1], dtype=w.dtype)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._expanded(LowRankMultivariateNormal, batch_shape, _instance, "loc cov_diag", 1)
        shape = self.cov_factor.shape[-2:]
        new.cov_factor = self.cov_factor.expand((*new._batch_shape, *shape))
        for name in ("_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril"):
            setattr(new, name, getattr(self, name))
        return new

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        width = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return width.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        return torch.linalg.cholesky(self.covariance_matrix)

    @lazy_property
    def covariance_matrix(self) -> Any:
        w = self._unbroadcasted_cov_factor
        whole = torch.matmul(w, w.mT) + torch.diag_embed(self._unbroadcasted_cov_diag)
        size = self._event_shape[0]
        return whole.expand((*self._batch_shape, size, size))

    @lazy_property
    def precision_matrix(self) -> Any:
        w, d = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        scaled = w.mT / d.unsqueeze(-2)
        factor = self._capacitance_tril
        shape = torch.broadcast_shapes(factor.shape[:-2], scaled.shape[:-2])
        inner = torch.linalg.solve_triangular(
            factor.expand((*shape, *factor.shape[-2:])),
            scaled.expand((*shape, *scaled.shape[-2:])), upper=False,
        )  # fmt: skip
        whole = torch.diag_embed(d.reciprocal()) - torch.matmul(inner.mT, inner)
        size = self._event_shape[0]
        return whole.expand((*self._batch_shape, size, size))

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        narrow = (*shape[:-1], self.cov_factor.shape[-1])
        few = standard_normal(narrow, self.loc.dtype)
        each = standard_normal(shape, self.loc.dtype)
        return (
            self.loc + batch_mv(self._unbroadcasted_cov_factor, few)
            + self._unbroadcasted_cov_diag.sqrt() * each
        )  # fmt: skip

    def _log_det(self) -> Any:
        return 2 * half_log_det(self._capacitance_tril) + self._unbroadcasted_cov_diag.log().sum(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        w, d = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        away = value - self.loc
        scaled = w.mT / d.unsqueeze(-2)
        length = (away.pow(2) / d).sum(-1) - squared_length(
            self._capacitance_tril, batch_mv(scaled, away)
        )
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + self._log_det() + length)

    def entropy(self) -> Any:
        entropy = 0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._log_det())
        return entropy if len(self._batch_shape) == 0 else entropy.expand(self._batch_shape)


def _mvdigamma(x: Any, p: int) -> Any:
    """The sum of digammas that a Wishart distribution's moments have."""
    return torch.digamma(x.unsqueeze(-1) - torch.arange(p, dtype=x.dtype).div(2)).sum(-1)


class Wishart(_Covariance, ExponentialFamily):
    """Scatter matrices of normal vectors."""

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    @property
    def arg_constraints(self) -> Any:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    def __init__(
        self, df: Any, covariance_matrix: Any = None, precision_matrix: Any = None,
        scale_tril: Any = None, validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = (covariance_matrix, precision_matrix, scale_tril)
        name, matrix = self._one_matrix(dict(zip(self._matrices, given, strict=True)))
        if isinstance(df, (int, float)):
            df = torch.as_tensor(df, dtype=matrix.dtype)
        batch = torch.broadcast_shapes(matrix.shape[:-2], df.shape)
        event = matrix.shape[-2:]
        self.df = df.expand(batch)
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        if self.df.le(event[-1] - 1).any():
            raise ValueError(
                f"Value of df={df} expected to be greater than ndim - 1 = {event[-1] - 1}."
            )
        super().__init__(batch, event, validate_args=validate_args)
        if self.df.lt(event[-1]).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 "
                "< df < ndim.", stacklevel=2,
            )  # fmt: skip
        self._unbroadcasted_scale_tril = self._factor_of(name, matrix)
        self._dist_chi2 = self._chi2()

    def _chi2(self) -> Any:
        size = self._event_shape[-1]
        below = torch.arange(size, dtype=self._unbroadcasted_scale_tril.dtype)
        return Chi2(df=self.df.unsqueeze(-1) - below.expand((*self._batch_shape, -1)))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._expanded(Wishart, batch_shape, _instance, "df")
        for name in self._matrices:
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name].expand(
                    (*new._batch_shape, *self._event_shape)
                )
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril.expand(
            (*new._batch_shape, *self._event_shape)
        )
        new._dist_chi2 = new._chi2()
        return new

    @property
    def mean(self) -> Any:
        return self.df.view((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def mode(self) -> Any:
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = torch.where(factor <= 0, torch.full_like(factor, math.nan), factor)
        return factor.view((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def variance(self) -> Any:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        outer = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df.view((*self._batch_shape, 1, 1)) * (v.pow(2) + outer)

    def _bartlett(self, sample_shape: Any) -> Any:
        """Bartlett's decomposition: chi on the diagonal, normals below it."""
        p = self._event_shape[-1]
        noise = self._dist_chi2.rsample(sample_shape).sqrt().diag_embed(dim1=-2, dim2=-1)
        i, j = torch.tril_indices(p, p, -1)
        count = p * (p - 1) // 2
        noise = noise.clone()
        noise[..., i, j] = torch.randn(
            (*sample_shape, *self._batch_shape, count), dtype=noise.dtype
        )
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Any:
        if max_try_correction is None:
            max_try_correction = 3 if torch.is_grad_enabled() else 10
        sample_shape = torch.Size(sample_shape)
        sample = self._bartlett(sample_shape)
        # PyTorch draws anew what its first look finds positive definite (the test is the wrong way
        # round there), and from then on what is not; to have its numbers we must do the same.
        again = self._over_batch(self.support.check(sample))
        for _ in range(max_try_correction):
            if not again.any():
                break
            drawn = self._bartlett(again[again].shape)
            sample = sample.clone()
            sample[again] = drawn
            still = torch.zeros_like(again)
            still[again] = self._over_batch(~self.support.check(drawn))
            again = still
        return sample

    def _over_batch(self, found: Any) -> Any:
        """Whether it was found for any element of the batch."""
        count = len(self._batch_shape)
        if not count:
            return found
        return found.reshape((*found.shape[: found.dim() - count], -1)).any(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        nu, p = self.df, self._event_shape[-1]
        factor = self._unbroadcasted_scale_tril
        shape = torch.broadcast_shapes(factor.shape[:-2], value.shape[:-2])
        inner = torch.cholesky_solve(value.expand((*shape, p, p)), factor.expand((*shape, p, p)))
        return (
            -nu * (p * math.log(2.0) / 2.0 + half_log_det(factor))
            - torch.mvlgamma(nu / 2.0, p=p) + (nu - p - 1.0) / 2.0
            * torch.linalg.slogdet(value).logabsdet
            - inner.diagonal(dim1=-2, dim2=-1).sum(dim=-1) / 2.0
        )  # fmt: skip

    def entropy(self) -> Any:
        nu, p = self.df, self._event_shape[-1]
        return (
            (p + 1) * (p * math.log(2.0) / 2.0 + half_log_det(self._unbroadcasted_scale_tril))
            + torch.mvlgamma(nu / 2.0, p=p)
            - (nu - p - 1.0) / 2.0 * _mvdigamma(nu / 2.0, p=p) + nu * p / 2.0
        )  # fmt: skip

    @property
    def _natural_params(self) -> Any:
        p = self._event_shape[-1]
        return -self.precision_matrix / 2, (self.df - p - 1) / 2

    def _log_normalizer(self, x: Any, y: Any) -> Any:
        p = self._event_shape[-1]
        return (y + (p + 1) / 2) * (
            -torch.linalg.slogdet(-2 * x).logabsdet + math.log(2.0) * p
        ) + torch.mvlgamma(y + (p + 1) / 2, p=p)


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices (Lewandowski, Kurowicka, Joe, 2009)."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        self.concentration = torch.as_tensor(concentration)
        if not self.concentration.is_floating_point():
            self.concentration = self.concentration.to(torch.get_default_dtype())
        shape = self.concentration.size()
        # The onion method: rows are points of spheres, their radii betas of growing rows.
        marginal = self.concentration + 0.5 * (self.dim - 2)
        offset = torch.arange(self.dim - 1, dtype=self.concentration.dtype)
        offset = torch.cat([offset.new_zeros((1,)), offset])
        self._beta = Beta(offset + 0.5, marginal.unsqueeze(-1) - 0.5 * offset)
        super().__init__(shape, torch.Size((dim, dim)), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._expanded(LKJCholesky, batch_shape, _instance, "concentration")
        new.dim = self.dim
        new._beta = self._beta.expand((*new._batch_shape, self.dim))
        return new

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Any:
        radius = self._beta.sample(sample_shape).unsqueeze(-1)
        shape = self._extended_shape(sample_shape)
        normal = torch.randn(shape, dtype=radius.dtype).tril(-1)
        sphere = normal / normal.norm(dim=-1, keepdim=True)
        sphere[..., 0, :].fill_(0.0)
        rows = torch.sqrt(radius) * sphere
        least = torch.finfo(rows.dtype).tiny
        rest = torch.clamp(1 - torch.sum(rows**2, dim=-1), min=least).sqrt()
        return rows + torch.diag_embed(rest)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = torch.arange(2, self.dim + 1, dtype=self.concentration.dtype)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        unnormalized = torch.sum(order * diagonal.log(), dim=-1)
        below = self.dim - 1
        alpha = self.concentration + 0.5 * below
        denominator = torch.lgamma(alpha) * below
        numerator = torch.mvlgamma(alpha - 0.5, below)
        return unnormalized - (0.5 * below * math.log(math.pi) + numerator - denominator)
