"""Bytes or numbers in another encoding than the model's.

What it finds
    Texts that are base64, hex, escaped, in another character set, or a file's bytes; numbers that were cast to
    integers, quantised, or read in the other byte order; text or base64 where numbers are taken.

Why it happens
    A client sends base64 without {"b64": …}, decodes bytes as text, or keeps an integer type.

How it decides
    Texts: most are written in a way in which training's are not; undone, the model accepts what it refused, knows more
    of the words, or answers otherwise. An image file that the graph decodes must begin as one. With the bytes of each
    number turned, they have training's distribution, and not as they are.
    With a model and an endpoint: it answers what the model gives for numbers that wrap in a narrow type.
    Numbers: all of an input's, or of some of its columns, are whole where training's are not, each step is a large part
    of their deviation, and training's numbers, once cast, have the requests' distribution. Or they fill a byte, and
    come again and again where training's hardly do: no change of scale makes that, so they were quantised. Where
    training fills 0 to 1, or -1 to 1, bytes are its raw scale: that is preprocessing/missing-normalization.

How to fix it
    Send bytes as {"b64": "…"}, text as UTF-8, and numbers as training had them.

When it is wrong
    Without training data, texts that are meant to be encoded (hashes, ids) are only suspect.
"""

from collections.abc import Iterator

from unstuck.doctor.casting import cast_numbers
from unstuck.doctor.check import Case, Fault, Location, NotTested, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.preparation import Trials
from unstuck.doctor.evidence.profile import ProfileComparison
from unstuck.doctor.evidence.replay import EndpointReplay
from unstuck.doctor.evidence.request_facts import InputFacts, Misfit, RequestFacts, Writing
from unstuck.doctor.evidence.samples_of_requests import BASE64, CAST, REVIVED, SENT, SIMILAR, WHOLE
from unstuck.doctor.evidence.vocabulary import VocabularyProbe
from unstuck.doctor.mapped import on_the_way

MOST = 0.8
MATTERS = 0.02  # of the answers' range, by which they must move
ENOUGH = 10  # rows
ARTEFACTS = frozenset({"bytes-repr"})  # nobody writes so
TURNED = "swapped-"
IMAGES = frozenset({"png", "jpeg", "gif", "bmp", "riff"})

ON_THE_WAY = (
    "What stands between client and model writes the values otherwise ({what}): pass them on as they are, "
    "in the dtype that the signature declares."
)


@check(
    explains=(
        "preprocessing/missing-tokenization", "preprocessing/wrong-vocabulary", "preprocessing/truncation",
        "preprocessing/missing-normalization",
        "resources/not-serving", "model/dead-activation", "model/saturated-activation", "model/collapsed",
    )
)  # fmt: skip
def wrong_encoding(
    replay: EndpointReplay | None,
    facts: RequestFacts | None,
    profile: ProfileComparison | None,
    trials: Trials | None,
    probe: VocabularyProbe | None,
) -> Iterator[Outcome]:
    found = on_the_way("preprocessing/wrong-encoding", replay, ON_THE_WAY)
    if found:
        yield from found
    elif facts is None:
        yield NotTested("no requests could be read")
    else:
        yield from _of_requests(facts, profile, trials, probe)


def _of_requests(
    facts: RequestFacts, profile: ProfileComparison | None, trials: Trials | None, probe: VocabularyProbe | None
) -> Iterator[Outcome]:
    found = [_misfit(each, facts) for each in facts.misfits if each.kind in ("base64", "number as text")]
    texts = [_text(fact, writing, trials, probe) for fact in facts.inputs for writing in fact.writings]
    found += [each for each in texts if each is not None]
    found += [each for comparison in (profile.inputs if profile else ()) if (each := cast_numbers(comparison))]
    yield from found
    if not found and not facts.rows:
        yield NotTested("no request fits the signature")
    elif not found:
        yield RuledOut("Texts are plain, and numbers are not cast.", {"rows": facts.rows})


def _misfit(each: Misfit, facts: RequestFacts) -> Outcome:
    kind = Fault if each.count >= facts.requests / 2 else Suspect
    return kind(
        why=f"Input {each.input!r} takes numbers, and {each.count} of {facts.requests} requests send it "
        f"{'text that holds a number' if each.kind == 'number as text' else 'base64'}: {each.example!r}.",
        evidence={"requests": facts.requests, "refused": each.count, "message": each.message},
        fix=f"Send input {each.input!r} as JSON numbers.",
        confidence=0.9 if kind is Fault else 0.5,
        location=Location(input=each.input),
    )


def _text(fact: InputFacts, writing: Writing, trials: Trials | None, probe: VocabularyProbe | None) -> Outcome | None:
    if writing.share < MOST or (writing.trained_share or 0.0) > 0.2 or (fact.takes_images and writing.name in IMAGES):
        return None
    undone = trials.of(fact.input, writing.name) if trials else None
    known = probe.once_decoded(fact.input, writing.name) if probe else None
    accepted = bool(trials and undone and trials.as_sent.failed == trials.as_sent.rows and undone.failed < undone.rows)
    changed = undone.changed if undone else 0.0
    is_image = fact.takes_images and (writing.content in IMAGES or writing.name == "damaged")
    matters = undone is None or undone.failed == undone.rows or changed >= MATTERS
    written_by_program = writing.name in ARTEFACTS and fact.rows >= ENOUGH and changed >= MATTERS
    proven = accepted or is_image or known is not None or (writing.trained_share is not None and matters)
    proven = proven or written_by_program
    kind = Fault if proven else Suspect
    how, takes, send = _words(fact, writing, is_image=is_image)
    return kind(
        why=f"{writing.share:.0%} of the texts of input {fact.input!r} are {how}, where the model takes {takes}"
        + ("; undone, the model accepts what it refused" if accepted else "")
        + (f"; undone, {known[1]:.0%} of the tokens are unknown to it, not {known[0]:.0%}." if known else "."),
        evidence={
            "written": writing.name, "content": writing.content, "share": writing.share,
            "trained_share": writing.trained_share, "refused_as_sent": trials.as_sent.failed if trials else None,
            "refused_undone": undone.failed if undone else None, "answers_move_by": changed,
            "unknown_tokens": known[0] if known else None, "unknown_tokens_undone": known[1] if known else None,
        },
        fix=f"Send {send} in input {fact.input!r}; in a REST body {{\"b64\": …}} makes the server decode base64.",
        confidence=(0.97 if accepted else 0.9) if kind is Fault else 0.4,
        location=Location(input=fact.input),
    )  # fmt: skip


def _words(fact: InputFacts, writing: Writing, *, is_image: bool) -> tuple[str, str, str]:
    """What the texts are, what the model takes, and what to send."""
    if writing.name.startswith(TURNED):
        bits = writing.name.removeprefix(TURNED)
        return (
            f"numbers of {bits} bits, high byte and low byte exchanged",
            "the other byte order",
            "training's byte order",
        )
    inside = f" of {writing.content}" if writing.content not in ("", writing.name, "text") else ""
    send = 'the file\'s bytes as {"b64": "…"}' if writing.content in IMAGES or is_image else "the plain text, as UTF-8"
    return writing.name + inside, "image files" if fact.takes_images else "plain text", send


CASES = (
    Case("base64 where the model decodes a picture", (BASE64, REVIVED), "fault"),
    Case("standardised numbers cast to integers", (SENT, CAST), "fault"),
    Case("plain", (SENT, SIMILAR), "ruled-out"),
    Case("whole numbers as in training", (SENT, WHOLE), "ruled-out"),
)
