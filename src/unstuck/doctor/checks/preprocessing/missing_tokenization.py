"""Raw text where tokens are expected: almost every string is unknown until it is split, cased or cleaned.

What it finds
    Texts that the model's vocabulary does not know as they are sent, and knows once they are split, in lower case,
    without punctuation, accents or markup, or cut into words where their script has no blanks; raw text sent to an
    input of token ids.

Why it happens
    The tokenizer of training is not part of the model, and the client leaves it out.

How it decides
    What reaches the model's lookup table is read from its graph (without a model: training's own tokens are the
    vocabulary). Cases, punctuation, blanks, markup, HTML and URL escapes, accents, marks that nobody sees, and texts
    that are split, are tried alone and together. At least 80 % of the tokens are unknown as sent, and one preparation
    brings that down by half of all tokens or more; or at least 40 %, and 3 % at most after it. Training's are mostly
    known. Sub-words are tried where the vocabulary has marked ones (##ing), characters where it has little else; texts
    of scripts without blanks are cut into the vocabulary's own words, always the longest that comes next.
    With a model and an endpoint: the endpoint answers what the model gives for the texts in another case, without
    punctuation, joined or split by letters, though they are known as they are sent.

How to fix it
    Prepare the text as in training, in the client or by a pipeline before the model.

When it is wrong
    A vocabulary that is small by design knows little in training too; then nothing is reported. So it is where the
    endpoint's answers are those to texts that what stands before it has prepared.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, NotTested, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.pipeline_text import in_words, pipeline, text_steps
from unstuck.doctor.evidence.replay import EndpointReplay
from unstuck.doctor.evidence.request_facts import Misfit, RequestFacts
from unstuck.doctor.evidence.samples_of_requests import KNOWN, MISFITS, OTHER_WORDS, PIECES, SENT, SHOUTED, UNSPLIT
from unstuck.doctor.evidence.vocabulary import TokenFacts, Treatment, VocabularyProbe
from unstuck.doctor.mapped import on_the_way

ON_THE_WAY = (
    "What stands between client and model changes the texts ({what}): let it pass them on as they are, or prepare them "
    "as the tokenizer of training does."
)
UNKNOWN = 0.8
REVIVES = 0.5
MANY, HARDLY_ANY = 0.4, 0.03


@check(
    explains=(
        "preprocessing/wrong-vocabulary", "preprocessing/truncation", "resources/not-serving",
        "model/dead-activation", "model/saturated-activation", "model/collapsed", "model/degenerate-weights",
    )
)  # fmt: skip
def missing_tokenization(
    facts: RequestFacts, probe: VocabularyProbe | None, replay: EndpointReplay | None
) -> Iterator[Outcome]:
    on_way = on_the_way("preprocessing/missing-tokenization", replay, ON_THE_WAY)
    if on_way and (helped := [each for each in (probe.inputs if probe else ()) if _untreated(each, facts)]):
        names = ", ".join(repr(each.input) for each in helped)
        yield RuledOut(
            f"The texts of {names} are unknown as sent, and the endpoint's answers are those to prepared ones.",
            {each.input: each.unknown for each in helped},
        )
        return
    if on_way:
        yield from on_way
        return
    raw = [_raw_text(each, facts) for each in facts.misfits if each.kind == "words"]
    found = [each for tokens in (probe.inputs if probe else ()) if (each := _untreated(tokens, facts)) is not None]
    yield from raw
    yield from found
    if raw or found:
        return
    if probe is None or not any(each.tokens for each in probe.inputs):
        yield NotTested("no input is looked up in a vocabulary that is known")
        return
    yield RuledOut(
        "The tokens are known as they are sent, or no preparation makes them known.",
        {each.input: each.unknown for each in probe.inputs},
    )


def _raw_text(each: Misfit, facts: RequestFacts) -> Outcome:
    kind = Fault if each.count >= facts.requests / 2 else Suspect
    return kind(
        why=f"Input {each.input!r} takes numbers, such as token ids, and {each.count} of {facts.requests} requests "
        f"send it text: {each.example!r}.",
        evidence={"requests": facts.requests, "refused": each.count, "message": each.message},
        fix=f"Turn the text into what {each.input!r} takes by the tokenizer of training: in the client, or by a "
        "pipeline with its vocabulary (steps lowercase, split, vocabulary, pad; unstuck fit-pipeline writes one).",
        confidence=0.9 if kind is Fault else 0.5,
        location=Location(input=each.input),
    )


def _untreated(tokens: TokenFacts, facts: RequestFacts) -> Outcome | None:
    best = _best(tokens)
    if best is None:
        return None
    most = tokens.unknown >= UNKNOWN and tokens.unknown - best.unknown >= REVIVES
    if not most and not (tokens.unknown >= MANY and best.unknown <= HARDLY_ANY):
        return None
    if (tokens.trained_unknown or 0.0) > best.unknown + 0.2:
        return None
    mine = next(fact for fact in facts.inputs if fact.input == tokens.input)
    steps = text_steps(best.preparation, mine, tokens.trained_length)
    text = pipeline(facts, {mine.input: steps}) if steps else ""
    return Fault(
        why=f"{tokens.unknown:.0%} of what input {tokens.input!r} looks up is unknown to its "
        f"{tokens.known_by} of {tokens.entries} entries, such as {tokens.examples[0]!r}; after {best.preparation.name} "
        f"it is {best.unknown:.0%}.",
        evidence={
            "unknown": tokens.unknown, "unknown_in_training": tokens.trained_unknown,
            "unknown_once_prepared": best.unknown, "preparation": best.preparation.name, "tokens": tokens.tokens,
            "examples": tokens.examples, "known_examples": tokens.known_examples, "pipeline": text,
        },
        fix=f"Prepare the text of {tokens.input!r} as in training: {best.preparation.name}"
        + (f". This pipeline does it:\n{text}" if text else f", in the client{in_words(best.preparation)}."),
        confidence=0.95,
        location=Location(input=tokens.input),
    )  # fmt: skip


def _best(tokens: TokenFacts) -> Treatment | None:
    """The preparation with the fewest unknown tokens; of those next to it, the one with the fewest steps."""
    own = [each for each in tokens.treatments if not each.preparation.decode]
    least = min((each.unknown for each in own), default=1.0)
    near = [each for each in own if each.unknown <= least + 0.02]
    return min(near, key=lambda each: len(each.preparation.kinds), default=None)


CASES = (
    Case("known words that arrive in upper case", (SENT, KNOWN, SHOUTED), "fault"),
    Case("unknown words that are prepared on the way", (SENT, UNSPLIT, SHOUTED), "ruled-out"),
    Case("whole sentences where words are looked up", (SENT, UNSPLIT), "fault"),
    Case("raw text to an input of ids", (MISFITS,), "fault"),
    Case("words where sub-words are looked up", (SENT, PIECES), "fault"),
    Case("known words", (SENT, KNOWN), "ruled-out"),
    Case("unknown whatever is done", (SENT, OTHER_WORDS), "ruled-out"),
)
