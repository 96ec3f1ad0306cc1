"""Dates as TensorFlow ops: text by a regular expression, then arithmetic on int64, as the calendar is."""

import math
from typing import Any

from unstuck.engines.tensorflow.files import Files
from unstuck.engines.tensorflow.runtime import tf
from unstuck.engines.tensorflow.values import checked, floats, integers, numbers, strings
from unstuck.pipeline import steps
from unstuck.pipeline.date_format import DIRECTIVES, MONTHS, UNIX, DateFormat, read_format
from unstuck.pipeline.document import PipelineError

DAY = 86_400  # seconds
EPOCH = 719_162  # days from 0001-01-01 to 1970-01-01
_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)  # days, in a year that is no leap year
_NO_DATE = {"year": 1900, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0, "offset": 0}

Fields = dict[str, Any]  # int64 [values]


def date(step: steps.Date, value: Any, _: Files) -> Any:
    """The parts of dates, int64: in the shape of ``value``, or with one more dimension for several parts."""
    if isinstance(value, tf.RaggedTensor):
        raise PipelineError("it takes values of a fixed shape, got lists of any length", hint="Use pad before it.")
    if step.format in UNIX:
        given = tf.reshape(integers(value), [-1])
        fields, valid = _from_unix(given, UNIX[step.format])
    else:
        given = tf.reshape(strings(value), [-1])
        fields, valid = _from_text(given, read_format(step.format))
    several = isinstance(step.give, list)
    names = step.give if isinstance(step.give, list) else [step.give]
    found = tf.stack([_part(name, fields) for name in names], axis=-1)
    if step.invalid is None:
        found = checked(found, valid, given, f"is not a date of the format `{step.format}`")
    else:
        found = tf.where(valid[:, None], found, tf.constant(step.invalid, tf.int64))
    shaped = tf.reshape(found, tf.concat([tf.shape(value), [len(names)] if several else []], 0))
    shaped.set_shape([*value.shape, *([len(names)] if several else [])])
    return shaped


def cyclic(step: steps.Cyclic, value: Any, _: Files) -> Any:
    """Sine and cosine, in a new last dimension."""
    # In double precision until the angle is small: a float of seconds since 1970 has lost the minute.
    turns = tf.math.floormod(tf.cast(numbers(value), tf.float64), step.period) / step.period
    angle = turns * 2 * tf.constant(math.pi, tf.float64)
    return tf.cast(tf.stack([tf.sin(angle), tf.cos(angle)], axis=-1), floats(value).dtype)


