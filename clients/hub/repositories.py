"""Accounts, repositories, commits, refs, listings and errors, as huggingface_hub asks for them."""

import hashlib
import io
import json
import pathlib
import re
import tempfile
import time

import huggingface_hub
from huggingface_hub import (
    CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, ModelCard, RepoFolder, hf_hub_download,
    metadata_update,
)
from huggingface_hub.errors import (
    BadRequestError, EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError,
)
from huggingface_hub.utils._pagination import paginate

import hub
import samples
from check import fails, same

api = HfApi()
# A name of this run: four runs of two clients share one hub.
RUN = f"c{time.time_ns() // 1_000_000:x}"
REPO = f"{hub.NAMESPACE}/{RUN}-model"
DATASET = f"{hub.NAMESPACE}/{RUN}-data"
MISSING = f"{hub.NAMESPACE}/{RUN}-missing"
# Files of one commit that no page of a listing holds; the public hub's pages have 1,000 entries.
MANY_FILES = 1_050
MAJOR = int(huggingface_hub.__version__.partition(".")[0])
# What later checks know from earlier ones.
seen = {}


def repository(name, **options):
    """Creates a repository of this run and returns its id."""
    return api.create_repo(f"{hub.NAMESPACE}/{RUN}-{name}", **options).repo_id


def put(repo, path, content, **options):
    """Commits one small file; the commit."""
    return api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo, **options)


def read(repo, path, **options):
    """The bytes of one file, downloaded into a cache that knows nothing."""
    with tempfile.TemporaryDirectory() as cache:
        return pathlib.Path(hf_hub_download(repo, path, cache_dir=cache, **options)).read_bytes()


