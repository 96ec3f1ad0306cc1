"""Who may change what is served, and how a reload is read and answered."""

import pytest

from unstuck.api.grpc.service import RELOAD, Admin, GrpcService
from unstuck.core.models import Latest
from unstuck.errors import Code, InvalidRequest, NotPermitted, UnreadableMessage, UnsupportedType
from unstuck.guard.access import Access
from unstuck.proto.wire.management_pb2 import ReloadConfigRequest, ReloadConfigResponse


def service(reloaded=None, *, allow_remote=False):
    admin = None if reloaded is None else Admin(reloaded.append, ("tensorflow",))
    access = Access(allow_remote_admin=allow_remote)
    return GrpcService(None, strict_inputs=False, tensor_content=False, admin=admin, access=access)


def request(**fields):
    message = ReloadConfigRequest(metric_names=["a"])
    message.config.model_config_list.config.add(name="m", base_path="/m", **fields)
    return message.SerializeToString()


LOCAL = ["unix:", "unix:/run/x.sock", "ipv4:127.0.0.1:50", "ipv4:127.1.2.3:50", "ipv6:[::1]:50", "ipv6:%5B::1%5D:50"]
REMOTE = ["", "ipv4:10.0.0.1:50", "ipv4:192.168.127.1:1", "ipv6:[2001:db8::1]:50", "ipv6:%5B2001:db8::1%5D:50", "None"]


@pytest.mark.parametrize("peer", LOCAL)
def test_a_client_on_this_machine_may_reload(peer):
    reloaded = []
    answer = service(reloaded).call(RELOAD, request(), peer)()
    ((model,),) = reloaded
    assert (model.name, str(model.base_path), model.versions) == ("m", "/m", Latest(1))
    response = ReloadConfigResponse.FromString(answer.payload)
    assert (response.status.error_code, [each.name for each in response.metric]) == (0, ["a"])


@pytest.mark.parametrize("peer", REMOTE)
def test_others_may_only_where_it_is_allowed(peer):
    reloaded = []
    with pytest.raises(NotPermitted, match="--allow_remote_admin") as caught:
        service(reloaded).call(RELOAD, request(), peer)()
    assert caught.value.code is Code.PERMISSION_DENIED
    assert reloaded == []
    service(reloaded, allow_remote=True).call(RELOAD, request(), peer)()
    assert len(reloaded) == 1


@pytest.mark.parametrize(
    ("payload", "error", "says"),
    [
        (b"\xff", UnreadableMessage, "ReloadConfigRequest"),
        (b"", InvalidRequest, "must have a model_config_list"),
        (request(model_platform="onx"), InvalidRequest, r"config\[0\]\.model_platform: expected one of 'tensorflow'"),
    ],
)
def test_a_wrong_reload_is_refused(payload, error, says):
    reloaded = []
    with pytest.raises(error, match=says):
        service(reloaded).call(RELOAD, payload, "unix:")()
    assert reloaded == []


def test_a_server_without_administration_refuses():
    with pytest.raises(UnsupportedType, match="cannot be changed"):
        service().call(RELOAD, request(), "unix:")()
