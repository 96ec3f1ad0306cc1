"""Versions in a store: which there are, and their copies."""

import gc
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest
from remote_memory import BASE, recognises, tree

from unstuck.core.locations import RemotePath
from unstuck.errors import SetupError
from unstuck.lifecycle import remote_store
from unstuck.lifecycle.remote import RemoteModels
from unstuck.lifecycle.remote_store import Store, Unreachable


def versions(store, base=BASE):
    return [(each.version, str(each)) for each in store.models.versions(base)]


def test_versions_are_the_numbered_folders_oldest_first(store):
    for name in ("10", "9", "00000123", "1a", "-1", "assets", "٣", "007", "7"):
        store.version(name)
    store.put("77")
    assert versions(store) == [
        (7, f"{BASE}/7"),
        (9, f"{BASE}/9"),
        (10, f"{BASE}/10"),
        (123, f"{BASE}/00000123"),
    ]


def test_a_base_path_that_is_a_version_itself(store):
    store.version(12)
    assert versions(store, RemotePath("memory://store/half/12")) == [(12, "memory://store/half/12")]
    found, _ = store.models.versions(RemotePath("memory://store/half/12/"))[0].local()
    assert tree(found.path) == {"saved_model.pb": b"graph", "variables/variables.index": b"index"}


@pytest.mark.parametrize(("name", "version"), [("7/model.onnx", 7), ("halver.onnx", 1)])
def test_a_base_path_that_is_a_file(store, name, version):
    store.put(name, b"onnx")
    (only,) = store.models.versions(RemotePath(f"memory://store/half/{name}"))
    found, files = only.local()
    assert (only.version, found.version) == (version, version)
    assert (found.path.name, found.path.read_bytes()) == (name.rpartition("/")[2], b"onnx")
    assert only.has_model(files)


def test_folders_of_this_machine_by_url(tmp_path):
    (tmp_path / "half" / "3" / "variables").mkdir(parents=True)
    (tmp_path / "half" / "3" / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "half" / "3" / "variables" / "data").write_bytes(b"data")
    (version,) = RemoteModels(recognises, tmp_path / "cache").versions(RemotePath(f"file://{tmp_path}/half"))
    found, files = version.local()
    assert (found.version, found.path.name) == (3, "3")
    assert tree(found.path) == {"saved_model.pb": b"graph", "variables/data": b"data"}
    (tmp_path / "half" / "3" / "variables" / "data").write_bytes(b"DATA")
    assert version.files() != files


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((), "memory://store/half does not exist, or has nothing in it."),
        (("v1/saved_model.pb", "readme"), "it has readme, v1."),
    ],
)
def test_what_has_no_versions(store, names, says):
    for name in names:
        store.put(name)
    with pytest.raises(SetupError) as caught:
        versions(store)
    assert caught.value.message.endswith(says)
    assert not isinstance(caught.value, Unreachable)


def test_a_copy_is_made_once_and_again_when_the_files_have_changed(store, monkeypatch):
    store.version(1)
    copies = []
    get = Store.get
    monkeypatch.setattr(Store, "get", lambda self, *rest: (copies.append(1), get(self, *rest)))
    (version,) = store.models.versions(BASE)
    first, files = version.local()
    assert files == version.files()
    assert version.local()[0] == first
    assert len(copies) == 1
    store.version(1, b"other")
    second, _ = version.local()
    assert tree(second.path)["saved_model.pb"] == b"other"
    assert tree(first.path)["saved_model.pb"] == b"graph"
    assert len(copies) == 2
    del first
    gc.collect()
    version.local()
    assert len(list(second.path.parent.parent.iterdir())) == 1, "the older copy, which nobody uses, is gone"


