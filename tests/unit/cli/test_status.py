"""What `unstuck status` finds wrong, and how it says it."""

import json

import pytest

from unstuck.cli import status as command
from unstuck.cli.main import main
from unstuck.cli.status_text import as_text
from unstuck.errors import SetupError

URL = "http://host:8501"
SERVER = {
    "name": "unstuck",
    "version": "1.2.3",
    "ready": True,
    "pid": 7,
    "uptime_s": 7200.0,
    "memory_bytes": 300 << 20,
    "memory_limit_bytes": 1 << 30,
    "cpus": 2,
    "answer_diversity": True,
}
KNOWN = {
    "distinct_inputs": 1200,
    "distinct_outputs": 1100,
    "inputs_since_change": 1,
    "flagged": False,
    "since": None,
    "same": "",
    "constant_outputs": [],
    "note": "",
    "diagnose": None,
}
FLAGGED = {
    **KNOWN,
    "distinct_outputs": 1,
    "inputs_since_change": 1200,
    "flagged": True,
    "same": "the same answer",
    "diagnose": "unstuck diagnose http://localhost:8501/v1/models/m/versions/1 --model /m/1",
}


def version(state="AVAILABLE", error="", answers=KNOWN, **more):
    signatures = {"serving_default": {"merged": True, "why_not_merged": "", "answers": answers}}
    found = {"state": state, "since": "2026-11-23T05:40:57.429+00:00", "error": error}
    if state == "AVAILABLE":
        found |= {"engine": "tensorflow", "load_s": 1.5, "signatures": signatures, "unlike_training": None}
    return {**found, **more}


def document(*versions, problem="", ready=True, **models):
    m = {"labels": {"stable": 1}, "problem": problem, "versions": {str(n): v for n, v in enumerate(versions, 1)}}
    return {"schema": 1, "server": {**SERVER, "ready": ready}, "models": {"m": m, **models}, "events": []}


@pytest.fixture
def server(monkeypatch):
    """``server[url]`` is what is answered there; an exception is raised, anything missing is refused."""
    pages = {}

    def get(url, timeout_s, key):
        answer = pages.get(url, command._Refused(404, "nothing here"))
        if isinstance(answer, Exception):
            raise answer
        return json.loads(json.dumps(answer)) if isinstance(answer, dict) else answer

    monkeypatch.setattr(command, "_get", get)
    return pages


def status(*arguments, capsys):
    code = main(["status", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_all_is_well(server, capsys):
    server[f"{URL}/statusz"] = document(version())
    code, out, err = status(URL, capsys=capsys)
    assert (code, err) == (0, "")
    assert out.startswith("Unstuck 1.2.3, ready, up 2 h, pid 7, 300 MiB of 1,024, 2 CPUs\n")
    row = "m 1 (stable) AVAILABLE 2026-11-23 05:40:57 tensorflow 1.50 s yes 1,100 for 1,200 inputs"
    assert row in [" ".join(line.split()) for line in out.splitlines()]
    assert out.endswith("All is well.\n")
    assert "\x1b" not in out


WRONG = {
    "constant answers": (
        document(version(answers=FLAGGED)),
        "m version 1: signature 'serving_default': 1200 varied inputs got the same answer\n    " + FLAGGED["diagnose"],
    ),
    "a version that failed beside one that serves": (
        document(version(), version("END", "no such op [Foo]")),
        "m version 2: is not served: no such op [Foo]\n    It is tried again once its files change.",
    ),
    "a version that did not fit": (
        document(version(), version("END", "it needs 612 MiB", needs_bytes=612 << 20)),
        "m version 2: is not served: it needs 612 MiB\n"
        "    It is tried again once its files change or the memory is there.",
    ),
    "only a version that failed": (document(version("END", "no such op")), "m version 1: is not served: no such op"),
    "loading": (document(version("LOADING"), ready=False), "m: is not available yet: it is being loaded"),
    "no versions": (document(problem="/m has no version folders"), "m: /m has no version folders"),
    "unloaded": (document(version("END")), "m: has no version that serves"),
    "not ready": (document(version(), ready=False), "the server is not ready"),
}


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (120, "MODEL VERSION STATE SINCE ENGINE LOADED IN MERGED ANSWERS"),
        (80, "MODEL VERSION STATE SINCE ENGINE ANSWERS"),
        (60, "MODEL VERSION STATE ANSWERS"),
    ],
)
def test_columns_for_which_there_is_no_room_are_left_out(width, headings):
    lines = as_text(
        document(version(answers={**KNOWN, "distinct_inputs": 1})), [], [], width, colour=False
    ).splitlines()
    assert " ".join(lines[1].split()) == headings
    assert "AVAILABLE " in lines[2]
    assert lines[2].endswith("1,100 for 1 input")
    assert all(line == line.rstrip() for line in lines)


