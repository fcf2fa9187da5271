"""Values as JSON and back, without loss: what a finished piece of work is kept as."""

from __future__ import annotations

import base64
import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely

_TAG = "$"


def encode(value: Any) -> Any:
    """`value` as what JSON can hold: dataclasses, enumerations, arrays and geometries by name."""
    if isinstance(value, enum.Enum):
        return {_TAG: type(value).__name__, "value": value.value}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
        return {_TAG: "array", "dtype": value.dtype.str, "shape": list(value.shape), "data": data}
    if isinstance(value, shapely.Geometry):
        return {_TAG: "geometry", "wkb": shapely.to_wkb(value, hex=True)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {_TAG: type(value).__name__, "fields": fields}
    if isinstance(value, tuple):
        return {_TAG: "tuple", "items": [encode(item) for item in value]}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {_TAG: "dict", "items": [[encode(k), encode(v)] for k, v in value.items()]}
    raise TypeError(f"{type(value).__name__} cannot be kept")


def decode(value: Any, types: Sequence[type]) -> Any:
    """The value that `encode` was given.

    Args:
        value: what `encode` returned.
        types: the dataclasses and enumerations that may be in it; nothing else is ever made.

    Raises:
        ValueError: if another type is named.
    """
    named = {kind.__name__: kind for kind in types}

    def made(part: Any) -> Any:
        if isinstance(part, list):
            return [made(item) for item in part]
        if not isinstance(part, dict):
            return part
        tag = part[_TAG]
        if tag == "array":
            data = np.frombuffer(base64.b64decode(part["data"]), dtype=np.dtype(part["dtype"]))
            return data.reshape(part["shape"]).copy()
        if tag == "geometry":
            return shapely.from_wkb(part["wkb"])
        if tag == "tuple":
            return tuple(made(item) for item in part["items"])
        if tag == "dict":
            return {made(k): made(v) for k, v in part["items"]}
        if tag not in named:
            raise ValueError(f"'{tag}' is not among the kinds of value expected")
        if "value" in part:
            return named[tag](part["value"])
        return named[tag](**{name: made(item) for name, item in part["fields"].items()})

    return made(value)
