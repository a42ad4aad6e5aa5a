"""Expressions that must evaluate alike in PyTorch and in diptych's face: values, prints, errors.

Each is text over ``torch`` and the names of :func:`environment`; a test evaluates it twice.
"""

# ruff: noqa: E501 (tables of expressions, one to a line)

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from tests.parity.torch_breadth import breadth

DTYPES = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
    "float64", "complex64", "complex128",
)  # fmt: skip
WIDE = ("uint16", "uint32", "uint64")
VALUES = {
    "bool": "[True,False,True]", "uint8": "[3,0,250]", "int8": "[3,0,-100]", "int16": "[3,0,-7]",
    "int32": "[3,0,-7]", "int64": "[3,0,-7]", "uint16": "[3,0,60000]", "uint32": "[3,0,7]",
    "uint64": "[3,0,7]", "float16": "[1.5,-2.0,0.25]", "bfloat16": "[1.5,-2.0,0.25]",
    "float32": "[1.5,-2.0,0.3]", "float64": "[1.5,-2.0,0.3]", "complex64": "[1+2j,-1j,2+0j]",
    "complex128": "[1+2j,-1j,2+0j]",
}  # fmt: skip


def environment(torch: Any) -> dict[str, Any]:
    """The names that expressions may use, made anew for each."""

    def grad(function: Any, *values: Any) -> list[Any]:
        tensors = [torch.tensor(value, requires_grad=True) for value in values]
        function(*tensors).sum().backward()
        return [tensor.grad for tensor in tensors]

    def after(code: str, name: str) -> Any:
        names = dict(env)
        exec(code, names)
        return names[name]

    env: dict[str, Any] = {
        "torch": torch, "t": torch.tensor, "inf": float("inf"), "nan": float("nan"),
        "grad": grad, "after": after, "x": torch.arange(24.0).reshape(2, 3, 4),
        "i": torch.arange(6).reshape(2, 3), "b": torch.tensor([True, False, True]),
        "m": torch.tensor([[1.5, -2.0, 3.0], [0.25, float("nan"), -float("inf")]]),
        "u": torch.tensor([200, 7], dtype=torch.uint8),
        "r": torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True),
        "e": torch.zeros(0, 3),
    }  # fmt: skip
    torch.manual_seed(0)
    return env


def tensor(dtype: str, values: str = "") -> str:
    """The text of a small tensor of a dtype."""
    return f"t({values or VALUES[dtype]},dtype=torch.{dtype})"


def promotion() -> Iterator[str]:
    """Every pair of dtypes, in every pair of ranks, and with Python numbers."""
    for a, b in itertools.product((*DTYPES, *WIDE), repeat=2):
        yield f"torch.promote_types(torch.{a},torch.{b})"
        yield f"torch.can_cast(torch.{a},torch.{b})"
        for first, second in ((a, f"{b}0"), (f"{a}0", b), (f"{a}0", f"{b}0")):
            words = [
                f"torch.ones((),dtype=torch.{w[:-1]})" if w.endswith("0")
                else f"torch.ones(2,dtype=torch.{w})"
                for w in (first, second)
            ]  # fmt: skip
            yield f"torch.result_type({words[0]},{words[1]})"
    for dtype, number in itertools.product(DTYPES, ("True", "2", "2.5", "1j")):
        if dtype == "float16" and number == "1j":
            continue
        yield f"torch.result_type(torch.ones(2,dtype=torch.{dtype}),{number})"
        yield f"torch.result_type(torch.ones((),dtype=torch.{dtype}),{number})"
        for operator in "+-*/":
            yield f"{tensor(dtype)}{operator}{number}"
            yield f"{number}{operator}{tensor(dtype, '[1,1]')}"


UNARY = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh "
    "atanh erf erfc sigmoid sqrt rsqrt reciprocal square abs sign neg floor ceil trunc round frac "
    "isnan isinf isfinite isposinf isneginf isreal signbit logical_not bitwise_not sgn angle "
    "deg2rad rad2deg positive relu nan_to_num logit sinc lgamma digamma erfinv conj real"
).split()


def unary() -> Iterator[str]:
    """One-operand functions on every dtype: the result's dtype and values, or the error."""
    for name, dtype in itertools.product(UNARY, DTYPES):
        yield f"torch.{name}({tensor(dtype)})"
    for name in UNARY:
        if name not in ("bitwise_not", "conj", "real"):
            yield f"torch.{name}(t([0.0,-0.0,1.0,-1.0,inf,-inf,nan]))"
            yield f"torch.{name}(torch.zeros(0,2))"
            yield f"torch.{name}(t([[1,2],[3,4]]).t())"


BINARY = (
    "add sub mul div true_divide floor_divide remainder fmod maximum minimum fmax fmin atan2 eq ne "
    "lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor copysign "
    "hypot gcd lcm pow xlogy logaddexp"
).split()
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "&", "|", "^")


