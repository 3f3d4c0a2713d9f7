"""OpenAI's SDK for Python against Strait. Usage: suite.py BASE_URL, the key in OPENAI_API_KEY.

One line a scenario: `ok NAME` or `FAIL NAME: why`. The provider behind Strait is scripted in
tests/it/sdk_script.rs; it checks what it gets, and answers 400 with the reason where it is wrong.
"""

import asyncio
import base64
import json
import os
import sys

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from scenarios import SCENARIOS, equal, fails, run, scenario
from weather import WEATHER

BASE = sys.argv[-1]
# With "chat", only the scenarios of the chat API, which is then translated on its way.
ONLY = os.environ.get("SUITE_ONLY")
# Scenarios of what the provider has not.
SKIP = os.environ.get("SUITE_SKIP", "").split(",")
client = OpenAI(base_url=BASE, max_retries=0, timeout=20)
aclient = AsyncOpenAI(base_url=BASE, max_retries=0, timeout=20)

CHAT_WEATHER = {"type": "function", "function": {k: v for k, v in WEATHER.items() if k != "type"}}
DEGREES = {"Oslo": "12 degrees", "Århus": "9 degrees"}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}


class Person(BaseModel):
    name: str
    age: int


class get_weather(BaseModel):
    """The weather in a city."""

    city: str


def both(function):
    """A scenario that holds for a stream and for an object."""
    for stream in (True, False):
        name = f"{function.__name__}_{'streamed' if stream else 'whole'}"
        SCENARIOS.append((name, lambda stream=stream: function(stream)))
    return function


def cue(name):
    return f"scenario: {name}"


def dump(item):
    return item.model_dump(exclude_unset=True)


def linked(events):
    """Checks that a stream's events hang together, and returns the final response."""
    equal([e.sequence_number for e in events], list(range(len(events))))
    equal([e.type for e in events[:2]], ["response.created", "response.in_progress"])
    equal([e.type for e in events if e.type in TERMINAL], [events[-1].type])
    final = events[-1].response
    ids = {e.response.id for e in events if getattr(e, "response", None) is not None}
    equal(ids, {final.id})
    assert final.id.startswith("resp_"), final.id
    added, done, pieces, wholes = {}, {}, {}, {}
    for e in events:
        if e.type == "response.output_item.added":
            assert e.output_index not in added, e
            added[e.output_index] = e.item
        elif e.type == "response.output_item.done":
            equal(e.item.id, added[e.output_index].id)
            equal(e.item.type, added[e.output_index].type)
            done[e.output_index] = e.item
        elif hasattr(e, "item_id"):
            equal(e.item_id, added[e.output_index].id)
            assert e.output_index not in done, e
            kind = e.type.rsplit(".", 1)[0]
            part = getattr(e, "content_index", getattr(e, "summary_index", 0))
            if e.type.endswith(".delta"):
                key = (e.item_id, kind, part)
                pieces[key] = pieces.get(key, "") + e.delta
            elif not kind.endswith("_part") and e.type != "response.compaction.compacting":
                fields = ("text", "arguments", "input", "refusal")
                whole = next(getattr(e, f) for f in fields if isinstance(getattr(e, f, None), str))
                wholes[(e.item_id, kind, part)] = whole
    equal(pieces, wholes)
    equal(sorted(done), sorted(added))
    equal([dump(i) for i in final.output], [dump(done[i]) for i in sorted(done)])
    equal(len({i.id for i in final.output}), len(final.output))
    return final


def ask(stream, what, model="chat", **more):
    """One request on /v1/responses; the response, whichever way it came."""
    items = what if isinstance(what, list) else cue(what)
    got = client.responses.create(model=model, input=items, stream=stream, **more)
    return linked(list(got)) if stream else got


def used(response):
    usage = response.usage
    equal((usage.input_tokens, usage.output_tokens, usage.total_tokens), (100, 20, 120))
    equal(usage.input_tokens_details.cached_tokens, 40)
    equal(usage.output_tokens_details.reasoning_tokens, 5)


def calls_of(response, kind="function_call"):
    return [i for i in response.output if i.type == kind]


