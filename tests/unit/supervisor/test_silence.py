import os
import threading

from unstuck.supervisor.silence import Usage, usage_of_process, usage_of_thread


def test_what_the_system_says_of_this_process():
    sum(range(3_000_000))
    own = usage_of_process(os.getpid())
    assert own.cpu_s > 0
    assert own.wants_cpu
    assert usage_of_process(2**22 + 1) == Usage(0.0)


def test_what_the_system_says_of_a_thread():
    waits = threading.Event()
    waiting = threading.Thread(target=waits.wait, daemon=True)
    waiting.start()
    assert waiting.native_id is not None
    while usage_of_thread(waiting.native_id).wants_cpu:
        pass
    assert usage_of_thread(threading.get_native_id()).wants_cpu
    assert usage_of_process(os.getpid()).wants_cpu, "of whichever thread"
    waits.set()
    waiting.join()
