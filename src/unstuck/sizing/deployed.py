"""What every manifest needs to know of a model and its size."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from unstuck.sizing.deciding import Needs

GRPC_PORT, REST_PORT = 8500, 8501
USER = 10001  # the Dockerfile's
MODELS = "/models"
STOP_S = 40  # calls in flight are finished, for 30 s at most
MOST_NAME = 50  # of 63 characters, as Kubernetes appends to names
WIDTH = 110


@dataclass(frozen=True, slots=True)
class Deployed:
    """A model that is to be deployed.

    Attributes:
        model: its name.
        source: its absolute path on this machine, or its URL.
        image: of the server.
        claim: the PersistentVolumeClaim that has the model's folder, or file.
        flags: more of ``unstuck serve``.
        needs: of one replica, and how many.
        start_s: until it is ready, with no more than it needs.
        why: where the figures come from, line by line.
    """

    model: str
    source: str
    image: str
    claim: str
    needs: Needs
    start_s: float
    flags: Sequence[str] = ()
    why: Sequence[str] = ()

    @property
    def name(self) -> str:
        """As Kubernetes takes names: lower-case letters, digits and hyphens, a letter first."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.model.lower()).strip("-")[:MOST_NAME].strip("-")
        return plain if plain[:1].isalpha() else f"model-{plain}".strip("-")

    @property
    def is_remote(self) -> bool:
        return "://" in self.source

    @property
    def file_name(self) -> str:
        """Of the model's folder or file, in the volume."""
        return self.source.rstrip("/").rpartition("/")[2]

    @property
    def path(self) -> str:
        """Of the model in the container, or its URL."""
        return self.source if self.is_remote else f"{MODELS}/{self.file_name}"

    @property
    def command(self) -> list[str]:
        return ["unstuck", "serve", f"{self.model}={self.path}", *self.serve_flags(GRPC_PORT, REST_PORT)]

    def serve_flags(self, grpc_port: int, rest_port: int) -> list[str]:
        workers = [f"--workers={self.needs.workers}"] if self.needs.workers else []
        return [f"--port={grpc_port}", f"--rest_api_port={rest_port}", *workers, *self.flags]

    @property
    def cpus(self) -> str:
        """Thousandths of a CPU, as Kubernetes writes them."""
        return f"{math.ceil(self.needs.cpus * 1000)}m"

    @property
    def memory_mib(self) -> int:
        return math.ceil(self.needs.memory_bytes / (1 << 20))

    @property
    def notes(self) -> list[str]:
        """What to see to before the manifests are used."""
        return [
            f"The image is built by: docker build -t {self.image} .",
            *(["Files that flags name must be in the image or in a volume."] if self.flags else []),
            *(["The store's credentials are not in here: add them as your platform does."] if self.is_remote else []),
        ]


class _Plain(yaml.SafeDumper):
    """Without anchors: what comes twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def document(comment: Sequence[str], content: dict[str, Any]) -> str:
    """One document of YAML under its comment."""
    text: str = yaml.dump(content, Dumper=_Plain, sort_keys=False, width=WIDTH, allow_unicode=True)
    return "".join(f"# {_one_line(line)}\n" for line in comment) + text


def _one_line(text: str) -> str:
    """Without what YAML does not let stand in a comment."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def joined(documents: Sequence[str]) -> str:
    return "---\n".join(documents)
