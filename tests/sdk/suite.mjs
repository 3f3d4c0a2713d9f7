// OpenAI's SDK for JavaScript against Strait. Usage: node suite.mjs BASE_URL, the key in
// OPENAI_API_KEY.
//
// One line a scenario: `ok NAME` or `FAIL NAME: why`. The provider behind Strait is scripted in
// tests/it/sdk_script.rs; it checks what it gets, and answers 400 with the reason where it is wrong.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { ResponsesToolRunner } from 'openai/helpers/responses-tool-runner';
import { z } from 'zod';

const baseURL = process.argv.at(-1);
const client = new OpenAI({ baseURL, maxRetries: 0, timeout: 20_000 });

const WEATHER = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather in a city.',
  strict: true,
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
};
const { type: _, ...WEATHER_INNER } = WEATHER;
const CHAT_WEATHER = { type: 'function', function: WEATHER_INNER };
const DEGREES = { Oslo: '12 degrees', Århus: '9 degrees' };
const PIXEL =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=';
const HELLO = 'Hello from the other side.';
const ADA = { name: 'Ada', age: 36 };
const TERMINAL = ['response.completed', 'response.incomplete', 'response.failed'];
const Person = z.object({ name: z.string(), age: z.number().int() });
const City = z.object({ city: z.string() });

const scenarios = [];
const scenario = (name, act) => scenarios.push([name, act]);
// A scenario that holds for a stream and for an object.
const both = (name, act) => {
  scenarios.push([`${name}_streamed`, () => act(true)]);
  scenarios.push([`${name}_whole`, () => act(false)]);
};

const equal = assert.deepStrictEqual;
const cue = (name) => `scenario: ${name}`;

async function collect(stream) {
  const all = [];
  for await (const one of stream) all.push(one);
  return all;
}

// The error that `act` raises, of exactly this class.
async function fails(kind, act) {
  let got;
  try {
    got = await act();
  } catch (error) {
    equal(error?.constructor?.name, kind.name, `${error?.stack}`);
    return error;
  }
  throw new Error(`no error, but ${JSON.stringify(got)}`);
}

// Checks that a stream's events hang together, and returns the final response.
function linked(events) {
  equal(events.map((e) => e.sequence_number), [...events.keys()]);
  equal(events.slice(0, 2).map((e) => e.type), ['response.created', 'response.in_progress']);
  equal(events.filter((e) => TERMINAL.includes(e.type)), [events.at(-1)]);
  const final = events.at(-1).response;
  equal([...new Set(events.filter((e) => e.response).map((e) => e.response.id))], [final.id]);
  const added = [];
  const done = [];
  const pieces = {};
  const wholes = {};
  for (const e of events) {
    if (e.type === 'response.output_item.added') {
      equal(e.output_index, added.length);
      added.push(e.item);
    } else if (e.type === 'response.output_item.done') {
      equal([e.output_index, e.item.id, e.item.type], [done.length, added[done.length].id, added[done.length].type]);
      done.push(e.item);
    } else if (e.item_id !== undefined) {
      equal([e.output_index, e.item_id], [done.length, added[e.output_index].id]);
      const kind = e.type.slice(0, e.type.lastIndexOf('.'));
      const key = [e.item_id, kind, e.content_index ?? e.summary_index ?? 0].join();
      if (e.type.endsWith('.delta')) pieces[key] = (pieces[key] ?? '') + e.delta;
      else if (!kind.endsWith('_part')) wholes[key] = e.text ?? e.arguments ?? e.input ?? e.refusal;
    }
  }
  equal(pieces, wholes);
  equal(done.length, added.length);
  equal(final.output, done);
  return { ...final, output_text: textOf(final) };
}

function textOf(response) {
  const parts = response.output.filter((i) => i.type === 'message').flatMap((i) => i.content);
  return parts.filter((p) => p.type === 'output_text').map((p) => p.text).join('');
}

// One request on /v1/responses; the response, whichever way it came.
async function ask(stream, what, more = {}) {
  const input = typeof what === 'string' ? cue(what) : what;
  const got = await client.responses.create({ model: 'chat', input, stream, ...more });
  return stream ? linked(await collect(got)) : got;
}

