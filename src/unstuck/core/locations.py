"""Where models are: a local path, or a URL of a store elsewhere."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from unstuck.errors import SetupError

CONTAINER_FIRST = ("abfs", "abfss")  # Azure's container@account is no user@host


@dataclass(frozen=True, slots=True, repr=False)
class RemotePath:
    """A folder, or a file, in a store. Its text leaves out what of the URL may be secret: user, password, query.

    Attributes:
        url: as it was given, such as ``s3://bucket/models/name``.
    """

    url: str

    def __str__(self) -> str:
        protocols, _, rest = self.url.partition("?")[0].rpartition("://")
        host, slash, path = rest.partition("/")
        user = self._user()
        return f"{protocols}://{host.removeprefix(f'{user}@') if user else host}{slash}{path}".rstrip("/")

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    @property
    def protocol(self) -> str:
        """``s3`` of ``s3://bucket`` and of ``filecache::s3://bucket``."""
        return self.url.partition("://")[0].rpartition("::")[2]

    def hidden_in(self, text: str) -> str:
        """``text``, such as an error's, without the secrets of this URL."""
        for secret in (self.url.partition("?")[2], self._user(), self._user().partition(":")[2]):
            text = text.replace(secret, "…") if secret else text
        return text

    def _user(self) -> str:
        host = self.url.rpartition("://")[2].partition("/")[0]
        return "" if self.protocol in CONTAINER_FIRST else host.rpartition("@")[0]


def location(text: str) -> Path | RemotePath:
    """What ``text`` names: ``PROTOCOL://…`` is remote; a local path becomes absolute."""
    return RemotePath(text) if "://" in text else Path(text).absolute()


def named_parts(place: Path | RemotePath) -> PurePath:
    """Its names and suffix, to be looked at only."""
    return place if isinstance(place, Path) else PurePosixPath(str(place).rpartition("://")[2])


def cache_folder(given: Path | None) -> Path:
    """Where copies and conversions of models are kept: ``given``, or ``unstuck`` in $XDG_CACHE_HOME, or ~/.cache.

    Raises:
        SetupError: there is no home.
    """
    try:
        return given or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unstuck"
    except RuntimeError:
        raise SetupError(
            "There is no home folder for copies of models.", hint="Name a folder for them: --model_cache_dir=FOLDER."
        ) from None