def outputs(calls):
    return [
        {"type": "function_call_output", "call_id": c.call_id, "output": DEGREES[json.loads(c.arguments)["city"]]}
        for c in calls
    ]


# Responses


@both
def text(stream):
    r = ask(stream, "text")
    equal((r.output_text, r.status, r.object, r.model), ("Hello from the other side.", "completed", "response", "chat"))
    equal([(i.type, i.role, i.status) for i in r.output], [("message", "assistant", "completed")])
    equal([c.type for c in r.output[0].content], ["output_text"])
    equal((r.error, r.incomplete_details, r.previous_response_id), (None, None, None))
    assert r.created_at > 1.7e9 and r.completed_at >= r.created_at, (r.created_at, r.completed_at)
    used(r)


@both
def unicode_text(stream):
    equal(ask(stream, "unicode").output_text, "Grüße, 世界 🦀👩‍🔧 \u2028 \"q\" \\ \t end\n")


@both
def long_text(stream):
    equal(ask(stream, "long").output_text, "".join(f"{n} " for n in range(4000)))


@scenario
def text_deltas_come_one_by_one():
    stream = client.responses.create(model="chat", input=cue("text"), stream=True)
    deltas = [e.delta for e in stream if e.type == "response.output_text.delta"]
    equal(deltas, ["Hello ", "from ", "the ", "other ", "side."])


@scenario
def text_by_the_helper():
    with client.responses.stream(model="chat", input=cue("text")) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [e for e in events if e.type == "response.output_text.delta"]
    equal("".join(e.delta for e in deltas), "Hello from the other side.")
    equal(deltas[1].snapshot, "Hello from ")
    equal(deltas[-1].snapshot, "Hello from the other side.")
    equal(events[-1].type, "response.completed")
    equal((final.output_text, final.status), ("Hello from the other side.", "completed"))
    used(final)


@both
def instructions(stream):
    r = ask(stream, "instructions", instructions="Be brief.")
    equal((r.output_text, r.instructions), ("Brief.", "Be brief."))