@pytest.mark.parametrize("name", ["1/../../../outside", "1//twice", "1/./here", "1/a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(store, tmp_path, name):
    store.version(1)
    store.files.store[f"/store/half/{name}"] = store.files.store["/store/half/1/saved_model.pb"]
    (version,) = store.models.versions(BASE)
    with pytest.raises(SetupError, match="which cannot be copied into a folder") as caught:
        version.local()
    assert not isinstance(caught.value, Unreachable)
    assert not list((tmp_path / "cache").rglob("[0-9]"))
    assert {each.name for each in tmp_path.iterdir()} <= {"cache"}


def test_a_version_that_changes_while_it_is_copied_is_not_kept(store, monkeypatch, tmp_path):
    store.version(1)
    get = Store.get

    def changed(self, *rest):
        get(self, *rest)
        store.put("1/variables/variables.data", b"late")

    monkeypatch.setattr(Store, "get", changed)
    (version,) = store.models.versions(BASE)
    with pytest.raises(Unreachable, match="has changed while it was copied"):
        version.local()
    assert tree(tmp_path / "cache") == {}
    monkeypatch.setattr(Store, "get", get)
    assert tree(version.local()[0].path)["variables/variables.data"] == b"late"


def test_a_file_that_arrives_cut_is_not_kept(store, monkeypatch, tmp_path):
    store.version(1)
    get = Store.get

    def cut(self, names, places, progress):
        get(self, names, places, progress)
        places[0].write_bytes(b"gra")

    monkeypatch.setattr(Store, "get", cut)
    with pytest.raises(Unreachable, match="was copied as 3 bytes; it has 5"):
        store.models.versions(BASE)[0].local()
    assert tree(tmp_path / "cache") == {}


def test_a_version_that_is_gone(store):
    store.version(1)
    (version,) = store.models.versions(BASE)
    store.remove("1")
    with pytest.raises(SetupError, match=r"memory://store/half/1 is gone\."):
        version.local()


def test_a_server_that_stops_does_not_wait_for_a_silent_store(store, monkeypatch, tmp_path):
    store.version(1)
    (version,) = store.models.versions(BASE)
    asked, answers, ended = threading.Event(), threading.Event(), threading.Event()

    def silent(self, names, places, progress):
        asked.set()
        assert answers.wait(30)
        try:
            progress.add(1)
        finally:
            ended.set()

    monkeypatch.setattr(Store, "get", silent)
    stopping = threading.Thread(target=lambda: (asked.wait(30), store.models.stop()))
    stopping.start()
    with pytest.raises(SetupError, match="The server is stopping"):
        version.local()
    stopping.join()
    answers.set()
    assert ended.wait(30), "nor does the copy go on, once there is an answer"
    until_gone(tmp_path / "cache", "partial")
    assert tree(tmp_path / "cache") == {}


def until_gone(folder, name):
    end = time.monotonic() + 10
    while list(folder.rglob(name)):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_copies_are_told_while_and_after_they_are_made(store, caplog, monkeypatch):
    monkeypatch.setattr("unstuck.lifecycle.remote_progress.LOG_EVERY_S", 0)
    caplog.set_level("INFO", "unstuck.versions")
    store.version(1, b"x" * 3_000_000)
    store.models.versions(BASE)[0].local()
    assert "memory://store/half/1: copied 3.0 MB of 3.0 MB" in caplog.text
    assert "memory://store/half/1: copied 2 files, 3.0 MB, in " in caplog.text


class Failing:
    """A file system of which every call fails."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        def fail(*args, **kwargs):
            if name != "invalidate_cache":
                raise self.error

        return fail


class NoCredentialsError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (ConnectionError("down"), Unreachable, "memory://store/half cannot be listed: ConnectionError: down."),
        (OSError(5, "stale"), Unreachable, "cannot be listed: OSError: [Errno 5] stale."),
        (PermissionError("Forbidden"), SetupError, "Credentials are taken from the environment"),
        (NoCredentialsError("Unable"), SetupError, "Credentials are taken from the environment"),
    ],
)
def test_errors_of_a_store(store, monkeypatch, error, kind, says):
    monkeypatch.setattr(Store, "_open", lambda self, folder="": (Failing(error), "/store/half"))
    with pytest.raises(SetupError) as caught:
        store.models.versions(BASE)
    assert type(caught.value) is kind
    assert says in str(caught.value)
    assert getattr(caught.value, "may_pass", False) is (kind is Unreachable)


def test_errors_tell_no_secrets(store, monkeypatch):
    base = RemotePath("sftp://me:secret@host/half")
    monkeypatch.setattr(Store, "_open", lambda self, folder="": (Failing(OSError(f"no answer of {base.url}")), "/half"))
    with pytest.raises(Unreachable) as caught:
        store.models.versions(base)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "missing", "says"),
    [
        ("s3://bucket/half", "s3fs", 'pip install "unstuck[s3]"'),
        ("gs://bucket/half", "gcsfs", 'pip install "unstuck[gcs]"'),
        ("hf://someone/half", "huggingface_hub", 'pip install "unstuck[hf]"'),
        ("abfs://container@account/half", "adlfs", "Install adlfs"),
        ("nope://bucket/half", "", "Protocol not known: nope. Expected such as s3://"),
        ("s3://", "", "s3:// names no folder."),
    ],
)
def test_packages_that_are_not_installed(url, missing, says):
    script = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from unstuck.lifecycle.remote import RemoteModels; from unstuck.core.locations import RemotePath\n"
        f"RemoteModels(bool).versions(RemotePath({url!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "errors.SetupError" in done.stderr
    assert says in done.stderr


def test_fsspec_is_imported_with_the_first_remote_path_only():
    script = "import sys; import unstuck.cli.main, unstuck.server; print('fsspec' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_two_threads_that_want_one_version_copy_it_once(store, monkeypatch):
    store.version(1)
    copies, both = [], threading.Barrier(2)
    get = Store.get
    monkeypatch.setattr(Store, "get", lambda self, *rest: (copies.append(1), get(self, *rest)))
    (version,) = store.models.versions(BASE)
    found = []

    def want():
        both.wait(10)
        found.append(version.local()[0])

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(copies) == 1
    assert found[0] == found[1]


def test_extras_are_those_of_the_package():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert set(remote_store.EXTRAS.values()) <= set(project["optional-dependencies"])
