"""A command line with TensorFlow Serving's flags: ``--flag=value``, ``--flag value``, ``--flag`` for true."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from unstuck.config.flag_values import read_bool
from unstuck.errors import SetupError, did_you_mean

Value = TypeVar("Value")


class FlagError(SetupError):
    """A flag that is unknown, malformed or refused."""


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


@dataclass(frozen=True, slots=True)
class Accepted:
    """A flag of TensorFlow Serving's, true or false, that has no effect here: ``why`` says what is so anyway."""

    name: str
    why: str
    boolean: bool = True
    metavar: str = ""
    read: Callable[[str], bool] = read_bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A flag of TensorFlow Serving's that cannot be had here, unless it is empty or false, which asks for nothing."""

    name: str
    why: str
    hint: str = ""
    boolean: bool = False
    metavar: str = "FILE"

    def read(self, text: str) -> bool:
        """Whether it asks for something. Raises ValueError where that is neither true nor false."""
        return read_bool(text) if self.boolean else bool(text)


@dataclass(slots=True)
class Flags:
    """The values that a command line gave; ``get`` falls back to the flag's default."""

    values: dict[str, list[object]] = field(default_factory=dict[str, list[object]])
    positional: list[str] = field(default_factory=list[str])
    without_effect: list[Accepted] = field(default_factory=list[Accepted])

    def get(self, flag: Flag[Value]) -> Value:
        given = self.values.get(flag.name)
        return given[-1] if given else flag.default  # type: ignore[return-value]

    def all(self, flag: Flag[Value]) -> tuple[Value, ...]:
        return tuple(self.values.get(flag.name, ()))  # type: ignore[arg-type]

    def has(self, flag: Flag[Value]) -> bool:
        return flag.name in self.values


HELP = Flag("help", read_bool, False, "", "print this help and exit", boolean=True)


def parse(arguments: Sequence[str], flags: Sequence[Flag[object]], foreign: Sequence[Accepted | Refused] = ()) -> Flags:
    """The values of ``arguments``.

    Args:
        arguments: a command line.
        flags: those that work.
        foreign: those that do not, and are not unknown.

    Raises:
        FlagError: an unknown flag (with the nearest name), a malformed value, or a flag that is refused.
    """
    known: dict[str, Flag[object] | Accepted | Refused] = {flag.name: flag for flag in (*flags, *foreign)}
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
            raise _unknown(argument, name, known)
        value = _value(flag, text if equals else _next(flag, queue))
        if isinstance(flag, Accepted):
            parsed.without_effect.append(flag)
        elif isinstance(flag, Flag):
            if name in parsed.values and not flag.repeatable:
                raise FlagError(f"--{name} is given twice.")
            parsed.values.setdefault(name, []).append(value)
    return parsed


def _next(flag: Flag[object] | Accepted | Refused, queue: list[str]) -> str:
    """The text of a flag without an equals sign."""
    if flag.boolean:
        return "true"
    if queue and not queue[0].startswith("--"):
        return queue.pop(0)
    raise FlagError(f"--{flag.name} needs a value: --{flag.name}={flag.metavar}.")


def _value(flag: Flag[object] | Accepted | Refused, text: str) -> object:
    try:
        value = flag.read(text)
    except ValueError as error:
        raise FlagError(f"--{flag.name}={text} is malformed: {error}.") from None
    if isinstance(flag, Refused) and value:
        raise FlagError(f"--{flag.name} cannot be used: {flag.why}.", hint=flag.hint)
    return value


def _unknown(argument: str, name: str, known: Collection[str]) -> FlagError:
    return FlagError(
        f"Unknown flag {argument.partition('=')[0]}.",
        hint=did_you_mean(name, known).replace("'", "--", 1).replace("'", "")
        or "unstuck serve --help lists the flags.",
    )
