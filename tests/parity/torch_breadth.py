"""Expressions over the breadth of PyTorch: special functions, factors, spectra, masks, statistics."""

# ruff: noqa: E501 (a table of expressions, one to a line)

from __future__ import annotations

import itertools
from collections.abc import Iterator

SPECIAL_UNARY = (
    "i0 i0e i1 i1e bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_i0 modified_bessel_i1 "
    "modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0 scaled_modified_bessel_k1 "
    "spherical_bessel_j0 airy_ai erfcx log_ndtr ndtr ndtri entr digamma gammaln expit"
).split()
POLYNOMIALS = [
    *(f"{p}chebyshev_polynomial_{k}" for p in ("", "shifted_") for k in "tuvw"),
    "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l",
    "legendre_polynomial_p",
]  # fmt: skip


def special() -> Iterator[str]:
    for name in SPECIAL_UNARY:
        yield f"torch.special.{name}(t([0.3,1.0,2.5,-0.7,0.0]))"
        yield f"torch.special.{name}(t([1,2,3]))"
        yield f"torch.special.{name}(t([0.25,3.5],dtype=torch.float64))"
        yield f"torch.special.{name}(torch.zeros(0,3))"
        yield f"torch.special.{name}(t([1+1j]))"
        yield f"torch.special.{name}(3.0)"
    for name in POLYNOMIALS:
        yield f"torch.special.{name}(t([0.3,-0.9,1.0,-1.0,0.0,1.5]),t([0,1,2,3,4,5]))"
        yield f"torch.special.{name}(t([0.3,-0.9,0.8]),t([12,9,20]))"
        yield f"torch.special.{name}(t([0.5,0.2],dtype=torch.float64),3)"
        yield f"torch.special.{name}(0.5,t([[1],[2],[-1]]))"
    for a, b in itertools.product(("t([0.5,2.0,3.5])", "t([1,2,3])", "2.0"), repeat=2):
        for name in ("zeta", "gammainc", "gammaincc", "xlogy"):
            if not (a == b == "2.0"):
                yield f"torch.special.{name}({a},{b})"
    yield from (f"torch.polygamma({n},t([0.5,1.0,2.5,7.0]))" for n in range(6))
    yield from (
        "torch.polygamma(-1,t([1.0]))",
        "t([0.5,2.0]).polygamma(2)",
        "t([0.5,2.0]).polygamma_(1)",
    )
    yield from (f"torch.mvlgamma(t([3.5,4.0]),{p})" for p in (1, 2, 3, 0))
    yield from (
        "torch.igamma(t([1.0,2.0]),t([0.5,3.0]))",
        "torch.igammac(t([1.0,2.0]),t([0.5,3.0]))",
        "torch.i0(t([1,2]))",
        "t([1.0]).i0_()",
    )
    for name in ("i0", "i1", "i0e", "i1e", "erfcx", "log_ndtr", "digamma"):
        yield f"grad(lambda v:torch.special.{name}(v),t([0.4,-1.3,0.0,2.0]))"
    yield "grad(lambda v:torch.polygamma(1,v),t([0.4,1.3,2.0]))"
    yield "grad(lambda v:torch.special.zeta(3.0,v),t([0.4,1.3,2.0]))"
    yield "grad(lambda v:torch.igamma(t([1.5]),v),t([0.4,1.3,2.0]))"


A = "t([[4.0,1.0,0.5],[1.0,3.0,0.2],[0.5,0.2,2.0]])"
B = "t([[1.0,2.0],[0.5,-1.0],[3.0,0.0]])"
WIDE, TALL = "t([[1.0,2.0,3.0],[0.5,-1.0,4.0]])", "t([[1.0,2.0],[0.5,-1.0],[3.0,0.5]])"