def test_a_quarantine_shows_the_command_that_ends_it(server, capsys):
    held = {"since": "2026-11-23T05:40:57.429+00:00", "reason": "operator", "why": "drift", "attempts": 0}
    server[f"{URL}/statusz"] = document(version(quarantined=held))
    code, out, _ = status(URL, capsys=capsys)
    assert code == 1
    assert "m version 1: is in quarantine since 2026-11-23 05:40:57, operator: drift\n" in out
    assert f"    unstuck quarantine {URL} m --version=1 --release\n" in out


WORKER = {
    "number": 2,
    "pid": 9,
    "state": "serving",
    "since": "2026-11-23T05:40:57.429+00:00",
    "restarts": 3,
    "memory_bytes": 600 << 20,
    "shared_bytes": 350 << 20,
    "died": "was killed by SIGSEGV (a native crash)",
    "last_words": ["Fatal Python error: Segmentation fault"],
}


def test_workers_are_shown_and_one_that_was_started_again_is_worth_knowing(server, capsys):
    found = document(version())
    found["server"]["workers"] = [{**WORKER, "number": 1, "restarts": 0, "died": "", "last_words": []}, WORKER]
    server[f"{URL}/statusz"] = found
    code, out, _ = status(URL, capsys=capsys)
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "2 9 serving 2026-11-23 05:40:57 3 600 MiB 350 MiB" in lines
    assert "worker 2 was started again (3 times so far): it was killed by SIGSEGV (a native crash)" in lines


def test_a_worker_that_does_not_come_back_is_trouble(server, capsys):
    found = document(version())
    found["server"]["workers"] = [{**WORKER, "pid": None, "state": "waiting"}]
    server[f"{URL}/statusz"] = found
    code, out, _ = status(URL, capsys=capsys)
    assert code == 1
    assert "worker 2 does not serve, it is waiting: it was killed by SIGSEGV (a native crash)" in out
    assert "It wrote last: Fatal Python error: Segmentation fault" in out


@pytest.mark.parametrize(("found", "said"), WRONG.values(), ids=WRONG)
def test_something_is_wrong(found, said, server, capsys):
    server[f"{URL}/statusz"] = found
    code, out, err = status(URL, capsys=capsys)
    assert (code, err) == (1, "")
    assert said in "\n".join(line[2:] if line.startswith("  ") else line for line in out.splitlines()).replace(
        "\n  ", "\n    "
    )
    assert "All is well" not in out


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"answers": {**KNOWN, "note": "900 varied inputs got one label."}}, "900 varied inputs got one label."),
        ({"answers": {**KNOWN, "constant_outputs": ["b"]}}, "output 'b' is the same for varied inputs"),
        ({"unlike_training": {"serving_default": {"x": 1234}}}, "input 'x' was unlike training in 1,234 rows"),
    ],
)
def test_what_is_only_worth_knowing_leaves_all_well(found, said, server, capsys):
    server[f"{URL}/statusz"] = document(version(**found))
    code, out, _ = status(URL, capsys=capsys)
    assert code == 0
    assert f"Worth knowing\n  m version 1: signature 'serving_default': {said}" in out


def test_a_version_that_serves_in_spite_of_its_golden_rows(server, capsys):
    server[f"{URL}/statusz"] = document(version(golden_rows="4 of 32 golden rows fail"))
    code, out, _ = status(URL, capsys=capsys)
    assert code == 0
    assert "Worth knowing\n  m version 1: it serves although 4 of 32 golden rows fail" in out


def test_as_json(server, capsys):
    server[f"{URL}/statusz"] = document(version(answers=FLAGGED))
    code, out, _ = status(URL, "--format=json", capsys=capsys)
    report = json.loads(out)
    assert (code, report["well"], report["server"]["pid"]) == (1, False, 7)
    (trouble,) = report["troubles"]
    assert (trouble["model"], trouble["version"], trouble["advice"]) == ("m", "1", FLAGGED["diagnose"])
    assert report["models"]["m"]["versions"]["1"]["state"] == "AVAILABLE"