def binary() -> Iterator[str]:
    """Two-operand functions on dtype pairs, with numbers, broadcast, and in place."""
    pairs = [("float32", d) for d in DTYPES] + [(d, d) for d in DTYPES] + [
        ("int64", "int32"), ("bool", "int8"), ("uint8", "int8"), ("int32", "float64"),
    ]  # fmt: skip
    for name, (a, b) in itertools.product(BINARY, pairs):
        other = "[2,1,3]" if b != "bool" else "[True,True,False]"
        yield f"torch.{name}({tensor(a)},{tensor(b, other)})"
    for operator, dtype in itertools.product(OPERATORS, DTYPES):
        yield f"{tensor(dtype)}{operator}{tensor(dtype)}"
        yield f"{tensor(dtype)}{operator}2"
        yield f"2{operator}{tensor(dtype, '[1,2,1]')}"
        yield f"{tensor(dtype)}{operator}1.5"
        yield f"{tensor(dtype)}{operator}True"
    for name, dtype in itertools.product(("add_", "mul_", "div_", "pow_", "eq_"), DTYPES):
        yield f"{tensor(dtype)}.{name}(2)"
        yield f"{tensor(dtype)}.{name}(1.5)"
        yield f"{tensor(dtype)}.{name}({tensor('float32')})"
    special = "t([0.0,-0.0,1.0,-1.5,inf,-inf,nan])"
    for name in BINARY:
        if not name.startswith("bitwise") and name not in ("gcd", "lcm"):
            yield f"torch.{name}({special},{special}.reshape(-1,1))"
            yield f"torch.{name}({special},0.0)"
            yield f"torch.{name}(torch.ones(2,1),torch.ones(0))"
            yield f"torch.{name}(torch.ones(2,3),torch.ones(4))"
    yield from (
        "torch.add(x,x,alpha=2)",
        "torch.add(i,i,alpha=1.5)",
        "torch.sub(x,1,alpha=3)",
        "torch.div(t([7.,-7.]),2,rounding_mode='floor')",
        "t([7,-7]).div(2,rounding_mode='trunc')",
        "torch.div(t([7,-7]),2,rounding_mode='up')",
        "torch.lerp(x,x+1,0.3)",
        "i//t(2)",
        "-7//t(2)",
        "torch.addcmul(x,x,x,value=0.5)",
        "torch.addcdiv(x,x,x+1)",
        "t([2,3])<<1",
        "t([8,-9])>>1",
        "torch.pow(2,t([1.,2.]))",
        "2**t([1,2])",
        "t([1.,4.])**0.5",
        "t([2.])**-1",
        "torch.float_power(t([2]),0.5)",
        "torch.rsub(x,1)",
        "abs(m)",
        "~b",
        "~x",
        "-b",
        "+b",
        "after('y=x.clone();y+=1','y')",
        "after('y=i.clone();y/=2','y')",
        "after('y=i;y*=2','i')",
        "torch.add(x,1,out=torch.empty(0))",
        "torch.exp(x,out=torch.empty(2))",
        "torch.mul(x,2.5,out=torch.zeros(2,3,4,dtype=torch.int32))",
        "torch.where(b,1,2.5)",
        "torch.where(b,t([1,2,3]),t(0.5))",
        "torch.where(b)",
        "x.clamp(3,10)",
        "i.clamp(min=2)",
        "i.clamp(max=2.5)",
        "m.clamp(-1,1)",
        "x.clamp(t([5.,2.,1.,0.]))",
        "torch.isin(i,t([1,4]))",
        "torch.dist(x,x+1)",
        "torch.isclose(m,m,equal_nan=True)",
        "torch.allclose(x,x+1e-9)",
        "torch.equal(x,x)",
        "torch.heaviside(t([-1.,0.,2.]),t(0.5))",
    )


def reductions() -> Iterator[str]:
    """Reductions over no, one and several axes, empty ones, and of every dtype."""
    names = "sum prod mean std var max min amax amin argmax argmin any all nansum norm logsumexp"
    for name in names.split():
        for dtype in DTYPES:
            yield f"torch.{name}({tensor(dtype)}" + (",0)" if name == "logsumexp" else ")")
        for source in ("x", "m", "e", "torch.zeros(0)", "t(3.)", "x.permute(2,0,1)", "i.float()"):
            if name != "logsumexp":
                yield f"{source}.{name}()"
            yield f"{source}.{name}(dim=0)"
            yield f"{source}.{name}(dim=-1,keepdim=True)"
            yield f"{source}.{name}(dim=5)"
        if name not in ("max", "min", "argmax", "argmin", "prod"):
            yield f"x.{name}(dim=(0,2))"
            yield f"x.{name}(dim=(0,0))"
    yield from (
        "x.sum((0,1),keepdim=True)",
        "i.sum(dtype=torch.float32)",
        "i.mean(dtype=torch.float64)",
        "x.std(unbiased=False)",
        "x.var(0,correction=0)",
        "torch.std_mean(x)",
        "x.std(0,False)",
        "torch.var_mean(x,1)",
        "x.norm(1)",
        "x.norm(inf)",
        "x.norm(3,dim=1)",
        "x.norm(0)",
        "x.median()",
        "x.median(1)",
        "i.median()",
        "m.median()",
        "m.nanmedian(1)",
        "i.mode(1)",
        "x.kthvalue(2,1)",
        "torch.quantile(x,0.3)",
        "torch.quantile(x,t([0.,0.5]),dim=1)",
        "torch.aminmax(x)",
        "torch.count_nonzero(i)",
        "torch.count_nonzero(i,dim=1)",
        "x.max(torch.ones(4)*7)",
        "torch.max(i,0)[1]",
        "torch.max(i,0).values",
        "m.nanmean()",
        "x.softmax(1)",
        "torch.log_softmax(x,2)",
        "i.softmax(0)",
        "x.cumsum(1)",
        "i.cumprod(1)",
        "u.sum()",
        "u.any()",
        "b.sum()",
        "x.cummax(2)",
        "x.cummin(0)",
        "m.logcumsumexp(1)",
        "torch.trace(i)",
        "torch.diff(i)",
        "t([3,1,3]).bincount()",
        "x.histc(4)",
    )