function used({ usage }) {
  equal([usage.input_tokens, usage.output_tokens, usage.total_tokens], [100, 20, 120]);
  equal([usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens], [40, 5]);
}

const outputs = (calls) =>
  calls.map((c) => ({
    type: 'function_call_output',
    call_id: c.call_id,
    output: DEGREES[JSON.parse(c.arguments).city],
  }));

// Responses

both('text', async (stream) => {
  const r = await ask(stream, 'text');
  equal([r.output_text, r.status, r.object, r.model], [HELLO, 'completed', 'response', 'chat']);
  equal(r.output.map((i) => [i.type, i.role, i.status]), [['message', 'assistant', 'completed']]);
  equal([r.error, r.incomplete_details], [null, null]);
  used(r);
});

both('long_text', async (stream) => {
  equal((await ask(stream, 'long')).output_text, [...Array(4000).keys()].map((n) => `${n} `).join(''));
});

both('unicode_text', async (stream) => {
  equal((await ask(stream, 'unicode')).output_text, 'Grüße, 世界 🦀👩‍🔧 \u2028 "q" \\ \t end\n');
});

scenario('text_by_the_helper', async () => {
  const stream = client.responses.stream({ model: 'chat', input: cue('text') });
  const snapshots = [];
  const types = [];
  stream.on('event', (e) => types.push(e.type));
  stream.on('response.output_text.delta', (e) => snapshots.push(e.snapshot));
  const final = await stream.finalResponse();
  equal([snapshots[1], snapshots.at(-1)], ['Hello from ', HELLO]);
  equal([types[0], types.at(-1)], ['response.created', 'response.completed']);
  equal([final.output_text, final.status], [HELLO, 'completed']);
  used(final);
});

both('instructions', async (stream) => {
  const r = await ask(stream, 'instructions', { instructions: 'Be brief.' });
  equal([r.output_text, r.instructions], ['Brief.', 'Be brief.']);
});

both('settings_and_metadata', async (stream) => {
  const metadata = { team: 'blue', run: '7' };
  const r = await ask(stream, 'settings', { temperature: 0.25, top_p: 0.5, max_output_tokens: 77, metadata, store: false });
  equal([r.output_text, r.temperature, r.top_p, r.max_output_tokens], ['As you wish.', 0.25, 0.5, 77]);
  equal([r.metadata, r.store], [metadata, false]);
});

both('logprobs', async (stream) => {
  const r = await ask(stream, 'logprobs', { top_logprobs: 2, include: ['message.output_text.logprobs'] });
  const [entry] = r.output[0].content[0].logprobs;
  equal([entry.token, entry.logprob, entry.bytes], ['Yes', -0.1, [89, 101, 115]]);
  equal(entry.top_logprobs.map((t) => [t.token, t.logprob]), [['Yes', -0.1], ['No', -2.5]]);
});

both('tool', async (stream) => {
  const tools = [WEATHER];
  const input = [{ role: 'user', content: cue('tool') }];
  const first = await ask(stream, input, { tools });
  const [call] = first.output;
  equal([call.type, call.name, call.call_id, call.status], ['function_call', 'get_weather', 'call_w1', 'completed']);
  equal(JSON.parse(call.arguments), { city: 'Oslo' });
  equal(first.tools, tools);
  input.push(...first.output, ...outputs([call]));
  const second = await ask(stream, input, { tools });
  equal(second.output_text, 'It is 12 degrees in Oslo.');
  assert.notEqual(second.id, first.id);
  input.push(...second.output, { role: 'user', content: cue('second') });
  equal((await ask(stream, input, { tools })).output_text, 'Still 12.');
});

both('parallel_tools', async (stream) => {
  const tools = [WEATHER];
  const input = [{ role: 'user', content: cue('parallel') }];
  const r = await ask(stream, input, { tools });
  equal([r.output.map((i) => i.type), r.output_text], [['message', 'function_call', 'function_call'], 'Two at once.']);
  const calls = r.output.slice(1);
  equal(calls.map((c) => [c.call_id, JSON.parse(c.arguments).city]), [['call_p1', 'Oslo'], ['call_p2', 'Århus']]);
  // The outputs go back in another order than the calls came.
  input.push(...r.output, ...outputs(calls).reverse());
  equal((await ask(stream, input, { tools })).output_text, 'Oslo is warmer.');
});

