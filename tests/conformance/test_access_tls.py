"""gRPC over TLS takes no version before 1.2, and keys over it as over plaintext."""

import datetime
import ipaddress
import socket
import ssl

import grpc
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub

from unstuck.guard.api_keys import hash_of, new_key
from unstuck.testing import onnx_models

KEY = new_key()


def certificate():
    """A key and a certificate for 127.0.0.1, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return pem.decode(), made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory):
    """Its gRPC address, and its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    key, pem = certificate()
    (folder / "ssl.pbtxt").write_text(f"server_key: {key!r}\nserver_cert: {pem!r}\n")
    entry = {"name": "a", "hash": hash_of(KEY), "models": ["*"], "methods": ["status"]}
    (folder / "keys.yaml").write_text(yaml.safe_dump([entry]))
    models = {"m": onnx_models.half_plus_two(folder / "m").parent}
    running = serve(models, ssl_config_file=folder / "ssl.pbtxt", api_keys_file=folder / "keys.yaml")
    return running.grpc_address, pem.encode()


@pytest.mark.parametrize(("name", "taken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_versions(server, name, taken):
    host, _, port = server[0].rpartition(":")
    context = ssl.create_default_context(cadata=server[1].decode())
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.set_alpn_protocols(["h2"])
    context.minimum_version = context.maximum_version = ssl.TLSVersion[name]
    with socket.create_connection((host, int(port)), timeout=60) as plain:
        if taken:
            with context.wrap_socket(plain, server_hostname=host) as wrapped:
                assert wrapped.version() == name.replace("_", ".")
        else:
            with pytest.raises((ssl.SSLError, OSError)):
                context.wrap_socket(plain, server_hostname=host)


def test_keys_over_tls(server):
    address, pem = server
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(pem)) as channel:
        request = GetModelStatusRequest()
        request.model_spec.name = "m"
        stub = ModelServiceStub(channel)
        assert stub.GetModelStatus(request, 60, [("authorization", f"Bearer {KEY}")]).model_version_status
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetModelStatus(request, 60)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