def movement() -> Iterator[str]:
    """Views, their strides, copies, joins and splits."""
    views = (
        "view(6,4) view(-1) view(4,-1,2) view(5) reshape(3,-1) reshape(-1,5) T mT t() "
        "transpose(0,2) transpose(0,-1) transpose(0,3) permute(2,0,1) permute(0,1) permute(0,0,1) "
        "squeeze() squeeze(0) unsqueeze(0) unsqueeze(-1) unsqueeze(4) unsqueeze(5) "
        "expand(2,2,3,4) expand(-1,3,4) expand(3,3,4) flatten() flatten(1) flatten(0,1) "
        "flatten(2,1) narrow(1,1,2) narrow(1,2,2) narrow(2,-2,1) select(1,2) select(1,3) "
        "select(-1,-1) diagonal() diagonal(1,1,2) diagonal(-1) diagonal(0,1,1) unfold(2,2,1) "
        "unfold(2,5,1) movedim(0,2) movedim((0,1),(2,0)) swapaxes(0,1) as_strided((2,2),(1,2)) "
        "as_strided((2,2),(1,2),3) as_strided((30,),(1,)) unflatten(2,(2,2)) unflatten(2,(3,-1)) "
        "ravel() contiguous() clone() flip(0) flip(0,2) flip(3) fliplr() rot90() repeat(2,1,1) "
        "repeat(2) repeat(2,1,1,1) tile(2) tile(2,1,1,1) roll(1) roll(1,0) roll((1,2),(0,2)) "
        "view_as(x) expand_as(x) detach() repeat_interleave(2) repeat_interleave(2,1) "
        "repeat_interleave(t([1,2,0]),1) tril() triu(1) movedim(0,3) broadcast_to((2,2,3,4))"
    ).split()
    for view in views:
        yield f"x.{view}"
        yield f"x.{view}.shape"
        if view.split("(")[0] not in ("clone", "contiguous", "reshape", "repeat_interleave"):
            yield f"x.{view}.stride()"
            yield f"x.{view}.storage_offset()"
            yield f"x.transpose(0,2).{view}.shape"
    for piece in (
        "split(2,2)", "split([1,2],1)", "split([1,1],1)", "split(0)", "split(-1)", "chunk(2,2)",
        "chunk(3,2)", "chunk(0)", "tensor_split(3,2)", "tensor_split((1,3),2)", "unbind()",
        "unbind(1)", "hsplit(3)", "vsplit(2)", "dsplit(2)", "dsplit(3)",
    ):  # fmt: skip
        yield f"x.{piece}"
    yield from (
        "torch.cat([x,x])",
        "torch.cat([x,x],-1).shape",
        "torch.cat([i,i.float()])",
        "torch.cat([])",
        "torch.cat([x,torch.zeros(0)]).shape",
        "torch.cat([i,i.int()],1)",
        "torch.stack([i,i],2)",
        "torch.stack([i,x])",
        "torch.hstack([i,i])",
        "torch.vstack([i,i])",
        "torch.dstack([i,i])",
        "torch.column_stack([t([1,2]),t([3,4])])",
        "torch.cat((i,'a'))",
        "torch.cat(i)",
        "torch.meshgrid(t([1,2]),t([3,4,5]),indexing='ij')",
        "torch.atleast_2d(t(1))",
        "torch.meshgrid(t([1,2]),t([3,4,5]),indexing='xy')",
        "torch.atleast_3d(t([1,2])).shape",
        "torch.broadcast_tensors(t([1,2]),t([[1],[2]]))",
        "torch.broadcast_shapes((2,1),(3,))",
        "torch.broadcast_shapes((2,),(3,))",
        "torch.diag(t([1,2]))",
        "torch.diag(i)",
        "torch.diag_embed(t([1.,2.]),1)",
        "torch.diagflat(i)",
        "torch.flip(i,[0])",
        "x.T.shape",
        "i.t().contiguous().stride()",
        "i.view(torch.int32)",
        "x.view(torch.float64).shape",
        "t([1.]).view(torch.int32)",
        "i.t().view(6)",
        "t([1+2j]).view(torch.float32)",
        "torch.view_as_real(t([1+2j]))",
        "torch.view_as_complex(t([[1.,2.]]))",
        "after('y=x.view(-1);y[0]=9','x')[0,0]",
        "after('y=x[0];y.mul_(2)','x')[0,1]",
        "after('y=x.T;y[0]=5','x')",
        "after('y=x.reshape(-1);y.zero_()','x').sum()",
        "after('y=x.transpose(0,2).reshape(-1);y.zero_()','x').sum()",
        "x.is_contiguous()",
        "x.T.is_contiguous()",
        "x[:,::2].is_contiguous()",
        "x.expand(2,2,3,4).zero_()",
        "t([[1,2],[3,4]]).H",
        "torch.triu_indices(2,3)",
        "torch.tril_indices(3,2)",
    )


