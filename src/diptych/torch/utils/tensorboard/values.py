"""Summaries, one for each kind of thing that TensorBoard shows."""

from __future__ import annotations

import io
import json
import re
import wave
from typing import Any

import numpy as np

from diptych.torch.utils.tensorboard import arrays
from diptych.torch.utils.tensorboard.protocol import part, summary, tensors

_FORBIDDEN = re.compile(r"[^-/\w\.]")


def clean(tag: str) -> str:
    """A tag with only letters, digits and ``-_./`` in it."""
    return _FORBIDDEN.sub("_", tag).lstrip("/")


def scalar(tag: str, value: Any, new_style: bool = False, double_precision: bool = False) -> Any:
    found = arrays.number_of(value)
    if not new_style:
        return _one(tag=clean(tag), simple_value=found)
    kind = np.float64 if double_precision else np.float32
    tensor = _tensor(np.asarray(found, kind))
    return _one(tag=clean(tag), tensor=tensor, metadata=_plugin("scalars"))


def _one(**fields: Any) -> Any:
    room = summary().Summary
    return room(value=[room.Value(**fields)])


def _plugin(name: str, content: bytes = b"", data_class: int = 0) -> Any:
    metadata = summary().SummaryMetadata
    data = metadata.PluginData(plugin_name=name, content=content)
    return metadata(plugin_data=data, data_class=data_class)


def _tensor(values: Any) -> Any:
    types = part("compat.proto.types_pb2")
    kinds = {"float32": types.DT_FLOAT, "float64": types.DT_DOUBLE, "int64": types.DT_INT64}
    kinds |= {"int32": types.DT_INT32, "uint8": types.DT_UINT8, "bool": types.DT_BOOL}
    shape = part("compat.proto.tensor_shape_pb2").TensorShapeProto
    room = tensors().TensorProto
    if values.dtype.kind in "OSU":
        texts = [str(v).encode() if not isinstance(v, bytes) else v for v in values.reshape(-1)]
        content: dict[str, Any] = {"dtype": types.DT_STRING, "string_val": texts}
    elif values.dtype.name in kinds:
        content = {"dtype": kinds[values.dtype.name], "tensor_content": values.tobytes()}
    else:
        raise TypeError(f"a tensor of {values.dtype} cannot be written to an event file")
    sizes = [shape.Dim(size=n) for n in values.shape]
    return room(tensor_shape=shape(dim=sizes), **content)


def tensor(tag: str, value: Any) -> Any:
    return _one(tag=clean(tag), tensor=_tensor(arrays.array_of(value)))


def histogram(tag: str, values: Any, bins: Any, most: int | None) -> Any:
    statistics, counts, limits = arrays.histogram(arrays.array_of(values), bins, most)
    made = summary().HistogramProto(
        **statistics, bucket=counts.tolist(), bucket_limit=limits.tolist()
    )
    return _one(tag=clean(tag), histo=made)


def histogram_raw(tag: str, **fields: Any) -> Any:
    return _one(tag=clean(tag), histo=summary().HistogramProto(**fields))


def image(tag: str, values: Any, letters: str, rescale: float = 1) -> Any:
    pixels = arrays.bytes_of(arrays.laid_out(arrays.array_of(values), letters))
    return _one(tag=clean(tag), image=_png(pixels, rescale))


def _png(pixels: Any, rescale: float = 1) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("images need Pillow: pip install pillow") from error
    height, width, channels = pixels.shape
    picture = Image.fromarray(pixels)
    if rescale != 1:
        height, width = int(height * rescale), int(width * rescale)
        picture = picture.resize((width, height))
    held = io.BytesIO()
    picture.save(held, format="PNG")
    return summary().Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=held.getvalue()
    )


def boxed_image(
    tag: str, values: Any, boxes: Any, letters: str, rescale: float, labels: list[str] | None
) -> Any:
    from PIL import Image, ImageDraw

    pixels = arrays.bytes_of(arrays.laid_out(arrays.array_of(values), letters))
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    for index, box in enumerate(arrays.array_of(boxes).reshape(-1, 4).tolist()):
        draw.rectangle(box, outline="red", width=2)
        if labels is not None:
            draw.text((box[0] + 3, box[1] + 3), labels[index], fill="red")
    return _one(tag=clean(tag), image=_png(np.asarray(picture), rescale))


def audio(tag: str, values: Any, sample_rate: int) -> Any:
    signal = np.clip(arrays.array_of(values).squeeze(), -1, 1)
    if signal.ndim != 1:
        raise ValueError("input tensor should be 1 dimensional.")
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((signal * np.iinfo(np.int16).max).astype("<i2").tobytes())
    made = summary().Summary.Audio(
        sample_rate=sample_rate,
        num_channels=1,
        length_frames=len(signal),
        encoded_audio_string=held.getvalue(),
        content_type="audio/wav",
    )
    return _one(tag=clean(tag), audio=made)


def text(tag: str, value: str) -> Any:
    content = part("plugins.text.plugin_data_pb2").TextPluginData(version=0).SerializeToString()
    return _one(
        tag=f"{tag}/text_summary",
        metadata=_plugin("text", content),
        tensor=_tensor(np.array([value], object)),
    )


def pr_curve(tag: str, labels: Any, predictions: Any, thresholds: int, weights: Any) -> Any:
    """Precision and recall at ``thresholds`` places between 0 and 1."""
    thresholds = min(thresholds, 127)  # what the page can show
    found = _pr_counts(
        arrays.array_of(labels).reshape(-1), arrays.array_of(predictions).reshape(-1),
        thresholds, None if weights is None else arrays.array_of(weights).reshape(-1),
    )  # fmt: skip
    return pr_curve_raw(tag, *found)


