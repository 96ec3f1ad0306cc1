"""The URL of a served model: its server's address, and which model and version is meant."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from unstuck.client.address import Address
from unstuck.client.address import parse as parse_address
from unstuck.core.models import ModelSpec
from unstuck.errors import SetupError

_REST = re.compile(
    r"(https?://[^/]+(?:/[^/]+)*?)/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?/?(?::predict)?"
)
_GRPC = re.compile(r"(grpcs?://[^/]+)/([^/]+)(?:/versions/(\d+)|/labels/([^/]+))?/?")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A parsed URL.

    Attributes:
        url: as given.
        address: of the server.
        spec: the model, and at most one of version and label.
    """

    url: str
    address: Address
    spec: ModelSpec


def parse(url: str) -> ServedModel:
    """The served model that ``url`` names.

    Raises:
        SetupError: it is not a served model's URL.
        InvalidRequest: its server's address cannot be read.
    """
    found = _REST.fullmatch(url.split("?", maxsplit=1)[0]) or _GRPC.fullmatch(url)
    if found is None:
        raise SetupError(
            f"{url} is not a served model's URL.",
            hint="Expected http(s)://HOST:PORT/v1/models/NAME[/versions/N|/labels/L] "
            "or grpc(s)://HOST:PORT/NAME[/versions/N|/labels/L].",
        )
    server, name, version, label = found.groups()
    spec = ModelSpec(unquote(name), int(version) if version else None, unquote(label) if label else None)
    return ServedModel(url, parse_address(server), spec)
