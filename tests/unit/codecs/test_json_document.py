import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.codecs import json_document
from unstuck.codecs.json_document import MAX_DEPTH, excerpt, kind, parse
from unstuck.errors import MalformedBody

NEST = 500_000


def same(a, b):
    """Equal, of equal types, with NaN equal to NaN."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize(
    ("body", "value"),
    [
        # what RapidJSON takes beside JSON
        *((b"NaN", math.nan), (b"-NaN", math.nan), (b"Inf", math.inf), (b"-Inf", -math.inf)),
        *((b"Infinity", math.inf), (b"-Infinity", -math.inf), (b"[NaN, 1]", [math.nan, 1])),
        *((b"{} trailing", {}), (b'{"a": 1}{"b": 2}', {"a": 1}), (b"1 2", 1), (b"[1]]", [1]), (b"01", 0)),
        *((b"\xef\xbb\xbf[1]", [1]), (b'\xef\xbb\xbf{"a": NaN}', {"a": math.nan})),
        (b'{"a": 1, "a": 2} the slow reader', {"a": 1}),
        # the slow reader reads JSON itself as it should be read
        (b' {"a" : [ ] , "b":{ },"c":[ [1.5e3,-2],"x\\u00e9\\n\\ud83d\\ude00"] , "d":[null,true,false]} NaN', ...),
        *((b"[1.0, 1, -0.0, 1e3, 1E-2] x", [1.0, 1, -0.0, 1000.0, 0.01]),),
        *((b"[9223372036854775807, -9223372036854775808] x", [2**63 - 1, -(2**63)]),),
        *((b"[18446744073709551615] x", [2**64 - 1]), (b"[18446744073709551616] x", [2.0**64])),
        (b"[-9223372036854775809] x", [-(2.0**63)]),
        (b"[1e-400] x", [0.0]),
        ('["ünï 😀"] x'.encode(), ["ünï 😀"]),
    ],
)
def test_accepts(body, value):
    if value is ...:
        value = json.loads(body.decode().removesuffix(" NaN"))
    assert same(parse(body), value)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty. Line 1, column 1, at the end of the body"),
        (b" \n\t ", "empty. Line 2, column 3"),
        (b"\xef\xbb\xbf", "empty"),
        (b'{"instances": [1,\n 2,, 3]}', "Invalid value. Line 2, column 4, near ', 3]}'"),
        (b"[1,]", "Invalid value. Line 1, column 4, near ']'"),
        (b"[1 2]", "Missing a comma or ]. Line 1, column 4, near '2]'"),
        (b'{"a": 1 "b": 2}', "Missing a comma or }. Line 1, column 9"),
        (b'{"a": 1,}', "Missing a name for object member. Line 1, column 9, near '}'"),
        (b"{a: 1}", "Missing a name for object member. Line 1, column 2"),
        (b"{'a': 1}", "Missing a name for object member. Line 1, column 2"),
        (b'{"a" 1}', "Missing a colon after a name of object member. Line 1, column 6"),
        (b'{"instances": [1', "Missing a comma or ]. Line 1, column 17, at the end of the body"),
        (b'{"instances"', "Missing a colon"),
        (b"[", "Invalid value. Line 1, column 2, at the end"),
        (b"[[1], [2}", "Missing a comma or ]. Line 1, column 9"),
        (b'["abc', "Line 1, column 2"),
        (b'["a\nb"]', "control character"),
        (b'["\\x"]', "Line 1, column 3"),
        (b"[1e400]", "Number too big to be stored in double. Line 1, column 2, near '1e400]'"),
        (b"[-1e400]", "Number too big to be stored in double. Line 1, column 2"),
        (b"[" + b"9" * 400 + b"]", "Number too big to be stored in double. Line 1, column 2"),
        (b"[.5]", "Invalid value. Line 1, column 2"),
        (b"[+1]", "Invalid value"),
        (b"[-]", "Invalid value. Line 1, column 2"),
        (b"[1.]", "Missing a comma"),
        (b"[0x10]", "Missing a comma"),
        *((word, "Invalid value") for word in (b"nul", b"True", b"None", b"nan", b"undefined", b"hello")),
        *((b'["\\ud800"]', "surrogate"), (b'["\\udc00 \\ud800"]', "surrogate"), (b'{"\\ud800": 1}', "surrogate")),
        (b'{"a": "\xff"}', "byte 7 (0xff) is not UTF-8"),
        (b'["\xc3"]', "byte 2 (0xc3) is not UTF-8"),
        (b'["\xed\xa0\x80"]', "byte 2 (0xed) is not UTF-8"),
        (b"\x89PNG\r\n", "byte 0 (0x89) is not UTF-8"),
        (b"\x00", "Invalid value"),
    ],
)
def test_refuses_and_says_what_and_where(body, says):
    with pytest.raises(MalformedBody, match=re.escape(says)) as caught:
        parse(body)
    assert str(caught.value).startswith("JSON Parse error: ")


@pytest.mark.parametrize("body", [b'["abc', b'["a\nb"]', b'["\\x"]', b'["\\u12"]'])
def test_errors_inside_strings_are_sentences(body):
    with pytest.raises(MalformedBody) as caught:
        parse(body)
    assert not re.search(r"\b(at|starting at)\. Line", str(caught.value)), "a preposition with nothing after it"


def nesting(value):
    """How deep the innermost value is, and the value."""
    levels = 0
    while isinstance(value, list | dict):
        (value,) = value.values() if isinstance(value, dict) else value
        levels += 1
    return levels, value


@pytest.mark.parametrize(
    ("opening", "closing", "nest"),
    [("[", "]", 2000), ('{"a":', "}", 2000), ('[{"a":', "}]", 2000)],
    ids=["lists", "objects", "both"],
)
def test_nesting_is_read_to_the_limit_and_no_deeper(opening, closing, nest, monkeypatch):
    monkeypatch.setattr(json_document, "MAX_DEPTH", nest)
    depth = nest // len(closing)

    def body(depth):
        return (opening * depth + "1" + closing * depth).encode()

    for value in (parse(body(depth)), parse(body(depth) + b" surplus")):  # of either reader
        assert nesting(value) == (nest, 1)
    with pytest.raises(MalformedBody, match=r"nested more than 2,000 deep\. Line 1"):
        parse(body(depth + 1))


@pytest.mark.parametrize(
    ("opening", "closing", "nest"), [("[", "]", NEST), ('{"a":', "}", NEST // 10)], ids=["lists", "objects"]
)
def test_half_a_million_is_not_too_deep_as_in_tensorflow_serving(opening, closing, nest):
    assert nesting(parse((opening * nest + "1" + closing * nest).encode())) == (nest, 1)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_that_never_ends_is_refused(opening):
    with pytest.raises(MalformedBody, match="at the end of the body"):
        parse(opening * NEST)
    with pytest.raises(MalformedBody, match="nested more than 1,000,000 deep"):
        parse(opening * (MAX_DEPTH + 1))


@pytest.mark.parametrize("empty", [b"[]", b"{}"])
def test_more_lists_and_objects_than_memory_has_room_for_are_refused_before_they_are_read(empty, monkeypatch):
    monkeypatch.setattr(json_document, "MAX_CONTAINERS", 100)
    monkeypatch.setattr(json_document, "COUNTED_FROM_BYTES", 200)

    def body(count):
        return b"[" + b",".join([empty] * (count - 1)) + b"]"

    assert len(parse(body(100))) == 99
    with pytest.raises(MalformedBody, match="has 101 lists and objects; expected at most 100"):
        parse(body(101))
    assert parse(b"[" * 60 + b"]" * 60), "too short to be counted"


def test_no_body_that_is_not_counted_has_too_many():
    assert json_document.COUNTED_FROM_BYTES <= 2 * json_document.MAX_CONTAINERS


def test_a_long_line_is_not_printed_whole():
    with pytest.raises(MalformedBody) as caught:
        parse(b"[1," + b"x" * 100_000)
    assert len(str(caught.value)) < 200


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    | st.integers(-(2**63), 2**64 - 1),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(json_values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_the_slow_reader_reads_what_json_does(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    surplus = text + b" surplus"  # no longer JSON, so it takes the slow way
    assert same(parse(surplus), json.loads(text))
    assert same(parse(text), json.loads(text))


@given(st.binary(max_size=40) | st.text('[]{}:,"\\ 019.-eENaInftrulsy\n', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(body):
    says = ""
    try:
        parse(body)
    except MalformedBody as error:
        says = error.message
    assert re.fullmatch(r"|JSON Parse error: .*(Line \d+, column \d+, .*|byte \d+ .*)", says, re.DOTALL)


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "Null"), (True, "Bool"), (1, "Number"), (1.5, "Number"), ("", "String"), ([], "Array"), ({}, "Object")],
)
def test_kind(value, name):
    assert kind(value) == name


def test_excerpt():
    assert excerpt({"a": [1, "é"]}) == '{"a":[1,"é"]}'
    assert excerpt("x" * 100, 10) == '"xxxxxxxx…'
    assert excerpt(parse(b"[" * NEST + b"]" * NEST), 10) == "[" * 9 + "…"
    assert excerpt(["x" * 100, "y"], 10) == '["xxxxxxx…'


def test_an_excerpt_of_a_large_value_takes_no_longer_than_one_of_a_small_value(monkeypatch):
    written = []
    written_by = json_document._WRITER.iterencode
    monkeypatch.setattr(
        json_document._WRITER, "iterencode", lambda value: (written.append(part) or part for part in written_by(value))
    )
    assert excerpt(list(range(100_000)), 40).endswith("…")
    assert len(written) < 40