def factors() -> Iterator[str]:
    for m in (A, WIDE, TALL, "torch.zeros(0,3)", "torch.ones(3)"):
        for name in ("lu", "lu_factor", "lu_factor_ex"):
            yield f"torch.linalg.{name}({m})"
        yield f"torch.lu({m})"
        yield f"torch.geqrf({m})"
    yield f"torch.lu_unpack(*torch.linalg.lu_factor({WIDE}))"
    yield f"torch.lu_unpack(*torch.linalg.lu_factor({TALL}))[0]"
    yield f"torch.lu_unpack(*torch.linalg.lu_factor({A}),unpack_data=False)"
    yield f"torch.lu_unpack({A},t([9,1,1],dtype=torch.int32))"
    yield f"torch.linalg.lu_solve(*torch.linalg.lu_factor({A}),{B})"
    yield f"torch.linalg.lu_solve(*torch.linalg.lu_factor({A}),{B},adjoint=True)"
    yield f"torch.linalg.lu_solve(*torch.linalg.lu_factor({A}),{B}.T,left=False)"
    yield f"torch.lu_solve({B},*torch.linalg.lu_factor({A}))"
    for upper in (False, True):
        L = f"torch.linalg.cholesky({A},upper={upper})"
        yield f"torch.cholesky_solve({B},{L},upper={upper})"
        yield f"torch.cholesky_inverse({L},upper={upper})"
        yield f"torch.triangular_solve({B},{A},upper={upper})"
        yield f"torch.triangular_solve({B},{A},upper={upper},transpose=True,unitriangular=True)"
        yield f"torch.linalg.cholesky_ex({A},upper={upper})"
    for m in (A, "torch.zeros(2,2)", "torch.ones(2,3)"):
        yield f"torch.linalg.inv_ex({m}).info" if m != A else f"torch.linalg.inv_ex({m})"
        yield f"torch.linalg.cholesky_ex({m}).info"
        if m != "torch.zeros(2,2)":
            yield f"torch.linalg.ldl_factor({m})"
    yield f"torch.linalg.ldl_solve(*torch.linalg.ldl_factor({A}),{B})"
    yield f"torch.linalg.solve_ex({A},{B})"
    yield f"torch.linalg.householder_product(*torch.geqrf({TALL}))"
    yield f"torch.orgqr(*torch.geqrf({A}))"
    for left, transpose in itertools.product((True, False), repeat=2):
        yield f"torch.ormqr(*torch.geqrf({A}),{B if left else B + '.T'},left={left},transpose={transpose})"
    for driver in ("gels", "gelsy", "gelsd", "gelss"):
        yield f"torch.linalg.lstsq({TALL},t([[1.0,2.0],[0.5,-1.0],[3.5,0.3]]),driver='{driver}')"
    yield f"torch.linalg.lstsq({TALL},{B},driver='none')"
    yield from (f"torch.linalg.vander(t([1.0,2.0,3.0]){n})" for n in ("", ",N=2", ",N=5", ",N=1"))
    yield "torch.linalg.tensorinv(torch.eye(4).reshape(4,2,2)+1,ind=1)"
    yield "torch.linalg.tensorinv(torch.ones(2,3),ind=1)"
    yield "torch.linalg.tensorsolve((torch.eye(4)+1).reshape(2,2,4),torch.ones(2,2))"
    for words in ("", "atol=1.0", "rtol=0.5", "atol=1.0,rtol=0.1", "hermitian=True", "atol=t(1.0)"):
        yield f"torch.linalg.matrix_rank({A},{words})"
        yield f"torch.linalg.pinv({A},{words})"
    for uplo in "LU":
        yield f"torch.linalg.eigvalsh(t([[1.0,2.0],[5.0,3.0]]),UPLO='{uplo}')"
    yield f"torch.linalg.eigvalsh({A},UPLO='X')"
    yield f"torch.linalg.qr({A},mode='r').R.abs()"
    yield f"torch.norm({WIDE},'nuc')"
    for word in ("torch.linalg.lu(v).U", "torch.linalg.lu_factor(v)[0]", "torch.linalg.eigvals(v).abs()",
                 "torch.linalg.eigh(v).eigenvalues", "torch.linalg.eigh(v,UPLO='U')[1].abs()",
                 "torch.linalg.svd(v)[1]", "torch.cholesky_inverse(v)", "torch.linalg.pinv(v,hermitian=True)"):  # fmt: skip
        yield f"grad(lambda v:{word},{A})"
    for m in (WIDE, TALL):
        yield f"grad(lambda v:torch.linalg.lu_factor(v)[0],{m})"
        yield f"grad(lambda v:torch.linalg.svd(v)[1],{m})"
    yield f"grad(lambda v:torch.linalg.householder_product(v,t([0.3,0.7])),{TALL})"
    yield f"grad(lambda v:torch.cholesky_solve({B},v),{A})"


