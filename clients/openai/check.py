"""OpenAI's Python client and LangChain's, unmodified, against a gateway: check.py GATEWAY. Ends with a line that counts."""

import json
import sys
import time

import openai
from langchain_openai import ChatOpenAI

MODEL = "assay-chat"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
checks = []


def check(function):
    checks.append(function)
    return function


def user(text):
    return [{"role": "user", "content": text}]


@check
def models_are_listed_and_shown(client, _):
    end = time.monotonic() + 20
    listed = client.models.list().data
    # The name comes from the chain a moment after the first node.
    while not listed[0].id.endswith(f"/{MODEL}") and time.monotonic() < end:
        time.sleep(0.2)
        listed = client.models.list().data
    assert len(listed) == 1 and listed[0].id.endswith(f"/{MODEL}")
    assert client.models.retrieve(listed[0].id).id == listed[0].id


@check
def an_answer_comes_with_its_receipt(client, _):
    answer = client.chat.completions.create(model=MODEL, messages=user("What is a receipt?"), temperature=0)
    text = answer.choices[0].message.content
    assert "receipt" in text and answer.choices[0].finish_reason == "stop", text
    evidence = answer.model_extra["assay"]
    receipt = evidence["receipt"]["receipt"]
    assert evidence["text"] == text and len(evidence["steps"]) == answer.usage.completion_tokens
    assert int(receipt["outputUnits"]) == answer.usage.completion_tokens
    assert int(receipt["inputUnits"]) == answer.usage.prompt_tokens


@check
def a_stream_is_the_same_answer(client, _):
    asked = dict(model=MODEL, messages=user("Describe a hub at length"), temperature=0)
    whole = client.chat.completions.create(**asked)
    for how in ("none", "streaming"):
        text, usage, evidence = "", None, None
        options = {"include_usage": True}
        extra = {"assay": {"check": how}}
        for chunk in client.chat.completions.create(**asked, stream=True, stream_options=options, extra_body=extra):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            usage = chunk.usage or usage
            evidence = chunk.model_extra.get("assay", evidence)
        assert text == whole.choices[0].message.content
        assert usage.completion_tokens == whole.usage.completion_tokens
        assert all(bool(share["checker"]) == (how == "streaming") for share in evidence["shares"])


@check
def a_tool_is_called_and_its_result_used(client, _):
    for city in ("Lisbon", "Trondheim"):
        turns = user(f"What is the weather in {city}?")
        first = client.chat.completions.create(model=MODEL, messages=turns, tools=[WEATHER], temperature=0)
        assert first.choices[0].finish_reason == "tool_calls"
        call = first.choices[0].message.tool_calls[0]
        assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": city}
        result = {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"city": city, "sky": "rainy", "degrees": 12})}
        turns += [first.choices[0].message, result]
        second = client.chat.completions.create(model=MODEL, messages=turns, tools=[WEATHER], temperature=0)
        assert city in second.choices[0].message.content, second.choices[0].message.content


@check
def a_call_can_be_required_and_streamed(client, _):
    stream = client.chat.completions.create(
        model=MODEL, messages=user("hello"), tools=[WEATHER], tool_choice="required", seed=3, stream=True
    )
    name, arguments, reason = "", "", None
    for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
        reason = chunk.choices[0].finish_reason or reason
    assert name == "get_weather" and "city" in json.loads(arguments) and reason == "tool_calls"


@check
def json_follows_its_schema(client, _):
    form = {"type": "json_schema", "json_schema": {"name": "who", "strict": True, "schema": SCHEMA}}
    for seed in range(4):
        answer = client.chat.completions.create(model=MODEL, messages=user("Who are you?"), response_format=form, seed=seed)
        value = json.loads(answer.choices[0].message.content)
        assert set(value) == {"name", "age"} and 0 <= value["age"] <= 120 and len(value["name"]) <= 20
    answer = client.chat.completions.create(
        model=MODEL, messages=user("Answer as JSON."), response_format={"type": "json_object"}, seed=1, max_tokens=300
    )
    assert answer.choices[0].finish_reason == "length" or isinstance(json.loads(answer.choices[0].message.content), dict)


