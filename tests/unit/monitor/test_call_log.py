"""CallLog and the log's two forms: which calls have a line, what is in it, and that clients cannot write lines."""

import json
import logging
import subprocess
import sys

import pytest

from unstuck.core import request_ids
from unstuck.core.observers import AnsweredCalls, OtherCall, Ran
from unstuck.errors import Code, EngineError, NotFound
from unstuck.monitor import call_log
from unstuck.monitor.call_log import BURST, CallLog
from unstuck.monitor.log_lines import JsonFormatter, TextFormatter

MS = 10**6


def answered(*took_ms):
    done_ns = 10**12
    ran = Ran("m", 3, "s", 0, 2 * MS, MS)
    arrived_ns = [done_ns - each * MS for each in took_ms]
    return AnsweredCalls("rest", "Predict", ran, arrived_ns, [MS] * len(took_ms), done_ns, 1, 1)


def failed(error=None, name="abc", model="m"):
    error = error or NotFound("no such model")
    return OtherCall("grpc", "Predict", model, error, 0, 5 * MS, 1, 1, code=error.code, request_id=name)


def lines(caplog):
    return [record.getMessage() for record in caplog.records]


def fields(caplog):
    return [record.fields for record in caplog.records]


def test_all_has_each_call_with_its_stages_and_the_clients_id(caplog):
    CallLog("all", 1000).answered(answered(10, 20), [{"x-request-id": "one"}, {}])
    first, second = fields(caplog)
    assert first == {
        "request_id": "one",
        "api": "rest",
        "method": "Predict",
        "model": "m",
        "version": 3,
        "signature": "s",
        "code": "OK",
        "ms": 10.0,
        "parse_ms": 1.0,
        "queue_ms": 6.0,
        "run_ms": 2.0,
        "encode_ms": 1.0,
        "calls_in_run": 2,
    }
    assert second["ms"] == 20.0
    assert len(second["request_id"]) == 16
    assert lines(caplog)[0].startswith(
        "call request_id=one api=rest method=Predict model=m version=3 signature=s code=OK "
    )


def test_slow_has_slow_calls_and_failures(caplog):
    log = CallLog("slow", 15)
    log.answered(answered(10, 20), [{}, {}])
    log.ended(failed())
    assert [(each["code"], each["ms"]) for each in fields(caplog)] == [("OK", 20.0), ("NOT_FOUND", 5.0)]


def test_errors_has_failures_alone(caplog):
    log = CallLog("errors", 0)
    log.answered(answered(10**6), [{}])
    log.ended(OtherCall("rest", "GetModelStatus", "m", None, 0, MS, 0, 1))
    log.ended(failed())
    log.ended(failed(EngineError("broken", code=Code.INTERNAL)))
    assert [(record.levelname, record.fields["error"]) for record in caplog.records] == [
        ("WARNING", "no such model"),
        ("ERROR", "broken"),
    ]
    assert fields(caplog)[0]["request_id"] == "abc"


def test_no_more_than_so_many_lines_a_second_and_what_is_left_out_is_said(caplog, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(call_log.time, "monotonic", lambda: now[0])
    log = CallLog("errors", 0)
    for _ in range(3 * BURST):
        log.ended(failed())
    assert len(caplog.records) == BURST
    now[0] += 1
    log.ended(failed())
    left_out, last = lines(caplog)[BURST:]
    assert left_out.startswith(f"{2 * BURST} more calls were not logged")
    assert "NOT_FOUND" in last


def test_all_leaves_nothing_out(caplog):
    log = CallLog("all", 0)
    for _ in range(3 * BURST):
        log.ended(failed())
    assert len(caplog.records) == 3 * BURST


@pytest.mark.parametrize("odd", ["a\nERROR forged", 'm" code=OK "', "a b=c", "\x1b[31m", "\u2028", "", "é" * 3000])
def test_what_a_client_sends_can_neither_end_the_line_nor_add_a_field(caplog, odd):
    CallLog("all", 0).ended(failed(NotFound(f"no {odd}"), model=odd))
    (line,) = lines(caplog)
    assert line.isprintable()
    assert line.isascii()
    assert len(line) < 8000
    words = line.split(" model=", 1)[1]
    value, end = json.JSONDecoder().raw_decode(words)
    assert odd.startswith(value)
    assert words[end:].startswith(" code=NOT_FOUND ")


@pytest.mark.parametrize("sane", ["a", "0af7651916cd43dd8448eb211c80319c", "a-b_c.d:e/f+g=h@i", "x" * 128])
def test_a_sane_id_is_kept(sane):
    assert request_ids.sane(sane) == sane


@pytest.mark.parametrize("odd", [None, "", "a b", "a\nb", "\x00", "é", "x" * 129, 'a"', "a,b", "<script>"])
def test_another_is_not(odd):
    assert request_ids.sane(odd) == ""


def record(message, *arguments, **more):
    made = logging.makeLogRecord({"name": "n", "levelno": 40, "levelname": "ERROR", "msg": message, **more})
    made.args = arguments
    return made


def test_json_is_one_object_a_line_whatever_is_in_it():
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        info = sys.exc_info()
    line = JsonFormatter().format(record("two\nlines %s", "é", exc_info=info, fields={"a": 1, "odd": object}))
    assert "\n" not in line
    read = json.loads(line)
    assert (read["level"], read["logger"], read["message"], read["a"]) == ("ERROR", "n", "two\nlines é", 1)
    assert read["exception"].endswith("ValueError: bad\nthing")
    assert read["time"].endswith("+00:00")


EVIL = "m\nERROR n: lost \x1b[2J\x9b1m\u2028\u202e\x00"


def test_nothing_in_a_message_ends_its_line_or_steers_a_terminal():
    text = TextFormatter().format(record("model %s", EVIL))
    assert text == r"ERROR n: model m\nERROR n: lost \x1b[2J\x9b1m\u2028\u202e\x00"
    line = JsonFormatter().format(record("model %s", EVIL))
    assert line.isprintable()
    assert json.loads(line)["message"] == f"model {EVIL}"


def test_the_lines_of_a_traceback_look_like_no_record():
    try:
        raise ValueError(EVIL)
    except ValueError:
        info = sys.exc_info()
    first, *others = TextFormatter().format(record("failed", exc_info=info)).split("\n")
    assert first == "ERROR n: failed"
    assert others
    assert all(line.startswith("  | ") and line.isprintable() for line in others)


CHATTY = """
import logging, threading, warnings
from unstuck.monitor.log_lines import console, write_log_as
write_log_as("{form}")
console.info("two\\nlines")
console.error("went wrong")
logging.getLogger("x").warning("mind %s", "this")
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 // 0, name="t")
thread.start()
thread.join()
"""


def run(form):
    code = CHATTY.replace("{form}", form)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)


def test_as_json_everything_goes_to_stderr_as_json():
    done = run("json")
    assert done.stdout == ""
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(each["level"], each["message"].split("\n")[0]) for each in said[:3]] == [
        ("INFO", "two"),
        ("ERROR", "went wrong"),
        ("WARNING", "mind this"),
    ]
    assert "old" in said[3]["message"]
    assert said[4]["message"] == "Thread t died"
    assert "ZeroDivisionError" in said[4]["exception"]


def test_as_text_the_console_is_as_it_is_and_the_log_on_stderr():
    done = run("text")
    assert done.stdout == "two\nlines\n"
    assert done.stderr.startswith("unstuck: went wrong\nWARNING x: mind this\n")
