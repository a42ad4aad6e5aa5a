"""torch.hub: files of weights, downloaded once into a folder and checked by their names' hash."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from diptych.torch import serialization

_HASH = re.compile(r"-([a-f0-9]{8,})\.")
_CHUNK = 1 << 17
_folder: str | None = None


def get_dir() -> str:
    """The folder of downloads: ``set_dir``'s, or ``hub`` in $TORCH_HOME or the user's cache."""
    if _folder is not None:
        return _folder
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Keep downloads in another folder from now on."""
    global _folder
    _folder = os.path.expanduser(d)


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Download a file; it appears at ``dst`` only whole, and only if its SHA-256 starts as said.

    Raises RuntimeError for another hash, URLError without a network.
    """
    target = Path(os.path.expanduser(dst))
    request = urllib.request.Request(url, headers={"User-Agent": "torch.hub"})
    with urllib.request.urlopen(request) as source:
        size = int(source.headers.get("Content-Length") or 0)
        digest = hashlib.sha256()
        handle = tempfile.NamedTemporaryFile(dir=target.parent, delete=False)
        try:
            bar = _bar(size) if progress else None
            with handle:
                while chunk := source.read(_CHUNK):
                    handle.write(chunk)
                    digest.update(chunk)
                    if bar is not None:
                        bar.update(len(chunk))
            if bar is not None:
                bar.close()
            if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
                raise RuntimeError(
                    f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")'
                )
            os.replace(handle.name, target)
        except BaseException:
            Path(handle.name).unlink(missing_ok=True)
            raise


def _bar(size: int) -> Any:
    """A progress bar where somebody watches and tqdm is there."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=size or None, unit="B", unit_scale=True)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """The state dict in a file of the folder of downloads, which gets it from ``url`` if need be.

    The file is read as ``torch.load`` reads one: nothing in it is run.
    """
    folder = Path(model_dir or os.path.join(get_dir(), "checkpoints"))
    folder.mkdir(parents=True, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    if not name or name in (".", ".."):
        raise ValueError(f"load_state_dict_from_url: no file name in {url!r}; give file_name")
    file = folder / name
    if not file.exists():
        print(f'Downloading: "{url}" to {file}\n', file=sys.stderr)
        found = _HASH.search(name) if check_hash else None
        download_url_to_file(url, str(file), found.group(1) if found else None, progress)
    return serialization.load(file, map_location=map_location, weights_only=True)


def load(*_: Any, **__: Any) -> Any:
    """Not supported: it runs a repository's own code."""
    raise NotImplementedError("torch.hub.load is not supported: it runs code from a repository")


def list(*_: Any, **__: Any) -> Any:
    """Not supported: it runs a repository's own code."""
    raise NotImplementedError("torch.hub.list is not supported: it runs code from a repository")


def help(*_: Any, **__: Any) -> Any:
    """Not supported: it runs a repository's own code."""
    raise NotImplementedError("torch.hub.help is not supported: it runs code from a repository")
