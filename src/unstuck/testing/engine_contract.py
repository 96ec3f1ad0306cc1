"""What every engine must do, as tests: an engine is done when a short subclass of ``EngineContract`` passes.

Needs pytest. ``pytest.register_assert_rewrite("unstuck.testing.engine_contract")`` before importing this module makes
failures readable.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from unstuck.core.dtypes import FLOAT, INT64, STRING
from unstuck.core.servables import Engine, Servable
from unstuck.core.signatures import Signature, Tensor, narrowed
from unstuck.errors import Code, EngineError, LoadFailed

THREADS, RUNS_A_THREAD = 8, 50

Outputs = dict[str, Tensor]


class EngineContract:
    """Subclass it as ``TestMyEngine``, set the attributes and write ``export``.

    Attributes:
        engine: the engine.
        framework: the module that importing the engine must not import.
        one_input: models with signatures of one input each, as exports of ``unstuck.testing``, and a tensor that some
            of them take.
        shout: what the exported model's ``shouted`` does to a text: capitals, unless the format has no such op.
    """

    engine: ClassVar[Engine]
    framework: ClassVar[str]
    one_input: ClassVar[Sequence[tuple[Callable[[Path], Path], Tensor]]]
    shout: ClassVar[Callable[[bytes], bytes]] = bytes.upper

    @classmethod
    def export(cls, base_path: Path) -> Path:
        """Saves the model ``unstuck.testing.models.multi_io`` in the engine's format; returns its version folder.

        Its default signature takes ``a`` float [-1,2], ``b`` int64 [-1], ``c`` string [-1], and gives ``total`` float
        [-1] (a's row sums plus b), ``doubled`` int64 [-1] (2 b), ``shouted`` string [-1] (``shout`` of c),
        ``pair_bytes`` string [-1,2] (c twice). An ``a`` and a ``b`` of unequal length must fail in the framework.
        """
        raise NotImplementedError

    @classmethod
    def break_model(cls, version_path: Path) -> None:
        """Changes the exported folder so that it is still recognised, but cannot be loaded."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def version_path(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return cls.export(tmp_path_factory.mktemp("contract") / "multi_io")

    @pytest.fixture(scope="class")
    @classmethod
    def servable(cls, version_path: Path) -> Iterator[Servable]:
        loader = cls.engine.loader(version_path)
        yield loader.load()
        loader.unload()

    @pytest.fixture
    def signature(self, servable: Servable) -> Signature:
        return servable.signatures["serving_default"]

    def test_importing_the_engine_does_not_import_its_framework(self) -> None:
        script = f"import {type(self.engine).__module__}, sys; sys.exit({self.framework!r} in sys.modules)"
        assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0

    def test_its_memory_is_estimated_before_its_framework_is_imported_and_is_enough(self, version_path: Path) -> None:
        """In a process of its own, where the framework is imported by the load: it never takes more."""
        script = _NEED.format(module=type(self.engine).__module__, framework=self.framework)
        done = subprocess.run(
            [sys.executable, "-c", script, str(version_path)], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        cold, taken, warm = (int(number) for number in done.stdout.split())
        assert 0 < taken <= cold
        assert 0 < warm < cold, "the framework is imported but once"

    def test_recognises_its_own_models_and_no_other_folder(self, version_path: Path, tmp_path: Path) -> None:
        assert self.engine.platform
        assert self.engine.recognises(version_path)
        assert not self.engine.recognises(tmp_path)
        assert not self.engine.recognises(tmp_path / "missing")

    def test_signatures(self, signature: Signature) -> None:
        assert signature.name == "serving_default"
        assert [(each.alias, each.dtype, each.shape) for each in signature.inputs.values()] == [
            ("a", FLOAT, (None, 2)),
            ("b", INT64, (None,)),
            ("c", STRING, (None,)),
        ]
        outputs = {"doubled": INT64, "pair_bytes": STRING, "shouted": STRING, "total": FLOAT}
        assert {alias: each.dtype for alias, each in signature.outputs.items()} == outputs
        assert [*signature.outputs] == [*outputs], "in sorted order"

    def test_runs_change_nothing_and_it_says_so(self, servable: Servable) -> None:
        assert "serving_default" in servable.stateless

    @pytest.mark.parametrize("rows", [1, 0, 5])
    def test_run(self, servable: Servable, signature: Signature, rows: int) -> None:
        inputs = _inputs(rows)
        outputs = servable.run(signature, inputs)
        self._check(inputs, outputs)
        assert [*outputs] == [*signature.outputs], "in the signature's order"
        for alias, array in outputs.items():
            assert type(array) is np.ndarray
            assert array.dtype == signature.outputs[alias].dtype.numpy
            assert all(type(value) is bytes for value in array.flat) or array.dtype != object

    @pytest.mark.parametrize(
        "aliases",
        [["total"], ["shouted"], ["pair_bytes", "doubled"], ["total", "shouted", "pair_bytes", "doubled"]],
        ids=",".join,
    )
    def test_a_narrowed_signature_gives_its_outputs_in_its_order(
        self, servable: Servable, signature: Signature, aliases: list[str]
    ) -> None:
        inputs = _inputs(3)
        everything = servable.run(signature, inputs)
        for _ in range(2):
            outputs = servable.run(narrowed(signature, aliases), inputs)
            assert [*outputs] == aliases
            for alias, array in outputs.items():
                assert array.dtype == everything[alias].dtype
                assert array.tolist() == everything[alias].tolist()
        self._check(inputs, servable.run(signature, inputs))

    def test_running_several_signatures_gives_what_each_gives_alone(self, tmp_path: Path) -> None:
        for number, (export, tensor) in enumerate(self.one_input):
            loader = self.engine.loader(export(tmp_path / str(number)))
            servable = loader.load()
            fitting = [each for each in servable.signatures.values() if _takes(each, tensor)]
            assert fitting, f"{export.__name__} has signatures for {tensor.dtype}"
            alone = [servable.run(each, dict.fromkeys(each.inputs, tensor)) for each in fitting]
            for order in (slice(None), slice(None, None, -1), slice(1), slice(1, None)):
                for _ in range(2):
                    together = servable.run_all(fitting[order], tensor)
                    assert len(together) == len(fitting[order])
                    for got, want in zip(together, alone[order], strict=True):
                        assert [*got] == [*want]
                        assert all(got[alias].dtype == want[alias].dtype for alias in want)
                        assert all(got[alias].tolist() == want[alias].tolist() for alias in want)
            loader.unload()

    def test_strings_are_any_bytes(self, servable: Servable, signature: Signature) -> None:
        texts = [b"", b"\0", b"a\0b\0", b"\xff\xfe", "é😀".encode(), b"x" * 100_000]
        outputs = servable.run(signature, {**_inputs(len(texts)), "c": _objects(texts)})
        assert outputs["pair_bytes"].tolist() == [[text, text] for text in texts]

    def test_inputs_need_not_be_contiguous_and_are_not_changed(self, servable: Servable, signature: Signature) -> None:
        every_other = {alias: array[::-2] for alias, array in _inputs(8).items()}
        before = {alias: array.copy() for alias, array in every_other.items()}
        self._check(every_other, servable.run(signature, every_other))
        assert all((every_other[alias] == before[alias]).all() for alias in before)

    def test_outputs_stay_as_they_are(self, servable: Servable, signature: Signature) -> None:
        first_inputs = _inputs(3)
        first = servable.run(signature, first_inputs)
        for seed in range(20):
            servable.run(signature, _inputs(3, seed))
        self._check(first_inputs, first)

    def test_threads_may_run_at_once(self, servable: Servable, signature: Signature) -> None:
        wrong: list[BaseException] = []
        together = threading.Barrier(THREADS)

        def run(number: int) -> None:
            try:
                together.wait(60)
                for seed in range(RUNS_A_THREAD):
                    inputs = _inputs(1 + number, seed * THREADS + number)
                    self._check(inputs, servable.run(signature, inputs))
            except BaseException as error:  # noqa: BLE001 - raised again below, where pytest sees it
                wrong.append(error)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            raise wrong[0]

    def test_the_frameworks_error_becomes_ours_and_does_no_harm(self, servable: Servable, signature: Signature) -> None:
        inputs = {**_inputs(2), "b": np.arange(3)}
        with pytest.raises(EngineError) as caught:
            servable.run(signature, inputs)
        assert caught.value.code is Code.INVALID_ARGUMENT
        assert caught.value.message
        assert "\n" not in str(caught.value), "one line, without the framework's stack"
        assert "'a' declared float [-1,2], got [2,2]" in caught.value.hint
        assert "'b' declared int64 [-1], got [3]" in caught.value.hint
        self._check(_inputs(2), servable.run(signature, _inputs(2)))

    def test_a_model_that_cannot_be_loaded(self, tmp_path: Path) -> None:
        version_path = self.export(tmp_path / "broken")
        self.break_model(version_path)
        assert self.engine.recognises(version_path)
        with pytest.raises(LoadFailed, match=str(version_path)):
            self.engine.loader(version_path).load()

    def test_unloading_one_leaves_the_other(self, version_path: Path) -> None:
        first, second = self.engine.loader(version_path), self.engine.loader(version_path)
        first.load()
        servable = second.load()
        first.unload()
        first.unload()
        self._check(_inputs(2), servable.run(servable.signatures["serving_default"], _inputs(2)))
        second.unload()
        again = first.load()
        self._check(_inputs(2), again.run(again.signatures["serving_default"], _inputs(2)))
        first.unload()

    def test_a_loader_that_loaded_nothing_can_be_unloaded(self, version_path: Path) -> None:
        self.engine.loader(version_path).unload()

    def _check(self, inputs: dict[str, Any], outputs: Outputs) -> None:
        np.testing.assert_allclose(
            np.asarray(outputs["total"], np.float64),
            inputs["a"].astype(np.float64).sum(axis=1) + inputs["b"],
            rtol=1e-6,
        )
        assert outputs["doubled"].tolist() == (2 * inputs["b"]).tolist()
        assert outputs["shouted"].tolist() == [type(self).shout(text) for text in inputs["c"]]
        assert outputs["pair_bytes"].shape == (len(inputs["c"]), 2)
        assert outputs["pair_bytes"].tolist() == [[text, text] for text in inputs["c"]]


_NEED = """
import sys
from pathlib import Path
import {module} as engine
from unstuck.core.growth import Growth

loader = engine.ENGINE.loader(Path(sys.argv[1]))
cold = loader.estimate()
assert {framework!r} not in sys.modules
grown = Growth()
loader.load()
print(cold, grown.peak(), loader.estimate())
"""


def _takes(signature: Signature, tensor: Tensor) -> bool:
    inputs = [*signature.inputs.values()]
    return len(inputs) == 1 and inputs[0].dtype.numpy == tensor.dtype


def _inputs(rows: int, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "a": random.normal(size=(rows, 2)).astype(np.float32),
        "b": random.integers(-(2**20), 2**20, rows),
        "c": _objects([b"word %d of %d" % (number, seed) for number in range(rows)]),
    }


def _objects(texts: list[bytes]) -> Tensor:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array