def _pr_counts(labels: Any, predictions: Any, thresholds: int, weights: Any) -> list[Any]:
    weighing = np.ones(labels.shape) if weights is None else weights
    where = np.int32(np.floor(predictions * (thresholds - 1)))
    span: Any = {"bins": thresholds, "range": (0, thresholds - 1)}
    positive = labels.astype(np.float64)
    hits, _ = np.histogram(where, weights=positive * weighing, **span)
    misses, _ = np.histogram(where, weights=(1 - positive) * weighing, **span)
    tp, fp = np.cumsum(hits[::-1])[::-1], np.cumsum(misses[::-1])[::-1]
    tn, fn = fp[0] - fp, tp[0] - tp
    least = 1e-7
    return [tp, fp, tn, fn, tp / np.maximum(least, tp + fp), tp / np.maximum(least, tp + fn)]


def pr_curve_raw(tag: str, *rows: Any) -> Any:
    values = np.stack([arrays.array_of(row) for row in rows]).astype(np.float32)
    plugin = part("plugins.pr_curve.plugin_data_pb2").PrCurvePluginData
    content = plugin(version=0, num_thresholds=values.shape[1]).SerializeToString()
    return _one(tag=clean(tag), tensor=_tensor(values), metadata=_plugin("pr_curves", content))


def custom_scalars(layout: dict[str, Any]) -> Any:
    """The page's own arrangement of scalars: {category: {title: [kind, [tag, ...]]}}."""
    room = part("plugins.custom_scalar.layout_pb2")
    categories = []
    for name, charts in layout.items():
        made = []
        for title, (kind, tags) in charts.items():
            if kind == "Margin":
                if len(tags) != 3:
                    raise ValueError(f"Margin chart {title!r} needs 3 tags, got {len(tags)}")
                series = room.MarginChartContent.Series(value=tags[0], lower=tags[1], upper=tags[2])
                content = {"margin": room.MarginChartContent(series=[series])}
            else:
                content = {"multiline": room.MultilineChartContent(tag=tags)}
            made.append(room.Chart(title=title, **content))
        categories.append(room.Category(title=name, chart=made))
    content_bytes = room.Layout(category=categories).SerializeToString()
    return _one(
        tag="custom_scalars__config__",
        tensor=_tensor(np.array(content_bytes, object)),
        metadata=_plugin("custom_scalars"),
    )


def mesh(tag: str, vertices: Any, colors: Any, faces: Any, config: dict[str, Any] | None) -> Any:
    room = part("plugins.mesh.plugin_data_pb2").MeshPluginData
    given = {
        "VERTEX": (vertices, np.float32),
        "FACE": (faces, np.int32),
        "COLOR": (colors, np.uint8),
    }
    parts = {
        getattr(room, kind): np.asarray(arrays.array_of(values), dtype)
        for kind, (values, dtype) in given.items()
        if values is not None
    }
    names = {room.VERTEX: "VERTEX", room.FACE: "FACE", room.COLOR: "COLOR"}
    mask = sum(1 << kind for kind in parts)
    description = json.dumps(config or {}, sort_keys=True)
    values = []
    for kind, array in parts.items():
        content = room(
            version=0, name=tag, content_type=kind, components=mask, shape=list(array.shape),
            json_config=description,
        ).SerializeToString()  # fmt: skip
        values.append(
            summary().Summary.Value(
                tag=f"{clean(tag)}_{names[kind]}",
                tensor=_tensor(array),
                metadata=_plugin("mesh", content),
            )
        )
    return summary().Summary(value=values)


def hparams(
    chosen: dict[str, Any], metrics: dict[str, Any], domains: dict[str, list[Any]] | None
) -> tuple[Any, Any, Any]:
    """The three summaries of a run's settings: what there is, that it began, that it ended."""
    api, data = part("plugins.hparams.api_pb2"), part("plugins.hparams.plugin_data_pb2")
    value_of = _google_value()
    infos, start = [], data.SessionStartInfo()
    for name, value in chosen.items():
        if value is None:
            continue
        if isinstance(value, bool):
            kind, held = api.DATA_TYPE_BOOL, value_of(bool_value=value)
        elif isinstance(value, (int, float, np.number)):
            kind, held = api.DATA_TYPE_FLOAT64, value_of(number_value=float(value))
        elif isinstance(value, str):
            kind, held = api.DATA_TYPE_STRING, value_of(string_value=value)
        elif hasattr(value, "item"):
            kind, held = api.DATA_TYPE_FLOAT64, value_of(number_value=arrays.number_of(value))
        else:
            raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
        start.hparams[name].CopyFrom(held)
        info = api.HParamInfo(name=name, type=kind)
        for option in (domains or {}).get(name, []):
            field = {bool: "bool_value", str: "string_value"}.get(type(option), "number_value")
            info.domain_discrete.values.append(value_of(**{field: option}))
        infos.append(info)
    shown = [api.MetricInfo(name=api.MetricName(tag=tag)) for tag in metrics]
    begun = {"experiment": api.Experiment(hparam_infos=infos, metric_infos=shown)}
    ended = {"session_end_info": data.SessionEndInfo(status=api.STATUS_SUCCESS)}
    tags = ("experiment", "session_start_info", "session_end_info")
    contents = (begun, {"session_start_info": start}, ended)
    made = [
        _one(
            tag=f"_hparams_/{tag}",
            metadata=_plugin(
                "hparams", data.HParamsPluginData(version=0, **content).SerializeToString()
            ),
        )
        for tag, content in zip(tags, contents, strict=True)
    ]
    return made[0], made[1], made[2]


def _google_value() -> Any:
    from google.protobuf import struct_pb2  # comes with tensorboard

    return struct_pb2.Value
