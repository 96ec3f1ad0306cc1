"""Text protos, with the line of each field, and every field that does not exist."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from unstuck.errors import did_you_mean
from unstuck.proto.model_config import Place, show

_ENDS = {"{": "}", "<": ">"}


@dataclass(frozen=True, slots=True)
class Mistake:
    """A place in a text that cannot be read."""

    line: int
    message: str


class TextProto:
    """The fields of a text proto, by line.

    Attributes:
        lines: by place, as in ``("model_config_list", "config", 0, "name")``; repeated fields have an index.
        mistakes: the fields that the message does not have, up to the first place that is no text proto.
    """

    def __init__(self, text: str, message: Any) -> None:
        """``message`` is the descriptor of the message that the text should be."""
        self.lines: dict[Place, int] = {}
        self.mistakes: list[Mistake] = []
        self._counts: dict[Place, int] = {}
        self._text = text.splitlines()
        self._tokens: Any = text_format.Tokenizer(self._text)
        with suppress(text_format.ParseError):  # protobuf's own parser says it better
            while not self._tokens.AtEnd():
                self._field(message, ())

    def line(self, place: Place) -> int:
        """The line of the field at ``place``, or of the nearest message around it that is written."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def mistake_of(self, error: text_format.ParseError) -> Mistake:
        """protobuf's own error, with the field where the line is about one, and without the quoted line."""
        line = error.GetLine() or 1
        said = str(error).removeprefix(f"{line}:{error.GetColumn()} : ")
        if line <= len(self._text):
            said = said.removeprefix(f"{self._text[line - 1]!r}: ").removeprefix(f"'{self._text[line - 1]}': ")
        said = said.replace("unstuck.wire.", "")  # our package for TensorFlow's messages
        fields = [place for place, at in self.lines.items() if at == line]
        inmost = fields[-1] if fields else ()
        is_one = fields and all(inmost[: len(place)] == place for place in fields)
        return Mistake(line, f"{show(inmost)}: {said}" if is_one else said)

    def _field(self, message: Descriptor | None, place: Place) -> None:
        tokens = self._tokens
        line = tokens._line + 1  # it has no public name for it
        if tokens.TryConsume("["):  # an Any's type: what is inside is not looked at
            name, field = "", None
            while not tokens.TryConsume("]"):
                tokens.NextToken()
        else:
            name = str(tokens.ConsumeIdentifierOrNumber())
            field = message.fields_by_name.get(name) if message else None
            if message and field is None:
                self.mistakes.append(Mistake(line, _unknown(name, message)))
        tokens.TryConsume(":")
        for _ in self._values():
            here = self._placed(place, name, field)
            self.lines[here] = line if here[-1] in (name, 0) else tokens._line + 1
            if tokens.token in _ENDS:
                self._message(field.message_type if field else None, here)
            else:
                tokens.NextToken()
                while tokens.token[:1] in ("'", '"') and tokens.token:  # strings side by side are one
                    tokens.NextToken()
        if not tokens.TryConsume(","):
            tokens.TryConsume(";")

    def _message(self, message: Descriptor | None, place: Place) -> None:
        end = _ENDS[self._tokens.token]
        self._tokens.NextToken()
        while not self._tokens.TryConsume(end):
            if self._tokens.AtEnd():
                raise self._tokens.ParseErrorPreviousToken(f"Expected {end!r}.")
            self._field(message, place)

    def _values(self) -> Iterator[None]:
        """Once for each value of a field: of a list in brackets, or the only one."""
        if not self._tokens.TryConsume("["):
            yield
            return
        while not self._tokens.TryConsume("]"):
            yield
            self._tokens.TryConsume(",")

    def _placed(self, place: Place, name: str, field: FieldDescriptor | None) -> Place:
        here = (*place, name)
        if field is None or not _is_list(field):
            return here
        index = self._counts.get(here, 0)
        self._counts[here] = index + 1
        return (*here, index)


def parsed(text: str, message: Any) -> tuple[TextProto, list[Mistake]]:
    """Reads ``text`` into ``message``; says where its fields are, and what is wrong with it."""
    located = TextProto(text, message.DESCRIPTOR)
    mistakes = list(located.mistakes)
    try:
        text_format.Parse(text, message, allow_unknown_field=bool(mistakes))
    except text_format.ParseError as error:
        mistakes.append(located.mistake_of(error))
    return located, mistakes


def _is_list(field: FieldDescriptor) -> bool:
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    return bool(field.is_repeated) and not is_map


def _unknown(name: str, message: Descriptor) -> str:
    known = [field.name for field in message.fields]
    hint = did_you_mean(name, known) or f"Its fields: {', '.join(known)}."
    return f"{message.name} has no field {name!r}. {hint}"
