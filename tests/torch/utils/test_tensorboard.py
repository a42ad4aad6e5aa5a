"""Event files, read back by the real TensorBoard's own reader."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diptych import torch

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def writing(tmp_path: Path) -> Any:
    from diptych.torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "run")) as writer:
        yield writer


def read(writer: Any, folder: str = "") -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer.flush()
    found = EventAccumulator(str(Path(writer.log_dir, folder)), size_guidance={"tensors": 0})
    found.Reload()
    return found


def test_scalars(writing: Any) -> None:
    for step in range(5):
        writing.add_scalar("loss/train", torch.tensor(step / 2), step, walltime=100.0 + step)
    writing.add_scalar("bad tag!", 3)
    writing.add_scalar("new", 1.5, 2, new_style=True)
    found = read(writing)
    events = found.Scalars("loss/train")
    assert [(e.step, e.value, e.wall_time) for e in events] == [
        (i, i / 2, 100.0 + i) for i in range(5)
    ]
    assert found.Scalars("bad_tag_")[0].value == 3
    assert found.Tensors("new")[0].step == 2
    with pytest.raises(ValueError, match="0D"):
        writing.add_scalar("many", torch.ones(2))


def test_scalars_side_by_side(writing: Any) -> None:
    writing.add_scalars("both", {"a": 1.0, "b": 2.0}, 7)
    for tag, value in (("a", 1.0), ("b", 2.0)):
        event = read(writing, f"both_{tag}").Scalars("both")[0]
        assert (event.step, event.value) == (7, value)


def test_a_histogram_counts_every_element(writing: Any) -> None:
    values = torch.tensor([-2.0, 0.5, 0.5, 3.0])
    writing.add_histogram("weights", values, 1)
    writing.add_histogram("few", values, 1, bins=4)
    found = read(writing)
    for tag in ("weights", "few"):
        held = found.Histograms(tag)[0].histogram_value
        assert (held.min, held.max, held.num, held.sum) == (-2.0, 3.0, 4.0, 2.0)
        assert sum(held.bucket) == 4 and held.sum_squares == 13.5
        assert held.bucket_limit == sorted(held.bucket_limit)
        assert len(held.bucket) == len(held.bucket_limit)
    with pytest.raises(ValueError, match="no element"):
        writing.add_histogram("none", torch.ones(0))


def test_images_keep_their_pixels(writing: Any) -> None:
    image_module = pytest.importorskip("PIL.Image")
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    writing.add_image("bytes", pixels, dataformats="HWC")
    writing.add_image("floats", torch.full((1, 2, 2), 0.5))
    writing.add_images("grid", torch.ones(3, 3, 2, 2))
    found = read(writing)

    def decoded(tag: str) -> Any:
        event = found.Images(tag)[0]
        return np.asarray(image_module.open(io.BytesIO(event.encoded_image_string)))

    assert np.array_equal(decoded("bytes"), pixels)
    assert decoded("floats").shape == (2, 2, 3) and decoded("floats")[0, 0, 0] == 127
    assert decoded("grid").shape == (2, 6, 3)
    with pytest.raises(ValueError, match="input_format"):
        writing.add_image("flat", torch.ones(2, 2))


def test_figures_texts_and_sounds(writing: Any) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(2, 1), dpi=50)
    writing.add_figure("figure", figure, 3)
    assert not plt.fignum_exists(figure.number)
    writing.add_text("note", "**bold**", 4)
    writing.add_audio("beep", torch.zeros(100), sample_rate=8000)
    found = read(writing)
    assert (found.Images("figure")[0].width, found.Images("figure")[0].height) == (100, 50)
    assert found.Tensors("note/text_summary")[0].tensor_proto.string_val == [b"**bold**"]
    assert found.Audio("beep")[0].length_frames == 100


def test_curves_meshes_and_layouts(writing: Any) -> None:
    labels, predictions = torch.tensor([0, 1, 1, 0]), torch.tensor([0.1, 0.9, 0.4, 0.3])
    writing.add_pr_curve("pr", labels, predictions, 1, num_thresholds=11)
    writing.add_mesh("cloud", torch.rand(1, 5, 3))
    writing.add_custom_scalars({"a": {"b": ["Multiline", ["x", "y"]]}})
    writing.add_tensor("t", torch.arange(3))
    tags = read(writing).Tags()["tensors"]
    assert {"pr", "cloud_VERTEX", "custom_scalars__config__", "t"} <= set(tags)


def test_settings_and_points(writing: Any) -> None:
    writing.add_hparams({"lr": 0.1, "deep": True, "name": "x"}, {"hparam/loss": 2.0}, run_name="r")
    assert read(writing, "r").Scalars("hparam/loss")[0].value == 2.0
    with pytest.raises(ValueError, match="one of int"):
        writing.add_hparams({"bad": [1]}, {})
    writing.add_embedding(torch.eye(3), ["a", "b", "c"], global_step=2)
    folder = Path(writing.log_dir)
    assert "00002/default/tensors.tsv" in (folder / "projector_config.pbtxt").read_text()
    assert (folder / "00002" / "default" / "metadata.tsv").read_text().split() == ["a", "b", "c"]


def test_a_closed_writer_opens_again(writing: Any) -> None:
    writing.add_scalar("x", 1, 0)
    writing.close()
    writing.add_scalar("x", 2, 1)
    assert [e.value for e in read(writing).Scalars("x")] == [1, 2]
    with pytest.raises(NotImplementedError, match="add_graph"):
        writing.add_graph(None)