@check
def choices_seeds_stops_and_likelihoods(client, _):
    asked = dict(model=MODEL, messages=user("Tell me a story."), temperature=1.5, seed=11, max_completion_tokens=30)
    first, again = (client.chat.completions.create(**asked, n=3) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in again.choices] and len(set(texts)) > 1
    assert len(first.model_extra["assay"]["choices"]) == 3
    likely = client.chat.completions.create(**asked, logprobs=True, top_logprobs=3)
    content = likely.choices[0].logprobs.content
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 3 for token in content)
    assert b"".join(bytes(token.bytes) for token in content).decode(errors="replace").startswith(texts[0][:10])
    greedy = client.chat.completions.create(model=MODEL, messages=user("What is a node?"), temperature=0)
    stopped = client.chat.completions.create(model=MODEL, messages=user("What is a node?"), temperature=0, stop=["machine"])
    assert stopped.choices[0].message.content == greedy.choices[0].message.content.split("machine")[0]
    assert stopped.choices[0].finish_reason == "stop"


@check
def texts_vectors_and_responses(client, _):
    text = client.completions.create(model=MODEL, prompt=["A receipt is", "A node is"], max_tokens=5, temperature=0)
    assert len(text.choices) == 2 and text.usage.completion_tokens == 10
    vectors = client.embeddings.create(model=MODEL, input=["a receipt", "a receipt", "a hub"]).data
    assert vectors[0].embedding == vectors[1].embedding != vectors[2].embedding
    assert abs(sum(x * x for x in vectors[0].embedding) - 1) < 1e-3
    response = client.responses.create(model=MODEL, input="What is a gateway?", temperature=0)
    assert "gateway" in response.output_text
    kinds = [event.type for event in client.responses.create(model=MODEL, input="hello", temperature=0, stream=True)]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed" and "response.output_text.delta" in kinds


@check
def a_stream_that_is_left_frees_its_place(client, _):
    for _ in range(40):
        stream = client.chat.completions.create(model=MODEL, messages=user("Tell me a story."), stream=True, temperature=1.9)
        next(iter(stream))
        stream.close()
    began = time.monotonic()
    client.chat.completions.create(model=MODEL, messages=user("hello"), temperature=0)
    assert time.monotonic() - began < 20


@check
def each_error_is_the_one_that_clients_know(client, gateway):
    def refused(kind, status, **asked):
        try:
            client.chat.completions.create(**{"model": MODEL, "messages": user("hello"), **asked})
        except openai.APIStatusError as error:
            assert isinstance(error, kind) and error.status_code == status, repr(error)
            return error
        raise AssertionError(f"taken: {asked}")

    assert refused(openai.NotFoundError, 404, model="nobody").code == "model_not_found"
    for name, value in [
        ("temperature", 3), ("top_p", 0), ("n", 0), ("messages", []), ("max_tokens", 0), ("stop", ["a"] * 5),
        ("modalities", ["audio"]), ("logit_bias", {"x": 1}), ("response_format", {"type": "xml"}),
    ]:
        assert name in str(refused(openai.BadRequestError, 400, **{name: value})), name
    assert "beams" in str(refused(openai.BadRequestError, 400, extra_body={"beams": 3}))
    refused(openai.BadRequestError, 400, max_tokens=100_000)
    unsupported = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "dependentRequired": {"a": ["b"]}}}}
    refused(openai.BadRequestError, 400, response_format=unsupported)
    try:
        client.get("/nowhere", cast_to=object)
    except openai.NotFoundError:
        pass
    else:
        raise AssertionError("a path that is not served was")


@check
def langchain_streams_calls_and_structures(_, gateway):
    chat = ChatOpenAI(base_url=f"{gateway}/v1", api_key="none", model=MODEL, temperature=0, max_retries=0)
    text = chat.invoke("What is a receipt?").content
    assert "".join(chunk.content for chunk in chat.stream("What is a receipt?")) == text
    calls = chat.bind_tools([WEATHER]).invoke("What is the weather in Oslo?").tool_calls
    assert calls[0]["name"] == "get_weather" and calls[0]["args"] == {"city": "Oslo"}
    structured = chat.with_structured_output({"title": "who", **SCHEMA}, method="json_schema")
    assert set(structured.invoke("Who are you?")) == {"name", "age"}


def main():
    gateway = sys.argv[1]
    client = openai.OpenAI(base_url=f"{gateway}/v1", api_key="none", max_retries=0, timeout=60)
    failed = 0
    for function in checks:
        try:
            function(client, gateway)
            print(f"ok   {function.__name__}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAIL {function.__name__}: {type(error).__name__}: {str(error)[:600]}", flush=True)
    print(f"{len(checks) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
