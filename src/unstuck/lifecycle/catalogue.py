"""Which models the server is to serve, and how that changes while it does.

Source: ServerCore::ReloadConfig in tensorflow_serving/model_servers/server_core.cc. Unlike there, a configuration that
is refused changes nothing.
"""

import threading
from collections.abc import Sequence

from unstuck.core.models import ModelConfig
from unstuck.errors import InvalidRequest, ModelsUnavailable, SetupError
from unstuck.lifecycle.manager import Manager
from unstuck.lifecycle.polling import Source


class Catalogue:
    """Thread-safe: changes happen one after the other."""

    def __init__(self, manager: Manager, source: Source, *, allow_unavailable_labels: bool) -> None:
        self._manager = manager
        self._source = source
        self._allow_unavailable_labels = allow_unavailable_labels
        self._lock = threading.Lock()
        self.models: tuple[ModelConfig, ...] = ()

    def set_models(self, models: Sequence[ModelConfig], *, is_proven: bool = False) -> None:
        """Serves these and no others, from the next poll on.

        Args:
            models: what is to be served.
            is_proven: others serve them already, so a label may come before its version.

        Raises:
            InvalidRequest: a model's platform would change.
            SetupError: a label of a version that is not available.
        """
        with self._lock:
            self._set(models, is_proven=is_proven)

    def reload(self, models: Sequence[ModelConfig]) -> None:
        """Serves these and no others; returns once a version of each new one is available.

        Raises:
            InvalidRequest, SetupError: as ``set_models``; nothing has changed then.
            ModelsUnavailable: a new model cannot be served; the others are as asked for.
        """
        with self._lock:
            old = {model.name for model in self.models}
            self._set(models)
            problems: dict[str, Exception] = dict(self._source.poll())
            new = [model.name for model in models if model.name not in old]
            self._manager.wait_until_settled(new)
            serving = {version.name for version in self._manager.available()}
            missing = [name for name in new if name not in serving]
            if missing:
                raise ModelsUnavailable({name: problems.get(name) or self._why(name) for name in missing})

    def _set(self, models: Sequence[ModelConfig], *, is_proven: bool = False) -> None:
        platforms = {model.name: model.platform for model in self.models}
        for model in models:
            before = platforms.get(model.name)
            if before and model.platform and before != model.platform:
                raise InvalidRequest(
                    f"The platform of model {model.name!r} cannot change while it is served, "
                    f"from {before!r} to {model.platform!r}.",
                    hint="Serve it under another name, or remove it first.",
                )
        labels = {model.name: model.labels for model in models if model.labels}
        self._manager.set_labels(labels, allow_unavailable=self._allow_unavailable_labels or is_proven)
        self.models = tuple(models)
        self._source.set_models(self.models)

    def _why(self, name: str) -> Exception | str:
        errors = [each.error for each in self._manager.status(name) if each.error is not None]
        return errors[-1] if errors else SetupError("it was removed, or the server is stopping.")
