"""``unstuck predict``, on a model on disk and on one that is served: the same values give the same table."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unstuck.cli.main import main
from unstuck.testing import models as exports


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    exports.half_plus_two(folder / "half_plus_two")
    exports.multi_io(folder / "multi_io")
    return {name: folder / name for name in ("half_plus_two", "multi_io")}


@pytest.fixture(scope="module", params=["disk", "served"])
def where(request: pytest.FixtureRequest, paths: dict[str, Path], serve: Any) -> Any:
    if request.param == "disk":
        return lambda name: str(paths[name])
    url = serve(paths).url
    return lambda name: f"{url}/v1/models/{name}"


def predict(*arguments: str) -> int:
    return main(["predict", *arguments])


def outputs(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_each_input_given_again_is_another_row(where: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(where("half_plus_two"), "--input", "x=1.0", "--input", "x=5", "--json") == 0
    assert outputs(capsys) == {"y": [[2.5], [4.5]]}


def test_the_table_has_a_line_a_row(where: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(where("half_plus_two"), "--input=x=1.0", "--input=x=5") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["x", "y"] in [[each for each in line if each.isalpha()] for line in lines]
    assert [line[-1] for line in lines if line and line[0] in ("1", "5")] == ["[2.5]", "[4.5]"]


def test_a_csv_names_its_inputs(where: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text('c,b,a\ntext,3,"[1, 2]"\n"with, comma",4,"[0.5, -1]"\n')
    assert predict(where("multi_io"), f"--csv={rows}", "--json") == 0
    together = outputs(capsys)
    alone = []
    for a, b, c in (("[1, 2]", 3, "text"), ("[0.5, -1]", 4, "with, comma")):
        assert predict(where("multi_io"), f"--input=a={a}", f"--input=b={b}", f"--input=c={c}", "--json") == 0
        alone.append(outputs(capsys))
    assert together == {alias: [row for single in alone for row in single[alias]] for alias in together}


def test_files_are_read_for_their_input(
    paths: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", np.array([7.0], np.float32))
    assert predict(str(paths["half_plus_two"]), f"--input=x=@{tmp_path / 'x.npy'}", "--json") == 0
    assert outputs(capsys) == {"y": [[5.5]]}
    (tmp_path / "c.txt").write_text("from a file")
    given = ["--input=a=[1, 2]", "--input=b=1"]
    assert predict(str(paths["multi_io"]), *given, f"--input=c=@{tmp_path / 'c.txt'}", "--json") == 0
    of_file = outputs(capsys)
    assert predict(str(paths["multi_io"]), *given, "--input=c=from a file", "--json") == 0
    assert outputs(capsys) == of_file


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Expected values: --input NAME=VALUE, or --csv=FILE."),
        (["--input=x=1", "--csv=rows.csv"], "Expected values"),
        (["--input=x"], "--input 'x' is not NAME=VALUE"),
        (["--input=X=1"], "Did you mean 'x'?"),
        (["--input=x=one"], "expected float [-1,1] as a number or a JSON list, got 'one'"),
        (["--input=x=@/no/such/file"], "--input x=@/no/such/file cannot be read"),
        (["--csv=/no/such.csv"], "--csv=/no/such.csv cannot be read"),
        (["--input=x=1", "--signature=serving_defualt"], "Did you mean 'serving_default'?"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    where: Any, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(where("half_plus_two"), *arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.count("\n") == 1