def indexing(count: int = 400) -> Iterator[str]:
    """Drawn index expressions, read and assigned, and the errors of bad ones."""
    draw = random.Random(0)
    pool = (
        "0", "1", "-1", "5", ":", "1:", ":-1", "::2", "1:1", "...", "None", "[0,1]", "[1]", "t([0,1])",
        "t([[0,1],[1,0]])", "t(1)", "True", "False", "[True,False]", "b", "i>2", "t([-1,0])", "[]",
        "t([1,0],dtype=torch.int32)", "t([True,False])", "slice(0,2)",
    )  # fmt: skip
    for _ in range(count):
        index = ",".join(draw.choice(pool) for _ in range(draw.choice((1, 1, 2, 2, 3))))
        index += "," * draw.choice((0, 0, 1))
        source = draw.choice(("x", "i", "x.permute(2,1,0)", "b"))
        yield f"{source}[{index}]"
        value = draw.choice(("7", "-1.5", "t(3)", "torch.ones(4)", "torch.ones(1,1)", "True"))
        yield f"after('y={source}.clone();y[{index}]={value}','y')"
    yield from (
        "x['a']",
        "x[1.5]",
        "x[t([1.])]",
        "x[::-1]",
        "x[::0]",
        "x[{}]",
        "x[0,0,0,0]",
        "t(5)[0]",
        "t(5)[...]",
        "t(5)[None]",
        "x[x>5]",
        "x[:,b]",
        "x[b]",
        "x[t([5])]",
        "x[[0,1],[0,1],[0,1]]",
        "x[i>2]",
        "x[0:1.5]",
        "x[()]",
        "x[range(2)]",
        "x[torch.ones(2,3,dtype=torch.bool)]",
        "x[:,[0,2],1:]",
        "after('x[x>5]=0','x')",
        "after('x[x>5]=x[x>5]*2','x')",
        "after('x[0]=[1,2]','x')",
        "after('x[0]=\"a\"','x')",
        "after('x[0]=torch.ones(5)','x')",
        "after('x[t([0])]=t([1.,2.])','x')",
        "after('x[:,:,0]+=1','x')",
        "after('i[0]=2.7','i')",
        "after('u[0]=300','u')",
        "after('x[[0,0]]=1','x')",
        "after('x[None]=1','x')",
        "after('x[...]=t(2)','x')",
        "x.index_put((t([0]),t([1])),t(9.))",
        "x.index_select(1,t([2,0]))",
        "x.index_select(1,t([3]))",
        "x.gather(2,torch.zeros(2,3,1,dtype=torch.int64))",
        "x.gather(0,t([0]))",
        "x.gather(1,i)",
        "torch.zeros(3).scatter(0,t([2,0]),t([5.,6.]))",
        "torch.zeros(3).scatter_(0,t([1]),2.)",
        "torch.ones(3).scatter_add(0,t([0,0]),t([5.,6.]))",
        "i.take(t([0,-1]))",
        "i.take(t([9]))",
        "torch.ones(3).scatter_reduce(0,t([0,0]),t([5.,6.]),'prod')",
        "x.nonzero().shape",
        "torch.ones(3).scatter_reduce(0,t([0,0]),t([5.,6.]),'mean',include_self=False)",
        "i.nonzero(as_tuple=True)",
        "i.masked_fill(i>2,9)",
        "i.masked_select(i>2)",
        "b.nonzero()",
        "x.index_add(1,t([0,0]),torch.ones(2,2,4))",
        "x.index_fill(0,t([1]),7)",
        "x.argwhere().shape",
        "x.index_copy(0,t([1]),torch.ones(1,3,4))",
        "x.masked_scatter(x>20,t([1.,2.,3.]))",
        "i.sort(descending=True)",
        "t([3,1,2]).argsort()",
        "x.topk(2)",
        "x.topk(2,1,largest=False)",
        "x.topk(9)",
        "t([3,1,3]).unique(return_inverse=True,return_counts=True)",
        "i.msort()",
        "t([1,1,2]).unique_consecutive()",
        "torch.searchsorted(t([1.,3.]),t([0.,1.,2.]))",
        "torch.bucketize(t([0.,2.]),t([1.,3.]),right=True)",
        "torch.take_along_dim(i,i%2,1)",
        "list(t([1,2]))",
        "3 in i",
        "9 in i",
        "len(x)",
        "[v.item() for v in t([1.5,2])]",
    )


