"""SummaryWriter: what a training run reports, into event files."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from diptych.torch.utils.tensorboard import arrays, values
from diptych.torch.utils.tensorboard.protocol import part


class FileWriter:
    """Writes events to one file in a folder, in the background."""

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        room = part("summary.writer.event_file_writer")
        self.event_writer = room.EventFileWriter(
            str(log_dir), max_queue, flush_secs, filename_suffix
        )

    def get_logdir(self) -> str:
        return str(self.event_writer.get_logdir())

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(self, summary: Any, global_step: Any = None, walltime: Any = None) -> None:
        event = part("compat.proto.event_pb2").Event(summary=summary)
        self.add_event(event, global_step, walltime)

    def flush(self) -> None:
        self.event_writer.flush()

    def close(self) -> None:
        self.event_writer.close()


class SummaryWriter:
    """Writes scalars, images, histograms, texts and more for TensorBoard to ``log_dir``.

    Without ``log_dir`` it is ``runs/<date>_<host><comment>``. ``purge_step`` hides what an earlier,
    broken-off run wrote from that step on. Every method takes a ``global_step`` and a ``walltime``
    in seconds.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = str(log_dir)
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self.default_bins = arrays.default_bins()
        self._get_file_writer()

    def _open(self, folder: str) -> FileWriter:
        return FileWriter(folder, self.max_queue, self.flush_secs, self.filename_suffix)

    def _get_file_writer(self) -> FileWriter:
        """The writer of ``log_dir``, made anew after ``close``."""
        if self.file_writer is None:
            self.file_writer = self._open(self.log_dir)
            self.all_writers = {self.log_dir: self.file_writer}
            if self.purge_step is not None:
                room = part("compat.proto.event_pb2")
                step, self.purge_step = self.purge_step, None
                self.file_writer.add_event(room.Event(step=step, file_version="brain.Event:2"))
                start = room.SessionLog(status=room.SessionLog.START)
                self.file_writer.add_event(room.Event(step=step, session_log=start))
        return self.file_writer

    def get_logdir(self) -> str:
        """The folder that is written to."""
        return self.log_dir

    def _write(self, summary: Any, global_step: Any, walltime: Any) -> None:
        self._get_file_writer().add_summary(summary, global_step, walltime)

    # ---- numbers

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number."""
        made = values.scalar(tag, scalar_value, new_style, double_precision)
        self._write(made, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers for one chart, each in a folder (a run) of its own."""
        walltime = time.time() if walltime is None else walltime
        self._get_file_writer()
        writers = self.all_writers if self.all_writers is not None else {}
        for tag, value in tag_scalar_dict.items():
            folder = f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}"
            if folder not in writers:
                writers[folder] = self._open(folder)
            writers[folder].add_summary(values.scalar(main_tag, value), global_step, walltime)

    def add_tensor(
        self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """All numbers of a tensor."""
        self._write(values.tensor(tag, tensor), global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How the elements of a tensor are spread; ``bins`` as NumPy's, or "tensorflow"."""
        if isinstance(bins, str) and bins == "tensorflow":
            bins = self.default_bins
        self._write(_histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: int,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """A histogram counted elsewhere."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        made = values.histogram_raw(
            tag, min=min, max=max, num=num, sum=sum, sum_squares=sum_squares,
            bucket_limit=bucket_limits, bucket=bucket_counts,
        )  # fmt: skip
        self._write(made, global_step, walltime)

    # ---- pictures and sounds

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """An image; floats are in [0, 1]."""
        self._write(values.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several images as one, eight a row."""
        self._write(values.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Any = None,
    ) -> None:
        """An image with boxes (x1, y1, x2, y2) on it."""
        named = [labels] if isinstance(labels, str) else labels
        made = values.boxed_image(tag, img_tensor, box_tensor, dataformats, rescale, named)
        self._write(made, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A matplotlib figure, or several of one size."""
        figures = figure if isinstance(figure, list) else [figure]
        pictures = [_drawn(one) for one in figures]
        if close:
            import matplotlib.pyplot as plt

            for one in figures:
                plt.close(one)
        if isinstance(figure, list):
            self.add_images(tag, np.stack(pictures), global_step, walltime, dataformats="NHWC")
        else:
            self.add_image(tag, pictures[0], global_step, walltime, dataformats="HWC")

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """A sound, samples in [-1, 1]."""
        self._write(values.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_video(self, *args: Any, **kwargs: Any) -> None:
        """Not supported: it needs a writer of moving pictures."""
        raise NotImplementedError("SummaryWriter.add_video is not supported yet")

    # ---- words, curves, meshes, settings

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """A text, in Markdown."""
        self._write(values.text(tag, text_string), global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision against recall; labels are 0 or 1, predictions in [0, 1]."""
        made = values.pr_curve(tag, labels, predictions, num_thresholds, weights)
        self._write(made, global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision against recall, counted elsewhere."""
        made = values.pr_curve_raw(
            tag, true_positive_counts, false_positive_counts, true_negative_counts,
            false_negative_counts, precision, recall,
        )  # fmt: skip
        self._write(made, global_step, walltime)

    def add_custom_scalars(self, layout: dict[str, Any]) -> None:
        """How the page arranges scalars: {category: {title: ["Multiline" or "Margin", tags]}}."""
        self._write(values.custom_scalars(layout), None, None)

    def add_custom_scalars_multilinechart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Several scalars in one chart."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """A scalar with a margin: the tags of its value, lower and upper bound."""
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: dict[str, Any] | None = None,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Points or surfaces in space, [batch, points, 3]."""
        made = values.mesh(tag, vertices, colors, faces, config_dict)
        self._write(made, global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """A run's settings and what came of them, in a folder of its own."""
        if not isinstance(hparam_dict, dict) or not isinstance(metric_dict, dict):
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        made = values.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self.log_dir, run_name or str(time.time()))
        with SummaryWriter(folder) as own:
            for summary in made:
                own._write(summary, None, None)
            for tag, value in metric_dict.items():
                own.add_scalar(tag, value, global_step)

    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: Any = None,
        tag: str = "default",
        metadata_header: list[str] | None = None,
    ) -> None:
        """Points [N, D] for the projector, with a row of metadata and a small image for each."""
        points = arrays.array_of(mat)
        if points.ndim != 2:
            raise ValueError("mat should be 2D, where mat.size(0) is the number of data points")
        step = str(global_step or 0).zfill(5)
        folder = Path(self.log_dir, step, tag)
        folder.mkdir(parents=True, exist_ok=True)
        np.savetxt(folder / "tensors.tsv", points, delimiter="\t", fmt="%.8g")
        lines = ["embeddings {", f'tensor_name: "{tag}:{step}"']
        lines.append(f'tensor_path: "{step}/{tag}/tensors.tsv"')
        if metadata is not None:
            if len(metadata) != len(points):
                raise ValueError("#labels should equal with #data points")
            _write_metadata(folder / "metadata.tsv", metadata, metadata_header)
            lines.append(f'metadata_path: "{step}/{tag}/metadata.tsv"')
        if label_img is not None:
            images = arrays.array_of(label_img)
            if len(images) != len(points):
                raise ValueError("#images should equal with #data points")
            _write_sprite(folder / "sprite.png", images)
            lines += ["sprite {", f'image_path: "{step}/{tag}/sprite.png"']
            lines += [f"single_image_dim: {n}" for n in (images.shape[3], images.shape[2])] + ["}"]
        with open(Path(self.log_dir, "projector_config.pbtxt"), "a") as file:
            file.write("\n".join([*lines, "}", ""]))

    def add_graph(self, *args: Any, **kwargs: Any) -> None:
        """Not supported yet: it shows what torch.jit.trace records."""
        raise NotImplementedError("SummaryWriter.add_graph is not supported yet")

    def add_onnx_graph(self, *args: Any, **kwargs: Any) -> None:
        """Not supported yet."""
        raise NotImplementedError("SummaryWriter.add_onnx_graph is not supported yet")

    # ---- the file

    def flush(self) -> None:
        """Write what waits."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Write what waits and close; a later call opens a new file."""
        for writer in (self.all_writers or {}).values():
            writer.flush()
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


_histogram = values.histogram  # ``add_histogram`` has a parameter of the module's name


def _drawn(figure: Any) -> Any:
    """A matplotlib figure as pixels HWC."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def _write_metadata(file: Path, rows: Any, header: list[str] | None) -> None:
    if header:
        if any(len(row) != len(header) for row in rows):
            raise ValueError("len of header must be equal to the number of columns in metadata")
        lines = ["\t".join(header), *("\t".join(str(cell) for cell in row) for row in rows)]
    else:
        lines = [str(row) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_sprite(file: Path, images: Any) -> None:
    """Images NCHW in one square picture, row by row."""
    from PIL import Image

    side = int(np.ceil(np.sqrt(len(images))))
    count, channels, height, width = images.shape
    canvas = np.zeros((side * height, side * width, channels), np.uint8)
    for position, image in enumerate(arrays.bytes_of(images)):
        row, column = divmod(position, side)
        top, left = row * height, column * width
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas).save(file)
