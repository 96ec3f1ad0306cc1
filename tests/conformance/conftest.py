"""The servers that the wire cases are sent to, each started when the first case needs it."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from unstuck.testing.models import export_all

pytest.register_assert_rewrite("wire", "grpc_wire")

from wire import TFS_MODELS  # noqa: E402

TESTDATA = "UNSTUCK_TFS_TESTDATA"
RESERVED_NAME = "a b+c/d:é"
UNLIMITED = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))

SERVERS: dict[str, dict[str, Any]] = {
    "plain": {"answer_diversity": False},  # what one test sends is no notice in another
    "cors": {"rest_api_enable_cors_support": True},
    "strict": {"strict_inputs": True},
    "impatient": {"rest_timeout_ms": 100},
    "small": {"max_body_bytes": 1000},
    "content": {"tensor_content": True},
    "classic": {"grpc_front": "grpcio"},
    "no_health": {"grpc_health": False},
}

Models = dict[str, Path]
UrlOf = Callable[[str, str], str]
ChannelOf = Callable[..., grpc.Channel]


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
def server_of(serve_for_all: Any, models_of: Callable[[str], Models]) -> Callable[[str, str], Any]:
    """``server_of(source, server)``: that server of ``SERVERS``, running, with that source's models."""

    @cache
    def start(source: str, server: str) -> Any:
        running = serve_for_all(models_of(source), **SERVERS[server])
        assert not running.failures
        return running

    return start


@pytest.fixture(scope="session")
def url_of(server_of: Callable[[str, str], Any]) -> UrlOf:
    """``url_of(source, server)``: the address of its REST API."""
    return lambda source, server: server_of(source, server).url


@pytest.fixture(scope="session")
def channel_of(server_of: Callable[[str, str], Any]) -> Iterator[ChannelOf]:
    """``channel_of(source, server)``: a channel to its gRPC API, for messages of any size."""
    channels: list[grpc.Channel] = []

    @cache
    def connect(source: str, server: str = "plain") -> grpc.Channel:
        channels.append(grpc.insecure_channel(server_of(source, server).grpc_address, options=UNLIMITED))
        return channels[-1]

    yield connect
    for channel in channels:
        channel.close()


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """One client for all; it asks for no compression unless a case does."""
    with httpx.Client(headers={"Accept-Encoding": "identity"}, timeout=60) as client:
        yield client