def creation() -> Iterator[str]:
    """Factories, their dtypes, and what they refuse."""
    data = (
        "1", "1.5", "True", "1j", "[1,2]", "[1,2.5]", "[True,2]", "[[1,2],[3,4]]", "[]", "[[],[]]", "(1,2)",
        "None", "'a'", "['a']", "[[1],[2,3]]", "[1,[2]]", "[None]", "[2**62]", "[2**63]", "{}", "range(3)",
        "[t(1),t(2)]", "[t(1.5),2]", "[(1,2),(3,4)]", "inf", "[nan,1]", "-0.0",
    )  # fmt: skip
    for value in data:
        yield f"t({value})"
        yield f"torch.as_tensor({value})"
        for dtype in ("float32", "int64", "bool", "complex64", "uint8", "bfloat16"):
            yield f"t({value},dtype=torch.{dtype})"
    yield from (
        "torch.zeros(2,3)", "torch.zeros((2,3),dtype=torch.int8)", "torch.ones(2).int()", "torch.full((2,),7)",
        "torch.full((2,2),1.5)", "torch.full((2,),True)", "torch.full((2,),1j)", "torch.eye(3,2)", "torch.eye(2)",
        "torch.arange(5)", "torch.arange(1,5,2)", "torch.arange(1.,2,0.3)", "torch.arange(5,1,-2)",
        "torch.arange(5,dtype=torch.float16)", "torch.arange(0,1,0.1)", "torch.arange(5,1)", "torch.arange()",
        "torch.arange(0,5,0)", "torch.linspace(0,1,5)", "torch.linspace(0,10,4,dtype=torch.int64)",
        "torch.linspace(-3,3,7)", "torch.linspace(0,1,1)", "torch.linspace(0,1,0)", "torch.logspace(0,2,3)",
        "torch.linspace(0.1,0.9,11)", "torch.logspace(0,3,4,base=2)", "torch.zeros_like(i)", "torch.ones_like(x,dtype=torch.bool)",
        "torch.full_like(i,2.7)", "torch.empty(0,3)", "torch.zeros(2,requires_grad=True)", "x.new_zeros(2)",
        "i.new_ones((2,))", "i.new_tensor([1.5])", "x.new_full((2,),3)", "torch.Tensor([1,2])", "torch.Tensor(0,2)",
        "torch.LongTensor([1,2])", "torch.FloatTensor(0)", "torch.zeros(2,device='cpu')", "torch.zeros(2,device='cuda')",
        "torch.zeros(size=(2,))", "torch.zeros(2,foo=1)", "torch.zeros()", "torch.tensor()", "torch.complex(t([1.]),t([2.]))",
        "torch.scalar_tensor(3)", "torch.empty_strided((2,3),(1,2)).stride()", "torch.zeros(2,-1)", "torch.zeros(2.5)",
        "torch.rand(3)", "torch.randn(3)", "torch.randn(17)", "torch.randint(10,(5,))", "torch.randint(3,9,(5,))",
        "torch.randint(9,3,(5,))", "torch.randperm(7)", "torch.normal(0.,1.,(3,))", "torch.normal(t([1.,2.]),t([1.,1.]))",
        "torch.bernoulli(torch.full((9,),0.5))", "torch.multinomial(t([1.,2.,3.]),2)", "torch.rand_like(x)",
        "torch.randn_like(i)", "torch.randn(2,dtype=torch.float64)", "torch.empty(5).uniform_(-1,1)",
        "torch.empty(20).normal_(2,3)", "torch.empty(5).exponential_()", "torch.empty(5).random_(10)",
        "torch.empty(5).bernoulli_(0.3)", "torch.multinomial(t([1.,2.]),3)", "torch.initial_seed()",
        "torch.rand(3,generator=torch.Generator().manual_seed(5))", "torch.get_rng_state().shape", "torch.randn(2,2,2)",
        "after('torch.manual_seed(7);a=torch.rand(2)','a')", "torch.empty(3).cauchy_()", "torch.empty(3).geometric_(0.5)",
        "after('s=torch.get_rng_state();p=torch.rand(2);torch.set_rng_state(s);q=torch.rand(2)','q')",
    )  # fmt: skip


