"""The OpenAI Agents SDK against Strait. Usage: agents_suite.py BASE_URL, the key in OPENAI_API_KEY.

Every scenario runs on /v1/responses and, where chat completions can do it, on
/v1/chat/completions, streamed and not. One line a scenario: `ok NAME` or `FAIL NAME: why`. The
provider behind Strait is scripted in tests/it/sdk_script.rs.
"""

import asyncio
import sys

import openai
from agents import (
    Agent,
    ApplyPatchTool,
    CustomTool,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    ShellTool,
    SQLiteSession,
    ToolOutputImage,
    ToolSearchTool,
    function_tool,
    set_tracing_disabled,
    tool_namespace,
)
from agents.exceptions import AgentsException, ModelRefusalError
from openai import AsyncOpenAI
from openai.types.shared import Reasoning
from pydantic import BaseModel

from scenarios import SCENARIOS, equal, failed

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=sys.argv[-1], max_retries=0, timeout=20)
MODELS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}
DEGREES = {"Oslo": "12 degrees", "Århus": "9 degrees"}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


class Person(BaseModel):
    name: str
    age: int


def scenario(*apis):
    def register(function):
        for api in apis or MODELS:
            for stream in (True, False):
                name = f"{function.__name__}_{api}_{'streamed' if stream else 'whole'}"
                SCENARIOS.append((name, lambda api=api, stream=stream: function(api, stream)))
        return function

    return register


def agent(api, model="chat", **more):
    return Agent(name="tester", model=MODELS[api](model=model, openai_client=client), **more)


async def run(who, what, stream, **more):
    """Runs an agent to its end. Gives the result, and the raw events of a stream."""
    what = f"scenario: {what}" if isinstance(what, str) else what
    if not stream:
        return await Runner.run(who, what, **more), []
    result = Runner.run_streamed(who, what, **more)
    return result, [e.data async for e in result.stream_events() if e.type == "raw_response_event"]


def deltas(events, kind="response.output_text.delta"):
    return "".join(e.delta for e in events if e.type == kind)


def used(result, requests):
    usage = result.context_wrapper.usage
    got = (usage.requests, usage.input_tokens, usage.output_tokens, usage.total_tokens)
    equal(got, (requests, 100 * requests, 20 * requests, 120 * requests))
    equal(usage.input_tokens_details.cached_tokens, 40 * requests)
    equal(usage.output_tokens_details.reasoning_tokens, 5 * requests)


def weather():
    """The tool, and the cities that it was asked for."""
    asked = []

    @function_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return DEGREES[city]

    return get_weather, asked


def kinds(result):
    return [item.type for item in result.new_items]


# The SDK asks for usage in a chat stream only where it is told to.
USAGE = ModelSettings(include_usage=True)


@scenario()
async def text(api, stream):
    result, events = await run(agent(api, model_settings=USAGE), "text", stream)
    equal((result.final_output, kinds(result)), ("Hello from the other side.", ["message_output_item"]))
    if stream:
        equal(deltas(events), "Hello from the other side.")
        equal(events[-1].type, "response.completed")
    used(result, 1)


@scenario()
async def settings(api, stream):
    tuned = ModelSettings(temperature=0.25, top_p=0.5, max_tokens=77)
    result, _ = await run(agent(api, model_settings=tuned), "settings", stream)
    equal(result.final_output, "As you wish.")


@scenario()
async def instructions(api, stream):
    result, _ = await run(agent(api, instructions="Be brief."), "instructions", stream)
    equal(result.final_output, "Brief.")


@scenario()
async def tool(api, stream):
    get_weather, asked = weather()
    who = agent(api, tools=[get_weather], model_settings=USAGE)
    result, events = await run(who, "tool", stream)
    equal((result.final_output, asked), ("It is 12 degrees in Oslo.", ["Oslo"]))
    equal(kinds(result), ["tool_call_item", "tool_call_output_item", "message_output_item"])
    call, output = result.new_items[0].raw_item, result.new_items[1].raw_item
    equal((call.call_id, output["call_id"], output["output"]), ("call_w1", "call_w1", "12 degrees"))
    if stream:
        equal(deltas(events, "response.function_call_arguments.delta"), '{"city":"Oslo"}')
    used(result, 2)
    again, _ = await run(who, result.to_input_list() + [{"role": "user", "content": "scenario: second"}], stream)
    equal(again.final_output, "Still 12.")


@scenario()
async def parallel_tools(api, stream):
    get_weather, asked = weather()
    result, _ = await run(agent(api, tools=[get_weather]), "parallel", stream)
    equal((result.final_output, sorted(asked)), ("Oslo is warmer.", ["Oslo", "Århus"]))
    calls = [i.raw_item.call_id for i in result.new_items if i.type == "tool_call_item"]
    equal(calls, ["call_p1", "call_p2"])


@scenario()
async def session(api, stream):
    get_weather, _ = weather()
    who, memory = agent(api, tools=[get_weather]), SQLiteSession("one")
    try:
        await run(who, "tool", stream, session=memory)
        result, _ = await run(who, "second", stream, session=memory)
        equal(result.final_output, "Still 12.")
    finally:
        memory.close()


@scenario()
async def structured(api, stream):
    result, _ = await run(agent(api, output_type=Person), "parse", stream)
    equal(result.final_output, Person(name="Ada", age=36))


@scenario("responses")
async def structured_without_the_mode(api, stream):
    result, _ = await run(agent(api, "deep", output_type=Person), "parse", stream)
    equal(result.final_output, Person(name="Ada", age=36))