both('forced_tool', async (stream) => {
  const tool_choice = { type: 'function', name: 'get_weather' };
  const r = await ask(stream, 'forced', { tools: [WEATHER], tool_choice, parallel_tool_calls: false });
  equal(r.output.map((c) => JSON.parse(c.arguments)), [{ city: 'Rome' }]);
  equal([r.tool_choice, r.parallel_tool_calls], [tool_choice, false]);
});

scenario('tools_by_the_helper', async () => {
  const tools = [zodResponsesFunction({ name: 'get_weather', parameters: City })];
  const stream = client.responses.stream({ model: 'chat', input: cue('parallel'), tools });
  const snapshots = {};
  stream.on('response.function_call_arguments.delta', (e) => (snapshots[e.output_index] = e.snapshot));
  const final = await stream.finalResponse();
  equal(Object.values(snapshots).map((s) => JSON.parse(s)), [{ city: 'Oslo' }, { city: 'Århus' }]);
  const calls = final.output.filter((i) => i.type === 'function_call');
  equal(calls.map((c) => c.parsed_arguments), [{ city: 'Oslo' }, { city: 'Århus' }]);
});

scenario('tools_by_the_runner', async () => {
  for (const options of [{}, { stream: true }, { stream: true, eager: true }]) {
    const asked = [];
    const execute = ({ city }) => (asked.push(city), DEGREES[city]);
    const runner = new ResponsesToolRunner({ functions: [{ tool: WEATHER, execute }] });
    const final = await runner.run(client, { model: 'chat', input: cue('parallel') }, options);
    equal([textOf(final), asked], ['Oslo is warmer.', ['Oslo', 'Århus']]);
  }
});

both('namespaced_tool', async (stream) => {
  const parameters = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
  const lookup = { type: 'function', name: 'lookup', parameters };
  const tools = [{ type: 'namespace', name: 'crm', description: 'Customers.', tools: [lookup] }];
  const input = [{ role: 'user', content: cue('namespace') }];
  const r = await ask(stream, input, { tools });
  equal(r.output.map((c) => [c.type, c.namespace, c.name]), [['function_call', 'crm', 'lookup']]);
  input.push(...r.output, { type: 'function_call_output', call_id: r.output[0].call_id, output: 'found Ada' });
  equal((await ask(stream, input, { tools })).output_text, 'She is known.');
});

scenario('structured_parse', async () => {
  for (const model of ['chat', 'deep']) {
    const text = { format: zodTextFormat(Person, 'person') };
    const r = await client.responses.parse({ model, input: cue('parse'), text });
    equal([r.output_parsed, r.text.format.name], [ADA, 'person']);
  }
});

scenario('structured_parse_by_the_helper', async () => {
  const text = { format: zodTextFormat(Person, 'person') };
  const final = await client.responses.stream({ model: 'chat', input: cue('parse'), text }).finalResponse();
  equal(final.output_parsed, ADA);
});

const REASONING = { effort: 'high', summary: 'auto' };

both('reasoning_summary', async (stream) => {
  const r = await ask(stream, 'reason', { model: 'deep', reasoning: REASONING });
  equal(r.output.map((i) => i.type), ['reasoning', 'message']);
  equal(r.output[0].summary, [{ type: 'summary_text', text: 'I weigh it, twice.' }]);
  equal([r.output_text, r.reasoning.effort, r.reasoning.summary], ['It is heavy.', 'high', 'auto']);
  assert(!r.output[0].encrypted_content);
});

scenario('reasoning_by_the_helper', async () => {
  const stream = client.responses.stream({ model: 'deep', input: cue('reason'), reasoning: REASONING });
  let thought = '';
  stream.on('response.reasoning_summary_text.delta', (e) => (thought += e.delta));
  const final = await stream.finalResponse();
  equal([thought, final.output[0].summary[0].text], ['I weigh it, twice.', 'I weigh it, twice.']);
});