def blob_id(content):
    """The id that git gives the content of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def who_am_i():
    me = api.whoami()
    same((me["name"], me["type"], me["auth"]["accessToken"]["role"]), (hub.NAMESPACE, "user", "write"))
    same(api.whoami(token=hub.READ_TOKEN)["auth"]["accessToken"]["role"], "read")
    assert api.whoami(token=hub.OTHER_TOKEN)["name"] != hub.NAMESPACE
    assert hub.NAMESPACE in hub.hf("auth", "whoami")


def bad_tokens_are_refused():
    longer = hub.TOKEN[:-1] + ("A" if hub.TOKEN[-1] != "A" else "B")
    changed = hub.TOKEN[:8] + ("A" if hub.TOKEN[8] != "A" else "B") + hub.TOKEN[9:]
    for token in ("hf_nonsense", longer, changed, hub.TOKEN[:-4], hub.FOREIGN_TOKEN):
        fails(HfHubHTTPError, lambda: api.whoami(token=token), status=401)
        fails(HfHubHTTPError, lambda: api.create_repo(MISSING, token=token), status=401)
    same(hub.ask("GET", "/api/whoami-v2", token=None)[0], 401)
    same(hub.ask("GET", "/api/whoami-v2", {"authorization": "Basic dTpw"}, token=None)[0], 401)


def a_repository_is_created_once():
    url = api.create_repo(REPO)
    same((url.repo_id, url.repo_type, url.endpoint), (REPO, "model", hub.URL))
    fails(HfHubHTTPError, lambda: api.create_repo(REPO), status=409)
    same(api.create_repo(REPO, exist_ok=True).repo_id, REPO)
    # A name is one whatever its letters: nobody gets the name of another with a capital in it.
    fails(HfHubHTTPError, lambda: api.create_repo(f"{hub.NAMESPACE}/{RUN.upper()}-MODEL"), status=409)
    same(api.create_repo(f"{RUN}-short").repo_id, f"{hub.NAMESPACE}/{RUN}-short")
    hub.hf("repos", "create", f"{hub.NAMESPACE}/{RUN}-cli")
    assert api.repo_exists(f"{hub.NAMESPACE}/{RUN}-cli")


def nobody_writes_without_the_right():
    for token in (hub.READ_TOKEN, hub.OTHER_TOKEN):
        fails(HfHubHTTPError, lambda: api.create_repo(MISSING, token=token), status=403)
        fails(HfHubHTTPError, lambda: put(REPO, "a.txt", b"x", token=token), status=403)
        fails(HfHubHTTPError, lambda: api.create_tag(REPO, tag="theirs", token=token), status=403)
        fails(HfHubHTTPError, lambda: api.create_branch(REPO, branch="theirs", token=token), status=403)
        fails(HfHubHTTPError, lambda: api.delete_repo(REPO, token=token), status=403)
    fails(HfHubHTTPError, lambda: put(REPO, "a.txt", b"x", token=False), status=401)
    same([path for path in api.list_repo_files(REPO) if path != ".gitattributes"], [])


def a_refusal_does_not_break_the_connection():
    body = json.dumps({"name": "x", "organization": hub.NAMESPACE}).encode()
    for method, path, token in (
        ("POST", "/api/repos/create", "hf_nonsense"), ("POST", "/api/repos/create", hub.READ_TOKEN),
        ("POST", f"/api/models/{MISSING}/commit/main", hub.TOKEN), ("POST", f"/api/models/{MISSING}/preupload/main", hub.TOKEN),
        ("PUT", "/nowhere", hub.TOKEN), ("POST", "/api/whoami-v2", hub.TOKEN), ("POST", "/v1/shards", "nonsense"),
        ("POST", f"/{MISSING}.git/info/lfs/objects/batch", hub.TOKEN), ("PUT", "/assay/v1/lfs/nonsense", hub.TOKEN),
    ):
        answer = hub.in_two_pieces(method, path, token, body)
        # A client takes the connection for good unless it is told otherwise, and sends its next request on it.
        assert answer in ("usable", "announced"), f"{method} {path}: the connection was closed, which no header said"


def what_is_not_offered_is_refused():
    fails(HfHubHTTPError, lambda: api.create_repo(MISSING, private=True))
    assert not api.repo_exists(MISSING)
    fails(HfHubHTTPError, lambda: put(REPO, "a.txt", b"x", create_pr=True), says="pull request")
    same([path for path in api.list_repo_files(REPO) if path != ".gitattributes"], [])


def a_folder_is_published():
    folder = pathlib.Path(tempfile.mkdtemp())
    files = samples.write_model(folder, f"tag-{RUN}")
    (folder / "scratch.tmp").write_text("left out")
    commit = api.upload_folder(
        repo_id=REPO, folder_path=folder, ignore_patterns=["*.tmp"], commit_message="A first version",
        commit_description="With its tokenizer.",
    )
    assert re.fullmatch("[0-9a-f]{40}", commit.oid), commit.oid
    same(commit.oid, api.model_info(REPO).sha)
    assert commit.oid in commit.commit_url
    same([path for path in api.list_repo_files(REPO) if path != ".gitattributes"], sorted(files))
    for path, content in files.items():
        assert read(REPO, path) == content, path
    seen.update(first=commit.oid, files=files, folder=folder)


def the_same_folder_again_makes_no_commit():
    before = api.model_info(REPO).sha
    again = api.upload_folder(repo_id=REPO, folder_path=seen["folder"], ignore_patterns=["*.tmp"])
    same((again.oid, api.model_info(REPO).sha), (before, before))


def model_info_says_what_the_card_says():
    info = api.model_info(REPO, files_metadata=True)
    same((info.id, info.author, info.private, info.gated), (REPO, hub.NAMESPACE, False, False))
    same((info.pipeline_tag, info.library_name, info.card_data.license), ("text-classification", "transformers", "apache-2.0"))
    for tag in (f"tag-{RUN}", "sentiment", "license:apache-2.0", "en", "de", "dataset:imdb", "transformers", "safetensors"):
        assert tag in info.tags, f"{tag} is not among {info.tags}"
    assert info.created_at and info.created_at <= info.last_modified
    assert abs(info.last_modified.timestamp() - time.time()) < 600
    same(info.safetensors.total, 64 * 32 + 4 + 64)
    same(dict(info.safetensors.parameters), {"F32": 64 * 32, "F16": 4, "I64": 64})
    same(info.config["model_type"], "bert")
    by_path = {one.rfilename: one for one in info.siblings}
    for path, content in seen["files"].items():
        one = by_path[path]
        same((path, one.size), (path, len(content)))
        if one.lfs:
            same((one.lfs.sha256, one.lfs.size), (hashlib.sha256(content).hexdigest(), len(content)))
        else:
            same((path, one.blob_id), (path, blob_id(content)))
    assert by_path["model.safetensors"].lfs and not by_path["config.json"].lfs


def files_come_from_bytes_and_from_streams():
    put(REPO, "notes/bytes.txt", b"from bytes\n", commit_message="Bytes")
    put(REPO, "notes/stream.txt", io.BytesIO(b"from a stream\n"), commit_message="A stream")
    content = samples.packed({"w": samples.random(RUN, "stream").random(300_000, dtype="float32")})
    put(REPO, "stream.safetensors", io.BytesIO(content), commit_message="A large stream")
    same(read(REPO, "notes/bytes.txt"), b"from bytes\n")
    same(read(REPO, "notes/stream.txt"), b"from a stream\n")
    assert read(REPO, "stream.safetensors") == content
    put(REPO, "notes/empty.txt", b"")
    same(read(REPO, "notes/empty.txt"), b"")


def one_commit_adds_copies_and_deletes():
    operations = [
        CommitOperationAdd("notes/ünïcode +%20#.txt", "naïve\n".encode()),
        CommitOperationCopy("notes/bytes.txt", "notes/copy.txt"),
        CommitOperationCopy("stream.safetensors", "copy.safetensors"),
        CommitOperationDelete("notes/stream.txt"),
    ]
    commit = api.create_commit(REPO, operations, commit_message="Several at once", commit_description="Two\nlines")
    same(read(REPO, "notes/ünïcode +%20#.txt"), "naïve\n".encode())
    same(read(REPO, "notes/copy.txt"), b"from bytes\n")
    assert read(REPO, "copy.safetensors") == read(REPO, "stream.safetensors")
    assert not api.file_exists(REPO, "notes/stream.txt")
    # What a commit took away is still in the commits before it.
    earlier = api.list_repo_commits(REPO)[1].commit_id
    same(read(REPO, "notes/stream.txt", revision=earlier), b"from a stream\n")
    same(api.model_info(REPO).sha, commit.oid)


def files_and_folders_are_deleted():
    put(REPO, "old/a.txt", b"a")
    put(REPO, "old/deep/b.txt", b"b")
    put(REPO, "old.txt", b"c")
    api.delete_file("old/a.txt", REPO)
    assert not api.file_exists(REPO, "old/a.txt") and api.file_exists(REPO, "old/deep/b.txt")
    api.delete_folder("old", REPO)
    assert not api.file_exists(REPO, "old/deep/b.txt") and api.file_exists(REPO, "old.txt")
    api.delete_files(REPO, ["old.*"])
    assert not api.file_exists(REPO, "old.txt")
    head = api.model_info(REPO).sha
    fails(HfHubHTTPError, lambda: api.delete_file("never-there.txt", REPO))
    same(api.model_info(REPO).sha, head)


def a_commit_names_its_parent():
    head = api.model_info(REPO).sha
    second = put(REPO, "counter.txt", b"1", parent_commit=head)
    fails(HfHubHTTPError, lambda: put(REPO, "counter.txt", b"2", parent_commit=head), status=412)
    same(read(REPO, "counter.txt"), b"1")
    put(REPO, "counter.txt", b"2", parent_commit=second.oid)
    same(read(REPO, "counter.txt"), b"2")


def commits_have_titles_dates_and_authors():
    commits = api.list_repo_commits(REPO)
    titles = [commit.title for commit in commits]
    assert titles.index("Several at once") < titles.index("A large stream") < titles.index("A first version"), titles
    first = next(commit for commit in commits if commit.commit_id == seen["first"])
    same((first.title, first.message.strip(), first.authors), ("A first version", "With its tokenizer.", [hub.NAMESPACE]))
    dates = [commit.created_at for commit in commits]
    same(dates, sorted(dates, reverse=True))
    same(len(set(commit.commit_id for commit in commits)), len(commits))
    same([commit.commit_id for commit in api.list_repo_commits(REPO, revision=seen["first"])][0], seen["first"])


def branches_and_tags():
    head = api.model_info(REPO).sha
    api.create_branch(REPO, branch="dev/x")
    fails(HfHubHTTPError, lambda: api.create_branch(REPO, branch="dev/x"), status=409)
    api.create_branch(REPO, branch="dev/x", exist_ok=True)
    api.create_branch(REPO, branch="first", revision=seen["first"])
    put(REPO, "only-here.txt", b"branch", revision="dev/x")
    same(api.model_info(REPO).sha, head)
    same(read(REPO, "only-here.txt", revision="dev/x"), b"branch")
    assert not api.file_exists(REPO, "only-here.txt")
    assert not api.file_exists(REPO, "counter.txt", revision="first")
    api.create_tag(REPO, tag="v1.0", revision=seen["first"], tag_message="The first")
    fails(HfHubHTTPError, lambda: api.create_tag(REPO, tag="v1.0"), status=409)
    api.create_tag(REPO, tag="v1.0", exist_ok=True)
    refs = api.list_repo_refs(REPO)
    branches = {one.name: (one.ref, one.target_commit) for one in refs.branches}
    same(branches["main"], ("refs/heads/main", head))
    same(branches["first"], ("refs/heads/first", seen["first"]))
    same([(one.name, one.ref, one.target_commit) for one in refs.tags], [("v1.0", "refs/tags/v1.0", seen["first"])])
    api.delete_tag(REPO, tag="v1.0")
    api.delete_branch(REPO, branch="first")
    fails(HfHubHTTPError, lambda: api.delete_tag(REPO, tag="v1.0"), status=404)
    fails(HfHubHTTPError, lambda: api.delete_branch(REPO, branch="main"))
    refs = api.list_repo_refs(REPO)
    same((sorted(one.name for one in refs.branches), refs.tags), (["dev/x", "main"], []))


def a_revision_can_be_a_branch_a_tag_or_a_commit():
    api.create_tag(REPO, tag="pinned", revision=seen["first"])
    for revision in ("main", "dev/x", "pinned", seen["first"], api.model_info(REPO).sha):
        assert api.revision_exists(REPO, revision), revision
    put(REPO, "config.json", b'{"model_type": "bert", "changed": true}')
    for revision in ("pinned", seen["first"]):
        same(read(REPO, "config.json", revision=revision), seen["files"]["config.json"])
        same(api.model_info(REPO, revision=revision).sha, seen["first"])
    put(REPO, "config.json", seen["files"]["config.json"])


def trees_list_what_is_there():
    top = {one.path: one for one in api.list_repo_tree(REPO)}
    assert isinstance(top["extra"], RepoFolder) and "extra/notes/how to use.txt" not in top
    whole = {one.path for one in api.list_repo_tree(REPO, recursive=True)}
    assert {"extra", "extra/notes", "extra/notes/how to use.txt", "config.json"} <= whole
    same([one.path for one in api.list_repo_tree(REPO, "extra/notes")], ["extra/notes/how to use.txt"])
    one = next(one for one in api.list_repo_tree(REPO, expand=True) if one.path == "model.safetensors")
    same((one.last_commit.oid, one.last_commit.title), (seen["first"], "A first version"))
    same(one.lfs.sha256, hashlib.sha256(seen["files"]["model.safetensors"]).hexdigest())
    same(bool(one.xet_hash), hub.XET)
    fails(EntryNotFoundError, lambda: list(api.list_repo_tree(REPO, "nowhere")))
    fails(RevisionNotFoundError, lambda: list(api.list_repo_tree(REPO, revision="nowhere")))


def a_long_listing_comes_in_pages():
    repo = repository("many")
    add = [CommitOperationAdd(f"part-{index % 7}/{index:05}.txt", b"%d" % index) for index in range(MANY_FILES)]
    api.create_commit(repo, add, commit_message="Many files")
    paths = [one.path for one in api.list_repo_tree(repo, recursive=True) if not isinstance(one, RepoFolder)]
    paths.remove(".gitattributes") if ".gitattributes" in paths else None
    same((len(paths), set(paths)), (MANY_FILES, {one.path_in_repo for one in add}))
    same(len(api.get_paths_info(repo, [one.path_in_repo for one in add[:300]])), 300)


def paths_info():
    found = {one.path: one for one in api.get_paths_info(REPO, ["config.json", "extra", "nowhere"], expand=True)}
    same(sorted(found), ["config.json", "extra"])
    same(found["config.json"].blob_id, blob_id(seen["files"]["config.json"]))
    assert found["config.json"].last_commit.oid and isinstance(found["extra"], RepoFolder)
    same(api.get_paths_info(REPO, "nowhere"), [])


def what_exists_and_what_does_not():
    assert api.repo_exists(REPO) and not api.repo_exists(MISSING) and not api.repo_exists(REPO, repo_type="dataset")
    assert api.file_exists(REPO, "config.json") and not api.file_exists(REPO, "nowhere")
    assert not api.file_exists(MISSING, "config.json") and not api.file_exists(REPO, "config.json", revision="nowhere")
    assert not api.revision_exists(REPO, "nowhere") and not api.revision_exists(REPO, "0" * 40)
    api.auth_check(REPO)
    fails(RepositoryNotFoundError, lambda: api.auth_check(MISSING))


def errors_name_what_is_missing():
    for call in (
        lambda: api.model_info(MISSING), lambda: hf_hub_download(MISSING, "a"), lambda: put(MISSING, "a", b"x"),
        lambda: list(api.list_repo_tree(MISSING)), lambda: api.list_repo_refs(MISSING), lambda: api.list_repo_commits(MISSING),
        lambda: api.create_branch(MISSING, branch="b"), lambda: api.create_tag(MISSING, tag="t"), lambda: api.delete_repo(MISSING),
    ):
        fails(RepositoryNotFoundError, call, status=404)
    for call in (
        lambda: api.model_info(REPO, revision="nowhere"), lambda: hf_hub_download(REPO, "config.json", revision="nowhere"),
        lambda: put(REPO, "a", b"x", revision="nowhere"), lambda: api.list_repo_commits(REPO, revision="nowhere"),
        lambda: api.create_tag(REPO, tag="t", revision="nowhere"), lambda: api.get_paths_info(REPO, "a", revision="nowhere"),
        lambda: api.create_branch(REPO, branch="b", revision="nowhere"),
    ):
        fails(RevisionNotFoundError, call, status=404)
    fails(EntryNotFoundError, lambda: hf_hub_download(REPO, "nowhere"), status=404, says="nowhere")
    fails(HfHubHTTPError, lambda: api.model_info(REPO, token="hf_nonsense"), status=401, says="credentials")
    api.delete_repo(MISSING, missing_ok=True)
    for arguments in (("download", MISSING), ("download", REPO, "nowhere"), ("download", REPO, "--revision", "nowhere")):
        assert "Traceback" not in hub.hf(*arguments, status=1)


def paths_that_leave_the_tree_are_refused():
    head = api.model_info(REPO).sha
    for path in ("a/../../b", "a//b", "a/./b", "a/", "con\ttrol", "a\\b", "x" * 5000):
        operation = CommitOperationAdd("placeholder", b"x")
        operation.path_in_repo = path
        fails((BadRequestError, HfHubHTTPError), lambda: api.create_commit(REPO, [operation], commit_message="Out of the tree"))
    same(api.model_info(REPO).sha, head)


def models_are_listed_with_filters():
    other = repository("other")
    put(other, "README.md", f"---\nlicense: mit\ntags:\n- tag-{RUN}\npipeline_tag: fill-mask\n---\n# Other\n".encode())

    def ids(**options):
        return [one.id for one in api.list_models(**options)]

    same(sorted(ids(search=f"{RUN}-model")), [REPO])
    same(sorted(ids(search=f"{RUN.upper()}-MODEL")), [REPO])
    same(sorted(ids(filter=f"tag-{RUN}")), sorted([REPO, other]))
    same(ids(filter=[f"tag-{RUN}", "license:mit"]), [other])
    same(ids(filter=[f"tag-{RUN}", "transformers", "de"]), [REPO])
    same(ids(filter=f"tag-{RUN}", pipeline_tag="text-classification"), [REPO])
    same(ids(filter=f"tag-{RUN}", trained_dataset="imdb"), [REPO])
    same(ids(search=f"{RUN}-nothing-has-this-name"), [])
    mine = ids(author=hub.NAMESPACE)
    assert {REPO, other} <= set(mine) and len(mine) == len(set(mine))
    same(ids(author=f"{RUN}-nobody"), [])
    same(ids(search=f"{RUN}-model", author=hub.NAMESPACE, filter="sentiment", num_parameters="max:1M"), [REPO])
    same(ids(search=f"{RUN}-model", num_parameters="min:1M"), [])


def listings_are_sorted_and_come_in_pages():
    def found(**options):
        return list(api.list_models(author=hub.NAMESPACE, search=RUN, **options))

    by_creation = found(sort="created_at")
    dates = [one.created_at for one in by_creation]
    same(dates, sorted(dates, reverse=True))
    put(REPO, "touched.txt", str(time.time()).encode())
    same(found(sort="last_modified", limit=1)[0].id, REPO)
    for order in ("downloads", "likes", "trending_score"):
        same({one.id for one in found(sort=order)}, {one.id for one in by_creation})
    same([one.id for one in found(sort="created_at", limit=2)], [one.id for one in by_creation[:2]])
    # With a limit of its own the client stops at the first page; the pages themselves have to lead to the end.
    query = {"author": hub.NAMESPACE, "search": RUN, "sort": "createdAt", "limit": 2}
    pages = list(paginate(f"{hub.URL}/api/models", params=query, headers={}))
    same([one["id"] for one in pages], [one.id for one in by_creation])


def listings_carry_what_is_asked_for():
    one = next(iter(api.list_models(search=f"{RUN}-model", full=True, cardData=True, fetch_config=True)))
    same((one.sha, one.card_data.license), (api.model_info(REPO).sha, "apache-2.0"))
    assert "config.json" in {file.rfilename for file in one.siblings} and one.config["model_type"] == "bert"
    one = next(iter(api.list_models(search=f"{RUN}-model", expand=["downloads", "sha", "safetensors"])))
    same((one.sha, one.safetensors.total), (api.model_info(REPO).sha, 64 * 32 + 4 + 64))
    assert REPO in hub.hf("models", "ls", "--search", f"{RUN}-model", "--format", "json")
    same(api.model_info(REPO, expand=["lastModified"]).id, REPO)


def data_sets_are_repositories_too():
    same(api.create_repo(DATASET, repo_type="dataset").repo_id, DATASET)
    fails(HfHubHTTPError, lambda: api.create_repo(DATASET, repo_type="dataset"), status=409)
    card = f"---\nlicense: cc0-1.0\ntask_categories:\n- text-classification\ntags:\n- tag-{RUN}\n---\n# Rows\n"
    rows = b"text,label\n" + b"".join(b"row %d,%d\n" % (index, index % 2) for index in range(1000))
    table = samples.bytes_of(400_000, RUN, "parquet")
    for path, content in (("README.md", card.encode()), ("rows.csv", rows), ("data/train.parquet", table)):
        put(DATASET, path, content, repo_type="dataset")
        assert read(DATASET, path, repo_type="dataset") == content, path
    info = api.dataset_info(DATASET, files_metadata=True)
    same((info.id, info.card_data.license), (DATASET, "cc0-1.0"))
    assert {"rows.csv", "data/train.parquet"} <= {one.rfilename for one in info.siblings}
    same([one.id for one in api.list_datasets(filter=f"tag-{RUN}")], [DATASET])
    same([one.id for one in api.list_datasets(search=f"{RUN}-data", author=hub.NAMESPACE)], [DATASET])
    # A model of the same name is another repository.
    assert not api.repo_exists(DATASET) and DATASET not in [one.id for one in api.list_models(search=f"{RUN}-data")]
    api.create_repo(DATASET)
    same([path for path in api.list_repo_files(DATASET) if path != ".gitattributes"], [])
    api.delete_repo(DATASET)
    assert api.repo_exists(DATASET, repo_type="dataset")


def a_card_is_loaded_pushed_and_updated():
    repo = repository("card")
    card = ModelCard.load(REPO)
    same((card.data.license, card.data.library_name), ("apache-2.0", "transformers"))
    card.data.license = "mit"
    if MAJOR > 1:
        card.push_to_hub(repo)
        metadata_update(repo, {"pipeline_tag": "fill-mask"}, overwrite=True)
    else:
        # 1.x has its cards checked at an address that is written into it, whatever HF_ENDPOINT says.
        card.data.pipeline_tag = "fill-mask"
        put(repo, "README.md", str(card).encode())
    same((ModelCard.load(repo).data.license, api.model_info(repo).card_data.license), ("mit", "mit"))
    same(api.model_info(repo).pipeline_tag, "fill-mask")
    refused = f"---\nlicense: [\n---\n# Not YAML\n".encode()
    head = api.model_info(repo).sha
    fails((HfHubHTTPError, ValueError), lambda: put(repo, "README.md", refused))
    same(api.model_info(repo).sha, head)


def a_deleted_repository_is_gone():
    repo = repository("gone")
    put(repo, "a.txt", b"x")
    api.delete_repo(repo)
    fails(RepositoryNotFoundError, lambda: api.model_info(repo))
    fails(RepositoryNotFoundError, lambda: hf_hub_download(repo, "a.txt"))
    assert repo not in [one.id for one in api.list_models(author=hub.NAMESPACE)]
    fails(RepositoryNotFoundError, lambda: api.delete_repo(repo))


CHECKS = [
    who_am_i,
    bad_tokens_are_refused,
    a_repository_is_created_once,
    nobody_writes_without_the_right,
    a_refusal_does_not_break_the_connection,
    what_is_not_offered_is_refused,
    a_folder_is_published,
    the_same_folder_again_makes_no_commit,
    model_info_says_what_the_card_says,
    files_come_from_bytes_and_from_streams,
    one_commit_adds_copies_and_deletes,
    files_and_folders_are_deleted,
    a_commit_names_its_parent,
    commits_have_titles_dates_and_authors,
    branches_and_tags,
    a_revision_can_be_a_branch_a_tag_or_a_commit,
    trees_list_what_is_there,
    a_long_listing_comes_in_pages,
    paths_info,
    what_exists_and_what_does_not,
    errors_name_what_is_missing,
    paths_that_leave_the_tree_are_refused,
    models_are_listed_with_filters,
    listings_are_sorted_and_come_in_pages,
    listings_carry_what_is_asked_for,
    data_sets_are_repositories_too,
    a_card_is_loaded_pushed_and_updated,
    a_deleted_repository_is_gone,
]
