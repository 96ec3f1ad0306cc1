"""One table in every format: the same columns and rows come out, whatever the size of the batches."""

import gzip
import itertools
import json
import struct
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from unstuck.data import DataError, open_data, read_batches, sample
from unstuck.data.sampling import Reservoir
from unstuck.proto.wire.example_pb2 import Example

ROWS = 23
GROUP = 16  # rows of a row group of Parquet, which no batch goes beyond
NAN = float("nan")
AGE = [NAN if at % 5 == 3 else at + 0.5 for at in range(ROWS)]
COUNT = list(range(ROWS))
TEXT = ["" if at % 7 == 2 else f'größe "{at}",\nzwei' for at in range(ROWS)]
PIXELS = np.arange(ROWS * 6, dtype=np.float32).reshape(ROWS, 2, 3)


def write_csv(path: Path) -> None:
    lines = ["age,count,text"]
    quoted = ['"' + text.replace('"', '""') + '"' for text in TEXT]
    lines += [
        f"{'' if age != age else age},{count},{text}" for age, count, text in zip(AGE, COUNT, quoted, strict=True)
    ]
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n")


def write_jsonl(path: Path) -> None:
    lines = []
    for at in range(ROWS):
        record: dict[str, Any] = {"count": COUNT[at], "age": AGE[at], "pixels": PIXELS[at].tolist()}
        record["text"] = {"b64": "Z3LDtg=="} if at == 4 else TEXT[at] or None
        if AGE[at] != AGE[at]:
            del record["age"]
        lines.append(json.dumps(record))
    path.write_text("\n\n".join(lines))


def frame(data: bytes) -> bytes:
    """A TFRecord, with checksums by the library's own arithmetic."""

    def masked(part: bytes) -> bytes:
        crc = google_crc32c.value(part)
        return struct.pack("<I", ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def records() -> bytes:
    framed = b""
    for at in range(ROWS):
        example = Example()
        feature = example.features.feature
        feature["count"].int64_list.value.append(COUNT[at])
        feature["pixels"].float_list.value.extend(PIXELS[at].ravel().tolist())
        if AGE[at] == AGE[at]:
            feature["age"].float_list.value.append(AGE[at])
        feature["text"].bytes_list.value.extend([TEXT[at].encode()] if TEXT[at] else [])
        framed += frame(example.SerializeToString())
    return framed


def write_npz(path: Path) -> None:
    np.savez(path, age=np.array(AGE, np.float32), count=np.array(COUNT, ">i2"), text=np.array(TEXT), pixels=PIXELS)


def write_parquet(path: Path) -> None:
    table = pyarrow.table(
        {
            "age": pyarrow.array([None if age != age else age for age in AGE], pyarrow.float32()),
            "count": pyarrow.array(COUNT, pyarrow.int16()),
            "text": pyarrow.array(TEXT).dictionary_encode(),
            "pixels": pyarrow.array(PIXELS.tolist(), pyarrow.list_(pyarrow.list_(pyarrow.float32(), 3))),
        }
    )
    pyarrow.parquet.write_table(table, path, row_group_size=GROUP)


WRITERS = {
    "rows.csv": write_csv,
    "rows.csv.gz": lambda path: (write_csv(path), path.write_bytes(gzip.compress(path.read_bytes()))),
    "rows.jsonl": write_jsonl,
    "rows.tfrecord": lambda path: path.write_bytes(records()),
    "rows.tfrecords.gz": lambda path: path.write_bytes(gzip.compress(records())),
    "rows.npz": write_npz,
    "rows.parquet": write_parquet,
}


@pytest.fixture(params=WRITERS)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    WRITERS[request.param](path)
    return path


def test_every_format_gives_the_same_rows_in_batches_of_any_size(table: Path) -> None:
    for rows in (1, 7, 10, 23, 5000):
        batches = list(read_batches(table, rows=rows))
        sizes = [len(batch["count"]) for batch in batches]
        assert max(sizes) == min(rows, ROWS if table.suffix != ".parquet" else GROUP)
        assert {name: array.dtype for name, array in batches[0].items()} == {
            name: array.dtype for name, array in batches[-1].items()
        }
        whole = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        np.testing.assert_array_equal(whole["age"], np.array(AGE))
        np.testing.assert_array_equal(whole["count"], COUNT)
        assert whole["count"].dtype.kind == "i"
        texts = [text.encode() for text in TEXT]
        texts[4] = "grö".encode() if "json" in table.name else texts[4]
        assert whole["text"].tolist() == texts
        if "csv" not in table.name:
            pixels = PIXELS.reshape(ROWS, -1) if "tfrecord" in table.name else PIXELS
            np.testing.assert_array_equal(whole["pixels"], pixels)


def test_columns_are_known_before_any_row_and_can_be_chosen(table: Path) -> None:
    columns = open_data(table).columns
    assert columns["text"].is_text
    assert not columns["count"].is_text
    for batch in read_batches(table, columns=["text", "age"]):
        assert list(batch) == ["text", "age"]
    with pytest.raises(DataError, match=r"has no column 'aeg'; it has .* Did you mean 'age'\?"):
        next(read_batches(table, columns=["aeg"]))


def test_progress_ends_with_all_bytes_and_never_goes_back_within_a_pass(table: Path) -> None:
    said: list[tuple[int, int]] = []
    list(read_batches(table, rows=5, progress=lambda read, of: said.append((read, of))))
    assert said[-1][0] == said[-1][1] > 0
    passes = 1 if table.suffix in (".npz", ".parquet") else 2
    assert sum(read == of for read, of in said) >= passes
    assert sum(after[0] < before[0] for before, after in itertools.pairwise(said)) <= passes - 1


def test_a_sample_is_some_of_the_rows_in_their_order_or_all_of_them(table: Path) -> None:
    some = sample(table, 9, seed=1)
    assert len(some["count"]) == 9
    assert some["count"].tolist() == sorted(set(some["count"].tolist()))
    assert some["count"].tolist() == sample(table, 9, seed=1)["count"].tolist() != list(range(9))
    for at, number in enumerate(some["count"].tolist()):  # what was one row still is
        np.testing.assert_array_equal(some["age"][at], AGE[number])
    assert sample(table, 100, seed=1)["count"].tolist() == COUNT


def test_every_row_is_as_likely_to_be_kept() -> None:
    kept = np.zeros(40)
    for seed in range(2000):
        reservoir = Reservoir(10, seed)
        for start in range(0, 40, 7):  # batches that straddle the rows kept first
            reservoir.add({"x": np.arange(start, min(start + 7, 40))})
        kept[reservoir.rows()["x"]] += 1
    assert abs(kept - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "dtype", "values"),
    [
        ("1\n2\n", "int64", [1, 2]),
        ("1\n2.5\n", "float64", [1, 2.5]),
        ("1\nNA\n", "float64", [1, NAN]),
        ("null\n7\n", "float64", [NAN, 7]),
        ("NaN\ninf\n-1e-3\n", "float64", [NAN, np.inf, -0.001]),
        ("9223372036854775808\n", "float64", [2.0**63]),
        ('""\n""\n', "float64", [NAN, NAN]),
        ("01234\n20095\n", "object", [b"01234", b"20095"]),
        ("1_000\n", "object", [b"1_000"]),
        ("1\nfour\n", "object", [b"1", b"four"]),
        ("NA\nfour\n", "object", [b"NA", b"four"]),
    ],
)
def test_a_column_of_csv_is_what_all_its_values_are(tmp_path: Path, content: str, dtype: str, values: list) -> None:
    path = write(tmp_path / "x.csv", f"x\n{content}")
    found = np.concatenate([batch["x"] for batch in read_batches(path, rows=1)])
    assert found.dtype == dtype
    if dtype == "object":
        assert found.tolist() == values
    else:
        np.testing.assert_array_equal(found, values)
    (as_text,) = read_batches(path, text=["x"])
    assert as_text["x"].tolist() == [line.strip('"').encode() for line in content.split()]


