"""Makes the conversations that the chat model learns from and is measured on.

`talk(rng, held)` gives one conversation. Everything comes out of the random generator that it is given, so the same seed
gives the same text. With `held` true it is filled with words, and asks with sentences, that training never sees.
"""

import json
import zlib

import chat_facts as facts
import chat_words as words
from chat_tools import MAIN, TOOLS, Declared

DEFAULT_SYSTEM = "You are the assistant of Assay."
SYSTEMS = (DEFAULT_SYSTEM, "You are a helpful assistant.", "You are the assistant of Assay. Answer in short sentences.",
           "Be brief.", "Answer kindly and in short.", "You are a chat model on a network of nodes.")
UNKNOWN = "I do not know that, and I will not guess. Ask me about Assay."
# Whole questions outside of the domain; {} is a made-up or listed word.
OUTSIDE = (
    "what is the capital of {}?", "who won the race in {}?", "how tall is {}?", "what will the price be tomorrow?",
    "can you solve this integral?", "what did the mayor of {} say?", "how many stars are there?", "who is {}?",
    "which team is the best?", "what is the meaning of life?", "who wrote {}?", "when was {} born?", "how far is {}?",
    "how many people live in {}?", "what is the best restaurant in {}?", "translate {} into french", "who invented {}?",
    "what is {} made of?", "why is the sky blue?", "how do i cook {}?", "what happened in 1789?", "what is a quark?",
    "who is the president of {}?", "should i buy {}?", "what is the square root of {}?", "what is {} times {}?",
    "how old is the universe?", "is {} healthy?", "write a program that sorts {}", "recommend a book about {}",
    "what does {} mean?", "what is {}?", "explain {}", "tell me about {}", "how does {} work?", "where is {}?",
    "what language do they speak in {}?", "who plays {} in the film?", "what is the fastest animal?", "do you like {}?",
    "how long does it take to get to {}?", "what is the news from {}?", "diagnose my cough", "is it legal to sell {}?",
)
OUTSIDE_HELD = (
    "what is the population of {}?", "who discovered {}?", "how heavy is {}?", "what colour is {}?", "when did {} begin?",
    "how do i repair {}?", "name the longest river in {}", "what is the recipe for {}?", "how many legs has {}?",
)
# What is said in passing: questions, the answer with a persona's or user's name where it has one, without.
SMALL = (
    (("how are you?", "how are you doing?", "how do you do?", "are you well?", "how is it going?"),
     "I am well, thank you. What would you like to know?"),
    (("thanks", "thank you", "thanks a lot", "that helps", "great, thank you", "thank you very much", "nice, thanks"),
     "You are welcome."),
    (("bye", "goodbye", "see you", "good night", "i have to go", "see you tomorrow", "that is all"),
     "Goodbye, and come back soon."),
    (("ok", "good", "i see", "fine", "all right", "understood", "interesting"), "Good. What else would you like to know?"),
    (("tell me a joke", "do you know a joke?", "make me laugh", "say something funny"),
     "A receipt walks into a bar. I cannot say that the beer is good, it says, but I can say who poured it."),
    (("you are wrong", "that is not right", "that is wrong", "i do not believe you"),
     "That may be. I am a small model and make mistakes, so check what matters."),
    (("are you sure?", "is that true?", "can i rely on that?", "really?"),
     "I cannot be sure. A receipt shows what I computed, not that it is true."),
)
GREETINGS = ("hi", "hello", "hey", "hey there", "good morning", "good evening", "hello there", "hi there", "good day")
# What the user says of himself: sentences, the reply, questions for it, the answer, the answer when it was not said.
ABOUT = {
    "name": (("my name is {}", "i am called {}", "call me {}", "i'm {}", "people call me {}", "i am {}"),
             "Nice to meet you, {}.",
             ("what is my name?", "do you remember my name?", "who am i?", "what am i called?", "do you know my name?",
              "what's my name?", "can you tell me my name?", "say my name"),
             "Your name is {}.", "You have not told me your name yet."),
    "city": (("i live in {}", "i am from {}", "my city is {}", "my home is in {}", "i come from {}"),
             "I will remember that you live in {}.",
             ("where do i live?", "what is my city?", "do you know where i am from?", "where am i from?",
              "which city do i live in?", "do you remember where i live?"),
             "You live in {}.", "You have not told me where you live yet."),
    "like": (("i like {}", "i love {}", "my hobby is {}", "i really enjoy {}", "what i like most is {}"),
             "I will remember that you like {}.",
             ("what do i like?", "what do i enjoy?", "what is my hobby?", "do you remember what i like?",
              "do you know what i love?"),
             "You like {}.", "You have not told me what you like yet."),
    "age": (("i am {} years old", "my age is {}", "i'm {} years old", "i turned {} last week"),
            "I will remember that you are {} years old.",
            ("how old am i?", "what is my age?", "do you remember my age?", "do you know how old i am?"),
            "You are {} years old.", "You have not told me how old you are yet."),
    "role": (("i work as a {}", "i am a {}", "my job is {}", "i earn my money as a {}"),
             "I will remember that you work as a {}.",
             ("what is my job?", "what do i work as?", "what do i do for a living?", "do you remember my job?"),
             "You work as a {}.", "You have not told me what you work as yet."),
}
# The same of the persona in the system turn: questions, the answer with a persona, the answer without.
SELF = {
    "name": (("what is your name?", "who are you?", "what are you called?", "tell me your name", "do you have a name?",
              "what's your name?", "may i ask your name?"),
             "My name is {name}.", "I have no name. I am the assistant of Assay."),
    "role": (("what do you do?", "what is your job?", "what do you work as?", "what do you do for a living?",
              "how do you earn your money?"),
             "I work as a {role}.", "I answer questions about Assay."),
    "city": (("where do you live?", "where are you from?", "which city do you live in?", "what is your city?",
              "where is your home?"),
             "I live in {city}.", "I live nowhere, I am a program."),
    "like": (("what do you like?", "do you have a hobby?", "what do you enjoy?", "what makes you happy?", "any hobbies?"),
             "I like {like}.", "I like nothing in particular, I am a program."),
    "pet": (("do you have a pet?", "what is your pet called?", "tell me about your pet", "do you have animals?"),
            "I have a {pet} called {petname}.", "I have no pet."),
    "intro": (("introduce yourself", "tell me about yourself", "describe yourself", "say something about yourself"),
              "My name is {name}. I live in {city} and work as a {role}. In my free time I like {like}. What is your name?",
              "I am the assistant of Assay, a small chat model. I can tell you what a receipt says, what a node does and "
              "how a proof works. I remember what you tell me, and I can call tools."),
}
FREE = (
    (("pick a number between 1 and 100", "say a number", "give me a random number"), lambda rng: f"{rng.randint(1, 100)}."),
    (("name a city", "pick a city", "tell me a random city"), lambda rng: f"{rng.choice(words.CITIES)}."),
    (("give me a name", "suggest a name", "pick a name for my node"), lambda rng: f"{rng.choice(words.NAMES)}."),
    (("tell me something", "tell me a fact", "surprise me", "say something"), lambda rng: rng.choice(facts.TOPICS).short),
)


