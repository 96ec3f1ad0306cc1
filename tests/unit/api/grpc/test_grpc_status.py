"""Errors and warnings as gRPC tells them: code, message, details; and never more metadata than clients take."""

import base64
import logging
import re
from urllib.parse import quote

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, Help
from google.rpc.status_pb2 import Status
from hypothesis import example, given
from hypothesis import strategies as st

from unstuck import errors
from unstuck.api.grpc.service import MODEL_SERVICE, PREDICT, PREDICTION_SERVICE
from unstuck.api.grpc.status import (
    CUT,
    DETAILS_KEY,
    MAX_HINT_BYTES,
    MAX_MESSAGE_BYTES,
    WARNING_KEY,
    failure,
    warning_metadata,
)
from unstuck.errors import Code, EngineError, InputNames, InvalidRequest, UnknownSignature, UnstuckError

CLASSIFY, STATUS = f"/{PREDICTION_SERVICE}/Classify", f"/{MODEL_SERVICE}/GetModelStatus"
CLIENTS_TAKE = 8192  # bytes of metadata, by default
ENTRY_BYTES = 32  # what HTTP/2 counts for each entry, besides name and value
UNKNOWN = UnknownSignature("m", "clasify", ["classify"])


def details(failed):
    """The status in the metadata, its ErrorInfo, and its Help, if any."""
    ((key, value),) = failed.metadata
    assert key == DETAILS_KEY
    status = Status.FromString(value)
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    if len(status.details) == 1:
        return status, info, None
    assert len(status.details) == 2
    links = Help()
    assert status.details[1].Unpack(links)
    return status, info, links


def every_error():
    """Each class of the tree, with the code that it has of itself."""
    pending, found = [UnstuckError], []
    while pending:
        each = pending.pop()
        found.append(each)
        pending += each.__subclasses__()
    return [each for each in found if each.__module__ == errors.__name__ and each is not EngineError]


def made(kind):
    error = UnstuckError.__new__(kind)
    UnstuckError.__init__(error, "what came", hint="what to do")
    return error


@pytest.mark.parametrize("method", [PREDICT, CLASSIFY, STATUS])
@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_an_error_has_its_own_code_but_for_predicts_unknown_signature(kind, method):
    special = kind is UnknownSignature and method == PREDICT
    failed = failure(made(kind), method)
    assert failed.code is (Code.FAILED_PRECONDITION if special else kind.code)
    assert failed.message == "what came what to do"
    assert details(failed)[0].code == failed.code.number


@pytest.mark.parametrize("method", [PREDICT, CLASSIFY, f"/{PREDICTION_SERVICE}/MultiInference", STATUS])
def test_an_unknown_signature_is_told_as_tensorflow_serving_does(method):
    want = Code.FAILED_PRECONDITION if method == PREDICT else Code.INVALID_ARGUMENT
    failed = failure(UNKNOWN, method)
    assert failed.code is want
    assert details(failed)[0].code == want.number


@pytest.mark.parametrize("code", Code, ids=lambda code: code.name)
def test_the_frameworks_code_is_kept(code):
    failed = failure(EngineError("TensorFlow failed: …", code=code), PREDICT)
    status, info, _ = details(failed)
    assert failed.code is code
    assert (status.code, info.reason) == (code.number, code.name)


@pytest.mark.parametrize("error", [ValueError("boom"), MemoryError("boom"), KeyError("boom"), StopIteration("boom")])
def test_any_other_error_is_internal_and_logged_with_its_trace(caplog, error):
    with caplog.at_level(logging.ERROR):
        failed = failure(error, CLASSIFY)
    assert failed.code is Code.INTERNAL
    assert failed.message == f"Internal error: {error!r}"
    (record,) = caplog.records
    assert CLASSIFY in record.getMessage()
    assert record.exc_info[1] is error


def test_an_error_of_ours_is_not_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        failure(UNKNOWN, PREDICT)
    assert not caplog.records


def test_details_carry_cause_and_hint():
    status, info, links = details(failure(UNKNOWN, CLASSIFY))
    assert (info.reason, info.domain) == ("MAPPING_WRONG_SIGNATURE", "unstuck")
    assert dict(info.metadata) == {"cause": "mapping/wrong-signature"}
    assert [link.description for link in links.links] == ["Did you mean 'classify'?"]
    assert status.message == str(UNKNOWN)