@both
def messages_with_parts(stream):
    r = ask(
        stream,
        [
            {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": cue("instructions")}]},
        ],
    )
    equal(r.output_text, "Brief.")


@both
def settings(stream):
    r = ask(stream, "settings", temperature=0.25, top_p=0.5, max_output_tokens=77)
    equal((r.output_text, r.temperature, r.top_p, r.max_output_tokens), ("As you wish.", 0.25, 0.5, 77))


@both
def metadata_is_echoed(stream):
    r = ask(stream, "text", metadata={"team": "blue", "run": "7"}, safety_identifier="u1", prompt_cache_key="k", store=False)
    equal(r.metadata, {"team": "blue", "run": "7"})
    equal((r.safety_identifier, r.prompt_cache_key, r.store), ("u1", "k", False))


@both
def logprobs(stream):
    r = ask(stream, "logprobs", top_logprobs=2, include=["message.output_text.logprobs"])
    [entry] = r.output[0].content[0].logprobs
    equal((entry.token, entry.logprob, list(entry.bytes)), ("Yes", -0.1, [89, 101, 115]))
    equal([(t.token, t.logprob) for t in entry.top_logprobs], [("Yes", -0.1), ("No", -2.5)])


@both
def tool(stream):
    items = [{"role": "user", "content": cue("tool")}]
    first = ask(stream, items, tools=[WEATHER])
    [call] = first.output
    equal((call.type, call.name, call.call_id, call.status), ("function_call", "get_weather", "call_w1", "completed"))
    equal((json.loads(call.arguments), first.output_text), ({"city": "Oslo"}, ""))
    assert call.id != call.call_id, call
    equal((first.tools[0].name, first.tools[0].parameters), ("get_weather", WEATHER["parameters"]))
    items += first.output
    items += outputs([call])
    r = ask(stream, items, tools=[WEATHER])
    equal(r.output_text, "It is 12 degrees in Oslo.")
    assert r.id != first.id
    items += r.output
    items.append({"role": "user", "content": cue("second")})
    equal(ask(stream, items, tools=[WEATHER]).output_text, "Still 12.")


@both
def parallel_tools(stream):
    items = [{"role": "user", "content": cue("parallel")}]
    r = ask(stream, items, tools=[WEATHER], parallel_tool_calls=True)
    equal([i.type for i in r.output], ["message", "function_call", "function_call"])
    equal(r.output_text, "Two at once.")
    calls = calls_of(r)
    equal([c.call_id for c in calls], ["call_p1", "call_p2"])
    equal([json.loads(c.arguments)["city"] for c in calls], ["Oslo", "Århus"])
    # The outputs go back in another order than the calls came.
    items += r.output + outputs(calls)[::-1]
    equal(ask(stream, items, tools=[WEATHER]).output_text, "Oslo is warmer.")


@both
def forced_tool(stream):
    choice = {"type": "function", "name": "get_weather"}
    r = ask(stream, "forced", tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False)
    equal([json.loads(c.arguments) for c in r.output], [{"city": "Rome"}])
    equal((r.tool_choice.type, r.tool_choice.name, r.parallel_tool_calls), ("function", "get_weather", False))


@both
def required_tool(stream):
    r = ask(stream, "required", tools=[WEATHER], tool_choice="required")
    equal(([c.call_id for c in r.output], r.tool_choice), (["call_r1"], "required"))


@scenario
def tools_by_the_helper():
    model = openai.pydantic_function_tool(get_weather)
    flat = {"type": "function", **model["function"]}
    with client.responses.stream(model="chat", input=cue("tool"), tools=[flat]) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [e for e in events if e.type == "response.function_call_arguments.delta"]
    equal("".join(e.delta for e in deltas), deltas[-1].snapshot)
    [done] = [e for e in events if e.type == "response.function_call_arguments.done"]
    equal((done.arguments, done.item_id), (deltas[-1].snapshot, final.output[0].id))
    equal(json.loads(final.output[0].arguments), {"city": "Oslo"})


@scenario
def tools_parsed():
    tool = openai.pydantic_function_tool(get_weather)
    flat = {"type": "function", **tool["function"]}
    r = client.responses.parse(model="chat", input=cue("tool"), tools=[flat])
    parsed = r.output[0].parsed_arguments
    equal(parsed if isinstance(parsed, dict) else parsed.model_dump(), {"city": "Oslo"})


@scenario
def structured_parse():
    for model in ("chat", "deep"):
        r = client.responses.parse(model=model, input=cue("parse"), text_format=Person)
        equal((r.output_parsed, r.status), (Person(name="Ada", age=36), "completed"))
        equal((r.text.format.type, r.text.format.name), ("json_schema", "Person"))


@scenario
def structured_parse_by_the_helper():
    with client.responses.stream(model="chat", input=cue("parse"), text_format=Person) as stream:
        done = [e for e in stream if e.type == "response.output_text.done"]
        final = stream.get_final_response()
    equal([e.parsed for e in done], [Person(name="Ada", age=36)])
    equal(final.output_parsed, Person(name="Ada", age=36))


@both
def structured_by_schema(stream):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "name": "person", "strict": True, "schema": schema}
    r = ask(stream, "parse", text={"format": form})
    equal(json.loads(r.output_text), {"name": "Ada", "age": 36})
    equal((r.text.format.name, r.text.format.schema_, r.text.format.strict), ("person", schema, True))


REASONING = {"effort": "high", "summary": "auto"}


@both
def reasoning_summary(stream):
    r = ask(stream, "reason", model="deep", reasoning=REASONING)
    equal([i.type for i in r.output], ["reasoning", "message"])
    thought = r.output[0]
    equal([(s.type, s.text) for s in thought.summary], [("summary_text", "I weigh it, twice.")])
    equal((thought.encrypted_content, r.output_text), (None, "It is heavy."))
    equal((r.reasoning.effort, r.reasoning.summary), ("high", "auto"))
    used(r)


@both
def reasoning_text(stream):
    r = ask(stream, "reason", model="deep", reasoning={"effort": "high"})
    thought = r.output[0]
    equal([(c.type, c.text) for c in thought.content], [("reasoning_text", "I weigh it, twice.")])
    equal((thought.summary, r.output_text), ([], "It is heavy."))