def signals() -> Iterator[str]:
    names = (
        "bartlett blackman cosine exponential gaussian general_hamming hamming hann kaiser nuttall"
    )
    for name, count, sym in itertools.product(names.split(), (0, 1, 5, 8), (True, False)):
        yield f"torch.signal.windows.{name}({count},sym={sym})"
    yield from (
        "torch.signal.windows.general_cosine(6,a=[0.5,0.3,0.2])", "torch.signal.windows.hann(-1)",
        "torch.signal.windows.gaussian(5,std=0.7,dtype=torch.float64)", "torch.signal.windows.kaiser(5,beta=3.0)",
        "torch.signal.windows.exponential(5,tau=2.0)", "torch.signal.windows.exponential(5,center=1.0)",
        "torch.signal.windows.hann(4,dtype=torch.int64)", "torch.signal.windows.general_cosine(6,a=[])",
    )  # fmt: skip
    wave = "torch.arange(20).float().sin()"
    for words in ("return_complex=True", "center=False,return_complex=True", "hop_length=3,return_complex=True",
                  "window=torch.hann_window(8),return_complex=True", "normalized=True,return_complex=True",
                  "onesided=False,return_complex=True", "return_complex=False", "",
                  "win_length=6,window=torch.ones(6),return_complex=True", "pad_mode='constant',return_complex=True",
                  "win_length=9,return_complex=True", "hop_length=0,return_complex=True"):  # fmt: skip
        tail = "[:,:,0]" if "False" in words and "complex=F" in words else ".abs()" if words else ""
        yield f"torch.stft({wave},8,{words}){tail}"
    for words in ("", "length=18", "length=15,center=True", "normalized=True"):
        given = "normalized=True," if "normalized" in words else ""
        yield f"torch.istft(torch.stft({wave},8,{given}return_complex=True),8,{words})"
    yield f"torch.istft(torch.stft({wave},8,window=torch.hann_window(8),center=False,return_complex=True),8,window=torch.hann_window(8),center=False)"
    yield f"torch.istft({wave},8)"
    yield f"grad(lambda v:torch.stft(v,8,return_complex=True).abs(),{wave})"
    for name in ("hfft2", "ihfft2", "hfftn", "ihfftn"):
        yield f"torch.fft.{name}(t([[1.0,2.0,3.0],[0.5,-1.0,4.0]]))"
        yield f"torch.fft.{name}(t([[1.0,2.0,3.0],[0.5,-1.0,4.0]]),s=(2,2),norm='ortho')"


MASK = "t([[True,False,True],[False,False,True]])"
VALUES = "t([[1.0,-2.0,3.0],[0.5,4.0,-1.0]])"


def masks() -> Iterator[str]:
    for name in "sum prod amax amin mean logsumexp var std argmax argmin".split():
        for words in ("", ",dim=1", ",dim=0,keepdim=True", f",mask={MASK}", f",dim=1,mask={MASK}"):
            yield f"torch.masked.{name}({VALUES}{words})"
        if name != "logsumexp":
            yield f"torch.masked.{name}(t([[1,2],[3,4]]),mask=t([[True,False],[True,True]]))"
    for name in "cumsum cumprod softmax log_softmax softmin median".split():
        yield f"torch.masked.{name}({VALUES},1)"
        yield f"torch.masked.{name}({VALUES},0,mask=t([[True,True,False],[True,False,True]]))"
    yield from (
        f"torch.masked.norm({VALUES},{p},1,mask={MASK})" for p in ("2.0", "1", "inf", "-inf", "0")
    )
    yield f"torch.masked.normalize({VALUES},2.0,1,mask={MASK})"
    yield f"torch.masked.logaddexp({VALUES},{VALUES},input_mask={MASK})"
    yield f"grad(lambda v:torch.masked.var(v,1,mask=t([[True,True,False],[True,False,True]])),{VALUES})"


