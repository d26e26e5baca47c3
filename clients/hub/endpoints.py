"""Every endpoint of a hub, as requests that are well formed; malformed.py breaks them.

A path holds {fields}, which populate.py finds: {repo} and {data} are repositories that exist, {rev}, {commit}, {path} and
{tag} what is in them; {sha256}, {xet}, {blob}, {whole} and {revision} digests that exist; {upload} and {fetch} signed
addresses. {missing} is a digest that does not exist, {branch} a branch and a tag that do not.
"""

import base64
import json

# The content of a file in commits that are all refused: afterwards nobody has it.
REFUSED = b"only ever in commits that are refused\n"

# (method, path, query, kind of the body)
ENDPOINTS = [
    # Accounts and repositories.
    ("GET", "/api/whoami-v2", {}, None),
    ("POST", "/api/repos/create", {}, "create"),
    ("DELETE", "/api/repos/delete", {}, "delete"),
    ("POST", "/api/repos/move", {}, "move"),
    ("PUT", "/api/models/{repo}/settings", {}, "settings"),
    ("GET", "/api/models/{repo}/auth-check", {}, None),
    ("GET", "/api/models/{repo}/likers", {}, None),
    ("POST", "/api/validate-yaml", {}, "yaml"),
    # Listings and what is known of one.
    ("GET", "/api/models", {"search": "model", "limit": "5", "sort": "downloads", "filter": "mit", "author": "alice"}, None),
    ("GET", "/api/models", {"num_parameters": "min:6B,max:128B", "full": "True", "cardData": "True", "expand": "sha"}, None),
    ("GET", "/api/datasets", {"search": "data", "limit": "2"}, None),
    ("GET", "/api/models-tags-by-type", {}, None),
    ("GET", "/api/datasets-tags-by-type", {}, None),
    ("GET", "/api/models/{tag}", {}, None),
    ("GET", "/api/models/{repo}", {"blobs": "true", "securityStatus": "true"}, None),
    ("GET", "/api/models/{repo}/revision/{rev}", {"expand": "siblings"}, None),
    ("GET", "/api/datasets/{data}", {}, None),
    ("GET", "/api/models/{repo}/tree/{rev}", {"recursive": "true", "expand": "true", "limit": "3", "cursor": "x"}, None),
    ("GET", "/api/models/{repo}/tree/{rev}/{path}", {}, None),
    ("POST", "/api/models/{repo}/paths-info/{rev}", {}, "paths"),
    ("GET", "/api/models/{repo}/refs", {"include_prs": "1"}, None),
    ("GET", "/api/models/{repo}/commits/{rev}", {"limit": "2", "p": "1"}, None),
    ("GET", "/api/models/{repo}/safetensors-metadata/model.safetensors", {}, None),
    ("GET", "/assay/v1/models/{repo}/lineage", {"revision": "main"}, None),
    ("GET", "/assay/v1/models/{repo}/bom", {}, None),
    ("GET", "/{repo}/resolve/unsafe%2F{rev}/{path}", {}, None),
    # Commits.
    ("POST", "/api/models/{repo}/preupload/{rev}", {}, "preupload"),
    ("POST", "/api/models/{repo}/commit/{rev}", {"create_pr": "1"}, "commit"),
    ("POST", "/api/models/{repo}/commit/{rev}", {}, "commit"),
    ("POST", "/api/models/{repo}/branch/{branch}", {}, "branch"),
    ("DELETE", "/api/models/{repo}/branch/{branch}", {}, None),
    ("POST", "/api/models/{repo}/tag/{rev}", {}, "tag"),
    ("DELETE", "/api/models/{repo}/tag/{branch}", {}, None),
    ("POST", "/api/models/{repo}/discussions", {}, "discussion"),
    # Content.
    ("GET", "/{repo}/resolve/{rev}/{path}", {"download": "true"}, None),
    ("HEAD", "/{repo}/resolve/{rev}/{path}", {}, None),
    ("GET", "/{repo}/resolve/{rev}/model.safetensors", {}, None),
    ("GET", "/{repo}/raw/{rev}/{path}", {}, None),
    ("GET", "/datasets/{data}/resolve/main/README.md", {}, None),
    ("POST", "/{repo}.git/info/lfs/objects/batch", {}, "batch"),
    ("POST", "/datasets/{data}.git/info/lfs/objects/batch", {"create": "true"}, "batch"),
    # Xet.
    ("GET", "/api/models/{repo}/xet-write-token/{rev}", {}, None),
    ("GET", "/api/models/{repo}/xet-read-token/{commit}", {}, None),
    ("GET", "/v1/chunks/default-merkledb/{missing}", {}, None),
    ("POST", "/v1/xorbs/default/{missing}", {}, "xorb"),
    ("POST", "/v1/xorb-grants/default/{missing}", {}, "grant"),
    ("POST", "/v1/shards", {}, "shard"),
    ("POST", "/v2/shards", {}, "shard"),
    ("GET", "/v1/reconstructions/{xet}", {}, None),
    ("GET", "/v2/reconstructions/{xet}", {}, None),
    ("POST", "/v1/telemetry", {}, "yaml"),
    ("POST", "/v1/xorb-commits/default/{missing}/grant/{upload}", {}, "grant"),
    ("GET", "/v1/fetch/{fetch}", {}, None),
    ("PUT", "/v1/fetch/{fetch}", {}, "xorb"),
    # The signed addresses of LFS.
    ("GET", "/assay/v1/lfs/{upload}", {}, None),
    ("PUT", "/assay/v1/lfs/{upload}", {}, "xorb"),
    ("PUT", "/assay/v1/lfs/{upload}/parts/1", {}, "xorb"),
    ("POST", "/assay/v1/lfs/{upload}/complete", {}, "complete"),
    ("POST", "/assay/v1/lfs/{upload}/verify", {}, "verify"),
    # Between hubs.
    ("GET", "/assay/v1/blobs/{blob}", {}, None),
    ("HEAD", "/assay/v1/blobs/{blob}", {}, None),
    ("GET", "/assay/v1/blobs/{blob}/slice", {"start": "0", "end": "100"}, None),
    ("GET", "/assay/v1/blobs/{blob}/erasure", {}, None),
    ("POST", "/assay/v1/challenges", {}, "challenge"),
    ("GET", "/health", {}, None),
    ("GET", "/assay/v1/hub", {}, None),
    ("GET", "/assay/v1/policy", {}, None),
    ("GET", "/assay/v1/refusals", {"from": "0", "limit": "5"}, None),
    ("POST", "/assay/v1/refusals", {}, "refusal"),
    ("GET", "/assay/v1/commits/{whole}", {}, None),
    ("GET", "/assay/v1/revisions/{revision}", {}, None),
]