@pytest.mark.parametrize("path", ["/v1/models/m", "/v1/models/m/versions/1", "/v1/models/m/metadata"])
def test_of_one_model(path, server, capsys):
    server[f"{URL}/statusz"] = document(version(), broken={"problem": "no", "versions": {}})
    assert status(URL, capsys=capsys)[0] == 1
    code, out, _ = status(f"{URL}{path}", capsys=capsys)
    assert code == 0
    assert "broken" not in out


def test_a_model_that_is_not_there(server, capsys):
    server[f"{URL}/statusz"] = document(version(), my_model=document()["models"]["m"])
    code, _, err = status(f"{URL}/v1/models/my-model", capsys=capsys)
    assert code == 2
    assert "serves no model 'my-model'; it serves 'm', 'my_model'. Did you mean 'my_model'?" in err


STOCK = f"{URL}/v1/models/m"


def stock(*states):
    return {
        "model_version_status": [
            {"version": str(n), "state": state, "status": {"error_code": "OK", "error_message": error}}
            for n, (state, error) in enumerate(states, 9)
        ]
    }


def test_tensorflow_serving_that_is_well(server, capsys):
    server[STOCK] = stock(("AVAILABLE", ""))
    code, out, err = status(STOCK, capsys=capsys)
    assert (code, err) == (0, "")
    assert out.startswith("Not Unstuck: only versions and states are known")
    assert "m 9 AVAILABLE" in " ".join(out.split())


def test_tensorflow_serving_with_a_version_that_failed(server, capsys):
    server[STOCK] = stock(("END", "no such op"), ("AVAILABLE", ""))
    code, out, _ = status(STOCK, capsys=capsys)
    assert code == 1
    assert "m version 9: is not served: no such op" in out


def test_tensorflow_serving_lists_no_models(server, capsys):
    code, _, err = status(URL, capsys=capsys)
    assert code == 2
    assert f"{URL} has no /statusz" in err
    assert f"unstuck status {URL}/v1/models/NAME" in err


def test_tensorflow_serving_without_that_model(server, capsys):
    code, _, err = status(STOCK, capsys=capsys)
    assert (code, err) == (2, f"unstuck status: {STOCK} answers 404: nothing here.\n")


@pytest.mark.parametrize("answer", [{"schema": 2}, {}, {"server": {}}])
def test_another_shape_is_no_status(answer, server, capsys):
    server[f"{URL}/statusz"] = answer
    code, _, err = status(URL, capsys=capsys)
    assert code == 2
    assert "answers something else than a status of Unstuck" in err


def test_a_broken_status_is_not_taken_for_trouble_of_the_server(server, capsys):
    server[f"{URL}/statusz"] = {"schema": 1, "models": {"m": 3}, "server": None}
    assert status(URL, capsys=capsys)[0] == 2


def test_nobody_answers(server, capsys):
    server[f"{URL}/statusz"] = SetupError("cannot be read: Connection refused.")
    assert status(URL, capsys=capsys) == (2, "", "unstuck status: cannot be read: Connection refused.\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Expected one URL, got 0."),
        ([URL, URL], "Expected one URL, got 2."),
        (["localhost:8501"], "localhost:8501 is not a server's URL. Expected http://HOST:8501"),
        ([f"{URL}/v2/x"], "is not a server's URL"),
        ([URL, "--format=html"], "--format=html is malformed: expected text or json."),
        ([URL, "--timeout=0"], "--timeout=0 is malformed: expected a number of seconds above 0."),
    ],
)
def test_usage(arguments, says, server, capsys):
    code, out, err = status(*arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert says in err


def test_help(capsys):
    code, out, _ = status("--help", capsys=capsys)
    assert code == 0
    assert "Usage: unstuck status URL" in out


def test_names_cannot_command_the_terminal(server, capsys):
    server[f"{URL}/statusz"] = document(version(), **{"a\x1b[31m": {"problem": "[red]x\x1b", "versions": {}}})
    code, out, _ = status(URL, capsys=capsys)
    assert code == 1
    assert "\x1b" not in out
    assert "[red]x\\x1b" in out


def test_what_is_left_of_memory_is_shown_and_what_there_is_little_of(server, capsys):
    limits = {"memory_left_bytes": 100 << 20, "warnings": ["Little memory: 100 MiB left."]}
    page = document(version())
    page["server"]["limits"] = limits
    server[f"{URL}/statusz"] = page
    assert main(["status", URL]) == 0
    out = capsys.readouterr().out
    assert "300 MiB of 1,024 (100 left), 2 CPUs" in out
    assert "Little memory: 100 MiB left." in out