def statistics() -> Iterator[str]:
    for name, how in itertools.product(
        ("quantile", "nanquantile"), ("linear", "lower", "higher", "midpoint", "nearest")
    ):
        yield f"torch.{name}({VALUES},0.4,interpolation='{how}')"
        yield f"torch.{name}({VALUES},t([0.1,0.9]),dim=1,keepdim=True,interpolation='{how}')"
        yield f"torch.{name}(t([[1.0,nan,3.0],[2.0,0.0,nan]]),0.5,dim=1,interpolation='{how}')"
    yield from ("torch.quantile(t([1,2]),0.5)", "torch.quantile(t([1.0]),1.5)", "torch.quantile(t(3.0),0.5,dim=0)",
                "torch.quantile(torch.zeros(0),0.5)", f"{VALUES}.quantile(0.3,0)",
                f"grad(lambda v:torch.quantile(v,0.3,dim=1),{VALUES})")  # fmt: skip
    w, f = "aweights=t([0.5,1.0,2.0])", "fweights=t([1,2,3])"
    for words in (
        "",
        w,
        f,
        f"{w},{f}",
        f"correction=0,{w}",
        "fweights=t([1.0,2.0,3.0])",
        "fweights=t([1,2])",
    ):
        yield f"torch.cov({VALUES},{words})"
    yield from (
        f"torch.corrcoef({VALUES})",
        "torch.corrcoef(t([1.0,2.0,4.0]))",
        "torch.cov(t([[1.0,2.0]]))",
    )
    points = "t([0.1,0.5,0.9,0.5,1.0,0.0])"
    for words in (
        "4",
        "4,range=(0.0,2.0)",
        "3,density=True",
        "t([0.0,0.4,1.0])",
        "3,weight=t([1.0,2,3,4,5,6])",
        "0",
        "3,range=(1.0,0.0)",
    ):
        yield f"torch.histogram({points},{words})"
    yield "torch.histogramdd(torch.rand(0,2),bins=(2,3))"
    yield f"torch.histogramdd({points}.reshape(3,2),bins=(2,3))"
    yield f"torch.histogramdd({points}.reshape(3,2),bins=2,density=True,weight=t([1.0,2.0,3.0]))"


