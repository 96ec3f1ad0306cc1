"""Which version a label means, and when that may change.

Source: ServerCore::UpdateModelVersionLabelMap in tensorflow_serving/model_servers/server_core.cc.
"""

from collections.abc import Callable, Mapping

from unstuck.errors import SetupError

Labels = Mapping[str, Mapping[str, int]]  # by model, by label


def check_labels(
    new: Labels, old: Labels, is_available: Callable[[str, int], bool], *, allow_unavailable: bool
) -> None:
    """Whether ``new`` may take the place of ``old``.

    Args:
        new: what is asked for.
        old: what holds now.
        is_available: whether a version of a model serves.
        allow_unavailable: a label that means no other version yet may be given to one that does not serve.

    Raises:
        SetupError: a label of a version that does not serve.
    """
    for name, labels in new.items():
        for label, version in labels.items():
            if is_available(name, version):
                continue
            before = old.get(name, {}).get(label)
            if allow_unavailable and before in (None, version):
                continue
            moved = f" and now means version {before}" if before not in (None, version) else ""
            raise SetupError(
                f"The label {label!r} cannot be given to version {version} of model {name!r}, "
                f"which is not available{moved}.",
                hint="A label in use moves only to a version that is AVAILABLE: serve both, wait for it, then move it."
                if moved
                else "Start the server with --allow_version_labels_for_unavailable_models to allow this.",
            )