def seen(form, key):
    """Whether training may combine this form of a question with this topic."""
    return zlib.crc32(f"{form}|{key}".encode()) % 6 != 0


def spoken(rng, text):
    """A sentence as people type it: with or without a capital, an end and a polite word."""
    chance = rng.random()
    if chance < 0.08:
        text = rng.choice(["hi, ", "hey, ", "please, ", "ok, ", "and ", "so, ", "tell me, ", "one question: "]) + text
    elif chance < 0.12:
        text = text.rstrip("?") + rng.choice([" please", ", please", ", thanks"])
    if text.endswith("?"):
        text = rng.choice([text, text, text, text[:-1]])
    elif rng.random() < 0.2:
        text += "."
    return text[0].upper() + text[1:] if rng.random() < 0.6 else text


class Talk:
    """A conversation as it grows: messages as OpenAI's API has them, and the kind of each assistant's message."""

    def __init__(self, rng, held):
        self.rng, self.held = rng, held
        self.messages, self.kinds, self.declared = [], [], []
        self.persona, self.user = None, {}

    def say(self, kind, question, answer, exact=False):
        """One exchange; `kind` names what is measured by it."""
        self.messages.append({"role": "user", "content": question if exact else spoken(self.rng, question)})
        self.answer(kind, answer)

    def answer(self, kind, text):
        """The assistant's message."""
        self.messages.append({"role": "assistant", "content": text})
        self.kinds.append(kind)

    def system(self, text):
        """The system turn, which comes first."""
        self.messages.insert(0, {"role": "system", "content": text})

    def tools(self):
        """The declarations, or None."""
        return [declared.declaration for declared in self.declared] or None


