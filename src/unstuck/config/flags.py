"""A command line with TensorFlow Serving's flags: ``--flag=value``, ``--flag value``, ``--flag`` for true."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from unstuck.config.flag_values import read_bool
from unstuck.errors import SetupError, did_you_mean

Value = TypeVar("Value")


class FlagError(SetupError):
    """A flag that is unknown, malformed or not built yet."""


@dataclass(frozen=True, slots=True)
class Flag(Generic[Value]):
    """One flag: how its text is read, and what ``--help`` says of it."""

    name: str
    read: Callable[[str], Value]
    default: Value
    metavar: str
    text: str
    repeatable: bool = False
    boolean: bool = False


@dataclass(slots=True)
class Flags:
    """The values that a command line gave; ``get`` falls back to the flag's default."""

    values: dict[str, list[object]] = field(default_factory=dict[str, list[object]])
    positional: list[str] = field(default_factory=list[str])

    def get(self, flag: Flag[Value]) -> Value:
        given = self.values.get(flag.name)
        return given[-1] if given else flag.default  # type: ignore[return-value]

    def all(self, flag: Flag[Value]) -> tuple[Value, ...]:
        return tuple(self.values.get(flag.name, ()))  # type: ignore[arg-type]

    def has(self, flag: Flag[Value]) -> bool:
        return flag.name in self.values


HELP = Flag("help", read_bool, False, "", "print this help and exit", boolean=True)


def parse(arguments: Sequence[str], flags: Sequence[Flag[object]], not_built: Collection[str] = ()) -> Flags:
    """The values of ``arguments``.

    Raises:
        FlagError: an unknown flag (with the nearest name), a malformed value, or a flag of TensorFlow Serving's that is
            not built yet.
    """
    known = {flag.name: flag for flag in flags}
    parsed = Flags()
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if not argument.startswith("-") or argument == "-":
            parsed.positional.append(argument)
            continue
        name, equals, text = argument.lstrip("-").partition("=")
        flag = known.get(name)
        if flag is None:
            raise _unknown(argument, name, known, not_built)
        if not equals:
            if flag.boolean:
                text = "true"
            elif queue and not queue[0].startswith("--"):
                text = queue.pop(0)
            else:
                raise FlagError(f"--{name} needs a value: --{name}={flag.metavar}.")
        try:
            value = flag.read(text)
        except ValueError as error:
            raise FlagError(f"--{name}={text} is malformed: {error}.") from None
        if name in parsed.values and not flag.repeatable:
            raise FlagError(f"--{name} is given twice.")
        parsed.values.setdefault(name, []).append(value)
    return parsed


def _unknown(argument: str, name: str, known: dict[str, Flag[object]], not_built: Collection[str]) -> FlagError:
    if name in not_built:
        return FlagError(
            f"--{name} is a flag of TensorFlow Serving that is not built yet, and none is ignored in silence.",
            hint="Leave it out to serve without it.",
        )
    return FlagError(
        f"Unknown flag {argument.partition('=')[0]}.",
        hint=did_you_mean(name, [*known, *not_built]).replace("'", "--", 1).replace("'", "")
        or "unstuck serve --help lists the flags.",
    )
