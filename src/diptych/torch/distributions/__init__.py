"""torch.distributions: probability distributions, their transforms and divergences."""

import sys

from diptych.torch.distributions import categorical as categorical
from diptych.torch.distributions import combined as _combined
from diptych.torch.distributions import constraints as constraints
from diptych.torch.distributions import counts as _counts
from diptych.torch.distributions import distribution as distribution
from diptych.torch.distributions import kl as kl
from diptych.torch.distributions import locations as _locations
from diptych.torch.distributions import matrices as _matrices
from diptych.torch.distributions import positive as _positive
from diptych.torch.distributions import transformed as _transformed
from diptych.torch.distributions import transforms as transforms
from diptych.torch.distributions import utils as utils
from diptych.torch.distributions.categorical import Categorical as Categorical
from diptych.torch.distributions.categorical import Multinomial as Multinomial
from diptych.torch.distributions.categorical import OneHotCategorical as OneHotCategorical
from diptych.torch.distributions.categorical import (
    OneHotCategoricalStraightThrough as OneHotCategoricalStraightThrough,
)
from diptych.torch.distributions.combined import Independent as Independent
from diptych.torch.distributions.combined import MixtureSameFamily as MixtureSameFamily
from diptych.torch.distributions.combined import TransformedDistribution as TransformedDistribution
from diptych.torch.distributions.constraint_registry import biject_to as biject_to
from diptych.torch.distributions.constraint_registry import transform_to as transform_to
from diptych.torch.distributions.counts import Bernoulli as Bernoulli
from diptych.torch.distributions.counts import Binomial as Binomial
from diptych.torch.distributions.counts import ContinuousBernoulli as ContinuousBernoulli
from diptych.torch.distributions.counts import Geometric as Geometric
from diptych.torch.distributions.counts import NegativeBinomial as NegativeBinomial
from diptych.torch.distributions.counts import Poisson as Poisson
from diptych.torch.distributions.distribution import Distribution as Distribution
from diptych.torch.distributions.distribution import ExponentialFamily as ExponentialFamily
from diptych.torch.distributions.kl import kl_divergence as kl_divergence
from diptych.torch.distributions.kl import register_kl as register_kl
from diptych.torch.distributions.locations import Cauchy as Cauchy
from diptych.torch.distributions.locations import Laplace as Laplace
from diptych.torch.distributions.locations import Normal as Normal
from diptych.torch.distributions.locations import StudentT as StudentT
from diptych.torch.distributions.locations import Uniform as Uniform
from diptych.torch.distributions.locations import VonMises as VonMises
from diptych.torch.distributions.matrices import LKJCholesky as LKJCholesky
from diptych.torch.distributions.matrices import (
    LowRankMultivariateNormal as LowRankMultivariateNormal,
)
from diptych.torch.distributions.matrices import MultivariateNormal as MultivariateNormal
from diptych.torch.distributions.matrices import Wishart as Wishart
from diptych.torch.distributions.positive import Beta as Beta
from diptych.torch.distributions.positive import Chi2 as Chi2
from diptych.torch.distributions.positive import Dirichlet as Dirichlet
from diptych.torch.distributions.positive import Exponential as Exponential
from diptych.torch.distributions.positive import FisherSnedecor as FisherSnedecor
from diptych.torch.distributions.positive import Gamma as Gamma
from diptych.torch.distributions.positive import GeneralizedPareto as GeneralizedPareto
from diptych.torch.distributions.transformed import Gumbel as Gumbel
from diptych.torch.distributions.transformed import HalfCauchy as HalfCauchy
from diptych.torch.distributions.transformed import HalfNormal as HalfNormal
from diptych.torch.distributions.transformed import InverseGamma as InverseGamma
from diptych.torch.distributions.transformed import Kumaraswamy as Kumaraswamy
from diptych.torch.distributions.transformed import LogisticNormal as LogisticNormal
from diptych.torch.distributions.transformed import LogNormal as LogNormal
from diptych.torch.distributions.transformed import Pareto as Pareto
from diptych.torch.distributions.transformed import RelaxedBernoulli as RelaxedBernoulli
from diptych.torch.distributions.transformed import (
    RelaxedOneHotCategorical as RelaxedOneHotCategorical,
)
from diptych.torch.distributions.transformed import Weibull as Weibull
from diptych.torch.distributions.transforms import AbsTransform as AbsTransform
from diptych.torch.distributions.transforms import AffineTransform as AffineTransform
from diptych.torch.distributions.transforms import CatTransform as CatTransform
from diptych.torch.distributions.transforms import ComposeTransform as ComposeTransform
from diptych.torch.distributions.transforms import CorrCholeskyTransform as CorrCholeskyTransform
from diptych.torch.distributions.transforms import (
    CumulativeDistributionTransform as CumulativeDistributionTransform,
)
from diptych.torch.distributions.transforms import ExpTransform as ExpTransform
from diptych.torch.distributions.transforms import IndependentTransform as IndependentTransform
from diptych.torch.distributions.transforms import LowerCholeskyTransform as LowerCholeskyTransform
from diptych.torch.distributions.transforms import (
    PositiveDefiniteTransform as PositiveDefiniteTransform,
)
from diptych.torch.distributions.transforms import PowerTransform as PowerTransform
from diptych.torch.distributions.transforms import ReshapeTransform as ReshapeTransform
from diptych.torch.distributions.transforms import SigmoidTransform as SigmoidTransform
from diptych.torch.distributions.transforms import SoftmaxTransform as SoftmaxTransform
from diptych.torch.distributions.transforms import SoftplusTransform as SoftplusTransform
from diptych.torch.distributions.transforms import StackTransform as StackTransform
from diptych.torch.distributions.transforms import StickBreakingTransform as StickBreakingTransform
from diptych.torch.distributions.transforms import TanhTransform as TanhTransform
from diptych.torch.distributions.transforms import Transform as Transform
from diptych.torch.distributions.transforms import identity_transform as identity_transform

# PyTorch has a module for each distribution; ours lie together by kind, under those names too.
_HOMES = {
    _counts: "bernoulli binomial continuous_bernoulli geometric negative_binomial poisson",
    _locations: "cauchy laplace normal studentT uniform von_mises",
    _positive: "beta chi2 dirichlet exponential fishersnedecor gamma generalized_pareto",
    categorical: "multinomial one_hot_categorical",
    _matrices: "multivariate_normal lowrank_multivariate_normal wishart lkj_cholesky",
    _combined: "independent mixture_same_family transformed_distribution",
    _transformed: "gumbel half_cauchy half_normal inverse_gamma kumaraswamy logistic_normal "
    "log_normal pareto relaxed_bernoulli relaxed_categorical weibull",
    distribution: "exp_family",
}
for _home, _names in _HOMES.items():
    for _name in _names.split():
        sys.modules[f"{__name__}.{_name}"] = globals()[_name] = _home

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "CatTransform",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "ContinuousBernoulli",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "IndependentTransform",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "LowerCholeskyTransform",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "identity_transform",
    "kl_divergence",
    "register_kl",
    "transform_to",
]
