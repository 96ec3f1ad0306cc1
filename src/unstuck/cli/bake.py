"""``unstuck bake``: a SavedModel with its preparation inside, for any server of SavedModels."""

from collections.abc import Sequence
from pathlib import Path

from unstuck.cli.on_disk import newest
from unstuck.config.flags import Flag, FlagError, parse
from unstuck.config.serve_flags import UNSAFE_OPS
from unstuck.core.locations import RemotePath, location
from unstuck.errors import SetupError

USAGE = """\
Usage: unstuck bake MODEL OUT --pipeline=FILE [--saved_model_tags=TAGS] [--allow_unsafe_ops]

Writes OUT, a SavedModel that takes the raw inputs of the pipeline FILE and prepares them in its graph. MODEL is a
version's folder, or one with numbered versions, of which the newest is taken. OUT must not exist. Without --pipeline,
the one in MODEL's assets.extra/unstuck/pipeline.yaml is used. --allow_unsafe_ops takes a MODEL that reads or writes
files or runs Python; servers refuse OUT, too, unless they are told the same."""

PIPELINE = Flag("pipeline", str, "", "FILE", "the pipeline")
TAGS = Flag("saved_model_tags", str, "serve", "TAGS", "comma-separated tags of the graph")
HELP = Flag("help", lambda text: text == "true", False, "", "print this help", boolean=True)


def run(arguments: Sequence[str]) -> int:
    """Bakes; returns the exit status.

    Raises:
        UnstuckError: the arguments, the model or the pipeline do not fit.
    """
    given = parse(arguments, (PIPELINE, TAGS, UNSAFE_OPS, HELP))  # pyright: ignore[reportArgumentType]
    if given.get(HELP):
        print(USAGE)
        return 0
    if len(given.positional) != 2:
        raise FlagError(f"Expected MODEL and OUT, got {len(given.positional)} paths.", hint="See unstuck bake --help.")
    model, out = location(given.positional[0]), Path(given.positional[1]).absolute()
    version = _version(model)

    from unstuck.engines.tensorflow.bake import bake
    from unstuck.pipeline import PLACE
    from unstuck.pipeline.document import read_pipeline

    file = Path(given.get(PIPELINE)).absolute() if given.get(PIPELINE) else version / PLACE
    if not file.is_file():
        raise SetupError(f"There is no pipeline {file}.", hint="Name one with --pipeline=FILE.")
    declared = read_pipeline(file)
    tags = tuple(given.get(TAGS).split(","))
    bake(version, declared, file.parent, out, tags, allow_unsafe_ops=given.get(UNSAFE_OPS))
    print(f"Wrote {out}: {', '.join(declared.signatures)} take{'s' * (len(declared.signatures) == 1)} raw inputs.")
    return 0


def _version(model: Path | RemotePath) -> Path:
    from unstuck import engines
    from unstuck.engines.tensorflow import ENGINE

    version = newest(model, engines.installed()).path
    if not ENGINE.recognises(version):
        raise SetupError(
            f"{version} is no SavedModel, so no ops can become part of it.",
            hint="Serve it with its pipeline: unstuck serve MODEL --pipeline_file=FILE.",
        )
    return version