def copies() -> Iterator[str]:
    for call in ("alias_copy(x)", "diagonal_copy(x)", "expand_copy(x[:1],(5,3,4))", "narrow_copy(x,1,0,2)", "permute_copy(x,(2,0,1))",
                 "select_copy(x,1,2)", "squeeze_copy(x[:1])", "t_copy(x[0])", "transpose_copy(x,0,2)", "unfold_copy(x,2,2,1)",
                 "unsqueeze_copy(x,0)", "view_copy(x,(6,4))", "split_with_sizes_copy(x,[1,2],1)", "unbind_copy(x,1)",
                 "unsafe_chunk(x,2,1)", "unsafe_split(x,2,2)", "unsafe_split_with_sizes(x,[1,3],2)", "as_strided_copy(x,(2,2),(1,2),1)",
                 "as_strided_scatter(x,torch.ones(2,2),(2,2),(1,2),1)", "as_strided_scatter(x,torch.ones(3),(2,2),(1,2))",
                 "constant_pad_nd(x,(1,-1,2,0),7.0)", "constant_pad_nd(x,(1,))", "resolve_neg(x)", "is_neg(x)",
                 "empty_permuted((2,3,4),(2,0,1)).stride()", "empty_permuted((2,3),(0,0))"):  # fmt: skip
        yield f"torch.{call}"
    yield "torch.ones(5).resize_as_(torch.ones(2,2))"
    y = "t([1.0,4.0,9.0,16.0])"
    for words in ("", ",t([0.0,1.0,3.0,4.0])", ",dx=0.5", ",t([0.0,1.0])"):
        yield f"torch.trapezoid({y}{words})"
        yield f"torch.cumulative_trapezoid({y}{words})"
    for words in (
        "",
        ",spacing=2.0",
        ",edge_order=2",
        ",spacing=(t([0.0,1.0,3.0,4.0]),)",
        ",spacing=(1.0,2.0)",
        ",edge_order=3",
    ):
        yield f"torch.gradient({y}{words})"
    yield "torch.gradient(t([[1.0,2.0,4.0],[3.0,5.0,9.0]]),spacing=(2.0,0.5))"
    yield "torch.gradient(t([[1.0,2.0,4.0],[3.0,5.0,9.0]]),dim=1,edge_order=2)"
    yield "torch.gradient(t([1.0]))"
    yield from (
        "torch.put(torch.zeros(2,3),t([0,-1,0]),t([1.0,2.0,3.0]),accumulate=True)", "torch.put(torch.zeros(2,3),t([0,1]),t([1.0]))",
        "torch.nonzero_static(t([0,1,2]),size=3)", "torch.nonzero_static(t([[0,1],[2,0]]),size=1)", "torch.nonzero_static(t([1]),size=-1)",
        "torch.index_add(t(1.0),0,t([0]),t(2.0))", "torch.index_copy(t(1.0),0,t([0]),t(2.0))", "torch.index_fill(t(1.0),0,t([0]),5.0)",
        "torch.take_along_dim(t([[1,2],[3,4]]),t([[-1],[0]]),1)", "torch.tensordot(torch.ones(1,3),torch.ones(2,4),dims=([0],[0]))",
        "torch.div(t([7.0,-7.0]),t([2.0,2.0]),rounding_mode='trunc')", "torch.frexp(t([0.3,5.0,0.0]))",
        "grad(lambda v:torch.div(v,2.0,rounding_mode='floor'),t([3.0,5.0]))", "grad(lambda v:torch.frexp(v)[0],t([3.0,5.0]))",
    )  # fmt: skip
    for how, own in itertools.product(("prod", "mean", "amax", "amin", "sum"), (True, False)):
        yield f"torch.index_reduce(t([[1.0,2.0],[3.0,4.0],[5.0,6.0]]),0,t([0,2,0]),t([[2.0,1.0],[0.5,3.0],[4.0,9.0]]),'{how}',include_self={own})"


def older() -> Iterator[str]:
    for given in (
        "t([1.0,-2.5,0.0])",
        "t([[3,-1],[7,2]])",
        "t([True,False])",
        "torch.zeros(0)",
        "t([1j])",
        "t(2.0)",
        "t([[1.5,2.0]],dtype=torch.float64)",
    ):
        yield f"torch.hash_tensor({given})"
        yield f"torch.hash_tensor({given},-1,keepdim=True)"
    for words in ("", "dim=0", "dim=(0,1),keepdim=True"):
        yield f"torch.frobenius_norm(t([[1.0,2.0],[3.0,4.5]]),{words or 'dim=()'})"
    yield from (
        "torch.nuclear_norm(t([[1.0,2.0],[3.0,4.5]]))", "torch.nuclear_norm(t([[1.0,2.0],[3.0,4.5]]),True)", "torch.nuclear_norm(torch.ones(2,2,2),dim=(1,2))",
        "torch.bartlett_window(5)", "torch.bartlett_window(5,periodic=False)", "torch.kaiser_window(5)", "torch.kaiser_window(6,False,3.0)",
        "torch.get_deterministic_debug_mode()", "torch.is_anomaly_enabled()", "torch.is_anomaly_check_nan_enabled()", "torch.get_device(x)",
        "torch.is_distributed(x)", "x.is_set_to(x)", "x.is_set_to(x.clone())", "x.dim_order()", "x.permute(2,0,1).dim_order()", "x.new(2,3).shape",
        "x.new([1,2])", "x.to_dense()", "t([1.0,2.0]).map2_(t([3.0,4.0]),t([5.0,6.0]),lambda a,b,c:a*b+c)", "torch.set_deterministic_debug_mode(7)",
    )  # fmt: skip


def breadth() -> Iterator[str]:
    for part in (special, factors, signals, masks, statistics, copies, older):
        yield from part()