@both
def reasoning_sealed_and_replayed(stream):
    sealed = {"model": "deep", "reasoning": REASONING, "include": ["reasoning.encrypted_content"], "store": False}
    items = [{"role": "user", "content": cue("reason")}]
    r = ask(stream, items, **sealed)
    seal = r.output[0].encrypted_content
    assert seal and "weigh" not in seal, seal
    items += r.output
    items.append({"role": "user", "content": cue("replay")})
    equal(ask(stream, items, **sealed).output_text, "As I thought.")
    # As a client that keeps plain dictionaries does it, and only what the API needs.
    bare = [
        {"role": "user", "content": cue("reason")},
        {"type": "reasoning", "summary": [], "encrypted_content": seal},
        {"role": "assistant", "content": r.output_text},
        {"role": "user", "content": cue("replay")},
    ]
    equal(ask(stream, bare, **sealed).output_text, "As I thought.")


@both
def reasoning_around_a_tool(stream):
    sealed = {"model": "deep", "reasoning": REASONING, "include": ["reasoning.encrypted_content"], "tools": [WEATHER]}
    items = [{"role": "user", "content": cue("reason-tool")}]
    r = ask(stream, items, **sealed)
    equal([i.type for i in r.output], ["reasoning", "function_call"])
    equal(r.output[0].summary[0].text, "I must look outside.")
    items += r.output + outputs(calls_of(r))
    r = ask(stream, items, **sealed)
    equal((r.output[0].summary[0].text, r.output_text), ("Now I know.", "It is 12 degrees in Oslo."))


@both
def custom_tool(stream):
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"}
    sql = {"type": "custom", "name": "run_sql", "description": "Runs SQL.", "format": grammar}
    items = [{"role": "user", "content": cue("custom")}]
    r = ask(stream, items, tools=[sql])
    [call] = r.output
    equal((call.type, call.name, call.call_id), ("custom_tool_call", "run_sql", "call_c1"))
    equal(call.input, 'SELECT 1;\n-- ü "q"')
    equal((r.tools[0].type, r.tools[0].format.definition), ("custom", "start: /.+/s"))
    items += r.output
    items.append({"type": "custom_tool_call_output", "call_id": call.call_id, "output": "1 row"})
    equal(ask(stream, items, tools=[sql]).output_text, "One row.")


def picture(name):
    parts = [
        {"type": "input_text", "text": cue(name)},
        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
    ]
    return [{"role": "user", "content": parts}]


@both
def image(stream):
    equal(ask(stream, picture("image")).output_text, "A pixel.")


@both
def image_from_a_tool(stream):
    camera = {"type": "function", "name": "camera", "parameters": {"type": "object", "properties": {}}}
    items = [{"role": "user", "content": cue("camera")}]
    r = ask(stream, items, tools=[camera])
    shot = [{"type": "input_image", "image_url": PIXEL, "detail": "low"}]
    items += r.output
    items.append({"type": "function_call_output", "call_id": r.output[0].call_id, "output": shot})
    equal(ask(stream, items, tools=[camera]).output_text, "A pixel, again.")


@both
def file_of_text(stream):
    data = base64.b64encode('Grüße, "you"'.encode()).decode()
    parts = [
        {"type": "input_text", "text": cue("file")},
        {"type": "input_file", "filename": "notes.txt", "file_data": f"data:text/plain;base64,{data}"},
    ]
    equal(ask(stream, [{"role": "user", "content": parts}]).output_text, "Your notes.")


@both
def namespaced_tool(stream):
    lookup = {
        "type": "function",
        "name": "lookup",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    }
    crm = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [lookup]}
    items = [{"role": "user", "content": cue("namespace")}]
    r = ask(stream, items, tools=[crm])
    [call] = r.output
    equal((call.type, call.namespace, call.name), ("function_call", "crm", "lookup"))
    items += r.output
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "found Ada"})
    equal(ask(stream, items, tools=[crm]).output_text, "She is known.")


@scenario
def hosted_tools_are_dropped():
    create = client.responses.with_raw_response.create
    raw = create(model="chat", input=cue("hosted"), tools=[WEATHER, {"type": "web_search"}])
    equal(raw.parse().output_text, "No web for me.")
    assert "tool.dropped" in raw.headers["x-strait-diagnostics"], raw.headers


