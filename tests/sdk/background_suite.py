"""Responses in the background, by OpenAI's SDK for Python. Usage: background_suite.py BASE_URL, the
key in OPENAI_API_KEY.

One line a scenario: `ok NAME` or `FAIL NAME: why`. The provider behind Strait says forty words; it
never ends where it is asked to wait.
"""

import sys
import time

from openai import OpenAI

from scenarios import equal, main, scenario

client = OpenAI(base_url=sys.argv[-1], max_retries=0, timeout=20)
WORDS = "".join(f"word {n}, " for n in range(40))


def say(text, **more):
    return client.responses.create(model="near", input=text, background=True, **more)


@scenario
def polled():
    said = say("hi")
    equal((said.status, said.background), ("queued", True))
    until = time.monotonic() + 15
    while said.status in {"queued", "in_progress"} and time.monotonic() < until:
        said = client.responses.retrieve(said.id)
    equal((said.status, said.output_text), ("completed", WORDS))


@scenario
def cancelled():
    said = say("wait")
    equal(client.responses.cancel(said.id).status, "cancelled")
    equal(client.responses.retrieve(said.id).status, "cancelled")


@scenario
def followed_and_resumed():
    first = []
    with say("hi", stream=True) as stream:
        for event in stream:
            first.append(event)
            if event.type == "response.in_progress":
                break
    equal([e.type for e in first[:2]], ["response.created", "response.queued"])
    id = first[0].response.id
    rest = list(client.responses.retrieve(id, stream=True, starting_after=first[-1].sequence_number))
    numbers = [e.sequence_number for e in first + rest]
    equal(numbers, list(range(len(numbers))))
    equal(rest[-1].type, "response.completed")
    equal(rest[-1].response.output_text, WORDS)
    equal("".join(e.delta for e in rest if e.type == "response.output_text.delta"), WORDS)


main()
