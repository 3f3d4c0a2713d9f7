"""Kept responses, by OpenAI's SDK for Python. Usage: stored_suite.py BASE_URL, the key in
OPENAI_API_KEY.

One line a scenario: `ok NAME` or `FAIL NAME: why`. The provider behind Strait says how many
messages it was given, and the last of them.
"""

import sys

import openai
from openai import OpenAI

from scenarios import equal, fails, main, scenario

client = OpenAI(base_url=sys.argv[-1], max_retries=0, timeout=20)


def say(text, **more):
    return client.responses.create(model=more.pop("model", "near"), input=text, **more)


@scenario
def retrieved_as_it_was():
    said = say("hi")
    equal((said.output_text, said.store, said.previous_response_id), ("1: hi", True, None))
    equal(client.responses.retrieve(said.id).model_dump(), said.model_dump())


@scenario
def streamed_and_retrieved():
    with client.responses.stream(model="near", input="hi") as stream:
        for _ in stream:
            pass
        said = stream.get_final_response()
    equal(client.responses.retrieve(said.id).output_text, said.output_text)


@scenario
def continued_there_and_back():
    one = say("one")
    two = say("two", model="far", previous_response_id=one.id, stream=True)
    two = [e for e in two if e.type == "response.completed"][0].response
    three = say("three", previous_response_id=two.id, instructions="Be brief.")
    equal((two.output_text, three.output_text), ("3: two", "6: three"))
    equal(three.previous_response_id, two.id)
    # Instructions are not inherited.
    equal(say("four", previous_response_id=three.id).output_text, "7: four")


@scenario
def input_items_page_by_page():
    last = None
    for n in range(4):
        last = say(str(n), previous_response_id=last and last.id)
    pages = client.responses.input_items.list(last.id, limit=3, order="asc")
    items = list(pages)
    equal(len(items), 7)
    equal([i.role for i in items], ["user", "assistant"] * 3 + ["user"])
    equal([i.content[0].text for i in items][::2], ["0", "1", "2", "3"])
    assert all(i.id for i in items)
    newest = client.responses.input_items.list(last.id, limit=1)
    equal((newest.data[0].content[0].text, newest.has_more), ("3", True))


@scenario
def deleted():
    said = say("hi")
    client.responses.delete(said.id)
    fails(openai.NotFoundError, lambda: client.responses.retrieve(said.id))
    fails(openai.NotFoundError, lambda: client.responses.delete(said.id))
    error = fails(openai.BadRequestError, lambda: say("x", previous_response_id=said.id))
    equal((error.code, error.param), ("previous_response_not_found", "previous_response_id"))


@scenario
def no_synchronous_response_is_cancelled():
    said = say("hi")
    error = fails(openai.BadRequestError, lambda: client.responses.cancel(said.id))
    assert "Cannot cancel a synchronous response." in error.message, error.message
    fails(openai.BadRequestError, lambda: client.responses.retrieve(said.id, stream=True))


main()
