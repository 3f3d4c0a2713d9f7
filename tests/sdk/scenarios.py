"""What the suites share: a list of scenarios, how they compare, and how they are run.

One line a scenario: `ok NAME` or `FAIL NAME: why`.
"""

import sys
import traceback

import openai

SCENARIOS = []


def scenario(function):
    SCENARIOS.append((function.__name__, function))
    return function


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def fails(kind, act):
    """The error that `act` raises, of exactly this class."""
    try:
        got = act()
    except openai.OpenAIError as error:
        assert type(error) is kind, f"{type(error).__name__} is not {kind.__name__}: {error}"
        return error
    raise AssertionError(f"no error, but {got!r}")


def failed(name, error):
    """Says that a scenario failed, and in which lines of the suite."""
    at = traceback.extract_tb(error.__traceback__)
    lines = [str(f.lineno) for f in at if f.filename.endswith("suite.py")]
    print(f"FAIL {name}: {type(error).__name__}: {error} (lines {', '.join(lines)})")


def run(wanted=lambda name: True):
    """Runs the scenarios whose name is wanted; whether one of them failed."""
    bad = 0
    for name, act in SCENARIOS:
        if not wanted(name):
            continue
        try:
            act()
            print("ok", name)
        except Exception as error:
            bad += 1
            failed(name, error)
    return bad > 0


def main():
    sys.exit(run())
