"""torch.version: the version whose behaviour diptych follows."""

__version__ = "2.13.0"
debug = False
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
rocm: str | None = None
git_version = "diptych"