def body(kind, fields):
    """The bytes and the content type of a well-formed body; None for the bytes of a container, which are drawn."""
    if kind in ("xorb", "shard"):
        return None, "application/octet-stream"
    if kind == "paths":
        return b"paths=README.md&paths=extra&expand=true", "application/x-www-form-urlencoded"
    if kind == "commit":
        return commit(fields), "application/x-ndjson"
    return json.dumps(DOCUMENTS[kind](fields)).encode(), "application/json"


def commit(fields):
    """A commit as the client sends it: whole, it would change {repo}; its parent is one that never was."""
    lines = [
        {"key": "header", "value": {"summary": "s", "description": "d", "parentCommit": fields["missing"][:40]}},
        {"key": "file", "value": {"path": "a.txt", "content": base64.b64encode(REFUSED).decode(), "encoding": "base64"}},
        {"key": "lfsFile", "value": {"path": "b.safetensors", "algo": "sha256", "oid": fields["missing"], "size": 5}},
        {"key": "deletedFile", "value": {"path": "config.json"}},
        {"key": "deletedFolder", "value": {"path": "extra"}},
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


# What each kind of JSON body looks like; each is refused as it is, so that a change that leaves it whole writes nothing.
DOCUMENTS = {
    "create": lambda fields: {"name": "model", "organization": fields["namespace"], "type": "model", "visibility": "public"},
    "delete": lambda fields: {"name": fields["missing"][:20], "organization": fields["namespace"], "type": "model"},
    "move": lambda fields: {"fromRepo": f"{fields['namespace']}/{fields['missing'][:20]}", "toRepo": "bob/x", "type": "model"},
    "settings": lambda fields: {"visibility": "private", "gated": "auto"},
    "yaml": lambda fields: {"content": "---\nlicense: mit\n---\n", "repoType": "model"},
    "preupload": lambda fields: {"files": [{"path": "a.bin", "sample": base64.b64encode(b"x" * 99).decode(), "size": 99}]},
    "branch": lambda fields: {"startingPoint": fields["missing"][:40]},
    "tag": lambda fields: {"tag": fields["tag"], "message": "m"},
    "discussion": lambda fields: {"title": "t", "description": "d", "pullRequest": True},
    "batch": lambda fields: {
        "operation": "upload", "transfers": ["basic", "multipart"], "hash_algo": "sha256",
        "objects": [{"oid": fields["sha256"], "size": 5}], "ref": {"name": "main"},
    },
    "grant": lambda fields: {"length": 99, "checksum": {"algo": "crc64nvme", "value": "1"}},
    "refusal": lambda fields: {"reason": "r" * 100_000, "subject": {"blob": {"id": fields["missing"]}}},
    "complete": lambda fields: {"oid": fields["missing"], "parts": [{"partNumber": 1, "etag": fields["missing"]}]},
    "verify": lambda fields: {"oid": fields["missing"], "size": 5},
    "challenge": lambda fields: {"blob": fields["blob"], "seed": fields["missing"]},
}