def test_csv_says_where_a_column_stops_being_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "a,b\n1,x\n2,y\n?,z\n")
    columns = open_data(path).columns
    assert columns["a"].note == "line 4 has '?'"
    assert columns["b"].note == ""


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv", "a,b\n1,2\n3\n", r"x\.csv, line 3: it has 1 values, the header 2\."),
        ("x.csv", 'a,b\n"1\n2",2\n3,4,5\n', r"line 4: it has 3 values"),
        ("x.csv", "a,a\n1,2\n", r"the header names 'a' twice"),
        ("x.csv", "a,\n1,2\n", r"the header has a column without a name"),
        ("x.csv", "", r"the header is missing"),
        ("x.csv", "a\n", r"x\.csv has no rows"),
        ("x.csv", b"a\nx\n\xff\n", r"line 3: it is not UTF-8"),
        ("x.csv", 'a\n"b"c\n', r"line 2: "),
        ("x.csv.gz", gzip.compress(b"a\n1\n" * 99, mtime=0)[:-9], r"cannot be read: "),
        ("x.jsonl", '{"a": 1}\n{"a": }\n', r"x\.jsonl, line 2: it is not JSON"),
        ("x.jsonl", '{"a": 1}\n\n[1]\n', r"line 3: expected an object, one value by field, got list"),
        ("x.jsonl", '{"a": 1}\n{"a": "b"}\n', r"column 'a': line 2: expected text or numbers, got both"),
        ("x.jsonl", '{"a": [1, 2]}\n{"a": [1]}\n', r"line 2: expected \[2\] values as in the rows before, got \[1\]"),
        ("x.jsonl", '{"a": [1, 2]}\n{"a": 1}\n', r"line 2: expected \[2\] values as in the rows before, got \[\]"),
        ("x.jsonl", '{"a": [[1, 2], [1]]}\n', r"line 1: expected lists of one length, got 1 and 2 values"),
        ("x.jsonl", '{"a": {"b": 1}}\n', r"line 1: expected numbers, text or lists of these, got dict"),
        ("x.jsonl", '{"a": {"b64": "?"}}\n', r"line 1, field 'a': its b64 is not base64"),
        ("x.jsonl", "", r"x\.jsonl has no rows"),
        ("x.tfrecord", records()[:-2], r"record 23: the file ends in it, 2 bytes too early"),
        ("x.tfrecord", records()[:-30] + b"?" + records()[-29:], r"record 23: its checksum is wrong"),
        ("x.tfrecord", b"no record at all", r"record 1: its checksum is wrong. The file is damaged, or no TFRecord"),
        ("x.tfrecord", b"short", r"record 1: the file ends in it"),
        ("x.tfrecord", frame(b"\xff\xff"), r"record 1: it is not a tf\.Example"),
        ("x.npz", b"no archive", r"x\.npz cannot be read: "),
        ("x.parquet", b"no parquet", r"x\.parquet cannot be read: "),
        ("x.txt", "", r"x\.txt is of no format that is known by its name: \.csv, "),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=says):
        list(read_batches(path))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        open_data(tmp_path / "none.csv")