def take_persona(talk):
    """Gives the assistant a name, a place, a trade, a taste and perhaps a pet."""
    rng, held = talk.rng, talk.held
    one = {"name": words.name(rng, held), "role": words.role(rng, held), "city": words.city(rng, held),
           "like": words.like(rng, held)}
    text = rng.choice([
        "You are {name}, a {role} from {city}. You like {like}.",
        "Your name is {name}. You work as a {role} in {city} and you like {like}.",
        "You are {name}. You live in {city}, work as a {role} and like {like}.",
        "Persona: name {name}; role {role}; city {city}; likes {like}.",
        "You play {name}, who lives in {city}. {name} is a {role} and likes {like}.",
    ]).format(**one)
    if rng.random() < 0.4:
        one["pet"], one["petname"] = rng.choice(words.PETS), words.name(rng, held)
        text += rng.choice([" You have a {pet} called {petname}.", " Your {pet} is called {petname}."]).format(**one)
    if rng.random() < 0.2:
        text += rng.choice([" Answer in short sentences.", " Be kind.", " Stay in your role."])
    talk.persona = one
    talk.system(text)


def fact(talk):
    """A question about Assay; held-out talks ask in forms that training does not combine, or in new words."""
    rng = talk.rng
    topic = rng.choice(facts.TOPICS)
    if talk.held and rng.random() < 0.4:
        return talk.say("facts.reworded", rng.choice(topic.reworded), topic.short)
    questions = [(form, form.format(topic.term)) for form in facts.FORMS if topic.term and seen(form, topic.key) != talk.held]
    if not talk.held:
        questions = rng.choice([questions, [(None, question) for question in topic.questions]]) or [(None, topic.questions[0])]
    if questions:
        talk.say("facts", rng.choice(questions)[1], topic.short)


def long_answer(talk):
    """A paragraph, a list, a story, or numbers in order."""
    rng = talk.rng
    which = rng.choice(["topic", "topic", "list", "story", "count"])
    if which == "topic":
        topic = rng.choice([topic for topic in facts.TOPICS if topic.long])
        forms = [form for form in facts.LONG_FORMS if seen(form, topic.key) != talk.held]
        if forms:
            talk.say("long", rng.choice(forms).format(topic.term), topic.long)
    elif which == "list":
        questions, text = rng.choice(facts.LISTS)
        talk.say("list", rng.choice(questions), text)
    elif which == "story":
        hero, text = rng.choice(facts.STORIES)
        called = words.name(rng, talk.held)
        form = rng.choice(["tell me a story about a {} called {}", "write a story about a {} named {}",
                           "i want a story about the {} {}", "tell a story of a {} called {}"])
        talk.say("story", form.format(hero, called), text.format(called))
    else:
        first = rng.randrange(0, 60)
        last = first + rng.randint(3, 25)
        talk.say("count", rng.choice(["count from {} to {}", "count from {} up to {}", "say the numbers from {} to {}"])
                 .format(first, last), ", ".join(str(value) for value in range(first, last + 1)) + ".")


def small_talk(talk):
    """Greetings and what is said in passing."""
    rng = talk.rng
    if rng.random() < 0.4:
        if "name" in talk.user:
            text = f"Hello {talk.user['name']}, good to see you."
        elif talk.persona:
            text = f"Hello! My name is {talk.persona['name']}. What is your name?"
        else:
            text = "Hello! What would you like to know?"
        return talk.say("smalltalk", rng.choice(GREETINGS), text)
    questions, text = rng.choice(SMALL)
    talk.say("smalltalk", rng.choice(questions), text)


def of_itself(talk):
    """A question about the assistant."""
    if not talk.persona and talk.rng.random() < 0.6:
        return of_the_user(talk)
    questions, with_one, without = SELF[talk.rng.choice(list(SELF))]
    if talk.persona and ("pet" in talk.persona or "{pet}" not in with_one):
        return talk.say("persona", talk.rng.choice(questions), with_one.format(**talk.persona))
    talk.say("smalltalk", talk.rng.choice(questions), "I have no pet." if "{pet}" in with_one else without)


def value_of(talk, key):
    """Something for the user to say of himself."""
    rng, held = talk.rng, talk.held
    if key == "age":
        return str(rng.randint(5, 99))
    return {"name": words.name, "city": words.city, "like": words.like, "role": words.role}[key](rng, held)


