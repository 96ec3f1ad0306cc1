import pytest

from unstuck.core.allowance import MemoryBound
from unstuck.errors import LoadFailed
from unstuck.guard.memory_refusal import Need, refusal

MEBIBYTE = 1 << 20


def need(size=612, *, is_measured=False, held=None, unloads_first=False):
    return Need(size * MEBIBYTE, is_measured, {k: v * MEBIBYTE for k, v in (held or {}).items()}, unloads_first)


def bound(limit=1024, left=438, owner="the container", kind="cgroup v2"):
    return MemoryBound(owner, limit * MEBIBYTE, (limit - left) * MEBIBYTE, kind)


@pytest.mark.parametrize("size", [1, 438])
def test_what_fits_is_not_refused(size):
    assert refusal(need(size), bound(), 438 * MEBIBYTE) is None


def test_the_figures_and_both_ways_out():
    error = refusal(need(held={1: 590}), bound(), 438 * MEBIBYTE)
    assert isinstance(error, LoadFailed)
    assert error.message == (
        "it needs 612 MiB of memory (estimated from its files), 438 MiB left of the container's 1 GiB (cgroup v2); "
        "version 1 holds 590 MiB."
    )
    assert error.hint == (
        "Unload the old version first (--aspired_version_policy=resource_preserving) or raise the limit to 1.2 GiB."
    )
    assert error.needed == 612 * MEBIBYTE
    assert not error.may_pass, "it is not tried again by the clock"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (need(held={1: 100}), "Raise the limit to 1.2 GiB."),  # 538 MiB would not do either
        (need(1100, held={1: 590}, unloads_first=True), "Raise the limit to 1.1 GiB."),
        (need(439, held={1: 0}), "Raise the limit to 1.1 GiB."),
    ],
)
def test_the_policy_is_advised_where_it_helps(asked, says):
    error = refusal(asked, bound(), 438 * MEBIBYTE)
    assert error
    assert error.hint == says


def test_what_goes_first_is_there_besides():
    assert refusal(need(537, held={1: 99}, unloads_first=True), bound(), 438 * MEBIBYTE) is None
    error = refusal(need(538, held={1: 99}, unloads_first=True), bound(), 438 * MEBIBYTE)
    assert error
    assert error.message.endswith(
        "438 MiB left of the container's 1 GiB (cgroup v2); version 1 holds 99 MiB, which would not be enough besides."
    )
    assert (error.needed, error.freed) == (538 * MEBIBYTE, 99 * MEBIBYTE)


def test_what_is_advised_is_enough():
    for size in range(439, 700, 7):
        error = refusal(need(size), bound(1000), 438 * MEBIBYTE)
        assert error
        number, unit = error.hint.removesuffix(".").split()[-2:]
        advised = float(number) * {"MiB": MEBIBYTE, "GiB": 1 << 30}[unit]
        assert advised >= (1000 - 438 + size) * MEBIBYTE


def test_what_is_promised_to_others_is_said():
    error = refusal(need(is_measured=True), bound(left=700), 500 * MEBIBYTE)
    assert error
    assert "(measured when it was loaded before), 500 MiB left" in error.message
    assert "200 MiB are promised to versions that are being loaded" in error.message


def test_nobody_can_raise_the_machine_s():
    error = refusal(need(), bound(owner="the machine", kind=""), 438 * MEBIBYTE)
    assert error
    assert "438 MiB left of the machine's 1 GiB." in error.message
    assert error.hint == "Serve less on this machine, or take one with more memory."
