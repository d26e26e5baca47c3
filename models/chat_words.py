"""The words that conversations are filled with, and which of them training never sees.

A word is *held out* if its checksum says so, or if it stands in one of the HELD lists; held-out words occur in no
training text and fill the whole held-out set. Besides lists there are made-up words, so that copying has to be learnt
and not the list.
"""

import zlib

ONSETS = "b c d f g h j k l m n p q r s t v w x y z br ch cl dr fl gr kr pl pr sh sk sl st th tr zh".split()
NUCLEI = "a e i o u a e i o u ai au ea ee ia io ou y ä ö ü é".split()
CODAS = [""] * 6 + "l m n r s t k ck ng nd rt st x z sh".split()

NAMES = """Ada Adam Aisha Alan Alice Amara Amir Ana Andre Anna Anton Aria Ben Bilal Bruno Carla Carlos Chen Chloe Clara
Dana Daniel David Diego Dina Elena Eli Elif Emma Erik Eva Fatima Felix Finn Frida Grace Greta Hana Hans Hugo Ida Igor
Ines Ingrid Ivan Jack James Jan Jane John Jonas Jose Julia Kai Karim Kate Kenji Lara Lars Laura Lea Leo Lily Lina Luca
Lucy Luis Maria Marie Mark Marta Max Maya Mia Milo Mira Mohamed Nadia Nina Noah Nora Olga Oscar Otto Paul Pedro Peter
Petra Priya Rosa Ravi Robin Ruth Sam Samir Sara Simon Sofia Sven Tara Theo Tim Tom Uma Vera Victor Wei Yuki Zoe""".split()
HELD_NAMES = """Agnes Anouk Barnaby Bartholomew Celeste Desmond Dmitri Esperanza Fiona Gulnara Hyacinth Ignatius Jasper
Kwame Lorenzo Matilda Ngozi Octavia Philippa Quentin Rosalind Sunniva Thaddeus Ulrika Vikram Wilhelmina Xavier Yevgenia
Zebulon Björn""".split()
CITIES = """Accra|Amsterdam|Ankara|Athens|Auckland|Austin|Baku|Bangkok|Barcelona|Basel|Beijing|Berlin|Bern|Bogota|Boston|
Brussels|Budapest|Cairo|Cape Town|Casablanca|Chicago|Cologne|Copenhagen|Cusco|Dakar|Delhi|Denver|Dubai|Dublin|Edinburgh|
Florence|Geneva|Genoa|Hamburg|Hanoi|Havana|Helsinki|Hong Kong|Istanbul|Izmir|Jaipur|Jakarta|Kyoto|Krakow|Lagos|Lahore|
Leipzig|Lima|Lisbon|London|Los Angeles|Lyon|Madrid|Malmö|Manila|Melbourne|Mexico City|Milan|Montreal|Moscow|Mumbai|
Munich|Nairobi|Naples|New York|Nice|Osaka|Oslo|Ottawa|Paris|Porto|Prague|Quito|Riga|Rio de Janeiro|Rome|San Francisco|
San Jose|Santiago|Seattle|Seoul|Seville|Shanghai|Singapore|Sofia|Split|Stockholm|Sydney|Taipei|Tallinn|Tehran|Tokyo|
Toronto|Tunis|Turin|Valencia|Vancouver|Venice|Vienna|Vilnius|Warsaw|Wellington|Zagreb|Zürich""".replace("\n", "").split("|")
HELD_CITIES = """Antananarivo|Bergen|Bratislava|Buenos Aires|Chengdu|Dar es Salaam|Glasgow|Honolulu|Kathmandu|Kuala Lumpur|
Ljubljana|Marrakesh|Minsk|Nuuk|Odessa|Phnom Penh|Reykjavik|Salzburg|São Paulo|Tbilisi|Timbuktu|Ulaanbaatar|Vladivostok|
Wichita|Yokohama|Zanzibar""".replace("\n", "").split("|")

ROLES = [
    f"{first} {second}"
    for first in "night chess violin sailing market garden history stage river robot book train city cheese bicycle piano".split()
    for second in "teacher baker coach mechanic guide writer singer builder painter keeper doctor driver seller judge".split()
]
LIKES = [
    f"{first} {second}"
    for first in "old strong quiet black green rainy paper salted wild long small loud warm blue early northern".split()
    for second in "maps coffee cats tea films bread games flowers trains songs novels walks birds bridges islands soup".split()
]
PETS = "cat dog parrot turtle rabbit pony ferret gecko hamster goat".split()
CONDITIONS = "sunny cloudy rainy windy foggy snowy clear stormy dry mild hot freezing humid grey".split()
CURRENCIES = "USD EUR GBP JPY CHF SEK NOK INR BRL CAD AUD CNY".split()
PLAIN = """apple river lantern window paper green seven slowly bright under mountain silver circle morning garden
yellow bottle winter summer engine letter stone cloud music quiet never always kitchen bread simple hammer orange
basket forest island yesterday tomorrow market candle bridge feather copper pillow rocket thunder velvet whisper""".split()


def held_out(word):
    """Whether a word belongs to the held-out eighth."""
    return zlib.crc32(word.lower().encode()) % 8 == 0


def pick(rng, words, held):
    """One of `words` on the side of the split that `held` names."""
    while True:
        word = rng.choice(words)
        if held_out(word) == held:
            return word


def made_up(rng, held):
    """A pronounceable word that means nothing, in lower case."""
    while True:
        syllables = [rng.choice(ONSETS) + rng.choice(NUCLEI) + rng.choice(CODAS) for _ in range(rng.choice([2, 2, 2, 3]))]
        word = "".join(syllables)
        if held_out(word) == held:
            return word


def proper(rng, held, listed, held_listed):
    """A listed proper name, or as often a made-up one."""
    if rng.random() < 0.4:
        return rng.choice(held_listed if held else listed)
    word = made_up(rng, held).capitalize()
    return f"{rng.choice(['New', 'San', 'Port', 'Saint'])} {word}" if held_listed is HELD_CITIES and rng.random() < 0.1 else word


def name(rng, held):
    """A person's name."""
    return proper(rng, held, NAMES, HELD_NAMES)


def city(rng, held):
    """A city's name."""
    return proper(rng, held, CITIES, HELD_CITIES)


def role(rng, held):
    """What somebody works as."""
    return pick(rng, ROLES, held)


def like(rng, held):
    """What somebody likes."""
    return pick(rng, LIKES, held)


def number(rng, held, top=1000):
    """A whole number as text; small ones are as likely as large ones."""
    while True:
        text = str(rng.randrange(rng.choice([20, 100, top])))
        if held_out(text) == held:
            return text


def receipt_id(rng, held):
    """The short form of a receipt's id."""
    while True:
        digits = "".join(rng.choice("0123456789abcdef") for _ in range(rng.choice([4, 6, 8])))
        text = rng.choice(["0x", "0x", "r-"]) + digits
        if held_out(text) == held:
            return text


def phrase(rng, held):
    """Two to eight words of every sort, to be repeated."""
    sorts = [
        lambda: rng.choice(PLAIN), lambda: rng.choice(PLAIN), lambda: made_up(rng, held), lambda: name(rng, held),
        lambda: number(rng, held), lambda: receipt_id(rng, held), lambda: city(rng, held),
    ]
    return " ".join(rng.choice(sorts)() for _ in range(rng.randint(2, 8)))