@scenario()
async def handoff(api, stream):
    specialist = agent(api, instructions="You know it all.")
    specialist.name = "specialist"
    result, _ = await run(agent(api, instructions="You triage.", handoffs=[specialist]), "handoff", stream)
    equal((result.final_output, result.last_agent.name), ("The specialist speaks.", "specialist"))


@scenario("responses")
async def reasoning_around_a_tool(api, stream):
    get_weather, asked = weather()
    thinking = ModelSettings(
        reasoning=Reasoning(effort="high", summary="auto"),
        response_include=["reasoning.encrypted_content"],
        store=False,
    )
    who = agent(api, "deep", tools=[get_weather], model_settings=thinking)
    result, events = await run(who, "reason-tool", stream)
    equal((result.final_output, asked), ("It is 12 degrees in Oslo.", ["Oslo"]))
    thoughts = [i.raw_item for i in result.new_items if i.type == "reasoning_item"]
    equal([t.summary[0].text for t in thoughts], ["I must look outside.", "Now I know."])
    assert all(t.encrypted_content for t in thoughts), thoughts
    if stream:
        said = deltas(events, "response.reasoning_summary_text.delta")
        equal(said, "I must look outside.Now I know.")


@scenario("chat")
async def reasoning_by_chat(api, stream):
    thinking = ModelSettings(reasoning=Reasoning(effort="high"), extra_body={"thinking": {"type": "enabled"}})
    result, _ = await run(agent(api, "deep", model_settings=thinking), "reason", stream)
    equal((result.final_output, kinds(result)), ("It is heavy.", ["reasoning_item", "message_output_item"]))
    equal(result.new_items[0].raw_item.summary[0].text, "I weigh it, twice.")


@scenario("responses")
async def custom_tool(api, stream):
    asked = []

    async def invoke(_context, text):
        asked.append(text)
        return "1 row"

    sql = CustomTool(name="run_sql", description="Runs SQL.", on_invoke_tool=invoke, format={"type": "text"})
    result, _ = await run(agent(api, tools=[sql]), "custom", stream)
    equal((result.final_output, asked), ("One row.", ['SELECT 1;\n-- ü "q"']))


@scenario("responses")
async def image_from_a_tool(api, stream):
    @function_tool
    def camera() -> ToolOutputImage:
        """Takes a picture."""
        return ToolOutputImage(image_url=PIXEL, detail="low")

    result, _ = await run(agent(api, tools=[camera]), "camera", stream)
    equal(result.final_output, "A pixel, again.")


@scenario("responses")
async def tools_in_a_namespace(api, stream):
    @function_tool
    def lookup(name: str) -> str:
        """Finds a customer."""
        return f"found {name}"

    crm = tool_namespace(name="crm", description="Customers.", tools=[lookup])
    result, _ = await run(agent(api, tools=crm), "namespace", stream)
    equal(result.final_output, "She is known.")


@scenario("responses")
async def deferred_tools_are_offered_at_once(api, stream):
    @function_tool(defer_loading=True)
    def lookup(name: str) -> str:
        """Finds a customer."""
        return f"found {name}"

    crm = tool_namespace(name="crm", description="Customers.", tools=[lookup])
    result, _ = await run(agent(api, tools=[*crm, ToolSearchTool()]), "namespace", stream)
    equal(result.final_output, "She is known.")


@scenario("responses")
async def shell_tool(api, stream):
    asked = []

    def execute(request):
        asked.extend(request.data.action.commands)
        return "hi there"

    result, _ = await run(agent(api, tools=[ShellTool(executor=execute)]), "shell", stream)
    equal((result.final_output, asked), ("It said hi.", ["echo hi"]))


@scenario("responses")
async def patch_tool(api, stream):
    done = []

    class Editor:
        def create_file(self, operation):
            done.append((operation.type, operation.path, operation.diff))

        update_file = delete_file = create_file

    result, _ = await run(agent(api, tools=[ApplyPatchTool(editor=Editor())]), "patch", stream)
    equal((result.final_output, done), ("Patched.", [("create_file", "a.txt", "+hello\n")]))


@scenario()
async def errors(api, stream):
    cases = [
        ("error-400", openai.BadRequestError, "bad_thing"),
        ("error-401", openai.BadRequestError, "provider_auth"),
        ("error-404", openai.NotFoundError, "model_not_found"),
        ("error-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("error-500", openai.InternalServerError, "server_error"),
        ("error-overflow", openai.BadRequestError, "context_length_exceeded"),
        ("gone", openai.InternalServerError, "server_error"),
        ("cut", openai.APIError if stream else openai.InternalServerError, "server_error"),
    ]
    for name, kind, code in cases:
        try:
            result, _ = await run(agent(api), name, stream)
        except (openai.OpenAIError, AgentsException) as error:
            assert type(error) is kind, f"{name}: {type(error).__name__} is not {kind.__name__}: {error}"
            equal((name, error.code), (name, code))
        else:
            raise AssertionError(f"{name}: no error, but {result.final_output!r}")


@scenario()
async def refusal(api, stream):
    try:
        result, _ = await run(agent(api), "refusal", stream)
    except ModelRefusalError as error:
        equal(error.refusal, "I will not do that.")
    else:
        raise AssertionError(f"no refusal, but {result.final_output!r}")


async def main():
    bad = 0
    for name, act in SCENARIOS:
        try:
            await act()
            print("ok", name)
        except Exception as error:
            bad += 1
            failed(name, error)
    await client.close()
    return bad


sys.exit(asyncio.run(main()) > 0)
