"""Tokens or ids of another vocabulary.

What it finds
    Tokens that the model's table does not know however they are prepared; ids beyond its embedding; ids that training
    never had.

Why it happens
    The client uses another tokenizer, or another version of its vocabulary, than training did.

How it decides
    Texts: at least 80 % are unknown as sent and 60 % after any preparation, while training's are known, or, without
    training data, while the model's answers do not differ, or 90 % are unknown and come again and again.
    Ids: at least 5 % are beyond the embedding (half, where the graph takes such for unknown); or at least 80 % were
    never seen in training, whose own halves share theirs; or a fifth are distributed otherwise, and not so once a
    constant is taken off each.
    With a model and an endpoint: the endpoint answers what the model gives for ids that are shifted, or unknown.

How to fix it
    Use the vocabulary that the model was trained with.

When it is wrong
    New users or products are unknown to any table: that is reported only if nearly nothing is known.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, NotTested, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence import samples_of_requests as samples
from unstuck.doctor.evidence.preparation import Trials
from unstuck.doctor.evidence.replay import EndpointReplay
from unstuck.doctor.evidence.vocabulary import Shift, TokenFacts, VocabularyProbe
from unstuck.doctor.mapped import on_the_way

ON_THE_WAY = "Give what stands before the model, or the model behind the endpoint, training's vocabulary ({what})."
UNKNOWN, AFTER = 0.8, 0.6
NEARLY_ALL = 0.9
BEYOND_SHARE, BEYOND_TAKEN = 0.05, 0.5  # of the ids: refused, or taken for unknown ones by the graph
ENOUGH = 10  # tokens
DEFAULTS = frozenset({"", "0", "-1"})  # alone, they are no vocabulary's: a feature that is not sent


@check(
    explains=(
        "resources/not-serving", "preprocessing/truncation", "model/dead-activation", "model/saturated-activation",
        "model/collapsed", "model/degenerate-weights", "model/non-finite",
    )
)  # fmt: skip
def wrong_vocabulary(
    probe: VocabularyProbe | None, trials: Trials | None, replay: EndpointReplay | None
) -> Iterator[Outcome]:
    if on_way := on_the_way("preprocessing/wrong-vocabulary", replay, ON_THE_WAY):
        yield from on_way
        return
    if probe is None:
        yield NotTested("no request reaches a vocabulary that is known")
        return
    if replay is not None and replay.prepares_texts:
        yield RuledOut("The endpoint's answers are those to texts prepared on their way.")
        return
    found = [each for tokens in probe.inputs if (each := _outcome(tokens, trials)) is not None]
    yield from found
    if not found and not any(each.tokens for each in probe.inputs):
        yield NotTested("no token reaches a vocabulary")
    elif not found:
        unknown = {each.input: each.unknown for each in probe.inputs}
        yield RuledOut("The tokens are of the model's vocabulary.", {"unknown": unknown})


def _outcome(tokens: TokenFacts, trials: Trials | None) -> Outcome | None:
    if tokens.tokens < ENOUGH or not tokens.entries:
        return None
    if tokens.known_by == "embedding" or tokens.shift is not None:
        return _ids(tokens, trials)
    if tokens.examples and set(tokens.examples) <= DEFAULTS:
        return None
    left = min((each.unknown for each in tokens.treatments), default=tokens.unknown)
    if tokens.unknown < UNKNOWN or left < AFTER or (tokens.trained_unknown or 0.0) > 0.4:
        return None
    still = trials is not None and trials.as_sent.spread < 1e-3
    own_set = tokens.unknown >= NEARLY_ALL and tokens.repeated >= 0.5  # new users and products hardly come twice
    kind = Fault if tokens.trained_unknown is not None or still or own_set else Suspect
    known = ", ".join(map(repr, tokens.known_examples[:3]))
    return kind(
        why=f"{tokens.unknown:.0%} of the tokens of input {tokens.input!r}, such as {tokens.examples[0]!r}, are not in "
        f"its {tokens.known_by} of {tokens.entries} entries ({known} …), and {left:.0%} whatever is done to them.",
        evidence=_numbers(tokens) | {"unknown_at_best": left},
        fix=f"Make the tokens of {tokens.input!r} with the tokenizer and vocabulary that the model was trained with"
        + (f" ({tokens.name})." if tokens.name else "."),
        confidence=0.93 if kind is Fault else 0.4,
        location=Location(input=tokens.input),
    )


def _ids(tokens: TokenFacts, trials: Trials | None) -> Outcome | None:
    if tokens.shift is not None:
        return _shifted(tokens, tokens.shift)
    unseen = tokens.unseen or 0.0
    taken = trials is not None and not trials.as_sent.failed
    beyond = tokens.unknown >= (BEYOND_TAKEN if taken else BEYOND_SHARE)
    if not beyond and unseen < UNKNOWN:
        return None
    what = (
        f"{tokens.unknown:.0%} of the ids of input {tokens.input!r} are beyond its embedding of {tokens.entries} rows"
        if beyond
        else f"{unseen:.0%} of the ids of input {tokens.input!r} never came in training"
    )
    if beyond and (tokens.trained_unknown or 0.0) >= BEYOND_SHARE:
        return None
    return Fault(
        why=f"{what}, such as {', '.join(tokens.examples[:3]) or 'all of them'}: they are of another vocabulary.",
        evidence=_numbers(tokens) | {"unseen": tokens.unseen},
        fix=f"Make the ids of {tokens.input!r} with the vocabulary that the model was trained with: {tokens.entries} "
        "ids, from 0.",
        confidence=0.95 if beyond else 0.8,
        location=Location(input=tokens.input),
    )


def _shifted(tokens: TokenFacts, shift: Shift) -> Outcome:
    more = "more" if shift.by > 0 else "less"
    return Fault(
        why=f"The ids of input {tokens.input!r} are those of training, each {abs(shift.by)} {more}: as they are, "
        f"{shift.apart:.0%} of them are distributed otherwise, moved back {shift.apart_moved:.0%}.",
        evidence=_numbers(tokens) | {"shift": shift.by, "apart": shift.apart, "apart_moved": shift.apart_moved},
        fix=f"Take {shift.by} off each id of {tokens.input!r}: keep as many ids for padding and unknown words as the "
        "vocabulary of training does.",
        confidence=0.9,
        location=Location(input=tokens.input),
    )


def _numbers(tokens: TokenFacts) -> dict[str, object]:
    return {
        "tokens": tokens.tokens, "unknown": tokens.unknown, "unknown_in_training": tokens.trained_unknown,
        "entries": tokens.entries, "examples": tokens.examples, "known_examples": tokens.known_examples,
    }  # fmt: skip


CASES = (
    Case("ids moved by one on their way", (samples.KNOWN, samples.OFFSET), "fault"),
    Case("another tokenizer's pieces", (samples.OTHER_WORDS,), "fault"),
    Case("ids beyond the embedding", (samples.BEYOND,), "fault"),
    Case("codes where names are known", (samples.OWN_CODES,), "fault"),
    Case("ids two less than training's", (samples.SHIFTED,), "fault"),
    Case("new products, each once", (samples.NEW_PRODUCTS,), "suspect"),
    Case("known words", (samples.KNOWN,), "ruled-out"),
    Case("sentences that are known once split", (samples.UNSPLIT,), "ruled-out"),
    Case("as unknown in training", (samples.STRANGE_IN_TRAINING,), "ruled-out"),
)
