"""Which front end is taken for what is asked."""

import pytest

from unstuck.api.grpc.listener import GrpcAddresses, _front
from unstuck.errors import SetupError


@pytest.mark.parametrize(
    ("asked", "front"),
    [
        ({}, "native"),
        ({"front": "native"}, "native"),
        ({"front": "grpcio"}, "grpcio"),
        ({"max_message_bytes": 1000}, "grpcio"),
        ({"channel_arguments": {"grpc.max_concurrent_streams": 1}}, "grpcio"),
    ],
)
def test_the_native_one_is_taken_where_it_can_do_what_is_asked(asked, front):
    assert _front(GrpcAddresses("127.0.0.1", 0, **asked)) == front


def test_a_limit_that_would_not_be_kept_is_not_taken():
    with pytest.raises(SetupError, match="of any size, whatever --grpc_max_message_bytes says"):
        _front(GrpcAddresses("127.0.0.1", 0, front="native", max_message_bytes=1000))