both('reasoning_sealed_and_replayed', async (stream) => {
  const sealed = { model: 'deep', reasoning: REASONING, include: ['reasoning.encrypted_content'], store: false };
  const input = [{ role: 'user', content: cue('reason') }];
  const r = await ask(stream, input, sealed);
  assert(r.output[0].encrypted_content && !r.output[0].encrypted_content.includes('weigh'));
  input.push(...r.output, { role: 'user', content: cue('replay') });
  equal((await ask(stream, input, sealed)).output_text, 'As I thought.');
});

both('reasoning_around_a_tool', async (stream) => {
  const sealed = { model: 'deep', reasoning: REASONING, include: ['reasoning.encrypted_content'], tools: [WEATHER] };
  const input = [{ role: 'user', content: cue('reason-tool') }];
  const r = await ask(stream, input, sealed);
  equal(r.output.map((i) => i.type), ['reasoning', 'function_call']);
  input.push(...r.output, ...outputs(r.output.slice(1)));
  equal((await ask(stream, input, sealed)).output_text, 'It is 12 degrees in Oslo.');
});

both('custom_tool', async (stream) => {
  const format = { type: 'grammar', syntax: 'lark', definition: 'start: /.+/s' };
  const tools = [{ type: 'custom', name: 'run_sql', description: 'Runs SQL.', format }];
  const input = [{ role: 'user', content: cue('custom') }];
  const r = await ask(stream, input, { tools });
  const [call] = r.output;
  equal([call.type, call.name, call.input], ['custom_tool_call', 'run_sql', 'SELECT 1;\n-- ü "q"']);
  equal(r.tools, tools);
  input.push(call, { type: 'custom_tool_call_output', call_id: call.call_id, output: '1 row' });
  equal((await ask(stream, input, { tools })).output_text, 'One row.');
});

const picture = (name) => [
  {
    role: 'user',
    content: [
      { type: 'input_text', text: cue(name) },
      { type: 'input_image', image_url: PIXEL, detail: 'low' },
    ],
  },
];

both('image', async (stream) => {
  equal((await ask(stream, picture('image'))).output_text, 'A pixel.');
});

scenario('what_is_lost_is_said', async () => {
  const { data, response } = await client.responses.create({ model: 'deep', input: picture('blind') }).withResponse();
  equal(data.output_text, 'I see nothing.');
  assert.match(response.headers.get('x-strait-diagnostics'), /content\.degraded/);
});

both('image_from_a_tool', async (stream) => {
  const tools = [{ type: 'function', name: 'camera', parameters: { type: 'object', properties: {} } }];
  const input = [{ role: 'user', content: cue('camera') }];
  const r = await ask(stream, input, { tools });
  const output = [{ type: 'input_image', image_url: PIXEL, detail: 'low' }];
  input.push(...r.output, { type: 'function_call_output', call_id: r.output[0].call_id, output });
  equal((await ask(stream, input, { tools })).output_text, 'A pixel, again.');
});

both('refusal', async (stream) => {
  const r = await ask(stream, 'refusal');
  equal(r.output[0].content, [{ type: 'refusal', refusal: 'I will not do that.' }]);
  equal([r.status, r.output_text], ['completed', '']);
});

both('incomplete', async (stream) => {
  const r = await ask(stream, 'length', { max_output_tokens: 20 });
  equal([r.status, r.incomplete_details], ['incomplete', { reason: 'max_output_tokens' }]);
  equal([r.output_text, r.output[0].status], ['It goes on and', 'incomplete']);
  used(r);
  const filtered = await ask(stream, 'filter');
  equal([filtered.status, filtered.incomplete_details], ['incomplete', { reason: 'content_filter' }]);
});

scenario('incomplete_by_the_helper', async () => {
  const final = await client.responses.stream({ model: 'chat', input: cue('length') }).finalResponse();
  equal([final.status, final.output_text], ['incomplete', 'It goes on and']);
});

// Errors

