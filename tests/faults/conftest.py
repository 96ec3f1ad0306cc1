"""The servers that the gRPC tests share: one for each front end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unstuck.testing import faulty_models
from unstuck.testing import models as exports

pytest.register_assert_rewrite("grpc_client", "hostile", "limited_server", "served_workers", "traffic")


@pytest.fixture(scope="session")
def grpc_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from grpc_client import BUSY_S

    folder = tmp_path_factory.mktemp("models")
    exports.half_plus_two(folder / "half_plus_two")
    exports.dtypes(folder / "dtypes")
    faulty_models.slow(folder / "slow", busy_s=BUSY_S)
    return {name: folder / name for name in ("half_plus_two", "dtypes", "slow")}


@pytest.fixture(scope="session", params=["native", "grpcio"])
def grpc_server(request: pytest.FixtureRequest, serve_for_all: Any, grpc_models: dict[str, Path]) -> Any:
    running = serve_for_all(grpc_models, grpc_front=request.param)
    assert not running.failures
    return running


@pytest.fixture
def channel(grpc_server: Any) -> Iterator[Any]:
    """A connection of the test's own; whatever it did, the server answers the next client, and right."""
    from grpc_client import check_healthy, connect

    with connect(grpc_server.grpc_address) as own:
        yield own
    check_healthy(grpc_server.grpc_address)
