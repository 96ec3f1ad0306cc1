"""``./dev fuzz [SECONDS] [DECODER…]``: each decoder gets what atheris makes of its right requests, for some seconds.

What was found interesting is kept in ``fuzz/corpus/DECODER`` and taken up again; what fails, in ``fuzz/failures``.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SECONDS = 30
MAX_BYTES = 4096
MEMORY_MB = 2048
ONE_S = 10
FOLDER = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Fuzzes; 1 if something was found."""
    if arguments and arguments[0] == "--one":
        return _fuzz(arguments[1], arguments[2:])
    from fuzz.decoders import DECODERS

    seconds = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else SECONDS
    unknown = [name for name in arguments if name not in DECODERS]
    if unknown:
        print(f"There is no decoder {unknown[0]!r}; there are: {', '.join(DECODERS)}.", file=sys.stderr)
        return 2
    seeds = {name: DECODERS[name].seeds for name in arguments or DECODERS}
    failed = [name for name in seeds if not _run(name, seeds[name], seconds)]
    print(f"Failed: {', '.join(failed)}; see {FOLDER / 'failures'}." if failed else "Nothing found.")
    return 1 if failed else 0


def _run(name: str, seeds: Sequence[bytes], seconds: int) -> bool:
    """In a process of its own: libFuzzer ends it."""
    corpus, failures = FOLDER / "corpus" / name, FOLDER / "failures"
    corpus.mkdir(parents=True, exist_ok=True)
    failures.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", f"-rss_limit_mb={MEMORY_MB}", f"-timeout={ONE_S}"]
    command = [sys.executable, "-m", "fuzz", "--one", name, f"-artifact_prefix={failures}/{name}-", *limits]
    print(f"{name}: {seconds} s", flush=True)
    done = subprocess.run([*command, "-print_final_stats=1", str(corpus)], capture_output=True, text=True, check=False)
    runs = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    print(f"  {runs[0].split()[-1] if runs else '?'} runs" if done.returncode == 0 else done.stdout + done.stderr)
    return done.returncode == 0


def _fuzz(name: str, options: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=["unstuck", "google.protobuf", "json"]):  # so it sees which way bytes take
        from fuzz.decoders import DECODERS, take
    decoder = DECODERS[name]
    atheris.Setup([sys.argv[0], *options], lambda data: take(decoder, data))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
