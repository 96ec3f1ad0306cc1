"""What headers say of how long a caller waits."""

import pytest

from unstuck.guard.deadlines import seconds_given


@pytest.mark.parametrize(
    ("headers", "timeout_s", "expected"),
    [
        ({}, None, None),
        ({}, 30.0, 30.0),
        ({"grpc-timeout": "100m"}, 30.0, 0.1),
        ({"grpc-timeout": "2S"}, None, 2.0),
        ({"grpc-timeout": "1H"}, 30.0, 30.0),
        ({"grpc-timeout": "5u"}, None, 5e-6),
        ({"x-envoy-expected-rq-timeout-ms": "250"}, 30.0, 0.25),
        ({"x-envoy-expected-rq-timeout-ms": "250", "grpc-timeout": "1M"}, None, 0.25),
        ({"grpc-timeout": "0m"}, 30.0, 0.0),
    ],
)
def test_the_least_counts(headers, timeout_s, expected):
    assert seconds_given(headers, timeout_s) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("text", ["", "m", "100", "-5m", "1.5S", "5x", "999999999m", "٣m", " 5m"])
def test_what_is_not_written_as_it_should_be_says_nothing(text):
    assert seconds_given({"grpc-timeout": text}, 30.0) == 30.0


@pytest.mark.parametrize("text", ["", "-1", "1e3", "soon", "123456789"])
def test_nor_does_what_is_no_number(text):
    assert seconds_given({"x-envoy-expected-rq-timeout-ms": text}, None) is None