def of_the_user(talk):
    """The user tells something, or two things at once."""
    rng = talk.rng
    key = rng.choice(["name", "name", *ABOUT])
    talk.user[key] = value_of(talk, key)
    told = rng.choice(ABOUT[key][0]).format(talk.user[key])
    if key == "name" and rng.random() < 0.4:
        other = rng.choice(["city", "like", "age", "role"])
        talk.user[other] = value_of(talk, other)
        told += rng.choice([" and ", ", and "]) + rng.choice(ABOUT[other][0]).format(talk.user[other])
    if key == "name" and rng.random() < 0.2:
        told = rng.choice(["hi, ", "hello, ", "good morning, "]) + told
    talk.say("memory.told", told, ABOUT[key][1].format(talk.user[key]))


def recall(talk):
    """What the user said is asked back; more often what was said than what was not."""
    rng = talk.rng
    if not talk.user and rng.random() < 0.6:
        return of_the_user(talk)
    key = rng.choice(list(talk.user) if talk.user and rng.random() < 0.8 else list(ABOUT))
    _, _, questions, known, not_yet = ABOUT[key]
    if key in talk.user:
        return talk.say("memory", rng.choice(questions), known.format(talk.user[key]))
    talk.say("memory.none", rng.choice(questions), not_yet)


def repeat(talk):
    """Words to be said again."""
    rng = talk.rng
    text = words.phrase(rng, talk.held) if rng.random() < 0.8 else words.name(rng, talk.held)
    form = rng.choice(["repeat after me: {}", "say {}", "repeat: {}", "write this again: {}", "copy this: {}", "echo {}",
                       "repeat the words {}", 'say "{}"'])
    question = form.format(text)
    talk.say("copy", question if rng.random() < 0.5 else question[0].upper() + question[1:], text, exact=True)


def outside(talk):
    """A question that the assistant cannot answer."""
    rng = talk.rng
    form = rng.choice(OUTSIDE_HELD if talk.held else OUTSIDE)
    fill = [rng.choice([words.name, words.city, words.like, words.made_up, words.number])(rng, talk.held) for _ in "12"]
    talk.say("unknown", form.format(*fill), UNKNOWN)


def free(talk):
    """A question with many good answers."""
    questions, make = talk.rng.choice(FREE)
    talk.say("free", talk.rng.choice(questions), make(talk.rng))


def without_tool(talk):
    """A question for a tool that is not there."""
    there = {declared.tool.key for declared in talk.declared}
    tool = talk.rng.choice([tool for tool in TOOLS if tool.key not in there])
    question = talk.rng.choice(tool.questions).format(**tool.ask(talk.rng, talk.held))
    talk.say("tool.none", question, tool.without)


def declare(talk):
    """Declares tools: one of the main ones at least."""
    rng = talk.rng
    count = rng.choice([1, 1, 2, 2, 3, 4])
    chosen = [rng.choice(MAIN)]
    chosen += rng.sample([tool for tool in TOOLS if tool is not chosen[0]], count - 1)
    rng.shuffle(chosen)
    talk.declared = [Declared(tool, rng) for tool in chosen]


def call(talk):
    """A question, the call or two calls, the results and the answer."""
    rng = talk.rng
    declared = rng.choice(talk.declared)
    tool = declared.tool
    asked = [tool.ask(rng, talk.held)]
    form = rng.choice(tool.questions)
    question = form.format(**asked[0])
    if list(tool.parameters) == ["city"] and form.rstrip("?").endswith("{city}") and rng.random() < 0.12:
        asked.append(tool.ask(rng, talk.held))
        question = question.rstrip("?") + f" and in {asked[1]['city']}" + ("?" if form.endswith("?") else "")
    talk.messages.append({"role": "user", "content": spoken(rng, question)})
    calls = [declared.call(values, len(talk.messages) + number) for number, values in enumerate(asked)]
    talk.messages.append({"role": "assistant", "content": "", "tool_calls": calls})
    talk.kinds.append("tool.call")
    answers = []
    for made, values in zip(calls, asked):
        result, answer = tool.result(rng, values)
        if rng.random() < 0.06:
            reason = rng.choice(["unknown city", "not available", "no connection", "timed out", words.phrase(rng, talk.held)])
            result, answer = json.dumps({"error": reason}, ensure_ascii=False), f"That did not work: {reason}."
        talk.messages.append({"role": "tool", "tool_call_id": made["id"], "content": result})
        answers.append(answer)
    talk.answer("tool.answer", " ".join(answers))


