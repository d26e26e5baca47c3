// OpenAI's client for JavaScript, unmodified, against a gateway: node check.mjs GATEWAY. Ends with a line that counts.
import assert from "node:assert/strict";
import OpenAI from "openai";

const model = "assay-chat";
const gateway = process.argv[2];
const client = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "none", maxRetries: 0, timeout: 60_000 });
const user = (content) => [{ role: "user", content }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

const checks = {
  async "an answer and a stream are the same"() {
    const asked = { model, messages: user("What is a receipt?"), temperature: 0 };
    const whole = await client.chat.completions.create(asked);
    assert.ok(whole.assay.receipt_id.startsWith("0x"));
    let text = "";
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
      text += chunk.choices[0]?.delta?.content ?? "";
    }
    assert.equal(text, whole.choices[0].message.content);
  },
  async "the stream helper joins a tool call"() {
    const stream = client.chat.completions.stream({
      model, messages: user("What is the weather in Lisbon?"), tools: [weather], temperature: 0,
    });
    const message = await stream.finalMessage();
    assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: "Lisbon" });
  },
  async "JSON follows its schema"() {
    const schema = {
      type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"], additionalProperties: false,
    };
    const answer = await client.chat.completions.create({
      model, messages: user("hello"), seed: 2,
      response_format: { type: "json_schema", json_schema: { name: "x", strict: true, schema } },
    });
    assert.equal(typeof JSON.parse(answer.choices[0].message.content).ok, "boolean");
  },
  async "a stream can be left"() {
    const stream = await client.chat.completions.create({ model, messages: user("Tell me a story."), stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
  },
  async "errors are those that the client knows"() {
    await assert.rejects(client.chat.completions.create({ model: "nobody", messages: user("x") }), OpenAI.NotFoundError);
    await assert.rejects(
      client.chat.completions.create({ model, messages: user("x"), temperature: 9 }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature",
    );
    await assert.rejects(client.chat.completions.create({ model, messages: user("x"), beams: 2 }), OpenAI.BadRequestError);
  },
  async "responses, texts, vectors and models"() {
    const response = await client.responses.create({ model, input: "What is a gateway?", temperature: 0 });
    assert.match(response.output_text, /gateway/i);
    const text = await client.completions.create({ model, prompt: "A node is", max_tokens: 3 });
    assert.equal(text.usage.completion_tokens, 3);
    const vectors = await client.embeddings.create({ model, input: "a hub" });
    assert.ok(vectors.data[0].embedding.length > 10);
    const all = [];
    for await (const one of client.models.list()) all.push(one.id);
    assert.equal(all.length, 1);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${error}`);
  }
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
