"""A format of dates is read when the pipeline is, and refused with what is supported."""

import re
from datetime import datetime

import pytest

from unstuck.pipeline.date_format import DIRECTIVES, PARTS, check_parts, fields_of, read_format

FITTING = {"I": "%I %p", "p": "%I %p", "d": "%Y-%m-%d", "j": "%Y %j"}


@pytest.mark.parametrize("letter", DIRECTIVES)
def test_the_text_that_strftime_writes_is_matched_and_so_is_the_example(letter):
    form = FITTING.get(letter, f"%{letter}")
    for date in (datetime(2024, 2, 29, 15, 4, 5, 678), datetime(2001, 12, 31), datetime(1970, 1, 1, 23, 59, 59)):
        assert re.fullmatch(python(form), date.strftime(form) or "+0530")
    directive = DIRECTIVES[letter]
    assert not directive.sets or re.fullmatch(python(directive.pattern, is_format=False), directive.example)


def python(form, *, is_format=True):
    """The pattern as Python's own regular expressions have it."""
    return (read_format(form).pattern if is_format else form).replace("(?-i:Z)", "Z")


def test_what_a_format_gives_in_order():
    form = read_format("%A, %d %b %Y at %I:%M:%S.%f %p%z 100%%")
    assert form.directives == tuple("dbYIMSfpz")
    assert re.compile(python("%A, %d %b %Y at %I:%M:%S.%f %p%z 100%%")).groups == len(form.directives)
    assert fields_of("%m/%y") == {"month", "year"}
    assert fields_of("unix") >= {"second", "microsecond", "year"}


@pytest.mark.parametrize("form", ["(%Y", "%Y.%m", "[%Y]*", "%Y\\d", "%Y$|x"])
def test_what_is_no_directive_stands_for_itself(form):
    text = form.replace("%Y", "2024").replace("%m", "05")
    assert re.fullmatch(read_format(form).pattern, text)
    assert not re.fullmatch(read_format(form).pattern, text.replace(".", "x") + "2")


def test_white_space_stands_for_any():
    assert re.fullmatch(read_format("%Y \t %m").pattern, "2024\n05")
    assert not re.fullmatch(read_format("%Y %m").pattern, "202405")


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("%Q", "%Q of '%Q' is not supported; expected %Y %y %m "),
        ("%Y-%-m", "%- of '%Y-%-m' is not supported"),
        ("%Y%", "% of '%Y%' is not supported"),
        ("%U", "%U of '%U' is not supported"),
        ("%Y %y", "gives the year twice"),
        ("%Y %m %b", "gives the month twice"),
        ("%Y %j %d", "gives the day twice"),
        ("%H %I %p", "gives the hour twice"),
        ("%I:%M", "needs %I and %p together, or %H"),
        ("%H %p", "needs %I and %p together, or %H"),
        ("%m-%d", "has a day without a month and a year"),
        ("%Y %d", "has a day without a month and a year"),
        ("%j", "has a day without a month and a year"),
    ],
)
def test_a_format_that_is_none_is_refused(form, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        read_format(form)


@pytest.mark.parametrize(
    ("form", "part", "says"),
    [
        ("%Y", "days", "the format '%Y' has no day and no month, which days needs"),
        ("%H:%M", "seconds", "has no day and no month and no year, which seconds needs"),
        ("%Y-%m-%d", "hour", "has no hour, which hour needs"),
        ("%H:%M:%S", "microsecond", "has no microsecond"),
        ("no directive", "year", "has no year"),
    ],
)
def test_a_part_that_the_format_does_not_give_is_refused(form, part, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        check_parts(form, [part])


@pytest.mark.parametrize("form", ["unix", "unix_ms", "%Y-%m-%dT%H:%M:%S.%f", "%Y %j %I %p %M %S %f"])
def test_a_whole_date_has_every_part(form):
    check_parts(form, PARTS)
