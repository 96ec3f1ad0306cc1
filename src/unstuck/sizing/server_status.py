"""What a server that is measured says of itself, on its ``/statusz``."""

import time
import urllib.request
from typing import Any

import orjson

from unstuck.errors import SetupError
from unstuck.sizing.deciding import Batch

TIMEOUT_S = 10.0
ALL_SERVE_S = 300.0
LOOK_S = 0.5
DEFAULT_SIGNATURE = "serving_default"


class ServerStatus:
    """Asked anew each time; raises SetupError where nobody answers."""

    def __init__(self, rest: str) -> None:
        """``rest`` is the address of its REST API."""
        self._url = f"{rest}/statusz"

    def wait_for_workers(self, count: int) -> None:
        """Until so many processes serve: only the first is ready when the server is."""
        until = time.monotonic() + ALL_SERVE_S
        while count and sum(each["state"] == "serving" for each in self._document()["server"]["workers"]) < count:
            if time.monotonic() > until:
                raise SetupError(f"Not all of {count} workers serve after {ALL_SERVE_S:g} s.")
            time.sleep(LOOK_S)

    def check(self) -> None:
        """Raises SetupError where a version is not served, though others are, and the server is ready."""
        for model in self._document()["models"].values():
            for problem in (model["problem"], *(each["error"] for each in model["versions"].values())):
                if problem:
                    raise SetupError(problem)

    def growth_bytes(self, model: str) -> int:
        """How much the process grew while the model was loaded; 0 where it is not served."""
        return max((int(each.get("memory_growth_bytes") or 0) for each in self._versions(model)), default=0)

    def learned_batch(self, model: str, signature: str) -> Batch | None:
        """What was learned of the signature's batches; None where its calls wait for no other."""
        for version in self._versions(model):
            learned = version.get("signatures", {}).get(signature or DEFAULT_SIGNATURE, {}).get("learned_batch")
            if learned:
                return Batch(int(learned["rows"]), float(learned["gain"]))
        return None

    def _versions(self, model: str) -> list[dict[str, Any]]:
        return list(self._document()["models"].get(model, {}).get("versions", {}).values())

    def _document(self) -> Any:
        try:
            with urllib.request.urlopen(self._url, timeout=TIMEOUT_S) as answer:
                return orjson.loads(answer.read())
        except (OSError, ValueError) as error:
            raise SetupError(f"{self._url} cannot be read: {error}.") from None
