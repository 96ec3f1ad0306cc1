from unstuck.api.rest.connections import LEAST_HEADER_BYTES, ConnectionLimits


def test_granian_is_told_of_each_limit():
    told = ConnectionLimits(connections=7, header_bytes=20_000, idle_timeout_s=2.5).settings()
    assert told["backpressure"] == 7
    assert told["http1_settings"].header_read_timeout == 2500
    assert told["http1_settings"].max_buffer_size == 20_000
    assert told["http2_settings"].max_headers_size == 20_000


def test_there_is_room_for_a_small_request_at_least():
    assert ConnectionLimits(header_bytes=1).settings()["http1_settings"].max_buffer_size == LEAST_HEADER_BYTES