def conversion() -> Iterator[str]:
    """Numbers, lists, dtypes, devices and properties."""
    for dtype in DTYPES:
        for method in (
            "float", "double", "half", "bfloat16", "int", "long", "short", "char", "byte", "bool",
            "tolist", "type", "is_floating_point", "is_complex", "is_signed", "element_size", "dim",
        ):  # fmt: skip
            yield f"{tensor(dtype)}.{method}()"
        yield f"{tensor(dtype)}.dtype"
        yield f"{tensor(dtype)}[0].item()"
        yield f"torch.{dtype}.itemsize"
        yield f"torch.{dtype}.is_floating_point"
        yield f"torch.{dtype}.is_signed"
        yield f"torch.{'finfo' if 'float' in dtype else 'iinfo'}(torch.{dtype})"
    yield from (
        "x.item()", "t(1.5).item()", "int(t(2.7))", "float(t(2))", "bool(t(0))", "bool(x)", "bool(torch.zeros(0))",
        "complex(t(1j))", "[1,2,3][t(1)]", "[1][t(1.)]", "range(t(3))", "x.to(torch.int32).dtype", "x.to('cpu').shape",
        "x.to('cuda')", "x.to(i).dtype", "x.to('cpu',torch.float64).dtype", "x.to(5)", "x.to(dtype=torch.half).dtype",
        "i.type(torch.float32).dtype", "i.type('torch.DoubleTensor').dtype", "i.type_as(x).dtype", "x.size()", "x.size(1)",
        "x.size(5)", "x.shape[1:]", "x.numel()", "x.nelement()", "x.ndim", "x.stride(1)", "x.device", "x.is_cuda", "x.nbytes",
        "x.requires_grad", "r.requires_grad", "r.is_leaf", "(r*2).is_leaf", "(r*2).requires_grad", "r.grad", "r.numpy()",
        "x.cuda()", "x.cpu().shape", "x.get_device()", "hash(x)==hash(x)", "x==None", "x.foo", "torch.nosuch", "x.real.shape",
        "f'{t(1.5):.3f}'", "f'{t([1.5])}'", "f'{t([1.5]):.3f}'", "str(t(3))", "'%d' % t(3)", "round(t(2.6))", "t(7)//2",
        "x.imag", "t([1+2j]).imag", "t([1+2j]).real", "x.data.shape", "torch.is_tensor(x)", "torch.is_tensor(1)", "x.itemsize",
        "torch.numel(x)", "torch.typename(x)", "torch.is_floating_point(i)", "torch.device('cpu')", "torch.device('cuda',1)",
        "torch.device('cuda:1')", "torch.device('gpu')", "str(torch.device('cuda:1'))", "torch.device('cpu')==torch.device('cpu')",
        "torch.Size([2,3])", "torch.Size([2,3]).numel()", "torch.Size([1])+torch.Size([2])", "torch.float", "torch.long",
        "torch.get_default_dtype()", "torch.strided", "torch.preserve_format", "torch.__version__[:4]", "torch.float32.to_complex()",
        "x.fill_(3)[0,0]", "x.zero_().sum()", "x.copy_(torch.ones(4))[0]", "x.copy_(torch.ones(5))", "x.copy_(3)", "i.copy_(t(2.9))",
        "t([1.,2.]).resize_(4).shape", "x.requires_grad_().requires_grad", "i.requires_grad_()", "t([1],requires_grad=True)",
        "r.retain_grad()", "x.backward()", "r.backward()", "(r*2).backward()", "r.register_hook(print) is None", "x.register_hook(print)",
    )  # fmt: skip