@scenario
def what_is_lost_is_said():
    raw = client.responses.with_raw_response.create(model="deep", input=picture("blind"))
    r = raw.parse()
    equal(r.output_text, "I see nothing.")
    assert "content.degraded" in raw.headers["x-strait-diagnostics"], raw.headers
    assert any("content.degraded" in v for v in r.metadata.values()), r.metadata


@both
def refusal(stream):
    r = ask(stream, "refusal")
    [part] = r.output[0].content
    equal((part.type, part.refusal, r.output_text, r.status), ("refusal", "I will not do that.", "", "completed"))


@both
def incomplete_by_length(stream):
    r = ask(stream, "length", max_output_tokens=20)
    equal((r.status, r.incomplete_details.reason), ("incomplete", "max_output_tokens"))
    equal((r.output_text, r.output[0].status, r.completed_at), ("It goes on and", "incomplete", None))
    used(r)


@both
def incomplete_by_filter(stream):
    r = ask(stream, "filter")
    equal((r.status, r.incomplete_details.reason, r.output_text), ("incomplete", "content_filter", "It was about to"))


@scenario
def the_helper_on_what_is_cut_short():
    # The helper's own rule: without `response.completed` there is no final response.
    with client.responses.stream(model="chat", input=cue("length")) as stream:
        last = list(stream)[-1]
    equal((last.type, last.response.output_text), ("response.incomplete", "It goes on and"))


@scenario
def a_response_streamed_raw():
    create = client.responses.with_streaming_response.create
    with create(model="chat", input=cue("text"), stream=True) as raw:
        equal((raw.status_code, raw.headers["content-type"].split(";")[0]), (200, "text/event-stream"))
        lines = [line for line in raw.iter_lines() if line.startswith("data:")]
    equal(lines[-1], "data: [DONE]")
    equal(json.loads(lines[-2][5:])["type"], "response.completed")


# Errors


def error_case(name, kind, status, code, message, stream):
    e = fails(kind, lambda: ask(stream, name))
    equal((e.status_code, e.code), (status, code))
    assert message in e.message, e.message
    assert e.type and isinstance(e.body, dict), e.body
    equal(e.response.headers["x-strait-error-source"], "upstream")
    return e


@both
def errors_of_the_provider(stream):
    cases = [
        ("error-400", openai.BadRequestError, 400, "bad_thing", "That is not a thing."),
        ("error-401", openai.BadRequestError, 400, "provider_auth", "Wrong key."),
        ("error-402", openai.RateLimitError, 429, "insufficient_quota", "Insufficient Balance"),
        ("error-403", openai.BadRequestError, 400, "provider_auth", "Not for you."),
        ("error-404", openai.NotFoundError, 404, "model_not_found", "No such model."),
        ("error-429", openai.RateLimitError, 429, "rate_limit_exceeded", "Too fast."),
        ("error-500", openai.InternalServerError, 502, "server_error", "Oops."),
        ("error-503", openai.InternalServerError, 503, "server_error", "Busy."),
        ("error-overflow", openai.BadRequestError, 400, "context_length_exceeded", "maximum context length"),
        ("gone", openai.InternalServerError, 502, "server_error", "provider"),
    ]
    for case in cases:
        e = error_case(*case, stream)
        if case[0] == "error-429":
            equal(e.response.headers["retry-after"], "7")


@scenario
def a_stream_that_breaks():
    for name, why in (("cut", "provider"), ("broken", "The engine fell over.")):
        said = []

        def read():
            for e in client.responses.create(model="chat", input=cue(name), stream=True):
                said.append(e)

        e = fails(openai.APIError, read)
        equal((e.code, e.type), ("server_error", "server_error"))
        assert why in e.message, e.message
        text = "".join(e.delta for e in said if e.type == "response.output_text.delta")
        equal(text, "Half an answer")


@scenario
def a_helper_whose_stream_breaks():
    with client.responses.stream(model="chat", input=cue("cut")) as stream:
        e = fails(openai.APIError, stream.get_final_response)
    equal(e.code, "server_error")


@scenario
def an_object_that_breaks():
    for name in ("cut", "broken"):
        equal(fails(openai.InternalServerError, lambda: ask(False, name)).status_code, 502)


