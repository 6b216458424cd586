"""Where run.ts serves, and what the zoo's T5 says: it reverses its input, imperfectly."""

import os
import time
import urllib.request

ZOO_URL = os.environ["ZOO_URL"]
SCRIPTED_URL = os.environ["SCRIPTED_URL"]

TEXT = "considered"
ANSWER = "eddis"


def metric(name: str, label: str = "") -> float:
    """Sum over the series of the zoo's server whose labels contain this one."""
    text = urllib.request.urlopen(f"{ZOO_URL}/metrics").read().decode()
    lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.split()[-1]) for line in lines if label in line)


def until(condition, what: str) -> None:
    """Waits for what must come; fails after ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within ten seconds: {what}")
        time.sleep(0.02)
