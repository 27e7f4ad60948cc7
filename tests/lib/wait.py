"""Waiting for what has no readiness of its own: asks again until it holds, within a bound."""
import time

STEP_S = 0.02


def eventually(ask, what="it", timeout_s=30):
    """The first true result of ask(); AssertionError with the last one when time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        got = ask()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError("%s did not come about in %d s: %r" % (what, timeout_s, got))
        time.sleep(STEP_S)
