"""Our own client and commands, against a server that takes calls with a key only."""

import json

import grpc
import httpx
import pytest
import yaml
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub

from unstuck import AsyncClient, Client
from unstuck.cli.main import main
from unstuck.client import ServerError
from unstuck.errors import Code, InvalidRequest
from unstuck.guard.api_keys import hash_of, new_key
from unstuck.testing import onnx_models

KEY, NARROW = new_key(), new_key()
INSTANCE = "--input=x=[2]"


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    entries = [
        {"name": "all", "hash": hash_of(KEY), "models": ["*"], "methods": ["predict", "status"]},
        {"name": "narrow", "hash": hash_of(NARROW), "models": ["other"], "methods": ["predict", "status"]},
    ]
    (folder / "keys.yaml").write_text(yaml.safe_dump(entries))
    models = {"m": onnx_models.half_plus_two(folder / "m").parent}
    return serve(models, api_keys_file=folder / "keys.yaml", answer_diversity=False)


@pytest.fixture(params=["rest", "grpc"])
def address(request, server):
    return server.url if request.param == "rest" else f"grpc://{server.grpc_address}"


def test_the_client_shows_its_key(address):
    with Client(address, model="m", api_key=KEY) as client:
        assert client.predict(x=[[2.0]])["y"].tolist() == [[3.0]]
        assert client.status()[0].version == 1


@pytest.mark.parametrize("key", [None, "unstuck_wrong"])
def test_without_a_valid_one_it_is_refused_and_does_not_try_again(address, key):
    with Client(address, model="m", api_key=key) as client, pytest.raises(ServerError) as caught:
        client.status()
    assert caught.value.code is Code.UNAUTHENTICATED
    assert "unstuck_wrong" not in str(caught.value)


def test_with_a_key_for_another_model_it_is_told_so(address):
    says = "'narrow' may not use 'status' of the model 'm'; it may of other"
    with Client(address, model="m", api_key=NARROW) as client, pytest.raises(ServerError, match=says) as caught:
        client.predict(x=[[2.0]])  # which asks for the signatures first
    assert caught.value.code is Code.PERMISSION_DENIED


async def _predicted(address):
    async with AsyncClient(address, model="m", api_key=KEY) as client:
        return (await client.predict(x=[[2.0]]))["y"].tolist()


def test_so_does_the_asynchronous_one(address):
    import asyncio

    assert asyncio.run(_predicted(address)) == [[3.0]]


@pytest.mark.parametrize("key", ["a b", "a\nHost: evil", "é", "a\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(address, key):
    with pytest.raises(InvalidRequest) as caught:
        Client(address, model="m", api_key=key)
    assert key not in str(caught.value)


def commands(server):
    url = f"{server.url}/v1/models/m"
    return {
        "status": ["status", server.url],
        "inspect": ["inspect", url],
        "predict": ["predict", url, INSTANCE, "--json"],
        "bench": ["bench", url, "--concurrency=2", "--duration=0.2", "--warmup=0.1", "--format=json"],
        "bench over gRPC": [
            *("bench", f"grpc://{server.grpc_address}/m", "--concurrency=2", "--duration=0.2", "--warmup=0.1"),
            "--format=json",
        ],
    }


@pytest.mark.parametrize("command", ["status", "inspect", "predict", "bench", "bench over gRPC"])
def test_commands_take_it_from_a_file_or_the_environment(server, capsys, monkeypatch, tmp_path, command):
    arguments = commands(server)[command]
    monkeypatch.delenv("UNSTUCK_API_KEY", raising=False)
    assert main(arguments) != 0
    said = capsys.readouterr()
    assert "key" in said.err + said.out
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert main([*arguments, f"--api_key_file={tmp_path / 'key'}"]) == 0
    assert KEY not in str(capsys.readouterr())
    monkeypatch.setenv("UNSTUCK_API_KEY", KEY)
    assert main(arguments) == 0
    assert KEY not in str(capsys.readouterr())


@pytest.mark.slow
def test_the_doctor_takes_it_too(server, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("UNSTUCK_API_KEY", KEY)
    evidence = tmp_path / "evidence.json"
    target = f"{server.url}/v1/models/m"
    status = main(["diagnose", target, "--format=json", "--timeout=30", f"--save-evidence={evidence}"])
    said = capsys.readouterr()
    assert status in (0, 1), said.err
    assert json.loads(said.out)
    assert KEY not in said.out + said.err + evidence.read_text()


def test_a_key_file_with_nothing_in_it_is_named(server, capsys, tmp_path):
    (tmp_path / "key").write_text("\n")
    assert main(["status", server.url, f"--api_key_file={tmp_path / 'key'}"]) == 2
    assert "is empty" in capsys.readouterr().err
    assert main(["status", server.url, f"--api_key_file={tmp_path / 'none'}"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_reloads_need_a_key_with_that_right_even_from_here(server):
    with grpc.insecure_channel(server.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        ModelServiceStub(channel).HandleReloadConfigRequest(ReloadConfigRequest(), 60, [("x-api-key", KEY)])
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "'admin' of the whole server" in caught.value.details()


def test_a_key_in_the_address_is_none(server):
    assert httpx.get(f"{server.url}/statusz?api_key={KEY}", timeout=60).status_code == 401