both('errors_of_the_provider', async (stream) => {
  const cases = [
    ['error-400', OpenAI.BadRequestError, 400, 'bad_thing', 'That is not a thing.'],
    ['error-401', OpenAI.BadRequestError, 400, 'provider_auth', 'Wrong key.'],
    ['error-402', OpenAI.RateLimitError, 429, 'insufficient_quota', 'Insufficient Balance'],
    ['error-403', OpenAI.BadRequestError, 400, 'provider_auth', 'Not for you.'],
    ['error-404', OpenAI.NotFoundError, 404, 'model_not_found', 'No such model.'],
    ['error-429', OpenAI.RateLimitError, 429, 'rate_limit_exceeded', 'Too fast.'],
    ['error-500', OpenAI.InternalServerError, 502, 'server_error', 'Oops.'],
    ['error-503', OpenAI.InternalServerError, 503, 'server_error', 'Busy.'],
    ['error-overflow', OpenAI.BadRequestError, 400, 'context_length_exceeded', 'maximum context length'],
    ['gone', OpenAI.InternalServerError, 502, 'server_error', 'provider'],
  ];
  for (const [name, kind, status, code, message] of cases) {
    const e = await fails(kind, () => ask(stream, name));
    equal([name, e.status, e.code], [name, status, code]);
    assert(e.message.includes(message), e.message);
    equal(e.headers.get('x-strait-error-source'), 'upstream');
    if (status === 429 && code === 'rate_limit_exceeded') equal(e.headers.get('retry-after'), '7');
  }
});

scenario('a_stream_that_breaks', async () => {
  for (const [name, why] of [['cut', 'provider'], ['broken', 'The engine fell over.']]) {
    let text = '';
    const e = await fails(OpenAI.APIError, async () => {
      const stream = await client.responses.create({ model: 'chat', input: cue(name), stream: true });
      for await (const event of stream) if (event.type === 'response.output_text.delta') text += event.delta;
    });
    equal([text, e.code, e.type], ['Half an answer', 'server_error', 'server_error']);
    assert(e.message.includes(why), e.message);
  }
});

scenario('a_helper_whose_stream_breaks', async () => {
  const stream = client.responses.stream({ model: 'chat', input: cue('cut') });
  const e = await fails(OpenAI.APIError, () => stream.finalResponse());
  equal(e.code, 'server_error');
});

scenario('an_object_that_breaks', async () => {
  for (const name of ['cut', 'broken']) {
    equal((await fails(OpenAI.InternalServerError, () => ask(false, name))).status, 502);
  }
});

both('errors_of_the_client', async (stream) => {
  const cases = [
    [{ previous_response_id: 'resp_1' }, 400, 'previous_response_not_found', 'previous_response_id'],
    [{ background: true, store: false }, 400, 'invalid_request', 'store'],
    [{ temperature: 'hot' }, 400, 'invalid_type', 'temperature'],
    [{ model: 'unheard-of' }, 404, 'model_not_found', 'model'],
  ];
  for (const [more, status, code, param] of cases) {
    const kind = status === 404 ? OpenAI.NotFoundError : OpenAI.BadRequestError;
    const e = await fails(kind, () => ask(stream, 'text', more));
    equal([e.status, e.code, e.param, e.type], [status, code, param, 'invalid_request_error']);
  }
});

scenario('a_wrong_key', async () => {
  const stranger = client.withOptions({ apiKey: 'another' });
  for (const act of [
    () => stranger.responses.create({ model: 'chat', input: cue('text'), stream: true }),
    () => stranger.models.list(),
  ]) {
    equal((await fails(OpenAI.AuthenticationError, act)).code, 'invalid_api_key');
  }
});

scenario('the_sdk_tries_again', async () => {
  const r = await client.responses.create({ model: 'chat', input: cue('flaky javascript') }, { maxRetries: 1 });
  equal(r.output_text, 'Back again.');
});

scenario('a_reader_that_leaves', async () => {
  // The provider is silent after two pieces; Strait has to let go of it.
  const stream = await client.responses.create({ model: 'chat', input: cue('silence'), stream: true });
  for await (const event of stream) {
    if (event.type === 'response.output_text.delta') {
      equal(event.delta, 'Half ');
      break;
    }
  }
  equal((await ask(false, 'text')).output_text, HELLO);
});

scenario('many_at_once', async () => {
  const numbers = [...Array(24).keys()];
  const said = await Promise.all(numbers.map(async (n) => (await ask(n % 2 === 0, `echo ${n}`)).output_text));
  equal(said, numbers.map((n) => `echo ${n}`));
});

