"""Dates are what Python's datetime says they are, served and baked; what is no date is refused, or as declared."""

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pytest
from pipeline_cases import assert_same, expected, export

from unstuck.errors import Code, EngineError
from unstuck.pipeline.date_format import PARTS

ROWS = 10_000
EPOCH = datetime(1970, 1, 1)
GIVE = [*PARTS]
DATE_PARTS = ["year", "month", "day", "weekday", "day_of_year", "days", "seconds"]
NO_DATE = -9
YEARS = [1, 4, 100, 400, 1968, 1999, 2000, 2024, 2100]
BOUNDS = [datetime.min, datetime.max, EPOCH, datetime(1900, 2, 28), datetime(2000, 2, 29)]
BOUNDS += [datetime(year, *day) for year in YEARS for day in ((1, 1), (12, 31))]
ODD_TEXTS = [
    *("2023-02-30", "2023-02-29", "1900-02-29", "2000-02-29", "2024-02-29", "2023-04-31", "2023-00-10", "2023-13-01"),
    *("2023-01-00", "2023-01-32", "0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01", "2023-1-1", "2023-01-1x"),
    *("x2023-01-01", "-2023-01-01", "2023-01", "20230101", "2023/01/01", "99-01-01", "nan", "1,1,1", "é"),
]
ODD_TEXTS += ["", " ", "\0", "2023-01- 7", "2023-01-01 ", " 2023-01-01", "2023-01-01\n", "2023-01-01\0"]


