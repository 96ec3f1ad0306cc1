"""Logs as tensorflow_model_server writes them: its lines for a start, a load that works or fails, and memory that ends.

Formats from logs that users posted: tensorflow/serving issues 715, 1206, 1668, 1685, 2065 and 2066.
"""

from datetime import datetime, timedelta
from pathlib import Path

_START = datetime(2026, 3, 9, 8, 14, 2, 113457)
_SERVING = "tensorflow_serving"
_TENSORFLOW = "external/org_tensorflow/tensorflow"


class ServingLog:
    """Grows line by line; ``write`` makes the file.

    Args:
        model: the name under which the model is served.
        version: the version that is loaded.
    """

    def __init__(self, model: str, version: int = 1) -> None:
        self.model, self.version = model, version
        self.servable = f"{{name: {model} version: {version}}}"
        self.path = f"/models/{model}/{version}"
        self._now = _START
        self._lines: list[str] = []

    def line(self, level: str, source: str, text: str, after_s: float = 0.0004) -> "ServingLog":
        """A line with time and level (I, W, E, F), ``after_s`` after the one before."""
        self._now += timedelta(seconds=after_s)
        return self.raw(f"{self._now:%Y-%m-%d %H:%M:%S.%f}: {level} {source}] {text}")

    def raw(self, text: str) -> "ServingLog":
        """A line as it is, from a shell or another process."""
        self._lines.append(text)
        return self

    def starts(self) -> "ServingLog":
        """The server reads its flags and decides to load the model."""
        base = f"model_name: {self.model} model_base_path: /models/{self.model}"
        self.line(
            "I", f"{_SERVING}/model_servers/server.cc:77", f"Building single TensorFlow model file config:  {base}"
        )
        self.line("I", f"{_SERVING}/model_servers/server_core.cc:471", "Adding/updating models.")
        return self.line("I", f"{_SERVING}/model_servers/server_core.cc:600", f" (Re-)adding model: {self.model}")

    def loading(self, after_s: float = 0.1) -> "ServingLog":
        """A load begins."""
        self.line(
            "I",
            f"{_SERVING}/core/basic_manager.cc:740",
            f"Successfully reserved resources to load servable {self.servable}",
            after_s,
        )
        harness = f"{_SERVING}/core/loader_harness.cc"
        self.line("I", f"{harness}:68", f"Approving load for servable version {self.servable}")
        self.line("I", f"{harness}:76", f"Loading servable version {self.servable}")
        self.line("I", f"{_TENSORFLOW}/cc/saved_model/reader.cc:83", f"Reading SavedModel from: {self.path}")
        self.line("I", f"{_TENSORFLOW}/cc/saved_model/reader.cc:51", "Reading meta graph with tags { serve }")
        return self.line("I", f"{_TENSORFLOW}/cc/saved_model/loader.cc:235", "Restoring SavedModel bundle.", 0.02)

    def loaded(self) -> "ServingLog":
        """A load ends well."""
        loader = f"{_TENSORFLOW}/cc/saved_model/loader.cc"
        self.line("I", f"{loader}:218", f"Running initialization op on SavedModel bundle at path: {self.path}", 0.08)
        done = "SavedModel load for tags { serve }; Status: success: OK. Took 141722 microseconds."
        self.line("I", f"{loader}:317", done, 0.02)
        warmup = f"No warmup data file found at {self.path}/assets.extra/tf_serving_warmup_requests"
        self.line("I", f"{_SERVING}/servables/tensorflow/saved_model_warmup_util.cc:80", warmup)
        done = f"Successfully loaded servable version {self.servable}"
        return self.line("I", f"{_SERVING}/core/loader_harness.cc:95", done)

    def listening(self) -> "ServingLog":
        """The ports are open."""
        server = f"{_SERVING}/model_servers/server.cc"
        self.line("I", f"{_SERVING}/model_servers/server_core.cc:492", "Finished adding/updating models")
        self.line("I", f"{server}:383", "Profiler service is enabled")
        self.line("I", f"{server}:409", "Running gRPC ModelServer at 0.0.0.0:8500 ...")
        self.raw("[warn] getaddrinfo: address family for nodename not supported")
        self.line("I", f"{server}:430", "Exporting HTTP/REST API at:localhost:8501 ...")
        return self.raw("[evhttp_server.cc : 245] NET_LOG: Entering the event loop ...")

    def load_fails(self, why: str, retries: int = 0) -> "ServingLog":
        """A load fails, and so do its retries, a minute apart."""
        retrier = f"{_SERVING}/util/retrier.cc"
        for retry in range(retries + 1):
            if retry:
                what = f"Retrying of Loading servable: {self.servable} retry: {retry}"
                self.line("I", f"{retrier}:46", what, 60.0)
            self.line("I", f"{_TENSORFLOW}/cc/saved_model/loader.cc:317", _failed_load(why), 0.4)
            self.line("E", f"{retrier}:37", f"Loading servable: {self.servable} failed: {why}")
        if retries:
            given_up = f"Retrying of Loading servable: {self.servable} exhausted max_num_retries: {retries}"
            self.line("I", f"{retrier}:54", given_up)
        unloaded = f"Encountered an error for servable version {self.servable}: {why}"
        self.line("I", f"{_SERVING}/core/loader_harness.cc:155", unloaded)
        return self.line(
            "E",
            f"{_SERVING}/core/aspired_versions_manager.cc:398",
            f"Servable {self.servable} cannot be loaded: {why}",
        )

    def large_allocation(self, size: int, after_s: float = 12.0) -> "ServingLog":
        """The allocator's warning, which alone is harmless."""
        text = f"Allocation of {size} exceeds 10% of free system memory."
        return self.line("W", "external/local_tsl/tsl/framework/cpu_allocator_impl.cc:83", text, after_s)

    def killed(self, signal: str = "Killed") -> "ServingLog":
        """The shell of the image says how the server ended."""
        command = f"--model_name=${{MODEL_NAME}} --model_base_path=${{MODEL_BASE_PATH}}/{self.model}"
        return self.raw(
            f"/usr/bin/tf_serving_entrypoint.sh: line 3:     7 {signal:<20}"
            f"tensorflow_model_server --port=8500 --rest_api_port=8501 {command}"
        )

    def restarts(self, after_s: float = 11.0) -> "ServingLog":
        """A new container goes on in the same log."""
        self._now += timedelta(seconds=after_s)
        return self.starts()

    def write(self, path: Path) -> Path:
        path.write_text(self.text())
        return path

    def text(self) -> str:
        return "\n".join([*self._lines, ""])


def _failed_load(why: str) -> str:
    return f"SavedModel load for tags {{ serve }}; Status: fail: {why}. Took 402113 microseconds."