def _from_unix(value: Any, in_a_second: int) -> tuple[Fields, Any]:
    if value.dtype == tf.uint64:
        raise PipelineError("it takes integers up to int64, got uint64")
    value = tf.cast(value, tf.int64)
    seconds = value // in_a_second
    valid = (seconds >= -EPOCH * DAY) & (seconds < (_days_before_year(10_000) - EPOCH) * DAY)
    seconds = tf.where(valid, seconds, 0)
    year, day_of_year = _year_and_day(seconds // DAY + EPOCH)
    month, day = _month_and_day(year, day_of_year)
    time = seconds % DAY
    fields = {"year": year, "month": month, "day": day, "hour": time // 3600, "minute": time // 60 % 60}
    fields |= {"second": time % 60, "microsecond": value % in_a_second * (1_000_000 // in_a_second)}
    return {**fields, "offset": tf.zeros_like(value)}, valid


def _from_text(text: Any, form: DateFormat) -> tuple[Fields, Any]:
    matched = tf.strings.regex_full_match(text, form.pattern)
    count = len(form.directives)
    groups = ",".join(rf"\{at}" for at in range(1, count + 1))
    examples = ",".join(DIRECTIVES[letter].example for letter in form.directives)
    found = tf.where(matched, tf.strings.regex_replace(text, rf"\A{form.pattern}\z", groups), examples)
    columns = tf.unstack(tf.reshape(tf.strings.split(found, ",").values, [-1, count]), count, axis=1)
    read = dict(zip(form.directives, columns, strict=True))
    fields = {name: tf.fill(tf.shape(text), tf.constant(number, tf.int64)) for name, number in _NO_DATE.items()}
    for letter, column in read.items():
        if letter not in "jp":
            fields[DIRECTIVES[letter].sets[0]] = _field(letter, column)
    if "p" in read:
        fields["hour"] = fields["hour"] % 12 + 12 * tf.cast(tf.equal(tf.strings.lower(read["p"]), "pm"), tf.int64)
    in_year = tf.fill(tf.shape(text), True)
    if "j" in read:
        day_of_year = _integer(read["j"])
        in_year = day_of_year <= 365 + _leap(fields["year"])
        fields["month"], fields["day"] = _month_and_day(fields["year"], tf.where(in_year, day_of_year, 1))
    days = _before_month(fields["year"], fields["month"] + 1) - _before_month(fields["year"], fields["month"])
    return fields, matched & in_year & (fields["year"] >= 1) & (fields["day"] <= days)


def _field(letter: str, text: Any) -> Any:
    if letter in "bB":
        known = tf.equal(tf.strings.substr(tf.strings.lower(text), 0, 3)[:, None], tf.constant(MONTHS))
        return tf.argmax(known, axis=1, output_type=tf.int64) + 1
    if letter == "f":
        return _integer(tf.strings.substr(tf.strings.join([text, "00000"]), 0, 6))
    if letter == "z":
        return _offset(text)
    number = _integer(text)
    return number + tf.where(number < 69, tf.constant(2000, tf.int64), 1900) if letter == "y" else number


def _offset(text: Any) -> Any:
    """Seconds east of Greenwich."""
    digits = tf.strings.regex_replace(tf.where(tf.equal(text, "Z"), "+0000", text), ":", "")
    seconds = _integer(tf.strings.substr(digits, 1, 2)) * 3600 + _integer(tf.strings.substr(digits, 3, 2)) * 60
    return tf.where(tf.equal(tf.strings.substr(digits, 0, 1), "-"), -seconds, seconds)


def _integer(text: Any) -> Any:
    return tf.strings.to_number(tf.strings.strip(text), tf.int64)


def _part(name: str, fields: Fields) -> Any:
    if name in fields:
        return fields[name]
    day_of_year = _before_month(fields["year"], fields["month"]) + fields["day"]
    if name == "day_of_year":
        return day_of_year
    days = _days_before_year(fields["year"]) + day_of_year - 1 - EPOCH
    if name == "days":
        return days
    if name == "weekday":
        return (days + 3) % 7  # 1970-01-01 was a Thursday
    return days * DAY + fields["hour"] * 3600 + fields["minute"] * 60 + fields["second"] - fields["offset"]


def _leap(year: Any) -> Any:
    by_4, by_100, by_400 = (tf.equal(year % years, 0) for years in (4, 100, 400))
    return tf.cast(by_4 & (~by_100 | by_400), tf.int64)


def _days_before_year(year: Any) -> Any:
    """From 0001-01-01 to the first day of ``year``; in Python's integers or in tensors."""
    last = year - 1
    return last * 365 + last // 4 - last // 100 + last // 400


def _before_month(year: Any, month: Any) -> Any:
    """The days of the year before the month, 13 being after the last."""
    return tf.gather(tf.constant(_BEFORE_MONTH, tf.int64), month - 1) + tf.where(month > 2, _leap(year), 0)


def _month_and_day(year: Any, day_of_year: Any) -> tuple[Any, Any]:
    months = [_before_month(year, tf.fill(tf.shape(year), tf.constant(month, tf.int64))) for month in range(1, 13)]
    month = tf.reduce_sum(tf.cast(tf.stack(months, axis=1) < day_of_year[:, None], tf.int64), axis=1)
    return month, day_of_year - _before_month(year, month)


def _year_and_day(days: Any) -> tuple[Any, Any]:
    """The year and the day of the year, ``days`` after 0001-01-01: by cycles of 400, 100, 4 years and 1."""
    year = 1 + days // 146_097 * 400
    days = days % 146_097
    for length, years, most in ((36_524, 100, 3), (1_461, 4, 24), (365, 1, 3)):
        cycles = tf.minimum(days // length, most)  # the last cycle has the leap day, one day more
        year += cycles * years
        days -= cycles * length
    return year, days + 1
