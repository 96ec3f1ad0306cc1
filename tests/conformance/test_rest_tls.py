"""The REST API over TLS (--rest_ssl_config_file): who gets in, who is turned away, and what is said of a bad file."""

import asyncio
import re
import shutil
import ssl
import stat
import subprocess
import sys

import httpx
import pytest

from unstuck import AsyncClient, Client
from unstuck.client import Unreachable
from unstuck.config.settings import AUTO_PORT, ServerConfig
from unstuck.errors import InvalidRequest, SetupError
from unstuck.server import Server
from unstuck.testing import onnx_models

TIMEOUT_S = 60
ROW = {"instances": [[2.0]]}


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """``pem("server.key")``: keys and certificates; ``ca`` signed ``server`` and ``client``, nobody ``stranger``."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make certificates")
    folder = tmp_path_factory.mktemp("pem")

    def openssl(command):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True, timeout=TIMEOUT_S)

    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("ca", "stranger"):
        openssl(f"req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {name}.key -out {name}.crt -subj /CN={name}")
    for name in ("server", "client"):
        openssl(f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
        openssl(
            f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.crt"
        )
    return folder


@pytest.fixture(scope="module")
def start(serve, pem, tmp_path_factory):
    """``start(client_verify=…)``: the address of a server whose certificate ``ca`` signed."""

    def start(**fields):
        folder = tmp_path_factory.mktemp("tls")
        onnx_models.half_plus_two(folder / "m")
        config = written(folder, read(pem, "server.key"), read(pem, "server.crt"), **fields)
        return serve({"m": folder / "m"}, rest_tls_config_file=config).url.replace("http://", "https://")

    return start


@pytest.fixture(scope="module")
def tls(start):
    return start()


@pytest.fixture(scope="module")
def mutual(start, pem):
    return start(custom_ca=read(pem, "ca.crt"), client_verify=True)


def read(pem, name):
    return (pem / name).read_text()


def written(folder, key, certificate, *, custom_ca="", client_verify=False):
    fields = {"server_key": key, "server_cert": certificate, "custom_ca": custom_ca}
    lines = [f"{name}: {text!r}\n" for name, text in fields.items() if text]
    file = folder / "ssl.pbtxt"
    file.write_text("".join([*lines, f"client_verify: {str(client_verify).lower()}\n"]))
    return file


def trusting(pem, authority="ca.crt", own=None):
    context = ssl.create_default_context(cafile=str(pem / authority))
    if own:
        context.load_cert_chain(pem / f"{own}.crt", pem / f"{own}.key")
    return context


def test_who_trusts_the_authority_gets_answers(tls, pem):
    with httpx.Client(base_url=tls, verify=trusting(pem), timeout=TIMEOUT_S) as client:
        assert client.post("/v1/models/m:predict", json=ROW).json() == {"predictions": [[3.0]]}
        assert client.get("/healthz").status_code == 200


def test_http_2_is_spoken_too(tls, pem):
    context = trusting(pem)
    context.set_alpn_protocols(["h2"])
    host, port = tls.removeprefix("https://").split(":")

    async def protocol():
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        try:
            return writer.get_extra_info("ssl_object").selected_alpn_protocol()
        finally:
            writer.close()
            await writer.wait_closed()

    assert asyncio.run(protocol()) == "h2"


def test_who_does_not_trust_it_sends_nothing(tls, pem):
    with (
        httpx.Client(base_url=tls, verify=trusting(pem, "stranger.crt")) as client,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get("/healthz")


def test_plaintext_is_not_answered(tls):
    with pytest.raises(httpx.HTTPError):
        httpx.get(tls.replace("https://", "http://") + "/healthz", timeout=TIMEOUT_S)


def test_old_protocols_are_refused(tls, pem):
    context = trusting(pem)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert httpx.get(f"{tls}/healthz", verify=context).status_code == 200
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{tls}/healthz", verify=context)


@pytest.mark.parametrize("own", [None, "stranger"])
def test_client_verify_refuses_clients_without_the_authoritys_certificate(mutual, pem, own):
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{mutual}/healthz", verify=trusting(pem, own=own), timeout=TIMEOUT_S)
    assert httpx.get(f"{mutual}/healthz", verify=trusting(pem, own="client")).status_code == 200


def test_our_client(mutual, tls, pem):
    trusted, own = {"ca_file": str(pem / "ca.crt")}, {"cert_file": "client.crt", "key_file": "client.key"}
    own = {name: str(pem / file) for name, file in own.items()}
    with Client(tls, "m", **trusted) as client:
        assert client.predict(x=[[2.0]])["y"].tolist() == [[3.0]]
    with Client(mutual, "m", **trusted, **own) as client:
        assert client.predict(x=[[2.0]])["y"].tolist() == [[3.0]]
    with Client(mutual, "m", **trusted, retries=0) as client, pytest.raises(Unreachable):
        client.predict(x=[[2.0]])
    with Client(tls, "m", ca_file=str(pem / "stranger.crt"), retries=0) as client, pytest.raises(Unreachable):
        client.predict(x=[[2.0]])

    async def predict():
        async with AsyncClient(mutual, "m", **trusted, **own) as client:
            return (await client.predict(x=[[2.0]]))["y"].tolist()

    assert asyncio.run(predict()) == [[3.0]]


def test_our_client_over_grpc_shows_its_certificate(serve, pem, tmp_path):
    onnx_models.half_plus_two(tmp_path / "m")
    config = written(
        tmp_path, read(pem, "server.key"), read(pem, "server.crt"), custom_ca=read(pem, "ca.crt"), client_verify=True
    )
    address = f"grpcs://{serve({'m': tmp_path / 'm'}, ssl_config_file=config).grpc_address}"
    own = {"cert_file": str(pem / "client.crt"), "key_file": str(pem / "client.key")}
    with Client(address, "m", ca_file=str(pem / "ca.crt"), **own) as client:
        assert client.predict(x=[[2.0]])["y"].tolist() == [[3.0]]
    with Client(address, "m", ca_file=str(pem / "ca.crt"), retries=0) as client, pytest.raises(Unreachable):
        client.predict(x=[[2.0]])


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"cert_file": "client.crt"}, "cert_file and key_file belong together, and only one of them is given"),
        ({"ca_file": "missing.crt"}, r"ca_file='.*missing\.crt' cannot be read: No such file"),
        ({"cert_file": "client.crt", "key_file": "server.key"}, r"TLS files \(.*\) cannot be used: .*MISMATCH"),
        ({"ca_file": "ca.key"}, r"TLS files \(.*ca.key\) cannot be used: "),
    ],
)
def test_our_client_says_which_file_is_wrong(tls, pem, files, says):
    with pytest.raises(InvalidRequest, match=says):
        Client(tls, "m", **{name: str(pem / file) for name, file in files.items()}).predict(x=[[2.0]])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"key": "client.key"}, "server_key is not the key of the certificate in server_cert"),
        ({"key": "server.crt"}, "server_key is not a private key"),
        ({"certificate": "server.key"}, "server_cert is not a certificate"),
        ({"custom_ca": "server.key", "client_verify": True}, "custom_ca is not a certificate"),
        ({"client_verify": True}, "client_verify needs custom_ca"),
    ],
)
def test_a_bad_file_is_an_error_at_the_start(pem, tmp_path, fields, says):
    texts = {"key": "server.key", "certificate": "server.crt"} | {
        name: file for name, file in fields.items() if name != "client_verify"
    }
    texts = {name: read(pem, file) for name, file in texts.items()}
    file = written(tmp_path, **texts, client_verify=fields.get("client_verify", False))

    async def start():
        Server(ServerConfig(rest_tls_config_file=file, rest_port=AUTO_PORT, grpc_port=0))

    with pytest.raises(SetupError, match=f"--rest_ssl_config_file={file}: {says}"):
        asyncio.run(start())


def test_the_command_says_https_and_leaves_no_key_behind(pem, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    onnx_models.half_plus_two(tmp_path / "m")
    config = written(tmp_path, read(pem, "server.key"), read(pem, "server.crt"))
    flags = [f"--rest_ssl_config_file={config}", "--rest_api_port=auto", "--port=0", "--host=127.0.0.1"]
    command = [sys.executable, "-m", "unstuck", "serve", str(tmp_path / "m"), *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            if line.startswith("Ready"):
                break
        url = re.search(r"REST +(https://\S+)", printed)[1]
        assert f"{url}/v1/models/m:predict" in printed
        assert httpx.post(f"{url}/v1/models/m:predict", json=ROW, verify=trusting(pem)).json()["predictions"] == [[3.0]]
        keys = [*(tmp_path / "tmp").rglob("server.key")]
        assert [stat.S_IMODE(key.parent.stat().st_mode) for key in keys] == [stat.S_IRWXU], "for nobody else to read"
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)
    assert not [*(tmp_path / "tmp").rglob("server.key")]


def test_a_missing_file_is_named(tmp_path):
    async def start():
        Server(ServerConfig(rest_tls_config_file=tmp_path / "none", rest_port=AUTO_PORT, grpc_port=0))

    with pytest.raises(SetupError, match=r"--rest_ssl_config_file=.*none cannot be read"):
        asyncio.run(start())