scenario('models', async () => {
  const listed = await collect(client.models.list());
  const names = listed.map((m) => m.id);
  assert(names.includes('chat') && names.includes('deep'), names.join());
});

// Chat completions

const messages = (name) => [{ role: 'user', content: cue(name) }];
const say = (name, more = {}) => client.chat.completions.create({ model: 'chat', messages: messages(name), ...more });
const runnable = (calls) => ({
  type: 'function',
  function: {
    ...WEATHER_INNER,
    parse: JSON.parse,
    function: ({ city }) => (calls.push(city), DEGREES[city]),
  },
});

scenario('chat_text', async () => {
  const r = await say('text');
  equal([r.choices[0].message.content, r.choices[0].finish_reason, r.usage.total_tokens], [HELLO, 'stop', 120]);
});

scenario('chat_text_streamed', async () => {
  const chunks = await collect(await say('text', { stream: true, stream_options: { include_usage: true } }));
  equal(chunks.map((c) => c.choices[0]?.delta.content ?? '').join(''), HELLO);
  equal([chunks.at(-1).choices, chunks.at(-1).usage.prompt_tokens_details.cached_tokens], [[], 40]);
});

scenario('chat_tools_by_the_runner', async () => {
  for (const stream of [true, false]) {
    const calls = [];
    const runner = client.chat.completions.runTools({
      model: 'chat',
      messages: messages('parallel'),
      tools: [runnable(calls)],
      stream,
    });
    equal([await runner.finalContent(), calls], ['Oslo is warmer.', ['Oslo', 'Århus']]);
  }
});

scenario('chat_parse', async () => {
  const response_format = zodResponseFormat(Person, 'person');
  const r = await client.chat.completions.parse({ model: 'chat', messages: messages('parse'), response_format });
  equal(r.choices[0].message.parsed, ADA);
  const tools = [zodFunction({ name: 'get_weather', parameters: City })];
  const t = await client.chat.completions.parse({ model: 'chat', messages: messages('tool'), tools });
  equal(t.choices[0].message.tool_calls[0].function.parsed_arguments, { city: 'Oslo' });
});

scenario('chat_helper', async () => {
  const response_format = zodResponseFormat(Person, 'person');
  const stream = client.chat.completions.stream({ model: 'chat', messages: messages('parse'), response_format });
  let text = '';
  stream.on('content', (piece) => (text += piece));
  const final = await stream.finalChatCompletion();
  equal([JSON.parse(text), final.choices[0].message.parsed], [ADA, ADA]);
  const called = client.chat.completions.stream({ model: 'chat', messages: messages('parallel'), tools: [CHAT_WEATHER] });
  const done = [];
  called.on('tool_calls.function.arguments.done', (e) => done.push(JSON.parse(e.arguments).city));
  await called.done();
  equal(done, ['Oslo', 'Århus']);
});

scenario('chat_errors', async () => {
  const cases = [
    ['error-400', OpenAI.BadRequestError, 400, 'bad_thing'],
    ['error-401', OpenAI.BadRequestError, 400, 'provider_auth'],
    ['error-429', OpenAI.RateLimitError, 429, 'rate_limit_exceeded'],
    ['error-500', OpenAI.InternalServerError, 502, 'server_error'],
    ['error-overflow', OpenAI.BadRequestError, 400, 'context_length_exceeded'],
    ['gone', OpenAI.InternalServerError, 502, 'server_error'],
  ];
  for (const [name, kind, status, code] of cases) {
    for (const stream of [true, false]) {
      const e = await fails(kind, () => say(name, { stream }));
      equal([name, e.status, e.code], [name, status, code]);
    }
  }
});

scenario('chat_stream_that_breaks', async () => {
  let text = '';
  const e = await fails(OpenAI.APIError, async () => {
    for await (const c of await say('cut', { stream: true })) text += c.choices[0].delta.content ?? '';
  });
  equal([text, e.code], ['Half an answer', 'server_error']);
});

let failed = 0;
for (const [name, act] of scenarios) {
  try {
    await act();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${error?.stack ?? error}`);
  }
}
process.exit(failed > 0 ? 1 : 0);