@both
def errors_of_the_client(stream):
    cases = [
        ({"previous_response_id": "resp_1"}, 400, "previous_response_not_found", "previous_response_id"),
        ({"background": True, "store": False}, 400, "invalid_request", "store"),
        ({"conversation": "conv_1"}, 400, "unsupported_parameter", "conversation"),
        ({"temperature": "hot"}, 400, "invalid_type", "temperature"),
        ({"tool_choice": "sometimes"}, 400, "invalid_value", "tool_choice"),
        ({"tool_choice": {"type": "web_search"}}, 400, "unsupported_tool_choice", "tool_choice"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, 400, "item_not_found", "input[0]"),
        ({"model": "unheard-of"}, 404, "model_not_found", "model"),
    ]
    for more, status, code, param in cases:
        kind = {400: openai.BadRequestError, 404: openai.NotFoundError}[status]
        what = {"model": "chat", "input": cue("text"), "stream": stream, **more}
        e = fails(kind, lambda: client.responses.create(**what))
        equal((e.status_code, e.code, e.param, e.type), (status, code, param, "invalid_request_error"))


@scenario
def a_wrong_key():
    stranger = client.with_options(api_key="another")
    for act in (
        lambda: stranger.responses.create(model="chat", input=cue("text")),
        lambda: stranger.responses.create(model="chat", input=cue("text"), stream=True),
        lambda: stranger.chat.completions.create(model="chat", messages=[]),
        lambda: stranger.models.list(),
    ):
        e = fails(openai.AuthenticationError, act)
        equal((e.status_code, e.code), (401, "invalid_api_key"))


@scenario
def what_is_not_served():
    act = lambda: client.embeddings.create(model="chat", input="x")
    equal(fails(openai.NotFoundError, act).code, "unknown_url")
    # What nobody keeps.
    fails(openai.NotFoundError, lambda: client.responses.retrieve("resp_1"))
    fails(openai.NotFoundError, lambda: client.responses.delete("resp_1"))


@scenario
def the_sdk_tries_again():
    patient = client.with_options(max_retries=1)
    r = patient.responses.create(model="chat", input=cue("flaky python"))
    equal(r.output_text, "Back again.")


@scenario
def a_reader_that_leaves():
    # The provider is silent after two pieces; Strait has to let go of it.
    with client.responses.create(model="chat", input=cue("silence"), stream=True) as stream:
        for e in stream:
            if e.type == "response.output_text.delta":
                equal(e.delta, "Half ")
                break
    equal(ask(False, "text").output_text, "Hello from the other side.")


@scenario
def a_client_that_loses_patience():
    hasty = client.with_options(timeout=0.2)
    fails(openai.APITimeoutError, lambda: hasty.responses.create(model="chat", input=cue("mute")))


@scenario
def models():
    listed = client.models.list().data
    names = {m.id for m in listed}
    assert {"chat", "deep"} <= names, names
    assert all(m.object == "model" and m.owned_by for m in listed), listed


# Chat completions


def say(name, **more):
    messages = [{"role": "user", "content": cue(name)}]
    return client.chat.completions.create(**{"model": "chat", "messages": messages, **more})