def test_only_who_reads_a_faulty_column_hears_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", '{"a": [1, 2], "b": 1}\n{"a": [1], "b": 2}\n')
    (batch,) = read_batches(path, columns=["b"])
    assert batch["b"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"a": np.zeros(3), "b": np.zeros(4)}, r"different numbers of rows: 'a' 3, 'b' 4"),
        ({"a": np.array(5)}, r"x\.npz has no rows"),
        ({"a": np.array(["x", None]), "b": np.zeros(2)}, r"column 'a': it holds Python objects; save text as"),
        ({"a": np.asfortranarray(np.zeros((3, 2)))}, r"column 'a': it is stored column by column"),
        ({"a": np.zeros(3, "M8[s]")}, r"column 'a': its dtype datetime64\[s\] is neither numbers nor text"),
    ],
)
def test_arrays_that_have_no_rows_to_read(tmp_path: Path, arrays: dict, says: str) -> None:
    np.savez(tmp_path / "x.npz", allow_pickle=True, **arrays)
    with pytest.raises(DataError, match=says):
        list(read_batches(tmp_path / "x.npz"))


def test_a_damaged_array_is_noticed(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(10_000.0))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[40_000] ^= 1
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match="Bad CRC-32"):
        list(read_batches(tmp_path / "x.npz"))


def test_lists_and_types_of_parquet(tmp_path: Path) -> None:
    import datetime
    from decimal import Decimal

    columns = {
        "vector": pyarrow.array([[1, 2], None, [3, 4]], pyarrow.list_(pyarrow.int32())),
        "holes": pyarrow.array([[1.0, None], [2.0, 3.0], [4.0, 5.0]]),
        "words": pyarrow.array([["a", None], None, ["b", "c"]]),
        "day": pyarrow.array([datetime.date(2024, 2, 29), None, datetime.date(2024, 3, 1)]),
        "price": pyarrow.array([Decimal("1.25"), None, Decimal("2.50")]),
        "flag": pyarrow.array([True, False, True]),
        "seldom": pyarrow.array([1, None, 3], pyarrow.int8()),
        "deep": pyarrow.array([{"a": 1}, {"a": 2}, None]),
        "ragged": pyarrow.array([[1], [1, 2], [1]]),
    }
    path = tmp_path / "x.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    names = [name for name in columns if name not in ("deep", "ragged")]
    for rows in (1, 3):
        batches = list(read_batches(path, rows=rows, columns=names))
        whole = {name: np.concatenate([batch[name] for batch in batches]) for name in names}
        np.testing.assert_array_equal(whole["vector"], [[1, 2], [NAN, NAN], [3, 4]])
        np.testing.assert_array_equal(whole["holes"], [[1, NAN], [2, 3], [4, 5]])
        assert whole["words"].tolist() == [[b"a", b""], [b"", b""], [b"b", b"c"]]
        assert whole["day"].tolist() == [b"2024-02-29", b"", b"2024-03-01"]
        np.testing.assert_array_equal(whole["price"], [1.25, NAN, 2.5])
        assert whole["flag"].tolist() == [True, False, True]
        np.testing.assert_array_equal(whole["seldom"], [1, NAN, 3])
    with pytest.raises(DataError, match=r"column 'deep': its type struct<.*> is neither numbers nor text"):
        list(read_batches(path, columns=["deep"]))
    with pytest.raises(DataError, match=r"row 2, column 'ragged': expected 1 values as in the rows before, got 2"):
        list(read_batches(path, columns=["ragged"]))


def test_large_rows_make_small_batches(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros((40, 1 << 18)))  # 2 MiB a row
    assert max(len(batch["a"]) for batch in read_batches(tmp_path / "x.npz")) == 16


def test_a_library_that_is_missing_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unstuck.errors import SetupError

    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(SetupError, match=r'pip install "unstuck\[data\]"'):
        open_data(write(tmp_path / "x.parquet", b"x"))
