"""The tools that conversations declare, call and answer from.

A tool has several spellings (name, parameters, descriptions, order of keys), as clients write them differently; the
model has to read the declaration and not to remember it.
"""

import json

import chat_words as words

WHERE = ("city", "city", "location", "place")


class Tool:
    """How one kind of tool is declared, asked for, called and answered from.

    `ask(rng, held)` gives the values that a question holds; `result(rng, values)` gives the tool's result, and what the
    assistant says to it.
    """

    def __init__(self, key, names, describe, parameters, questions, ask, result, without):
        self.key, self.names, self.describe, self.parameters = key, names, describe, parameters
        self.questions, self.ask, self.result, self.without = questions, ask, result, without


def compact(value, rng):
    """JSON with or without white space, as servers write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":") if rng.random() < 0.3 else None)


def ask_place(rng, held):
    return {"city": words.city(rng, held)}


def weather(rng, values):
    degrees, condition, where = rng.randint(-20, 42), rng.choice(words.CONDITIONS), values["city"]
    shape = rng.randrange(6)
    if shape == 0:
        text = rng.choice([f"{degrees} degrees, {condition}", f"{condition}, {degrees} degrees", f"{condition} at {degrees} C"])
        return text, f"The weather in {where}: {text}."
    if shape == 1:
        return compact({rng.choice(["condition", "weather"]): condition}, rng), f"In {where} it is {condition}."
    fields = [
        (rng.choice(["temperature", "temperature", "temp", "degrees", "celsius"]), degrees),
        (rng.choice(["condition", "condition", "conditions", "weather", "sky"]), condition),
    ]
    rng.shuffle(fields)
    if rng.random() < 0.5:
        fields.insert(0, (rng.choice(WHERE), where))
    if rng.random() < 0.2:
        fields.append(("unit", "celsius"))
    return compact(dict(fields), rng), f"In {where} it is {degrees} degrees and {condition}."


def clock(rng, values):
    now = f"{rng.randrange(24):02}:{rng.randrange(60):02}"
    result = rng.choice([now, compact({"time": now}, rng), compact({"city": values["city"], "time": now}, rng)])
    return result, f"In {values['city']} it is {now}."


def ask_conversion(rng, held):
    source, target = rng.sample(words.CURRENCIES, 2)
    return {"amount": int(words.number(rng, held)), "from": source, "to": target}


def conversion(rng, values):
    amount = round(rng.uniform(1, 2000), rng.choice([0, 1, 2]))
    amount = int(amount) if amount == int(amount) else amount
    result = rng.choice(
        [str(amount), compact({"result": amount}, rng), compact({"amount": amount, "currency": values["to"]}, rng)]
    )
    return result, f"{values['amount']} {values['from']} are {amount} {values['to']}."


def ask_receipt(rng, held):
    return {"id": words.receipt_id(rng, held)}


def receipt(rng, values):
    key, block = values["id"], rng.randrange(10, 99999)
    rung = rng.choice(["Signed", "Replayed", "Attested", "Proven"])
    if rng.random() < 0.2:
        return compact({"error": "not found"}, rng), f"There is no receipt {key}."
    if rng.random() < 0.3:
        state = rng.choice(["pending", "promised", "executed", "expired"])
        return compact({"status": state}, rng), f"Receipt {key} is {state}."
    fields = [("status", "settled"), ("block", block), ("rung", rung)]
    rng.shuffle(fields)
    return compact(dict(fields), rng), f"Receipt {key} is settled in block {block}. Its rung is {rung}."


def ask_sum(rng, held):
    return {"a": int(words.number(rng, held)), "b": int(words.number(rng, held))}


def total(rng, values):
    value = values["a"] + values["b"]
    result = rng.choice([str(value), compact({"result": value}, rng), compact({"sum": value}, rng)])
    return result, f"{values['a']} plus {values['b']} is {value}."


def ask_message(rng, held):
    text = " ".join(rng.choice(words.PLAIN) for _ in range(rng.randint(2, 5)))
    return {"to": words.name(rng, held), "text": text}


def message(rng, values):
    return compact({"status": "sent"}, rng), f"I sent it to {values['to']}."


def ask_alarm(rng, held):
    return {"time": f"{rng.randrange(24):02}:{rng.randrange(60):02}"}


def alarm(rng, values):
    return rng.choice(["ok", compact({"ok": True}, rng)]), f"The alarm is set for {values['time']}."


def ask_song(rng, held):
    return {"title": words.made_up(rng, held).capitalize() + " " + rng.choice(words.PLAIN).capitalize()}


def song(rng, values):
    return rng.choice(["ok", compact({"status": "playing"}, rng)]), f"{values['title']} is playing."


TOOLS = (
    Tool(
        "weather", ("get_weather", "get_weather", "get_weather", "get_current_weather", "weather"),
        ("Get the weather in a city", "Get the current weather for a location", "The weather of a place", "Current weather"),
        {"city": ("string", WHERE, ("The name of the city", "City", "The city, such as Rome"))},
        ("what is the weather in {city}?", "how is the weather in {city}?", "what's the weather like in {city}?",
         "is it raining in {city}?", "weather in {city}", "how warm is it in {city}?", "tell me the weather in {city}",
         "what is the weather in {city} today?", "i am going to {city}, how is the weather there?", "is it cold in {city}?",
         "what's the weather in {city} right now?", "do i need a coat in {city}?"),
        ask_place, weather, "I cannot look that up: I have no tool for the weather.",
    ),
    Tool(
        "time", ("get_time", "get_time", "get_current_time", "clock"),
        ("Get the time in a city", "The local time of a place", "Current time"),
        {"city": ("string", WHERE, ("The name of the city", "City", "Where"))},
        ("what time is it in {city}?", "what is the time in {city}?", "tell me the time in {city}", "time in {city}",
         "how late is it in {city}?", "which time do they have in {city}?", "what's the time in {city} now?"),
        ask_place, clock, "I cannot look that up: I have no tool for the time.",
    ),
    Tool(
        "convert", ("convert", "convert", "convert_currency"),
        ("Convert an amount of money", "Convert between currencies", "Currency conversion"),
        {"amount": ("number", ("amount",), ("How much", "The amount")),
         "from": ("string", ("from", "from", "source"), ("The currency that you have", "Source currency")),
         "to": ("string", ("to", "to", "target"), ("The currency that you want", "Target currency"))},
        ("convert {amount} {from} to {to}", "how much is {amount} {from} in {to}?", "what are {amount} {from} in {to}?",
         "change {amount} {from} into {to}", "{amount} {from} in {to}", "i have {amount} {from}, how much is that in {to}?"),
        ask_conversion, conversion, "I cannot look that up: I have no tool for currencies.",
    ),
    Tool(
        "receipt", ("lookup_receipt", "lookup_receipt", "get_receipt"),
        ("Look up a receipt", "Find a receipt by its id", "The state of a receipt"),
        {"id": ("string", ("id", "id", "receipt_id"), ("The id of the receipt", "Id"))},
        ("look up receipt {id}", "what is the state of receipt {id}?", "is receipt {id} settled?", "find receipt {id}",
         "show me receipt {id}", "check the receipt {id}", "what happened to receipt {id}?", "please look up {id}"),
        ask_receipt, receipt, "I cannot look that up: I have no tool for receipts.",
    ),
    Tool(
        "add", ("add", "add", "sum"),
        ("Add two numbers", "The sum of two numbers"),
        {"a": ("number", ("a", "a", "x"), ("The first number",)), "b": ("number", ("b", "b", "y"), ("The second number",))},
        ("what is {a} plus {b}?", "add {a} and {b}", "how much is {a} + {b}?", "what is the sum of {a} and {b}?",
         "{a} + {b}", "{a} plus {b}", "please add {a} to {b}"),
        ask_sum, total, "I cannot add numbers reliably, and I have no tool for sums.",
    ),
    Tool(
        "message", ("send_message", "send_text"), ("Send a message to somebody", "Send a text"),
        {"to": ("string", ("to", "recipient"), ("Who gets it",)), "text": ("string", ("text", "message"), ("What it says",))},
        ("tell {to}: {text}", "send {to} the message: {text}", "write to {to}: {text}", "send a message to {to} that says {text}"),
        ask_message, message, "I cannot do that: I have no tool for messages.",
    ),
    Tool(
        "alarm", ("set_alarm", "set_timer"), ("Set an alarm", "Wake somebody at a time"),
        {"time": ("string", ("time", "at"), ("When, as hours and minutes",))},
        ("wake me at {time}", "set an alarm for {time}", "i want to get up at {time}", "please wake me at {time}"),
        ask_alarm, alarm, "I cannot do that: I have no tool for alarms.",
    ),
    Tool(
        "song", ("play_song", "play"), ("Play a song", "Play music by its title"),
        {"title": ("string", ("title", "song"), ("The title of the song",))},
        ("play {title}", "i want to hear {title}", "please play {title}", "put on the song {title}"),
        ask_song, song, "I cannot do that: I have no tool for music.",
    ),
)
MAIN = TOOLS[:5]


class Declared:
    """One tool as one client spells it: its declaration, and the names of its parameters."""

    def __init__(self, tool, rng):
        self.tool = tool
        self.name = rng.choice(tool.names)
        self.spelling = {key: rng.choice(names) for key, (_, names, _) in tool.parameters.items()}
        self.declaration = self.declare(rng)

    def declare(self, rng):
        """The declaration, in the manner of OpenAI's API."""
        properties = {}
        for key, (kind, _, descriptions) in self.tool.parameters.items():
            entry = {"type": kind}
            if rng.random() < 0.5:
                entry["description"] = rng.choice(descriptions)
            properties[self.spelling[key]] = entry
        required = list(properties)
        if self.tool.key == "weather" and rng.random() < 0.15:
            properties["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
        parameters = {"type": "object", "properties": properties, "required": required}
        if rng.random() < 0.3:
            parameters["additionalProperties"] = False
        if rng.random() < 0.2:
            del parameters["required"]
        function = {"name": self.name, "description": rng.choice(self.tool.describe), "parameters": parameters}
        if rng.random() < 0.1:
            del function["description"]
        if rng.random() < 0.2:
            function["strict"] = True
        whole = {"type": "function", "function": function}
        return sort_keys(whole) if rng.random() < 0.25 else whole

    def call(self, values, number):
        """The assistant's message that calls it."""
        arguments = {self.spelling[key]: values[key] for key in self.tool.parameters}
        return {"id": f"call_{number}", "type": "function", "function": {"name": self.name, "arguments": arguments}}


def sort_keys(value):
    """The same declaration with the keys of each object in ascending order, as some serialisers leave it."""
    if isinstance(value, dict):
        return {key: sort_keys(value[key]) for key in sorted(value)}
    return value