def chat_used(usage):
    equal((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (100, 20, 120))
    equal(usage.prompt_tokens_details.cached_tokens, 40)


@scenario
def chat_text():
    r = say("text")
    [choice] = r.choices
    equal((choice.message.content, choice.finish_reason), ("Hello from the other side.", "stop"))
    equal(r.object, "chat.completion")
    # Passed through, the provider's own id; translated, one of ours.
    assert r.id == "chatcmpl-9" if ONLY is None else len(r.id) > 40, r.id
    chat_used(r.usage)


@scenario
def chat_settings():
    r = say("settings", temperature=0.25, top_p=0.5, max_tokens=77)
    equal(r.choices[0].message.content, "As you wish.")


@scenario
def chat_text_streamed():
    for usage in (True, False):
        more = {"stream_options": {"include_usage": True}} if usage else {}
        chunks = list(say("unicode", stream=True, **more))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        equal(text, "Grüße, 世界 🦀👩‍🔧 \u2028 \"q\" \\ \t end\n")
        reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
        equal([r for r in reasons if r], ["stop"])
        equal([c.usage is not None for c in chunks], [False] * (len(chunks) - 1) + [usage])
        if usage:
            chat_used(chunks[-1].usage)


@scenario
def chat_tools_streamed():
    messages = [{"role": "user", "content": cue("parallel")}]
    calls = {}
    for chunk in say("", messages=messages, tools=[CHAT_WEATHER], stream=True):
        for piece in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
            call["id"] += piece.id or ""
            call["name"] += piece.function.name or ""
            call["arguments"] += piece.function.arguments or ""
    equal([c["id"] for c in calls.values()], ["call_p1", "call_p2"])
    made = [{"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}} for c in calls.values()]
    messages.append({"role": "assistant", "content": "Two at once.", "tool_calls": made})
    for call in calls.values():
        output = DEGREES[json.loads(call["arguments"])["city"]]
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": output})
    r = say("", messages=messages, tools=[CHAT_WEATHER])
    equal(r.choices[0].message.content, "Oslo is warmer.")


@scenario
def chat_parse():
    messages = [{"role": "user", "content": cue("parse")}]
    r = client.chat.completions.parse(model="chat", messages=messages, response_format=Person)
    equal(r.choices[0].message.parsed, Person(name="Ada", age=36))


@scenario
def chat_helper():
    messages = [{"role": "user", "content": cue("parse")}]
    with client.chat.completions.stream(model="chat", messages=messages, response_format=Person) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    [done] = [e for e in events if e.type == "content.done"]
    equal((done.content, done.parsed), ('{"name": "Ada", "age": 36}', Person(name="Ada", age=36)))
    equal(final.choices[0].message.parsed, Person(name="Ada", age=36))
    tool = openai.pydantic_function_tool(get_weather)
    messages = [{"role": "user", "content": cue("tool")}]
    with client.chat.completions.stream(model="chat", messages=messages, tools=[tool]) as stream:
        done = [e for e in stream if e.type == "tool_calls.function.arguments.done"]
    equal([(e.name, e.parsed_arguments) for e in done], [("get_weather", get_weather(city="Oslo"))])


@scenario
def chat_image():
    parts = [
        {"type": "text", "text": cue("image")},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]
    r = say("", messages=[{"role": "user", "content": parts}])
    equal(r.choices[0].message.content, "A pixel.")


@scenario
def chat_reasoning():
    # A provider's own fields pass: they are no part of OpenAI's API.
    extra = {"thinking": {"type": "enabled"}}
    r = say("reason", model="deep", reasoning_effort="high", extra_body=extra)
    equal(r.choices[0].message.reasoning_content, "I weigh it, twice.")
    chunks = list(say("reason", model="deep", reasoning_effort="high", extra_body=extra, stream=True))
    thought = "".join(getattr(c.choices[0].delta, "reasoning_content", None) or "" for c in chunks if c.choices)
    equal(thought, "I weigh it, twice.")


@scenario
def chat_errors():
    cases = [
        ("error-400", openai.BadRequestError, 400, "bad_thing"),
        ("error-401", openai.BadRequestError, 400, "provider_auth"),
        ("error-404", openai.NotFoundError, 404, "model_not_found"),
        ("error-429", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("error-500", openai.InternalServerError, 502, "server_error"),
        ("error-overflow", openai.BadRequestError, 400, "context_length_exceeded"),
        ("gone", openai.InternalServerError, 502, "server_error"),
    ]
    for name, kind, status, code in cases:
        for stream in (True, False):
            e = fails(kind, lambda: say(name, stream=stream))
            equal((name, e.status_code, e.code), (name, status, code))
    e = fails(openai.NotFoundError, lambda: say("text", model="unheard-of"))
    equal(e.param, "model")


@scenario
def chat_stream_that_breaks():
    # The Responses API has no place for a provider's own number.
    own = "500" if ONLY is None else "server_error"
    for name, code in (("cut", "server_error"), ("broken", own)):
        text = []

        def read():
            for chunk in say(name, stream=True):
                text.append(chunk.choices[0].delta.content or "")

        e = fails(openai.APIError, read)
        equal(("".join(text), e.code), ("Half an answer", code))


# The async client


def awaited(function):
    SCENARIOS.append((function.__name__, lambda: LOOP.run_until_complete(function())))
    return function


@awaited
async def async_text():
    r = await aclient.responses.create(model="chat", input=cue("text"))
    equal(r.output_text, "Hello from the other side.")
    stream = await aclient.responses.create(model="chat", input=cue("text"), stream=True)
    equal(linked([e async for e in stream]).output_text, "Hello from the other side.")


@awaited
async def async_helper():
    async with aclient.responses.stream(model="chat", input=cue("parse"), text_format=Person) as stream:
        deltas = [e.delta async for e in stream if e.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    equal(json.loads("".join(deltas)), {"name": "Ada", "age": 36})
    equal(final.output_parsed, Person(name="Ada", age=36))


@awaited
async def async_tool():
    items = [{"role": "user", "content": cue("tool")}]
    stream = await aclient.responses.create(model="chat", input=items, tools=[WEATHER], stream=True)
    first = linked([e async for e in stream])
    items += first.output + outputs(first.output)
    r = await aclient.responses.create(model="chat", input=items, tools=[WEATHER])
    equal(r.output_text, "It is 12 degrees in Oslo.")


@awaited
async def async_errors():
    async def read(name):
        stream = await aclient.responses.create(model="chat", input=cue(name), stream=True)
        return [e async for e in stream]

    for name, kind in (("error-429", openai.RateLimitError), ("cut", openai.APIError), ("gone", openai.InternalServerError)):
        try:
            got = await read(name)
        except openai.OpenAIError as error:
            assert type(error) is kind, f"{type(error).__name__} is not {kind.__name__}"
        else:
            raise AssertionError(f"no error, but {got!r}")


@awaited
async def async_many_at_once():
    async def one(n):
        what = {"model": "chat", "input": cue(f"echo {n}")}
        if n % 2:
            return (await aclient.responses.create(**what)).output_text
        stream = await aclient.responses.create(**what, stream=True)
        return linked([e async for e in stream]).output_text

    said = await asyncio.gather(*(one(n) for n in range(24)))
    equal(said, [f"echo {n}" for n in range(24)])


@awaited
async def async_chat():
    messages = [{"role": "user", "content": cue("text")}]
    r = await aclient.chat.completions.create(model="chat", messages=messages)
    equal(r.choices[0].message.content, "Hello from the other side.")
    stream = await aclient.chat.completions.create(model="chat", messages=messages, stream=True)
    text = [c.choices[0].delta.content or "" async for c in stream if c.choices]
    equal("".join(text), "Hello from the other side.")


def goes_on_from(items):
    more = [{"role": "user", "content": cue("compact")}]
    equal(ask(False, [dump(i) for i in items] + more).output_text, "Going on.")


@both
def compaction_by_a_trigger(stream):
    trigger = {"type": "compaction_trigger"}
    r = ask(stream, [{"role": "user", "content": cue("compact")}, trigger])
    equal([i.type for i in r.output], ["compaction"])
    assert r.output[0].id.startswith("cmp_"), r.output[0]
    equal((r.status, r.output_text), ("completed", ""))
    used(r)
    goes_on_from(r.output)


@scenario
def compaction_by_the_endpoint():
    r = client.responses.compact(model="chat", input=cue("compact"), instructions="Be exact.")
    equal((r.object, [i.type for i in r.output]), ("response.compaction", ["message", "compaction"]))
    equal(r.output[0].content[0].text, cue("compact"))
    used(r)
    goes_on_from(r.output)


@scenario
def input_tokens_are_estimated():
    for model in ("chat", "deep"):
        asked = client.responses.input_tokens.with_raw_response.count(model=model, input="word " * 1000)
        equal(asked.headers["x-strait-estimate"], "input_tokens")
        counted = asked.parse()
        equal(counted.object, "response.input_tokens")
        assert 1000 <= counted.input_tokens <= 1050, counted


LOOP = asyncio.new_event_loop()


def wanted(name):
    return (ONLY is None or "chat" in name) and name not in SKIP


bad = run(wanted)
LOOP.run_until_complete(aclient.close())
sys.exit(bad)
