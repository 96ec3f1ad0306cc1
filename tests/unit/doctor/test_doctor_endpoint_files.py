import numpy as np
import pytest
from fakes import signature, spec

from unstuck.core import dtypes
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.experiments.cgroup_files import read_cgroup
from unstuck.doctor.experiments.comparing import Ruler, digest, is_copy
from unstuck.doctor.experiments.drawing import draw
from unstuck.doctor.experiments.server_log import event_of, facts
from unstuck.errors import SetupError


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_version_2(tmp_path):
    cgroup = read_cgroup(
        write(
            tmp_path,
            memory__max="1048576\n",
            memory__events="low 0\nmax 40\noom 2\noom_kill 1\n",
            cpu__max="20000 100000\n",
            cpu__stat="usage_usec 5\nnr_periods 10\nnr_throttled 4\nthrottled_usec 2000000\n",
        )
    )
    assert (cgroup.version, cgroup.memory_limit, cgroup.limit_hits, cgroup.oom_kills) == (2, 1048576, 40, 1)
    assert (cgroup.cpus, cgroup.throttled, cgroup.throttled_s) == (0.2, 0.4, 2.0)
    assert cgroup.memory_peak is None


def test_version_1_by_controller_without_limits(tmp_path):
    write(tmp_path / "memory", memory__limit_in_bytes="9223372036854771712\n", memory__failcnt="0\n")
    write(tmp_path / "cpu,cpuacct", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    cgroup = read_cgroup(tmp_path)
    assert (cgroup.version, cgroup.memory_limit, cgroup.cpus, cgroup.oom_kills) == (1, None, None, 0)


def test_files_that_say_nothing(tmp_path):
    cgroup = read_cgroup(write(tmp_path, memory__max="max\n", memory__events="", cpu__max="max 100000", cpu__stat="x"))
    assert (cgroup.memory_limit, cgroup.oom_kills, cgroup.cpus, cgroup.periods) == (None, 0, None, 0)


def test_another_folder(tmp_path):
    with pytest.raises(SetupError, match=r"is no cgroup folder"):
        read_cgroup(write(tmp_path / "here", notes="x"))
    with pytest.raises(SetupError, match="cannot be read"):
        read_cgroup(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("W bfc_allocator.cc:479] OOM when allocating tensor with shape[8192,4096]", "oom_tensor"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "bad_alloc"),
        ("W cpu_allocator_impl.cc:83] Allocation of 4294967296 exceeds 10% of free system memory.", "large_allocation"),
        (
            "tf_serving_entrypoint.sh: line 3:     7 Killed                  tensorflow_model_server --port=8500",
            "killed",
        ),
        ("kernel: Memory cgroup out of memory: Killed process 812 (tensorflow_mode)", "oom_kill"),
        ("Insufficient resources to load servable {name: m version: 1}", "insufficient"),
        (
            "UNAVAILABLE: The batch scheduling queue to which this task was submitted is full; task size is 8",
            "queue_full",
        ),
        ("W file_system_storage_path_source.cc:353] No versions of servable m found under base path /m", "no_versions"),
        ("NOT_FOUND: Op type not registered 'SentencepieceOp' in binary", "missing_op"),
        ("I loader_harness.cc:95] Successfully loaded servable version {name: m version: 1}", "loaded"),
        ("Ready. Ctrl-C stops it.", "loaded"),
        ("I server.cc:409] Running gRPC ModelServer at 0.0.0.0:8500 ...", None),
    ],
)
def test_lines_of_a_log(line, event):
    assert event_of(line) == event


LOADING = "I loader_harness.cc:76] Loading servable version {name: m version: 1}"
LOADED = "I loader_harness.cc:95] Successfully loaded servable version {name: m version: 1}"
STARTED = "I server.cc:77] Building single TensorFlow model file config:  model_name: m"
KILLED = "line 3:     7 Killed                  tensorflow_model_server"
FAILED = "E aspired_versions_manager.cc:398] Servable {name: m version: 1} cannot be loaded: NOT_FOUND: Op type not"


def test_loads_that_never_end():
    told = facts([STARTED, LOADING, KILLED, STARTED, LOADING, KILLED, STARTED, LOADING])
    assert (told.starts, told.unfinished_loads, told.last_load, told.count("killed")) == (3, 3, "unfinished", 2)
    assert not told.served_after_kill


def test_loads_that_end():
    assert facts([STARTED, LOADING, LOADED]).last_load == "loaded"
    assert facts([STARTED, LOADING, KILLED, STARTED, LOADING, LOADED]).served_after_kill
    failed = facts([STARTED, LOADING, FAILED])
    assert failed.last_load == "failed"
    assert failed.load_errors == ["NOT_FOUND: Op type not"]


def test_answers_are_measured_by_their_spread():
    pool = [{"y": np.array([value], np.float32)} for value in (1013.0, 1013.2, 1013.5)]
    ruler = Ruler(pool)
    assert ruler.is_apart(pool[0], pool[1])
    assert ruler.is_same(pool[0], {"y": np.array([1013.0001], np.float32)})
    assert ruler.distinct(pool) == [0, 1, 2]
    assert ruler.kinds([pool[0], pool[0], pool[2]]) == 2
    assert not ruler.is_same(pool[0], {"z": pool[0]["y"]})


def test_rounding_is_no_difference():
    pool = [{"y": np.array([0.5 + offset], np.float32)} for offset in (0.0, 1e-7, -1e-7)]
    assert Ruler(pool).kinds(pool) == 1


def test_copies_are_equal_value_by_value():
    one, other = ({"y": np.array([value], np.float32)} for value in (1e-5, 2e-5))
    assert is_copy(one, one)
    assert not is_copy(one, other)
    assert is_copy({"y": np.array([b"a"], object)}, {"y": np.array([b"a"], object)})
    assert digest(one) == digest(dict(one)) != digest(other)


def test_drawn_rows_fit_and_differ():
    inputs = [
        *(spec("a", shape=(None, 3)), spec("b", dtypes.STRING, (None,)), spec("c", dtypes.INT8, (None, None))),
        *(spec("d", dtypes.BOOL, ()), spec("e", dtypes.UINT8, (None, None, None, 3))),
    ]
    rows = draw(signature(*inputs), 5, seed=0, scale="bytes", vocabulary=[b"w1", b"w2"])
    shapes = {alias: array.shape for alias, array in rows[0].items()}
    assert shapes == {"a": (1, 3), "b": (1,), "c": (1, 16), "d": (), "e": (1, 64, 64, 3)}
    assert rows[0]["c"].dtype == np.int8
    assert rows[0]["e"].dtype == np.uint8
    assert rows[0]["e"].max() > 9
    assert len({digest(row) for row in rows}) == 5
    assert {word for row in rows for word in row["b"][0].split()} <= {b"w1", b"w2"}
    assert digest(rows[0]) == digest(draw(signature(*inputs), 5, 0, "bytes", [b"w1", b"w2"])[0])
    assert max(row["c"].max() for row in draw(signature(*inputs), 5, 0, ids=3)) == 2


def test_what_cannot_be_drawn():
    with pytest.raises(NotRun, match="'x' takes complex64"):
        draw(signature(spec("x", dtypes.COMPLEX64, (None,))), 1, 0)
