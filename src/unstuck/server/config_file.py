"""``--model_config_file``, read again while the server runs."""

import logging
from collections.abc import Collection
from pathlib import Path

from unstuck.config.model_config_file import models_in, read_text
from unstuck.errors import UnstuckError
from unstuck.lifecycle.catalogue import Catalogue
from unstuck.lifecycle.polling import Repeated

log = logging.getLogger(__name__)
events = logging.getLogger("unstuck.versions")  # what an operator wants to read while the server runs


class ConfigFile:
    """``start`` and ``stop`` once each."""

    def __init__(self, path: Path, platforms: Collection[str], wait_s: float, catalogue: Catalogue) -> None:
        """Hands its models to the catalogue. Raises SetupError where that refuses them, or they cannot be read.

        Args:
            path: of the file.
            platforms: the engines' names.
            wait_s: the time between two looks; 0 never looks again.
            catalogue: which models are served.
        """
        self._path = path
        self._platforms = platforms
        self._catalogue = catalogue
        self._text = read_text(path)
        self._said = ""
        self._repeated = Repeated("unstuck-config", wait_s, self._reread)
        catalogue.set_models(models_in(self._text, path, platforms))

    def start(self) -> None:
        """Looks for changes from now on."""
        self._repeated.start()

    def stop(self) -> None:
        """Looks no more."""
        self._repeated.stop()

    def _reread(self) -> None:
        """Applies a file that has changed; one that cannot be is tried again, as what it needs may come."""
        try:
            text = read_text(self._path)
            if text == self._text:
                return
            self._catalogue.reload(models_in(text, self._path, self._platforms))
        except UnstuckError as error:
            if str(error) != self._said:
                log.error("The configuration stays as it was: %s", error)
            self._said = str(error)
        else:
            events.info("The configuration of %s is in force.", self._path)
            self._text, self._said = text, ""