def test_without_cause_or_hint_there_is_the_code_alone():
    _, info, links = details(failure(InvalidRequest("no"), PREDICT))
    assert (info.reason, dict(info.metadata), links) == ("INVALID_ARGUMENT", {}, None)


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_reason_has_the_form_that_google_asks_for(kind):
    _, info, _ = details(failure(made(kind), PREDICT))
    assert re.fullmatch("[A-Z][A-Z0-9_]+[A-Z0-9]", info.reason)
    assert len(info.reason) <= 63


@pytest.mark.parametrize(
    ("message", "hint", "want"),
    [
        ("x" * MAX_MESSAGE_BYTES, "", "x" * MAX_MESSAGE_BYTES),
        ("x" * (MAX_MESSAGE_BYTES + 1), "", "x" * MAX_MESSAGE_BYTES + CUT),
        ("x" * 100_000, "", "x" * MAX_MESSAGE_BYTES + CUT),
        ("x" * (MAX_MESSAGE_BYTES - 2), "y", "x" * (MAX_MESSAGE_BYTES - 2) + " y"),
        ("x" * (MAX_MESSAGE_BYTES - 1), "y", "x" * (MAX_MESSAGE_BYTES - 1) + " " + CUT),
        ("é" * (MAX_MESSAGE_BYTES // 2), "", "é" * (MAX_MESSAGE_BYTES // 2)),
        ("é" * (MAX_MESSAGE_BYTES // 2) + "x", "", "é" * (MAX_MESSAGE_BYTES // 2) + CUT),
        ("x" + "é" * MAX_MESSAGE_BYTES, "", "x" + "é" * (MAX_MESSAGE_BYTES // 2 - 1) + CUT),
        ("😀" * 300, "", "😀" * 256 + CUT),
    ],
)
def test_a_message_is_cut_where_tensorflow_serving_cuts_it(message, hint, want):
    failed = failure(InvalidRequest(message, hint=hint), PREDICT)
    assert failed.message == want
    assert details(failed)[0].message == want


def test_a_hint_survives_a_message_that_is_cut_and_is_cut_itself():
    _, _, links = details(failure(InvalidRequest("x" * 5000, hint="do this"), PREDICT))
    assert links.links[0].description == "do this"
    _, _, links = details(failure(InvalidRequest("x", hint="y" * 5000), PREDICT))
    assert links.links[0].description == "y" * MAX_HINT_BYTES + CUT


def trailing_bytes(failed):
    """What the trailers of a failed call count, by HTTP/2: the message percent-encoded, the details in base64."""
    printable = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
    entries = [("grpc-status", str(failed.code.number)), ("grpc-message", quote(failed.message, safe=printable))]
    entries += [(key, base64.b64encode(value).decode()) for key, value in failed.metadata]
    return sum(len(key) + len(value) + ENTRY_BYTES for key, value in entries)


@given(st.text(), st.text(), st.integers(1, 3000), st.integers(0, 3000))
@example("x", "x", 3000, 3000)
@example("%", "\n", 3000, 3000)
@example("é", "é", 3000, 3000)
@example("日", "日", 3000, 3000)
@example("😀", "😀", 3000, 3000)
def test_the_whole_trailing_metadata_is_no_more_than_clients_take(message, hint, times, hint_times):
    error = InputNames((message * times)[:3000], hint=(hint * hint_times)[:3000])
    assert trailing_bytes(failure(error, PREDICT)) < CLIENTS_TAKE


@given(st.text())
def test_a_short_message_comes_as_it_is(message):
    failed = failure(InvalidRequest(message[:100]), PREDICT)
    assert failed.message == message[:100]
    assert details(failed)[0].message == message[:100]


# Warnings


def test_no_warnings_are_no_metadata():
    assert warning_metadata([]) == []


@pytest.mark.parametrize(
    ("warnings", "text"),
    [
        (["one"], "one"),
        (["one", "two"], "one; two"),
        (["input 'größe'\n was  sent\t"], "input 'gr\\xf6\\xdfe' was sent"),
        (["😀"], "\\U0001f600"),
        (["x" * 5000], "x" * MAX_HINT_BYTES),
        (["😀" * 5000], ("\\U0001f600" * MAX_HINT_BYTES)[:MAX_HINT_BYTES]),
    ],
)
def test_warnings_are_one_line_of_bounded_ascii(warnings, text):
    assert warning_metadata(warnings) == [(WARNING_KEY, text)]


@given(st.lists(st.text(st.characters()), min_size=1))
@example(["\0"])
@example(["\x7f"])
@example(["\ud800"])
def test_whatever_the_warnings_http2_takes_them(warnings):
    ((key, value),) = warning_metadata(warnings)
    assert key == WARNING_KEY
    assert re.fullmatch("[\x20-\x7e]*", value)
    assert len(value) <= MAX_HINT_BYTES