def gradients() -> Iterator[str]:
    """Gradients of functions at points where conventions differ, and grad_fn's names."""
    for body, values in (
        ("lambda a: a.abs()", "[-1.,0.,2.]"), ("lambda a: a.sqrt()", "[0.,4.]"), ("lambda a: a.max()", "[1.,3.,3.]"),
        ("lambda a: a.norm()", "[0.,0.]"), ("lambda a: a.clamp(0,1)", "[0.,.5,1.,2.]"), ("lambda a: a.std()", "[1.,2.,4.]"),
        ("lambda a: a.max(0)[0]", "[1.,3.,3.]"), ("lambda a: a.amax()", "[1.,3.,3.]"), ("lambda a: a.prod()", "[2.,0.,3.]"),
        ("lambda a: a.relu()", "[-1.,0.,2.]"), ("lambda a: a**2", "[3.]"), ("lambda a: a**0", "[0.,2.]"), ("lambda a: a**3.5", "[2.]"),
        ("lambda a: a.softmax(0)[0]", "[1.,2.]"), ("lambda a: a.logsumexp(0)", "[1.,2.]"), ("lambda a: a[1:]", "[1.,2.]"),
        ("lambda a: a[[0,0]]", "[1.,2.]"), ("lambda a: a.var()", "[1.,2.,4.]"), ("lambda a: a.cumsum(0)", "[1.,2.]"),
        ("lambda a: a.median()", "[1.,2.,4.]"), ("lambda a: a.sort()[0][0]", "[3.,2.]"), ("lambda a: a.expand(3,2)", "[1.,2.]"),
        ("lambda a: a.floor()", "[1.5]"), ("lambda a: a.sign()", "[1.5]"), ("lambda a: a%2", "[3.]"), ("lambda a: a.mean()", "[1.,2.]"),
        ("lambda a: torch.where(a>1,a,a*2)", "[1.,2.]"), ("lambda a: a.masked_fill(a>1,0)", "[1.,2.]"), ("lambda a: a.min(0).values", "[2.,2.]"),
        ("lambda a: torch.maximum(a,t(2.))", "[2.,3.]"), ("lambda a: a.double()", "[2.]"), ("lambda a: a.half()", "[2.]"),
        ("lambda a: a.flip(0)[0]", "[1.,2.]"), ("lambda a: a.repeat(3)", "[1.,2.]"), ("lambda a: a.topk(1)[0]", "[1.,2.]"),
        ("lambda a: a.diagonal()", "[[1.,2.],[3.,4.]]"), ("lambda a: a.tril()", "[[1.,2.],[3.,4.]]"), ("lambda a: a.t()@a", "[[1.,2.],[3.,4.]]"),
        ("lambda a: a.unfold(0,2,1)", "[1.,2.,3.]"), ("lambda a: torch.einsum('ij,jk->k',a,a)", "[[1.,2.],[3.,4.]]"),
        ("lambda a: a.clone().mul_(2)", "[1.,2.]"), ("lambda a: torch.cat([a,a*2])", "[1.,2.]"), ("lambda a: torch.stack([a,a])", "[1.]"),
    ):  # fmt: skip
        yield f"grad({body},{values})"
    yield from (
        "grad(lambda a,b: a/b,[1.],[2.])", "grad(lambda a,b: a**b,[2.],[3.])", "grad(lambda a,b: a@b,[1.,2.],[3.,4.])",
        "grad(lambda a,b: torch.atan2(a,b),[1.],[2.])", "grad(lambda a,b: a*b,[[1.],[2.]],[3.,4.])",
        "after('y=r.clone();y[0]=r[1]*3;y.sum().backward()','r').grad", "after('y=r*1;y[:,0].mul_(5);y.sum().backward()','r').grad",
        "after('y=torch.zeros(2);y[0]=r[0,0];y.sum().backward()','r').grad", "after('r[0]=1','r')", "after('r.add_(1)','r')",
        "after('(r*r).sum().backward();(r*r).sum().backward()','r').grad", "after('y=(r*r).sum();y.backward();y.backward()','r')",
        "after('y=r.exp();y.add_(1);y.sum().backward()','r')", "after('y=r*r;r.data.add_(1);y.sum().backward()','r').grad",
        "after('y=r*2;y.retain_grad();y.sum().backward();g=y.grad','g')", "after('r.register_hook(lambda g:g*2);r.sum().backward()','r').grad",
        "after('with torch.no_grad():\\n  y=r*2','y')", "after('with torch.inference_mode():\\n  y=r*2','y')",
        "after('with torch.no_grad():\\n  r.sub_(1)','r')", "after('torch.set_grad_enabled(False);y=r*2;torch.set_grad_enabled(True)','y')",
        "torch.is_grad_enabled()", "r*2", "r+1", "1-r", "r/2", "-r", "r**2", "r.exp()", "r.sum()", "r.sum(0)", "r.mean()", "r.mean(0)", "r.view(4)",
        "r.t()", "r.T", "r[0]", "r[0:1]", "r[[0]]", "r[:,None]", "r@r", "r.reshape(4)", "r.unsqueeze(0)", "r.squeeze(0)", "r.expand(2,2,2)", "r.clone()",
        "r.detach()", "r.double()", "r.max()", "r.max(0)", "r.std()", "r.var()", "r.relu()", "r.abs()", "r.log()", "r.sqrt()", "r.sigmoid()", "r.tanh()",
        "r.softmax(0)", "r.log_softmax(0)", "r.norm()", "r.permute(1,0)", "r.transpose(0,1)", "torch.cat([r,r])", "torch.stack([r,r])", "r.split(1)",
        "r.chunk(2)", "r.unbind()", "r.flatten()", "r.clamp(0,1)", "r.gather(0,t([[0]]))", "r.index_select(0,t([0]))", "r.masked_fill(r>1,0)", "r.tril()",
        "r.diagonal()", "r.cumsum(0)", "r.sort()", "r.topk(1)", "torch.where(r>1,r,0)", "r.prod()", "r.repeat(1,2)", "r.flip(0)", "r.roll(1)", "r>1",
        "r.argmax()", "torch.bmm(r[None],r[None])", "torch.addmm(r,r,r)", "r.mv(r[0])", "r[0].dot(r[0])", "r.outer", "(r*2).grad_fn.name()",
        "len((r*2).grad_fn.next_functions)", "(r*2).grad_fn.next_functions[0][0].name()", "(r*2).grad_fn.next_functions[0][0].variable is r",
        "r.sum().grad_fn.next_functions[0][0].name()", "torch.ones(2,requires_grad=True)", "r.min()", "r.amax()", "r.any()", "r.round()", "r.pow(3)", "2**r",
        "r.backward(torch.ones(3))", "r.sum().backward(torch.ones(2))", "(r*2).backward(torch.ones(2,2))", "r.sum().backward(retain_graph=True)",
    )  # fmt: skip


