"""The servers that the wire cases are sent to, each started when the first case needs it."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from unstuck.testing.models import export_all

pytest.register_assert_rewrite("wire")

from wire import TFS_MODELS  # noqa: E402

TESTDATA = "UNSTUCK_TFS_TESTDATA"
RESERVED_NAME = "a b+c/d:é"

SERVERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cors": {"rest_api_enable_cors_support": True},
    "strict": {"strict_inputs": True},
    "impatient": {"rest_timeout_ms": 100},
    "small": {"max_body_bytes": 1000},
}

Models = dict[str, Path]
UrlOf = Callable[[str, str], str]


@pytest.fixture(scope="session")
def models_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Models]:
    """The base paths by name of ``own`` models or of TensorFlow Serving's (``tfs``), which are skipped without them."""

    @cache
    def own() -> Models:
        models = export_all(tmp_path_factory.mktemp("models"))
        return {**models, RESERVED_NAME: models["half_plus_two"]}

    def tfs() -> Models:
        if TESTDATA not in os.environ:
            pytest.skip(f"{TESTDATA} does not name TensorFlow Serving's test data")
        return {name: Path(os.environ[TESTDATA]) / folder for name, folder in TFS_MODELS.items()}

    return lambda source: own() if source == "own" else tfs()


@pytest.fixture(scope="session")
def url_of(serve: Any, models_of: Callable[[str], Models]) -> UrlOf:
    """``url_of(source, server)``: the address of that server of ``SERVERS`` with that source's models."""

    @cache
    def start(source: str, server: str) -> str:
        running = serve(models_of(source), **SERVERS[server])
        assert not running.failures
        return running.url

    return start


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """One client for all; it asks for no compression unless a case does."""
    with httpx.Client(headers={"Accept-Encoding": "identity"}, timeout=60) as client:
        yield client
