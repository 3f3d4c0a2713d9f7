"""OpenAI's SDK for Python and the Agents SDK, against every provider behind Strait.

Usage: every_provider.py MODELS BASE_URL, where MODELS is a JSON list of provider/model; the key in
OPENAI_API_KEY. Prints a table of providers and calls, then why what failed did. The providers are
scripted in tests/it/providers/script.rs.
"""

import asyncio
import json
import sys

from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from openai.types.shared import Reasoning
from pydantic import BaseModel

from weather import WEATHER

set_tracing_disabled(True)
MODELS, BASE = json.loads(sys.argv[1]), sys.argv[2]
client = AsyncOpenAI(base_url=BASE, max_retries=0, timeout=60)
TEXT = "Hello, wörld! 🦀 How are you?"
DONE = "It is 12 degrees in Oslo."


class Person(BaseModel):
    name: str
    age: int


def equal(got, wanted):
    assert got == wanted, f"expected {wanted!r}, got {got!r}"


async def ask(model, items, stream):
    """One request; the whole response, put together from the stream if there is one."""
    more = {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    answer = await client.responses.create(model=model, input=items, tools=[WEATHER], store=False, stream=stream, **more)
    if not stream:
        return answer
    last, text = None, ""
    async for event in answer:
        last = event
        if event.type == "response.output_text.delta":
            text += event.delta
    equal(last.type, "response.completed")
    equal(last.response.output_text, text)
    return last.response


async def loop(model, stream):
    items = [{"role": "user", "content": "cue: tool"}]
    response = await ask(model, items, stream)
    calls = [item for item in response.output if item.type == "function_call"]
    equal([json.loads(c.arguments) for c in calls], [{"city": "Oslo"}])
    items += [item.to_dict() for item in response.output]
    items += [{"type": "function_call_output", "call_id": calls[0].call_id, "output": "12 degrees"}]
    response = await ask(model, items, stream)
    equal(response.output_text, DONE)
    equal(response.usage.total_tokens, 120)


async def create(model):
    await loop(model, False)


async def streamed(model):
    await loop(model, True)


async def helper(model):
    text = ""
    async with client.responses.stream(model=model, input="cue: text") as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
        final = await stream.get_final_response()
    equal(text, TEXT)
    equal(final.output_text, TEXT)


async def parse(model):
    response = await client.responses.parse(model=model, input="cue: json", text_format=Person)
    equal(response.output_parsed, Person(name="Ada", age=36))
    async with client.responses.stream(model=model, input="cue: json", text_format=Person) as stream:
        final = await stream.get_final_response()
    equal(final.output_parsed, Person(name="Ada", age=36))


async def agent(model):
    asked = []

    @function_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "12 degrees"

    settings = ModelSettings(
        store=False,
        reasoning=Reasoning(effort="high", summary="auto"),
        response_include=["reasoning.encrypted_content"],
    )
    served = OpenAIResponsesModel(model=model, openai_client=client)
    it = Agent(name="a", instructions="Be brief.", model=served, tools=[get_weather], model_settings=settings)
    result = await Runner.run(it, "cue: tool")
    equal((result.final_output, asked), (DONE, ["Oslo"]))
    result = Runner.run_streamed(it, "cue: tool")
    async for _ in result.stream_events():
        pass
    equal((result.final_output, asked), (DONE, ["Oslo", "Oslo"]))


CALLS = [create, streamed, helper, parse, agent]


async def attempt(call, model):
    try:
        await call(model)
        return None
    except Exception as why:
        return f"{type(why).__name__}: {why}"


async def main():
    print("\nSDKs x providers: responses.create, streamed, .stream(), .parse(), the Agents SDK")
    print(" " * 15 + "".join(f"{call.__name__:>10}" for call in CALLS))
    failures = []
    for model in MODELS:
        found = [await attempt(call, model) for call in CALLS]
        name = model.split("/")[0]
        print(f"{name:<15}" + "".join(f"{'FAIL' if why else 'ok':>10}" for why in found))
        failures += [f"FAIL {name} {call.__name__}: {why}" for call, why in zip(CALLS, found) if why]
    print("\n".join(failures))
    sys.exit(1 if failures else 0)


asyncio.run(main())
