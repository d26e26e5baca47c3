"""Ten thousand malformed requests against every endpoint of a hub: none may break it, learn its paths, or change it.

    python malformed.py FIELDS.json [SEED]

The environment is what scripts/hub.sh exports, FIELDS.json what populate.py printed. hypothesis draws the requests and
makes a failing one smaller. Ends with `N passed, N failed`; a check for each endpoint, and some for all together.
"""

import collections
import hashlib
import http.client
import json
import os
import pathlib
import re
import socket
import sys
import tempfile
import urllib.parse

from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st

from endpoints import ENDPOINTS, REFUSED, body as well_formed

REQUESTS = 10_000
SEED = 4
# What a request may take that is refused; a hub that waits longer hangs.
TIMEOUT_S = 20
# Answers are read this far: none that is asked for here is longer.
ANSWER_BYTES = 4 << 20

HOST, PORT = os.environ["HUB_LISTEN"].rsplit(":", 1)
DIRECTORY = pathlib.Path(os.environ["HUB_DIRECTORY"])
DATA = pathlib.Path(os.environ["HUB_DATA"])
# What no answer may say: where the hub's files are, where in its source it is, and a header that the client made up.
SECRETS = [text.encode() for text in (
    str(DIRECTORY), str(DATA), str(pathlib.Path.home()), tempfile.gettempdir(), "src/", ".rs:", "panicked", "os error",
    "RUST_BACKTRACE", "\nX-Injected: 1",
) if len(text) > 1]

HOSTILE = [
    "", ".", "..", "../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e", "....//", "%00", "\0", "a\0b", "%", "%zz",
    "%c0%ae%c0%ae", "%ff%fe", "\\..\\..", "C:\\", "//evil.example/x", "'; DROP TABLE models; --", "${jndi:ldap://x}", "{{7*7}}",
    "-1", "0", "9" * 400, "18446744073709551616", "1e999", "NaN", "true", "null", "[]", "a" * 300, "a" * 9_000, "/" * 2_000,
    "\u202e\u0000", "\ufeff", "\ud7ff\U0001f980" * 20, "\r\nX-Injected: 1", " ", "\t", "main~1", "HEAD^", "refs/heads/main", "refs/pr/1",
    ".git/config", "con", "a?b#c", "datasets", "resolve", "api", "0x" + "f" * 40, "0" * 40, "f" * 64, "Ａ", "é", "e\u0301",
]
# What is in no name, whatever else is: a name that holds one is refused.
FORBIDDEN = ["\0", "\n", "..", "\\", ":", "?", "*", "[", "~", "^", " ", "//", "@{", "\x7f"]
RANGES = [
    "bytes=", "bytes=-", "bytes=--1", "bytes=5-1", "bytes=a-b", "bytes=0-0,2-2", "bytes=0-" + "9" * 30, "bytes=" + "9" * 30 + "-",
    "bytes=-" + "9" * 30, "bytes=-0", "bits=0-1", "bytes 0-1", "bytes=0-1" + ",0-1" * 500, "\x80", "bytes=18446744073709551615-",
]
HEADERS = [
    ("range", RANGES), ("if-none-match", ["\"", "W/", "*,*", "\"" * 500]), ("if-range", ["x", "\"", "Thu, 99 Foo 1900"]),
    ("content-type", ["", "text/plain", "application/json; charset=\x80", "multipart/form-data", "application/x-www-form-urlencoded"]),
    ("accept-encoding", ["gzip;q=x", "identity;q=0", "*;q=0"]), ("content-encoding", ["gzip", "br", "x"]), ("accept", ["\x01", "*/*;q=9"]),
    ("expect", ["100-continue", "x"]), ("host", ["", "a b", "evil.example", "\x80"]), ("cookie", ["a" * 5_000]),
    ("x-forwarded-for", ["::1%eth0", "," * 100]), ("x-forwarded-host", ["evil.example"]), ("upgrade", ["websocket", "h2c"]),
    ("connection", ["close, range", "upgrade"]), ("if-modified-since", ["Thu, 99 Foo 1900"]), ("x-hf-download-counter", ["-1"]),
]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "A" * 300, "G\0T", ""]
FRAMINGS = ["chunked", "cut chunk", "bad chunk", "long length", "short length", "two lengths", "both", "negative", "no length"]

text = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30), st.binary(max_size=20).map(lambda raw: raw.decode("latin-1")))
bad_name = st.tuples(st.text("abc.-_/", max_size=6), st.sampled_from(FORBIDDEN), text).map("".join)
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**400, 1.5, -0.0]))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)), max_leaves=8,
)
# What stands for no name, no list of files, and no commit, though it is JSON.
wrong = st.one_of(st.booleans(), numbers, bad_name, st.lists(st.integers(), max_size=3), st.dictionaries(text, st.integers(), max_size=3))
garbage = st.one_of(
    st.binary(min_size=1, max_size=200), st.sampled_from([
        b"{", b"[", b'"', b"nul", b"{}{}", b"\xff\xfe{}", b'{"a":1,}', b"\0" * 64, b"[" * 20_000, b'{"a":' * 5_000, b"PK\x03\x04",
        b"XETBLOB" + b"\xff" * 60, b"HFRepoMetaData\0" + b"U" * 17 + b"\x02" + b"\0" * 180, b"1" * 100_000, b'{"\\ud800":1}',
        b"--x\r\n\r\n--x--", b"paths=%ff&paths&&=%00",
    ]),
)

fields = {}
statuses = collections.Counter()


class Request:
    """One request, as bytes; how it is framed is part of what is malformed."""

    def __init__(self, method, target, headers, content, framing):
        self.method, self.target, self.headers, self.content, self.framing = method, target, headers, content, framing

    def __repr__(self):
        headers = [(name, value[:60]) for name, value in self.headers]
        return f"{self.method[:40]!r} {self.target[:300]!r} {headers} {self.framing} {(self.content or b'')[:300]!r}"

    @property
    def is_whole(self):
        """Whether a server has to answer it: a request that is none may be met with a closed connection."""
        return self.framing in ("plain", "chunked") and re.fullmatch("[A-Z]+", self.method) and self.target.isascii()

    def encoded(self):
        """What goes over the wire."""
        content, headers = self.content or b"", list(self.headers)
        if self.framing == "plain" and (self.content is not None or self.method in ("POST", "PUT")):
            headers.append(("content-length", str(len(content))))
        elif self.framing in ("chunked", "cut chunk", "bad chunk", "both"):
            headers.append(("transfer-encoding", "chunked"))
            size = b"zz" if self.framing == "bad chunk" else b"%x" % (len(content) + (self.framing == "cut chunk") * 99)
            content = (size + b"\r\n" + content + b"\r\n" if content else b"") + (b"0\r\n\r\n" if self.framing != "cut chunk" else b"")
            headers += [("content-length", "5")] * (self.framing == "both")
        elif self.framing in ("long length", "short length", "two lengths", "negative"):
            length = {"long length": len(content) + 99, "short length": len(content) // 2, "negative": -1}.get(self.framing, len(content))
            headers.append(("content-length", str(length)))
            headers += [("content-length", str(length + 1))] * (self.framing == "two lengths")
        lines = [f"{self.method} {self.target} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join(lines) + "\r\n\r\n"
        return head.encode("utf-8", "surrogateescape") + content


def send(request):
    """(status, headers and body as bytes) of the answer, (None, b"") where the connection was closed without one."""
    with socket.create_connection((HOST, int(PORT)), timeout=TIMEOUT_S) as connection:
        try:
            connection.sendall(request.encoded())
            if not request.is_whole:
                # What is missing never comes; of a whole request this would say that nobody waits for the answer.
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before it was whole; the answer may be there all the same
        answer = http.client.HTTPResponse(connection, method=request.method)
        try:
            answer.begin()
            return answer.status, str(answer.headers).encode() + answer.read(ANSWER_BYTES)
        except (ConnectionError, http.client.HTTPException):
            return None, b""


@st.composite
def requests(draw, endpoint):
    """A request to that endpoint with something wrong, of somebody who may or may not write.

    Who may write sends nothing that could be a valid change: what is wrong then is in the body, for certain.
    """
    method, path, query, kind = endpoint
    who = draw(st.sampled_from(["writer", "writer", "reader", "other", "nobody", "hostile"]))
    writes = kind is not None or method == "DELETE"
    certain = who == "writer" and writes
    if not certain and draw(st.integers(0, 5)) == 5:
        method = draw(st.sampled_from(METHODS))
    headers = [("host", f"{HOST}:{PORT}"), ("connection", "close")] + credentials(draw, who)
    content, media = well_formed(kind, fields) if kind else (None, None)
    if content is None and kind:
        content = draw(st.one_of(garbage, st.binary(max_size=2_000)))
    elif content is not None and (certain or draw(st.booleans())):
        content = draw(broken(kind, content))
    if media:
        headers.append(("content-type", media))
    if draw(st.integers(0, 2)) == 2:
        name, choices = draw(st.sampled_from(HEADERS))
        value = draw(st.sampled_from(choices))
        headers = [header for header in headers if header[0] != name] + [(name, value)]
    framing = draw(st.sampled_from(["plain"] * 12 + FRAMINGS))
    if certain and framing in ("short length", "both", "no length"):
        framing = "plain"
    return Request(method, target(draw, path, query), headers, content, framing)


def credentials(draw, who):
    """The header that says who asks."""
    tokens = {"writer": "HUB_TOKEN", "reader": "HUB_READ_TOKEN", "other": "HUB_OTHER_TOKEN"}
    if who in tokens:
        return [("authorization", f"Bearer {os.environ[tokens[who]]}")]
    if who == "nobody":
        return []
    token = os.environ["HUB_TOKEN"]
    ways = ["Bearer", "Bearer ", "Basic dTpw", "bearer " + token[:-3], "Bearer " + token[:-1] + "!", "Bearer hf_" + "A" * 3_000,
            "Bearer " + os.environ["HUB_FOREIGN_TOKEN"], "\x80", "Bearer hf_\x00", "Token " + token]
    return [("authorization", draw(st.sampled_from(ways)))]


def target(draw, path, query):
    """The path and query; some of the fields replaced by something hostile, the rest as a client writes them."""
    chosen = {name: urllib.parse.quote(value, safe="/") for name, value in fields.items()}
    for name in re.findall(r"{(\w+)}", path):
        if draw(st.integers(0, 3)) == 3:
            chosen[name] = quoted(draw, draw(text))
    path = path.format(**chosen)
    if draw(st.integers(0, 11)) == 11:
        at = draw(st.integers(0, len(path)))
        path = path[:at] + quoted(draw, draw(text)) + path[at:]
    pairs = [(name, quoted(draw, draw(text)) if draw(st.integers(0, 2)) == 2 else value) for name, value in query.items()]
    if draw(st.integers(0, 7)) == 7:
        pairs += [(quoted(draw, draw(text)), quoted(draw, draw(text)))] * draw(st.sampled_from([1, 2, 300]))
    shown = "&".join(f"{name}={value}" for name, value in pairs)
    return (path if path.startswith("/") else "/" + path) + ("?" + shown if shown else "")


def quoted(draw, value):
    """As it may stand in a URL: as a client quotes it, half of it, twice, or not at all but for what would end the line."""
    raw = value.encode("utf-8", "surrogatepass")
    how = draw(st.integers(0, 4))
    if how <= 1:
        return urllib.parse.quote(raw, safe="")
    if how == 2:
        return urllib.parse.quote(raw, safe="/%")
    if how == 3:
        return urllib.parse.quote(urllib.parse.quote(raw, safe=""), safe="")
    return re.sub(r"[\s\x00-\x1f\x7f]", "", value)


@st.composite
def broken(draw, kind, content):
    """A body of that kind which is certainly wrong."""
    how = draw(st.integers(0, 3))
    if how == 0 or kind == "paths":
        return draw(garbage)
    if how == 1:
        return content[: draw(st.integers(1, max(1, len(content.rstrip()) - 1)))]
    if kind == "commit":
        return draw(broken_commit(content))
    document = json.loads(content)
    if how == 2:
        name = draw(st.sampled_from(REQUIRED[kind]))
        document[name] = draw(wrong)
    else:
        document = draw(st.one_of(st.lists(values, max_size=3), numbers, text, st.booleans()))
    return json.dumps(document).encode("utf-8", "surrogatepass")


# The fields of each kind of body without which it asks for nothing.
REQUIRED = {
    "create": ["name"], "delete": ["name"], "move": ["fromRepo"], "settings": ["visibility"], "yaml": ["content"],
    "preupload": ["files"], "branch": ["startingPoint"], "tag": ["tag"], "discussion": ["title"], "batch": ["operation", "objects"],
    "grant": ["length", "checksum"], "complete": ["oid", "parts"], "verify": ["oid", "size"], "challenge": ["blob", "seed"],
    "refusal": ["subject"],
}


@st.composite
def broken_commit(draw, content):
    """Lines of which one is wrong; the parent stays one that never was, unless it is no commit at all."""
    lines = content.splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    line = json.loads(lines[at])
    how = draw(st.integers(0, 5))
    if how == 0:
        lines.insert(draw(st.integers(0, len(lines))), draw(garbage))
    elif how == 1:
        name = draw(st.sampled_from(sorted(line["value"])))
        line["value"][name] = draw(wrong)
        lines[at] = json.dumps(line).encode("utf-8", "surrogatepass")
    elif how == 2:
        line["key"] = draw(text)
        lines[at] = json.dumps(line).encode("utf-8", "surrogatepass")
    elif how == 3:
        line["value"] = draw(st.one_of(wrong, st.none()))
        lines[at] = json.dumps(line).encode("utf-8", "surrogatepass")
    elif how == 4:
        lines = lines[:1] + lines[1:] * draw(st.sampled_from([2, 500]))
    else:
        # All of it could be done, but for the parent.
        lines = [one for one in lines if b"lfsFile" not in one]
    return b"\n".join(lines)


def judge(request):
    """Sends it and fails where the answer is one that no request may get."""
    status, answer = send(request)
    statuses[status] += 1
    assert status is not None or not request.is_whole, f"no answer to {request}"
    assert status is None or status < 500, f"{status} to {request}: {answer[:500]!r}"
    # hypothesis takes words from this file too: what the request says itself is no secret.
    said = request.encoded()
    said += urllib.parse.unquote_to_bytes(said) + urllib.parse.unquote_to_bytes(urllib.parse.unquote_to_bytes(said))
    for secret in SECRETS:
        assert secret not in answer or secret in said, f"{secret!r} in the answer to {request}: {answer[:500]!r}"


def attack(index, endpoint, count):
    """`count` requests to one endpoint, a smaller one with the same fault where one fails."""

    @seed(SEED * 1_000 + index)
    @settings(max_examples=count, deadline=None, database=None, phases=(Phase.generate, Phase.shrink), print_blob=False,
              suppress_health_check=list(HealthCheck), report_multiple_bugs=False)
    @given(requests(endpoint))
    def each(request):
        judge(request)

    each()


def asked(path, method="GET", content=None, media="application/json", status=200):
    """The body of the answer to a request that is well formed, as the writer."""
    headers = [("host", f"{HOST}:{PORT}"), ("connection", "close"), ("authorization", f"Bearer {os.environ['HUB_TOKEN']}")]
    connection = http.client.HTTPConnection(HOST, int(PORT), timeout=TIMEOUT_S)
    connection.request(method, path, content, dict(headers[2:] + [("content-type", media)]))
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    assert answer.status == status, f"{answer.status} to {path}: {found[:300]!r}"
    return found


def catalogue():
    """What the hub says it has: every repository with its refs, history and tree."""
    found = {}
    for kind in ("models", "datasets"):
        for entry in json.loads(asked(f"/api/{kind}?limit=1000&full=true")):
            # Downloads are counted, and nothing else about a repository may move.
            entry.pop("downloads", None)
            entry.get("assay", {}).pop("downloadsUnverified", None)
            at = f"/api/{kind}/{entry['id']}"
            parts = (f"{at}/refs", f"{at}/commits/main", f"{at}/tree/main?recursive=true")
            found[at] = [entry, *(json.loads(asked(part)) for part in parts)]
    return found


def files():
    """{path: digest} of every file in the hub's folder but its databases, whose pages may move."""
    paths = (path for path in DATA.rglob("*") if path.is_file() and path.suffix != ".redb")
    return {str(path.relative_to(DATA)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def nothing_kept():
    """No content of a refused commit is in the store, where whoever asks for large files by digest would find it."""
    lines = [line for line in well_formed("commit", fields)[0].splitlines() if b"lfsFile" not in line]
    asked(f"/api/models/{fields['repo']}/commit/main", "POST", b"\n".join(lines), "application/x-ndjson", status=412)
    kept = {"oid": hashlib.sha256(REFUSED).hexdigest(), "size": len(REFUSED)}
    question = json.dumps({"operation": "download", "transfers": ["basic"], "objects": [kept], "hash_algo": "sha256"})
    (answer,) = json.loads(asked(f"/{fields['repo']}.git/info/lfs/objects/batch", "POST", question))["objects"]
    assert "error" in answer, f"the store has what only refused commits brought: {answer}"


def still_works():
    """The file of before, and a commit of now."""
    weights = asked(f"/{fields['repo']}/resolve/main/model.safetensors")
    assert hashlib.sha256(weights).hexdigest() == fields["sha256"], "other bytes than before"
    lines = '{"key":"header","value":{"summary":"After","description":""}}\n' \
        '{"key":"file","value":{"path":"after.txt","content":"eA==","encoding":"base64"}}\n'
    asked(f"/api/models/{fields['repo']}/commit/main", "POST", lines, "application/x-ndjson")
    assert asked(f"/{fields['repo']}/resolve/main/after.txt") == b"x"


def differences(before, after, at=""):
    """Where two documents differ, with both values."""
    if type(before) is not type(after) or not isinstance(before, (dict, list)):
        return [] if before == after else [f"{at}: {str(before)[:200]} became {str(after)[:200]}"]
    if isinstance(before, list):
        before, after = dict(enumerate(before)), dict(enumerate(after))
    keys = sorted(before.keys() | after.keys())
    return [line for key in keys for line in differences(before.get(key), after.get(key), f"{at}/{key}")]


def unchanged(before, after, what):
    """Fails with what is new, gone or different."""
    found = differences(before, after)
    assert not found, f"{what} changed: {found[:5]}"


def same_process(process):
    """The hub is the one of before, and said nothing of a panic."""
    assert (DIRECTORY / "hub.pid").read_text() == process, "the hub ended and was started again"
    assert "panicked" not in (DIRECTORY / "hub.log").read_text(errors="replace"), "a panic in the hub's log"


def enough():
    """As many as promised were sent."""
    sent = sum(statuses.values())
    assert sent >= REQUESTS, f"only {sent} requests"
    return f"{sent} requests, seed {SEED}: {dict(sorted(statuses.items(), key=str))}"


def main():
    global SEED
    fields.update(json.loads(pathlib.Path(sys.argv[1]).read_text()))
    SEED = int(sys.argv[2]) if len(sys.argv) > 2 else SEED
    print(f"seed {SEED}")
    process, known, stored = (DIRECTORY / "hub.pid").read_text(), catalogue(), files()
    count = -(-REQUESTS // len(ENDPOINTS)) + 2
    checks = [
        (f"{method} {path}", lambda index=index, endpoint=endpoint: attack(index, endpoint, count))
        for index, endpoint in enumerate(ENDPOINTS) for method, path, *_ in [endpoint]
    ] + [
        ("ten thousand requests", enough),
        ("the hub is the same process", lambda: same_process(process)),
        ("the catalogue is as before", lambda: unchanged(known, catalogue(), "the catalogue")),
        ("the store is as before", lambda: unchanged(stored, files(), "the store")),
        ("nothing of a refused commit is kept", nothing_kept),
        ("it still reads and writes", still_works),
    ]
    passed = 0
    for number, (name, check) in enumerate(checks, start=1):
        try:
            said = check()
            passed += 1
            print(f"ok {number} - {name}" + (f" ({said})" if said else ""), flush=True)
        except Exception as error:
            print(f"not ok {number} - {name}\n  # {type(error).__name__}: {str(error)[:3000]}", flush=True)
    print(f"{passed} passed, {len(checks) - passed} failed")
    return 0 if passed == len(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