@cache
def datetimes() -> list[datetime]:
    """Of all years, most of them of those near ours; without fractions of a second after the bounds."""
    random = np.random.default_rng(0)
    wide = random.integers(-62_135_596_800, 253_402_300_800, ROWS // 3)
    near = random.integers(-(10**9), 4 * 10**9, ROWS - len(wide) - len(BOUNDS))
    return BOUNDS + [EPOCH + timedelta(seconds=int(each)) for each in [*wide, *near]]


def parts_of(date: datetime) -> dict[str, int]:
    naive = date.replace(tzinfo=None)
    return {
        **{name: getattr(date, name) for name in ("year", "month", "day", "hour", "minute", "second", "microsecond")},
        "weekday": date.weekday(),
        "day_of_year": date.timetuple().tm_yday,
        "days": date.toordinal() - EPOCH.toordinal(),
        "seconds": (naive - EPOCH - (date.utcoffset() or timedelta())) // timedelta(seconds=1),
    }


def array(dates, give):
    """The parts of each date, NO_DATE for None."""
    names = give if isinstance(give, list) else [give]
    rows = [[NO_DATE] * len(names) if date is None else [parts_of(date)[name] for name in names] for date in dates]
    return np.array(rows, np.int64) if isinstance(give, list) else np.array(rows, np.int64)[:, 0]


def by_strptime(form, give):
    def read(row):
        try:
            date = datetime.strptime(row.decode(), form)
        except ValueError:
            return None
        same_year = "%j" not in form or date.year == int(row[:4])  # Python takes 2023 366 for 2024-01-01
        return date if same_year else None

    return lambda rows: array([read(row) for row in rows], give)


@cache
def written(form, *, damaged=True):
    """The dates in a format, every fourth with a character replaced, left out or put in; then what is odd."""
    random = np.random.default_rng(1)
    texts = [as_text(date, form) for date in datetimes()]
    for at in range(0, len(texts), 4) if damaged else ():
        place, by = random.integers(0, len(texts[at])), random.choice([*"0123456789-/: ,TZ+"])
        before, rest = texts[at][:place], texts[at][place:]
        texts[at] = before + random.choice([by + rest[1:], rest[1:], by + rest])
    return np.array([text.encode() for text in texts + (ODD_TEXTS if damaged else [])], object)


def as_text(date, form):
    """As strftime, but with years of four digits; and with %z one of several offsets."""
    offset = ("Z", "+0000", "-03:30", "+14:00", "+0545", "-23:59", "+24:00", "+01:60")[date.toordinal() % 8]
    return date.strftime(form.replace("%Y", f"{date.year:04}").replace("%z", offset))


def date_case(form, give):
    steps = [{"date": {"format": form, "give": give, "invalid": NO_DATE}}]
    return steps, lambda: written(form), by_strptime(form, give)


def unix(per_second, dtype=np.int64):
    def rows():
        seconds = np.array([(date - EPOCH) // timedelta(seconds=1) for date in datetimes()], np.int64)
        seconds = np.concatenate([seconds[np.abs(seconds) < np.iinfo(dtype).max // per_second], [0, -1, 1]])
        fraction = np.random.default_rng(2).integers(0, per_second, len(seconds))
        return (seconds * per_second + fraction).astype(dtype)

    return rows


def by_fromtimestamp(per_second):
    def parts(rows):
        dates = [EPOCH + timedelta(seconds=int(row) // per_second, milliseconds=int(row) % per_second) for row in rows]
        return array(dates, GIVE)

    return parts


def out_of_range():
    edge = [-62_135_596_801, -62_135_596_800, 253_402_300_799, 253_402_300_800]
    return np.array([*edge, np.iinfo(np.int64).min, np.iinfo(np.int64).max, 0], np.int64)


def circle(period):
    def points(rows):
        angles = [(row.item() % period) / period * 2 * np.pi for row in rows.ravel()]
        dtype = rows.dtype if rows.dtype == np.float64 else np.float32
        return np.array([[np.sin(each), np.cos(each)] for each in angles], dtype).reshape(*rows.shape, 2)

    return points


def reals(dtype):
    return lambda: np.random.default_rng(3).normal(0, 1000, (ROWS, 2)).astype(dtype)


FORMATS = {
    "ISO date": ("%Y-%m-%d", DATE_PARTS),
    "ISO date-time": ("%Y-%m-%dT%H:%M:%S", GIVE[:6] + DATE_PARTS),
    "ISO with fraction and offset": ("%Y-%m-%dT%H:%M:%S.%f%z", GIVE),
    "with spaces": ("%Y-%m-%d %H:%M", [*DATE_PARTS, "hour", "minute"]),
    "US order": ("%m/%d/%Y", DATE_PARTS),
    "European order": ("%d.%m.%Y %H:%M:%S", [*DATE_PARTS, "second"]),
    "two digits of the year": ("%d/%m/%y", DATE_PARTS),
    "without separators": ("%Y%m%d%H%M%S", [*DATE_PARTS, "second", "minute", "hour"]),
    "day of the year": ("%Y %j", DATE_PARTS),
    "names": ("%a, %d %b %Y %H:%M:%S", [*DATE_PARTS, "second"]),
    "long names of 12 hours": ("%A, %B %d, %Y %I:%M %p", [*DATE_PARTS, "hour", "minute"]),
    "nine groups": ("%b %d %Y %I %p %M %S %f %z", GIVE),
    "month and year": ("%m/%y", ["year", "month"]),
    "time": ("%H:%M:%S", ["second", "minute", "hour"]),
    "literals": ("(%Y)\t100%% [%m].", ["month", "year"]),
    "one part": ("%Y-%m-%d", "weekday"),
    "one part in a list": ("%Y-%m-%d", ["days"]),
}
CASES = {
    **{name: date_case(form, give) for name, (form, give) in FORMATS.items()},
    "several dates a row": ([{"date": {"format": "%Y-%m-%d", "give": ["day", "year"], "invalid": NO_DATE}}],
        lambda: written("%Y-%m-%d")[:9000].reshape(-1, 3),
        lambda rows: by_strptime("%Y-%m-%d", ["day", "year"])(rows.ravel()).reshape(-1, 3, 2)),
    "valid dates alone": ([{"date": {"format": "%Y-%m-%d", "give": "days"}}],
        lambda: written("%Y-%m-%d", damaged=False), by_strptime("%Y-%m-%d", "days")),
    "unix": ([{"date": {"format": "unix", "give": GIVE}}], unix(1), by_fromtimestamp(1)),
    "unix of 32 bits": ([{"date": {"format": "unix", "give": GIVE}}], unix(1, np.int32), by_fromtimestamp(1)),
    "unix_ms": ([{"date": {"format": "unix_ms", "give": GIVE}}], unix(1000), by_fromtimestamp(1000)),
    "unix out of range": ([{"date": {"format": "unix", "give": "year", "invalid": NO_DATE}}], out_of_range,
        lambda _: np.array([NO_DATE, 1, 9999, NO_DATE, NO_DATE, NO_DATE, 1970], np.int64)),
    "hour on a circle": ([{"date": {"format": "unix", "give": "hour"}}, {"cyclic": {"period": 24}}], unix(1),
        lambda rows: circle(24)(by_fromtimestamp(1)(rows)[:, GIVE.index("hour")])),
    "seconds on a circle": ([{"cyclic": {"period": 86400}}], unix(1), circle(86_400)),
    "floats on a circle": ([{"cyclic": {"period": 7.5}}], reals(np.float32), circle(7.5)),
    "doubles on a circle": ([{"cyclic": {"period": 0.1}}], reals(np.float64), circle(0.1)),
}  # fmt: skip
MUST_SAY = [
    ("%Y-%m-%d", "2023-02-30"),
    ("%Y-%m-%d", ""),
    ("%Y-%m-%d", "yesterday é"),
    ("%H:%M", "24:00"),
]


@cache
def wanted(name):
    return expected(CASES[name])


@pytest.fixture(scope="module")
def files_of(tmp_path_factory):
    strict = {
        form: (
            [{"date": {"format": form, "give": "minute" if "M" in form else "day"}}],
            *CASES["valid dates alone"][1:],
        )
        for form, _ in MUST_SAY
    }
    return export(tmp_path_factory.mktemp("dates"), {**CASES, **{clean(form): case for form, case in strict.items()}})


def clean(form):
    return form.replace("%", "").replace(":", "").replace("-", "")


@pytest.mark.parametrize("name", CASES)
def test_a_date_has_the_parts_that_python_gives_it(answered, name):
    assert_same(answered(name, CASES[name][1]()), wanted(name))


@pytest.mark.parametrize("name", CASES)
def test_a_row_alone_is_answered_as_among_others_and_no_rows_by_none(answered, name):
    for part in (slice(0), slice(1), slice(5, 9)):
        assert_same(answered(name, CASES[name][1]()[part]), wanted(name)[part])


def test_the_rows_have_dates_and_what_is_none():
    for name in FORMATS:
        invalid = (wanted(name).reshape(len(wanted(name)), -1) == NO_DATE).all(axis=1)
        assert 0.02 < invalid.mean() < 0.7, name


@pytest.mark.parametrize(("form", "text"), MUST_SAY)
def test_what_is_no_date_fails_the_call_and_is_shown(served, form, text):
    valid = datetime(2023, 1, 1).strftime(form).encode()
    with pytest.raises(EngineError) as caught:
        served(clean(form), np.array([valid, text.encode(), b"another"], object))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert f"`{text}` is not a date of the format `{form}`" in caught.value.message


def test_an_integer_that_is_no_date_fails_the_call_and_is_shown(served):
    with pytest.raises(EngineError, match="`9223372036854775807` is not a date of the format `unix`") as caught:
        served("unix", np.array([0, np.iinfo(np.int64).max], np.int64))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_unix_seconds_are_those_of_datetimes_in_utc():
    assert parts_of(datetime.fromtimestamp(10**9, UTC))["seconds"] == 10**9