def products() -> Iterator[str]:
    """Matrix products in all ranks, and their errors."""
    shapes = (
        "()",
        "(2,)",
        "(3,)",
        "(2,3)",
        "(3,2)",
        "(1,2,3)",
        "(4,2,3)",
        "(4,3,2)",
        "(2,1,3,2)",
        "(0,3)",
        "(3,0)",
    )
    for a, b in itertools.product(shapes, repeat=2):
        yield f"torch.matmul(torch.ones({a}),torch.ones({b}))"
    yield from (
        "i@i.T", "i.float()@i.T", "torch.mm(i,i.T)", "torch.mm(t([1]),t([1]))", "torch.bmm(x,x.mT)", "torch.bmm(i,i)", "torch.dot(t([1,2]),t([3,4]))",
        "torch.mv(i,t([1,2,3]))", "torch.outer(t([1,2]),t([3,4]))", "torch.outer(i,i)", "torch.addmm(torch.ones(2),torch.ones(2,3),torch.ones(3,2))",
        "torch.addmm(t([1.]),torch.ones(2,3),torch.ones(3,2),beta=2,alpha=3)", "torch.baddbmm(torch.ones(2,3,3),x,x.mT)", "torch.kron(t([1,2]),t([1,10]))",
        "torch.tensordot(x,x,dims=([0,1,2],[0,1,2]))", "torch.tensordot(i.float(),i.float().T,1)", "torch.inner(t([1,2]),t([3,4]))", "b@b",
        "torch.einsum('ij->ji',i)", "torch.einsum('ij->',i)", "torch.einsum('ii->i',torch.eye(2))", "torch.einsum('bij,bkj->bik',x,x)",
        "torch.einsum('...ij,...kj->...ik',x,x).shape", "torch.einsum('ij,jk->ik',i,i)", "torch.einsum('i,j->ij',t([1,2]),t([3,4]))", "torch.einsum('ij,kj',i,i)",
        "torch.einsum('ab,bc,cd->ad',i,i.T,i)", "torch.einsum('ij->k',i)", "torch.einsum('ij,ij->i',i,i)", "torch.cross(t([1,0,0]),t([0,1,0]),dim=0)",
        "torch.vdot(t([1j]),t([1j]))", "torch.chain_matmul(i,i.T,i)", "x@'a'", "x.matmul(x.mT).shape", "2@x", "torch.trace(x)",
    )  # fmt: skip


def printing(count: int = 150) -> Iterator[str]:
    """Drawn tensors of all kinds, as they print."""
    draw = random.Random(1)
    scales = (1.0, 1e-3, 1e-6, 1e4, 1e9, 123456.0, 0.5)
    for k in range(count):
        shape = tuple(
            draw.choice((1, 2, 3, 5, 12)) for _ in range(draw.choice((0, 1, 1, 2, 2, 3, 4)))
        )
        kind = draw.choice(
            ("randn", "randn", "rand", "whole", "int", "bool", "complex", "half", "double")
        )
        scale = draw.choice(scales)
        made = f"(torch.manual_seed({k}),torch.randn({shape}))[1]"
        text = {
            "randn": f"{made}*{scale}", "rand": f"(torch.manual_seed({k}),torch.rand({shape}))[1]*{scale}", "whole": f"({made}*100).round()",
            "int": f"(torch.manual_seed({k}),torch.randint(-{k + 1}00,{k + 1}00,{shape}))[1]", "bool": f"{made}>0", "double": f"{made}.double()*{scale}",
            "complex": f"torch.complex({made},{made}*{draw.choice((1.0, 10.0))})", "half": f"{made}.half()",
        }[kind]  # fmt: skip
        yield text
    yield from (
        "t([nan,1.])", "t([inf,-inf,nan])", "t([nan,1.5])", "t([inf,100000.])", "t([1e-10,1.])", "t([1e10])", "t([0.,0.])", "t([-0.])", "t([1e5,1e-5])",
        "torch.zeros(0)", "torch.zeros(2,0)", "torch.zeros(0,dtype=torch.int64)", "torch.zeros(0,2,dtype=torch.bool)", "t(1)", "t(True)", "t(1.5)", "t(1e-7)",
        "torch.arange(1001)", "torch.arange(1000)", "torch.arange(1001.).reshape(7,143)", "torch.arange(8000.).reshape(20,20,20)", "torch.ones(1001,2)",
        "torch.ones(2,1001)", "torch.arange(30.)", "torch.arange(100)", "t([[1,-20],[300,4]])", "t([1.5,2.],dtype=torch.float64)", "t([1],dtype=torch.int8)",
        "torch.ones(3,3,requires_grad=True)", "(torch.ones(3,3,requires_grad=True)*2)", "torch.ones(17,requires_grad=True)", "t([1+1j,2.5-3j])", "t([1j*nan])",
        "torch.ones(16,dtype=torch.float64,requires_grad=True)*1.5", "torch.ones(2,dtype=torch.bfloat16)", "torch.ones(1,1,1,1)", "t([100000.,1.5])", "t([99999.5])",
        "t([1234567.,1.])", "t([12345678.,1.])", "t([123456789.])", "t([16777217])", "t([0.00012])", "t([0.00001])", "t([1.,1000.5])", "t([1.,1001.5])", "torch.eye(2)",
        "torch.ones(10,10)", "torch.full((3,4),1e-20)", "torch.full((2,),3.4e38)", "t([255],dtype=torch.uint8)", "i.t()", "x[:,::2]", "x.expand(2,2,3,4)[:,:,0]",
    )  # fmt: skip


AREAS = {
    "promotion": promotion, "unary": unary, "binary": binary, "reductions": reductions, "movement": movement, "indexing": indexing,
    "creation": creation, "conversion": conversion, "gradients": gradients, "products": products, "printing": printing,
    "breadth": breadth,
}  # fmt: skip