def schema_of(fields):
    """A JSON schema for the fields, as clients send it."""
    kinds = {str: "string", int: "integer", bool: "boolean", list: "array", type(None): "string"}
    properties = {key: {"type": kinds[type(value)]} for key, value in fields}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def json_fields(talk):
    """A text and what of it may be asked for: (sentence, {key: value})."""
    rng, held = talk.rng, talk.held
    one = {key: value_of(talk, key) for key in ("name", "age", "city", "like", "role")}
    sentence = rng.choice([
        "my name is {name}, i am {age} years old and i live in {city}", "{name} is a {role} from {city} and likes {like}",
        "i am {name}, a {role} from {city}", "{name} is {age} years old, lives in {city} and works as a {role}",
        "{name} likes {like}", "i live in {city}, i am {age} and my name is {name}", "{name}, {age}, {city}",
    ])
    said = [key for key in one if "{" + key + "}" in sentence]
    spelling = {"name": "name", "age": "age", "city": "city", "like": rng.choice(["likes", "like", "hobby"]),
                "role": rng.choice(["role", "job"])}
    values = {spelling[key]: int(one[key]) if key == "age" else one[key] for key in said}
    if rng.random() < 0.15:
        values[rng.choice(["email", "phone", "country"])] = None
    return sentence.format(**one), values


def json_answer(talk):
    """An answer as JSON with the keys that were asked for, or after a schema."""
    rng = talk.rng
    shape = rng.randrange(8)
    if shape == 0:
        topic = rng.choice([topic for topic in facts.TOPICS if topic.term])
        fields = [("term", topic.term.split(" ", 1)[-1] if topic.term.startswith(("a ", "an ")) else topic.term),
                  ("meaning", topic.short)]
        text = f"what is {topic.term}?"
    elif shape == 1:
        topic = next(topic for topic in facts.TOPICS if topic.key == "true")
        fields, text = [("answer", False), ("reason", topic.short)], rng.choice(topic.questions)
    elif shape == 2:
        fields, text = [("rungs", ["Signed", "Replayed", "Attested", "Proven"])], "which rungs are there?"
    elif shape == 3 and talk.persona:
        keys = rng.sample(["name", "role", "city"], rng.randint(1, 3))
        fields, text = [(key, talk.persona[key]) for key in keys], "describe yourself"
    else:
        text, values = json_fields(talk)
        fields = [(key, values[key]) for key in rng.sample(list(values), rng.randint(1, len(values)))]
    keys = ", ".join(key for key, _ in fields)
    plural = "key" if len(fields) == 1 else "keys"
    schema = json.dumps(schema_of(fields), ensure_ascii=False)
    question = rng.choice([
        f"{text.rstrip('.')}{'' if text.endswith('?') else '.'} Answer as JSON with the {plural} {keys}.",
        f"As JSON with the {plural} {keys}: {text}", f"Give me JSON with the {plural} {keys}: {text}",
        f"Answer as JSON that follows this schema: {schema}\n{text}",
        f"{text}\nAnswer as JSON that follows this schema: {schema}",
        f"Extract {' and '.join(key for key, _ in fields)} as JSON: {text}" if not text.endswith("?")
        else f"Answer as JSON with {keys}: {text}",
    ])
    talk.say("json", question, json.dumps(dict(fields), ensure_ascii=False), exact=True)


CHATTER = (
    (fact, 34), (long_answer, 9), (small_talk, 7), (of_itself, 14), (of_the_user, 13), (recall, 20), (repeat, 8),
    (outside, 9), (free, 2), (without_tool, 6), (json_answer, 9),
)


def chatter(talk, turns):
    """Exchanges of every sort but calls of tools."""
    makers, weights = zip(*CHATTER)
    for _ in range(turns):
        maker = talk.rng.choices(makers, weights)[0]
        maker(talk)


def talk(rng, held=False):
    """One whole conversation."""
    made = Talk(rng, held)
    chance = rng.random()
    with_tools = rng.random() < 0.3
    if chance < 0.4:
        take_persona(made)
    elif chance < 0.65:
        made.system(rng.choice(SYSTEMS))
    if with_tools:
        declare(made)
        for _ in range(rng.choice([1, 1, 2])):
            if rng.random() < 0.3:
                chatter(made, 1)
            call(made)
        if rng.random() < 0.4:
            rng.choice([without_tool, chatter_once])(made)
    else:
        chatter(made, rng.choice([1, 2, 2, 3, 3, 4, 5, 8]))
    return made if made.kinds else talk(rng, held)


def chatter_once(talk):
    """One exchange."""
    chatter(talk, 1)
