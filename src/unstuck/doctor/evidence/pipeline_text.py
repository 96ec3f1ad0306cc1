"""Pipeline files as text: the repair of an input, for ``unstuck serve --pipeline_file`` or ``unstuck bake``."""

import json
from collections.abc import Mapping, Sequence

from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.evidence.request_facts import InputFacts, RequestFacts

_DIGITS = 9
_TEXT_STEPS = frozenset({"lowercase", "uppercase", "strip", "remove_punctuation", "split"})
_IN_PYTHON = {
    "unquote_url": "urllib.parse.unquote_plus(text)",
    "remove_markup": 're.sub(r"</?[A-Za-z!][^<>]*>", " ", text).strip()',
    "unescape_html": "html.unescape(text)",
    "remove_invisible": 'drop the characters of Unicode categories Cc and Cf, such as "\\ufeff"',
    "compose_unicode": 'unicodedata.normalize("NFKC", text)',
    "strip_accents": 'unicodedata.normalize("NFD", text), without the characters of category Mn',
    "collapse_blanks": '" ".join(text.split())',
    "segment": 'blanks between the words, by the segmenter of training: " ".join(jieba.cut(text)) for Chinese',
}


def pipeline(facts: RequestFacts, steps: Mapping[str, Sequence[str]]) -> str:
    """A pipeline in which clients send as they do, and each input of ``steps`` is changed by them.

    Args:
        facts: says what the signature takes.
        steps: by input, each step as YAML.
    """
    lines = _head(facts)
    for each in facts.inputs:
        if each.input not in steps:
            lines.append(f"      {_name(each.input)}: {_name(each.input)}")
            continue
        lines += [f"      {_name(each.input)}:", f"        from: {_name(each.input)}", "        steps:"]
        lines += [f"          - {step}" for step in steps[each.input]]
    return "\n".join(lines) + "\n"


def renamed(facts: RequestFacts, sources: Mapping[str, str]) -> str:
    """A pipeline in which clients send as they do, and each input of ``sources`` gets what another is sent; or none.

    Args:
        facts: says what the signature takes.
        sources: by input, the one whose value it gets; empty text where these are not all inputs of the signature.
    """
    if not sources or not set(sources) | set(sources.values()) <= {each.input for each in facts.inputs}:
        return ""
    lines = _head(facts)
    lines += [f"      {_name(each.input)}: {_name(sources.get(each.input, each.input))}" for each in facts.inputs]
    return "\n".join(lines) + "\n"


def _head(facts: RequestFacts) -> list[str]:
    """What clients send, as the signature takes it, up to what is made of it."""
    raw = [f"      {_name(each.input)}: {_raw(each)}" for each in facts.inputs]
    return ["signatures:", f"  {_name(facts.signature)}:", "    raw:", *raw, "    inputs:"]


def number_steps(preparation: Preparation, facts: InputFacts) -> list[str] | None:
    """The steps that do what ``preparation`` says; None where there are none that do."""
    kind = preparation.kinds[0]
    if kind == "log":
        steps = [f"log: {{offset: {preparation.offset[0]:g}}}"]
    elif kind == "affine":
        factor, offset = _numbers(preparation.factor), _numbers(preparation.offset)
        steps = [f"scale: {{factor: {factor}, offset: {offset}}}"]
    else:
        return None
    return steps if facts.dtype == "float" else [*steps, f"cast: {{dtype: {facts.dtype}}}"]


def text_steps(preparation: Preparation, facts: InputFacts, length: int) -> list[str] | None:
    """The same for texts, with lists of words of ``length``; None where there are none that do."""
    if not _TEXT_STEPS.issuperset(preparation.kinds):
        return None
    steps: list[str] = list(preparation.kinds)
    if "split" in steps:
        if len(facts.shape) != 1:
            return None
        size = facts.shape[0] if facts.shape[0] > 0 else length
        steps.append(f'pad: {{length: {max(1, size)}, value: ""}}')
        steps.insert(0, "reshape: {shape: []}")
    return steps


def in_words(preparation: Preparation) -> str:
    """How the client does the steps of ``preparation`` that a pipeline has not; empty where it has them all."""
    said = [f"{kind.replace('_', ' ')}: {_IN_PYTHON[kind]}" for kind in preparation.kinds if kind in _IN_PYTHON]
    return f" ({'; '.join(said)})" if said else ""


def _raw(facts: InputFacts) -> str:
    shape = facts.sent_shape if facts.sent_shape is not None else facts.shape
    return f"{{dtype: {facts.dtype}" + (f", shape: {shape}" if shape else "") + "}"


def _numbers(values: Sequence[float]) -> str:
    plain = [float(f"{value:.{_DIGITS}g}") for value in values]
    return json.dumps(plain[0] if len(set(plain)) == 1 else plain)


def _name(text: str) -> str:
    is_plain = text.isidentifier() and text.isascii() and text.lower() not in ("true", "false", "null", "yes", "no")
    return text if is_plain and text.lower() not in ("on", "off", "y", "n") else json.dumps(text, ensure_ascii=False)
