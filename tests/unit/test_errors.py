import inspect

import pytest

from unstuck import errors
from unstuck.errors import Code, UnstuckError, did_you_mean, nearest

# tensorflow_serving/model_servers/http_server.cc, ToHTTPStatusCode.
HTTP = {
    "OK": 200,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}


def test_codes_have_grpcs_numbers_and_tensorflow_servings_http_statuses():
    assert {code.name: code.http_status for code in Code} == HTTP
    assert [code.number for code in Code] == list(range(17))


@pytest.mark.parametrize("number", range(17))
def test_code_from_number(number):
    assert Code.from_number(number).number == number


@pytest.mark.parametrize("number", [-1, 17, 1000])
def test_a_number_that_is_no_code_is_unknown(number):
    assert Code.from_number(number) is Code.UNKNOWN


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.MalformedPath("GET", "/v1/x"), 400),
        (errors.VersionOverflow("9" * 30), 400),
        (errors.BodyTooLarge("body", 10), 413),
        (errors.UnknownSignature("m", "s", ["t"]), 400),
        (errors.UnknownLabel("m", "l", []), 400),
        (errors.InputNames("x"), 400),
        (errors.WrongType("x"), 400),
        (errors.WrongShape("x"), 400),
        (errors.UnwritableOutput("x"), 400),
        (errors.UnsupportedType("x"), 501),
        (errors.NotFound("x"), 404),
        (errors.NotReady("x"), 503),
        (errors.DeadlineExceeded("x"), 504),
        (errors.EngineError("x", code=Code.RESOURCE_EXHAUSTED), 429),
        (errors.LoadFailed("x"), 400),
    ],
    ids=lambda value: type(value).__name__,
)
def test_http_status_of_each_error(error, status):
    assert error.http_status == status


def test_every_error_is_in_the_tree_and_drawn_at_its_top():
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, Exception)]
    assert len(classes) > 15
    for each in classes:
        assert issubclass(each, UnstuckError)
        assert each.__name__ in errors.__doc__


def test_text_is_the_message_and_the_hint():
    assert str(errors.NotFound("gone", hint="look elsewhere")) == "gone look elsewhere"
    assert str(errors.NotFound("gone")) == "gone"


def test_an_unknown_signature_lists_the_known_and_names_the_nearest():
    error = errors.UnknownSignature("m", "serving_defaul", ["serving_default", "other"])
    assert str(error) == (
        "Model 'm' has no signature 'serving_defaul'; its signatures are 'other', 'serving_default'. "
        "Did you mean 'serving_default'?"
    )
    assert "are none." in str(errors.UnknownSignature("m", "s", []))


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("half_plus_tow", ["half_plus_two", "mlp"], "half_plus_two"),
        ("Half-Plus Two", ["half_plus_two", "half_plus_three"], "half_plus_two"),
        ("SEPAL LENGTH", ["sepal_length"], "sepal_length"),
        ("xyz", ["half_plus_two"], ""),
        ("x", [], ""),
        ("", ["x"], ""),
    ],
)
def test_nearest(name, known, near):
    assert nearest(name, known) == near
    assert did_you_mean(name, known) == (f"Did you mean {near!r}?" if near else "")


def test_what_a_client_sent_is_told_back_short_and_on_one_line():
    assert errors.cut("abc", 3) == "abc"
    assert errors.cut("abcd", 3) == "ab…"
    assert errors.printable("é a") == "é a"
    assert errors.printable("a\nb\x1b") == r"a\nb\x1b"
    assert errors.shortened("a\n" + "b" * 300, 10) == r"a\nbbbbbbb…"


def test_a_name_without_end_is_compared_with_none():
    assert errors.nearest("seralize", ["serialize"]) == "serialize"
    assert errors.nearest("x" * 1_000_000, ["x" * 1_000_000]) == ""
