"""Wire cases as data: how they are read, sent, and compared with what came back.

A case is a table of ``rest/*.toml``; ``[defaults]`` of its file are its fields where it has none of its own:

    id              unique in its file
    model           a model of ``unstuck.testing.models``; also makes the path, /v1/models/MODEL:predict
    server          which of ``conftest.SERVERS`` answers; "plain" unless given
    method, path    POST unless given; the path is sent exactly as written
    headers, gzip   request headers; whether to compress the body
    body            text, or [[text, times], ...] where it repeats; body_hex holds bytes instead
    status          200 unless given
    answer          JSON text, or [[text, times], ...]; "" is no body at all
    floats          the dtype in which floats are compared; float32 unless given
    says            what an error's message must contain, each as a word of its own, ignoring case
    warns           the same for the x-unstuck-warning header, which must not be there otherwise
    answer_headers  response headers; "" is a header that must not be there
"""

import gzip
import json
import math
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

WARNING = "x-unstuck-warning"

# TensorFlow Serving's own test models, by the name of ours that answers the same.
TFS_MODELS = {
    "half_plus_two": "saved_model_half_plus_two_cpu",
    "half_plus_two_tf2": "saved_model_half_plus_two_tf2_cpu",
    "half_plus_three": "saved_model_half_plus_three",
    "two_versions": "saved_model_half_plus_two_2_versions",
    "counter": "saved_model_counter",
    "matrix_half_plus_two": "matrix_half_plus_two",
}

Text = str | list[tuple[str, int]]


@dataclass(frozen=True)
class Case:
    """One request and what it must be answered with; see above."""

    id: str
    model: str = ""
    server: str = "plain"
    method: str = "POST"
    path: Text = ""
    headers: dict[str, str] = field(default_factory=dict)
    gzip: bool = False
    body: Text = ""
    body_hex: str = ""
    status: int = 200
    answer: Text | None = None
    floats: str = "float32"
    says: list[str] = field(default_factory=list)
    warns: list[str] = field(default_factory=list)
    answer_headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert (self.answer is None) != (not self.says), f"{self.id}: needs either an answer or what an error says"


def read_cases(folder: Path) -> Iterator[tuple[str, Case]]:
    """Every case of the folder's files, with the file's name."""
    for path in sorted(folder.glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        for fields in content["case"]:
            yield path.stem, Case(**{**content.get("defaults", {}), **fields})


def send(client: httpx.Client, url: str, case: Case) -> httpx.Response:
    """The answer to the case's request."""
    body = bytes.fromhex(case.body_hex) or _whole(case.body).encode()
    return client.request(
        case.method,
        url,
        content=gzip.compress(body) if case.gzip else body,
        headers=case.headers,
        extensions={"target": (_whole(case.path) or f"/v1/models/{case.model}:predict").encode()},
    )


def check(case: Case, response: httpx.Response) -> None:
    """Fails where the response is not what the case says."""
    got = response.text[:1000]
    assert response.status_code == case.status, got
    for name, value in case.answer_headers.items():
        assert response.headers.get(name, "") == value, f"header {name}"
    warning = response.headers.get(WARNING, "")
    assert bool(warning) == bool(case.warns), f"{WARNING}: {warning!r}"
    assert missing_words(warning, case.warns) == [], warning
    if case.answer == "":
        assert response.content == b""
        return
    assert response.headers["content-type"] == "application/json"
    if case.answer is None:
        error = response.json()
        assert list(error) == ["error"], got
        assert missing_words(error["error"], case.says) == [], error["error"]
    else:
        difference = first_difference(parse(_whole(case.answer)), parse(response.text), case.floats)
        assert difference is None, f"{difference}\n{got}"


def parse(text: str) -> Any:
    """JSON as TensorFlow Serving writes it: NaN and Infinity are tokens, and no number stands for them."""

    def finite(literal: str) -> float:
        value = float(literal)
        assert math.isfinite(value), f"{literal} is beyond a double"
        return value

    return json.loads(text, parse_float=finite)


def first_difference(want: Any, got: Any, floats: str, at: str = "$") -> str | None:
    """Where two JSON values differ; 1 and 1.0 do, 0.0 and -0.0 do, floats that are equal as ``floats`` do not."""
    if type(want) is not type(got):
        return f"{at}: expected {want!r:.200}, got {got!r:.200}"
    if isinstance(want, dict):
        if want.keys() != got.keys():
            return f"{at}: expected the keys {sorted(want)}, got {sorted(got)}"
        pairs = [(f"{at}.{key}", want[key], got[key]) for key in want]
    elif isinstance(want, list):
        if len(want) != len(got):
            return f"{at}: expected {len(want)} elements, got {len(got)}"
        pairs = [(f"{at}[{index}]", *pair) for index, pair in enumerate(zip(want, got, strict=True))]
    else:
        same = _same_float(want, got, floats) if isinstance(want, float) else want == got
        return None if same else f"{at}: expected {want!r}, got {got!r}"
    return next((found for path, *pair in pairs if (found := first_difference(*pair, floats, path))), None)


def missing_words(text: str, words: list[str]) -> list[str]:
    """The ``words`` that ``text`` does not have as words of their own."""
    return [word for word in words if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)]


def _same_float(want: float, got: float, dtype: str) -> bool:
    if math.isnan(want) or math.isnan(got):
        return math.isnan(want) and math.isnan(got)
    want_value, got_value = np.array([want, got]).astype(dtype)
    return bool(want_value == got_value) and math.copysign(1, want) == math.copysign(1, got)


def _whole(text: Text) -> str:
    return text if isinstance(text, str) else "".join(part * times for part, times in text)
