"""Files through the client and back: large and small, whole and by range, cached and verified, and loaded from."""

import hashlib
import io
import json
import pathlib
import pickle
import subprocess
import tempfile
import zipfile

import numpy
from huggingface_hub import (
    CommitOperationAdd, HfFileSystem, get_hf_file_metadata, get_safetensors_metadata, hf_hub_download, hf_hub_url, snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, NotASafetensorsRepoError
from huggingface_hub.file_download import _CACHED_NO_EXIST
from safetensors.numpy import load_file

import hub
import samples
from check import fails, required, same
from repositories import DATASET, REPO, RUN, api, blob_id, put, read, repository, seen

counted = hub.TRAFFIC.during
# What asking whether anything changed may cost, in bytes; a listing of a dozen files and some headers.
ASKING_BYTES = 40_000


def folder():
    """A new empty folder."""
    return pathlib.Path(tempfile.mkdtemp(prefix="content-"))


def digest(path):
    """The SHA-256 of a file in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def a_file_of_200_mb_is_uploaded():
    source, repo = folder(), repository("large")
    samples.write_large(source / "model.safetensors", RUN)
    (source / "README.md").write_text("---\nlicense: mit\n---\n# Large\n")
    size = (source / "model.safetensors").stat().st_size
    _, up, _ = counted(lambda: api.upload_folder(repo_id=repo, folder_path=source))
    assert 0.7 * size < up < 1.1 * size, f"{up} bytes passed the counter for a file of {size}"
    info = next(one for one in api.get_paths_info(repo, "model.safetensors"))
    same((info.size, info.lfs.sha256), (size, digest(source / "model.safetensors")))
    seen.update(large=repo, large_file=source / "model.safetensors", large_size=size, large_digest=info.lfs.sha256)
    return f"{size / 1e6:.0f} MB"


def it_is_downloaded_whole_and_once():
    cache = folder()

    def fetch():
        return snapshot_download(seen["large"], cache_dir=cache)

    snapshot, _, down = counted(fetch)
    same(digest(f"{snapshot}/model.safetensors"), seen["large_digest"])
    assert 0.7 * seen["large_size"] < down < 1.1 * seen["large_size"], f"{down} bytes passed the counter"
    again, up, down = counted(fetch)
    same(again, snapshot)
    assert up + down < ASKING_BYTES, f"a second download moved {up + down} bytes"
    commit = pathlib.Path(snapshot).name
    _, up, down = counted(
        lambda: hf_hub_download(seen["large"], "model.safetensors", revision=commit, cache_dir=cache)
    )
    same((up, down), (0, 0))
    seen["large_cache"] = cache


def the_command_line_uploads_and_downloads():
    source, target, repo = folder(), folder(), f"{hub.NAMESPACE}/{RUN}-line"
    files = samples.write_model(source, f"line-{RUN}", name=("line",))
    hub.hf("upload", repo, str(source), ".", "--commit-message", "From the command line", "--exclude", "*.tmp")
    same(api.list_repo_commits(repo)[0].title, "From the command line")
    hub.hf("download", repo, "--local-dir", str(target))
    found = {path: content for path, content in samples.files_of(target).items() if path != ".gitattributes"}
    assert found == files, f"{sorted(found)} is not {sorted(files)}, or a content differs"
    hub.hf("upload", repo, str(source / "config.json"), "elsewhere/config.json")
    same(read(repo, "elsewhere/config.json"), files["config.json"])
    by_file = folder()
    hub.hf("download", repo, "config.json", "extra/notes/how to use.txt", "--local-dir", str(by_file))
    same(sorted(samples.files_of(by_file)), ["config.json", "extra/notes/how to use.txt"])


def a_snapshot_is_the_folder_that_was_published():
    snapshot = snapshot_download(REPO, revision=seen["first"], cache_dir=folder())
    found = {path: content for path, content in samples.files_of(snapshot).items() if path != ".gitattributes"}
    assert found == seen["files"], f"{sorted(found)} is not {sorted(seen['files'])}, or a content differs"
    part = snapshot_download(REPO, cache_dir=folder(), allow_patterns=["*.json"], ignore_patterns=["tokenizer*"])
    same(sorted(samples.files_of(part)), ["config.json"])
    rows = snapshot_download(DATASET, repo_type="dataset", cache_dir=folder())
    assert {"README.md", "rows.csv", "data/train.parquet"} <= set(samples.files_of(rows))


def what_was_downloaded_is_verified():
    cache = folder()
    snapshot = snapshot_download(REPO, cache_dir=cache)
    verification = api.verify_repo_checksums(REPO, cache_dir=cache)
    assert verification.checked_count >= len(seen["files"]) and not verification.mismatches, verification
    for path, size in (("config.json", 20), ("model.safetensors", 500)):
        real = (pathlib.Path(snapshot) / path).resolve()
        content = bytearray(real.read_bytes())
        content[size] ^= 1
        real.write_bytes(content)
    verification = api.verify_repo_checksums(REPO, cache_dir=cache)
    same(sorted(one["path"] for one in verification.mismatches), ["config.json", "model.safetensors"])


def the_headers_of_a_file():
    for path, lfs in (("config.json", False), ("model.safetensors", True)):
        content = read(REPO, path)
        metadata = get_hf_file_metadata(hf_hub_url(REPO, path))
        etag = hashlib.sha256(content).hexdigest() if lfs else blob_id(content)
        same((metadata.etag, metadata.size), (etag, len(content)))
        same(metadata.commit_hash, api.model_info(REPO).sha)
        same(bool(metadata.xet_file_data), lfs and hub.XET)
        at = f"/{REPO}/resolve/main/{path}"
        status, headers, body = hub.ask("GET", at)
        same((status, body == content, headers["x-repo-commit"]), (200, True, metadata.commit_hash))
        same(headers["etag"].removeprefix("W/").strip('"') in (etag, blob_id(content)), True)
        for sent in (headers["etag"], f'"x", {headers["etag"]}', "*"):
            same(hub.ask("GET", at, {"if-none-match": sent})[::2], (304, b""))
        same(hub.ask("GET", at, {"if-none-match": '"other"'})[0], 200)
        same(hub.ask("HEAD", at, {"if-none-match": headers["etag"]})[0], 304)


def ranges_of_a_file():
    content = read(REPO, "stream.safetensors")
    size, at = len(content), f"/{REPO}/resolve/main/stream.safetensors"
    etag = hub.ask("HEAD", at)[1]["etag"]
    for sent, first, last in (
        ("bytes=0-0", 0, 0), ("bytes=0-7", 0, 7), ("bytes=65535-65536", 65535, 65536), (f"bytes={size - 1}-", size - 1, size - 1),
        ("bytes=16384-999999999", 16384, size - 1), ("bytes=-10", size - 10, size - 1), (f"bytes=-{size * 2}", 0, size - 1),
        ("bytes=100000-", 100_000, size - 1),
    ):
        status, headers, body = hub.ask("GET", at, {"range": sent})
        same((sent, status, headers["content-range"]), (sent, 206, f"bytes {first}-{last}/{size}"))
        assert body == content[first : last + 1], sent
    for sent in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        status, headers, _ = hub.ask("GET", at, {"range": sent})
        same((sent, status, headers["content-range"]), (sent, 416, f"bytes */{size}"))
    for sent in ("bytes=9-3", "bytes=a-b", "lines=1-2"):
        status, _, body = hub.ask("GET", at, {"range": sent})
        assert status in (400, 416) or (status, body) == (200, content), f"{sent}: {status}"
    same(hub.ask("GET", at, {"range": "bytes=0-9", "if-range": etag})[0], 206)
    status, _, body = hub.ask("GET", at, {"range": "bytes=0-9", "if-range": '"other"'})
    assert (status, body) == (200, content), "another version's range was answered with a part of this one"


def raw_files():
    same(hub.ask("GET", f"/{REPO}/raw/main/config.json")[::2], (200, seen["files"]["config.json"]))
    same(hub.ask("GET", f"/datasets/{DATASET}/resolve/main/rows.csv")[0], 200)
    same(hub.ask("GET", f"/{REPO}/resolve/main/config.json", token=None)[0], 200)


def a_missing_file_is_remembered():
    cache = folder()
    fails(EntryNotFoundError, lambda: hf_hub_download(REPO, "adapter_config.json", cache_dir=cache))
    same(try_to_load_from_cache(REPO, "adapter_config.json", cache_dir=cache), _CACHED_NO_EXIST)
    same(try_to_load_from_cache(REPO, "config.json", cache_dir=cache), None)


def a_changed_file_alone_is_fetched_again():
    cache, repo = folder(), repository("changes")
    large = samples.bytes_of(3_000_000, RUN, "changes")
    put(repo, "weights.safetensors", samples.packed({"w": numpy.frombuffer(large, dtype=numpy.uint8)}))
    put(repo, "notes.txt", b"one")

    def fetch():
        return pathlib.Path(snapshot_download(repo, cache_dir=cache))

    _, _, whole = counted(fetch)
    assert whole > len(large), whole
    put(repo, "notes.txt", b"two")
    snapshot, up, down = counted(fetch)
    same((snapshot / "notes.txt").read_bytes(), b"two")
    assert up + down < ASKING_BYTES, f"{up + down} bytes for a changed note"
    _, _, forced = counted(lambda: hf_hub_download(
        repo, "weights.safetensors", cache_dir=cache, force_download=True
    ))
    assert forced > len(large), f"a forced download moved {forced} bytes"


def a_small_change_of_a_large_file_is_no_new_name():
    path, repo = "weights.safetensors", f"{hub.NAMESPACE}/{RUN}-changes"
    before = read(repo, path)
    changed = before[:-1] + bytes([before[-1] ^ 1])
    head = api.model_info(repo).sha
    put(repo, path, changed)
    assert read(repo, path) == changed and read(repo, path, revision=head) == before


def safetensors_headers():
    found = get_safetensors_metadata(REPO)
    same((found.sharded, found.parameter_count), (False, {"F32": 64 * 32, "F16": 4, "I64": 64}))
    same(found.files_metadata["model.safetensors"].metadata, {"format": "pt"})
    same(found.files_metadata["model.safetensors"].tensors["embedding.weight"].shape, [64, 32])
    large = get_safetensors_metadata(seen["large"])
    same(large.parameter_count, {"F32": samples.LARGE_LAYERS * samples.LARGE_VALUES})
    fails(NotASafetensorsRepoError, lambda: get_safetensors_metadata(f"{hub.NAMESPACE}/{RUN}-card"))


def sharded_safetensors_headers():
    source, repo = folder(), repository("sharded")
    tensors, weight_map = samples.write_sharded(source, RUN, "sharded")
    api.upload_folder(repo_id=repo, folder_path=source)
    asked = [get_safetensors_metadata(repo)]
    # The one request for all shards is new in 2.x.
    if hasattr(api, "get_sharded_safetensors_metadata"):
        asked.append(api.get_sharded_safetensors_metadata(repo))
    for found in asked:
        same((found.sharded, found.weight_map), (True, weight_map))
        same(found.metadata["total_size"], sum(tensor.nbytes for tensor in tensors.values()))
        same(found.parameter_count, {"F32": 64 * 32, "F16": 4, "I64": 64})


def safetensors_loads_a_model():
    tensors = load_file(hf_hub_download(REPO, "model.safetensors", cache_dir=folder()))
    expected = samples.small_tensors(f"tag-{RUN}")
    same(sorted(tensors), sorted(expected))
    for name, tensor in expected.items():
        assert numpy.array_equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype, name
    path = hf_hub_download(seen["large"], "model.safetensors", cache_dir=seen["large_cache"])
    same(sum(tensor.size for tensor in load_file(path).values()), samples.LARGE_LAYERS * samples.LARGE_VALUES)


def transformers_loads_a_model():
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(REPO, cache_dir=folder())
    same((config.model_type, config.hidden_size, config.vocab_size), ("bert", 32, 64))
    tokenizer = AutoTokenizer.from_pretrained(REPO, cache_dir=folder())
    same(tokenizer("a plain sentence is good unknown")["input_ids"], [1, 2, 3, 4, 5, 0])
    pinned = AutoConfig.from_pretrained(REPO, revision=seen["first"], cache_dir=folder())
    same(pinned.hidden_size, 32)
    repo = f"{hub.NAMESPACE}/{RUN}-pushed"
    config.push_to_hub(repo)
    tokenizer.push_to_hub(repo)
    same(AutoConfig.from_pretrained(repo, cache_dir=folder()).hidden_size, 32)
    same(AutoTokenizer.from_pretrained(repo, cache_dir=folder()).vocab_size, tokenizer.vocab_size)
    fails(OSError, lambda: AutoConfig.from_pretrained(f"{hub.NAMESPACE}/{RUN}-missing", cache_dir=folder()))


def the_file_system_reads_and_writes():
    files, repo = HfFileSystem(), repository("files")
    put(repo, "deep/er/a.txt", b"0123456789")
    assert f"{repo}/deep" in files.ls(repo, detail=False)
    same(files.ls(f"{repo}/deep/er", detail=False), [f"{repo}/deep/er/a.txt"])
    same(files.glob(f"{repo}/**/*.txt"), [f"{repo}/deep/er/a.txt"])
    same(files.read_text(f"{repo}/deep/er/a.txt"), "0123456789")
    with files.open(f"{repo}/deep/er/a.txt", "rb", block_size=4) as file:
        file.seek(3)
        same((file.read(4), file.tell()), (b"3456", 7))
    with files.open(f"{repo}/written.txt", "w") as file:
        file.write("written\n")
    same(read(repo, "written.txt"), b"written\n")
    files.invalidate_cache()
    assert files.exists(f"{repo}/written.txt") and not files.exists(f"{repo}/nowhere.txt")
    same(files.info(f"{repo}/deep/er/a.txt")["size"], 10)
    same(files.cat_file(f"{REPO}@{seen['first']}/config.json"), seen["files"]["config.json"])
    files.rm(f"{repo}/written.txt")
    assert not api.file_exists(repo, "written.txt")
    fails(FileNotFoundError, lambda: files.open(f"{repo}/nowhere.txt").read())


def what_can_run_code_is_given_only_to_who_asks_for_it():
    repo = repository("code")
    torch = io.BytesIO()
    with zipfile.ZipFile(torch, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([print]))
    hostile = {"pytorch_model.bin": pickle.dumps({"a": print}), "disguised.safetensors": pickle.dumps([print]), "zipped.pt": torch.getvalue()}
    harmless = {"plain.bin": b"plain text\n", "a.txt": b"a\n"}
    for path, content in {**hostile, **harmless}.items():
        put(repo, path, content)
    for path, content in harmless.items():
        same(read(repo, path), content)
    for path, content in hostile.items():
        error = fails(HfHubHTTPError, lambda: hf_hub_download(repo, path, cache_dir=folder()))
        same(error.response.status_code, 403)
        assert "can run code" in str(error) and "unsafe/main" in str(error), error
        asked = hf_hub_download(repo, path, revision="unsafe/main", cache_dir=folder())
        same(pathlib.Path(asked).read_bytes(), content)
    listed = {entry.path: entry.security for entry in api.list_repo_tree(repo, expand=True)}
    same({path: listed[path].status for path in (*hostile, "a.txt")}, {**dict.fromkeys(hostile, "unsafe"), "a.txt": "safe"})
    fails(HfHubHTTPError, lambda: snapshot_download(repo, cache_dir=folder()))
    some = pathlib.Path(snapshot_download(repo, ignore_patterns=list(hostile), cache_dir=folder()))
    same(sorted(path.name for path in some.iterdir() if path.name in harmless), sorted(harmless))
    whole = pathlib.Path(snapshot_download(repo, revision="unsafe/main", cache_dir=folder()))
    assert all((whole / path).read_bytes() == content for path, content in hostile.items())
    api.delete_repo(repo)


def assay_imports_from_the_cache_of_this_client():
    snapshot = pathlib.Path(snapshot_download(REPO, cache_dir=folder(), allow_patterns=["*.json", "*.txt", "*.md"]))
    into = folder() / "imported"
    command = [required("HUB_PROGRAM"), "--json", "model", "import", str(snapshot), "--into", str(into)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    same((told["repository"].lower(), told["commit"]), (REPO.lower(), api.model_info(REPO).sha))
    for path in snapshot.rglob("*"):
        if path.is_file():
            same((into / path.relative_to(snapshot)).read_bytes(), path.read_bytes())
    record = json.loads((into / "assay-import.json").read_text())
    same(len(record["files"]), told["files"])


def a_wrong_digest_is_not_committed():
    repo = f"{hub.NAMESPACE}/{RUN}-changes"
    head = api.model_info(repo).sha
    for oid in ("0" * 64, hashlib.sha256(RUN.encode()).hexdigest()):
        lines = (
            '{"key":"header","value":{"summary":"never uploaded","description":""}}\n'
            f'{{"key":"lfsFile","value":{{"path":"absent.safetensors","algo":"sha256","oid":"{oid}","size":5}}}}\n'
        )
        status, _, body = hub.ask("POST", f"/api/models/{repo}/commit/main", {"content-type": "application/x-ndjson"}, lines)
        assert 400 <= status < 500, (status, body)
    same(api.model_info(repo).sha, head)
    operation = CommitOperationAdd("lied.safetensors", io.BytesIO(b"what was announced" * 100_000))
    same(operation.upload_info.sha256, hashlib.sha256(b"what was announced" * 100_000).digest())
    operation.path_or_fileobj = io.BytesIO(b"what was really sent"[:18] * 100_000)
    error = fails(RuntimeError, lambda: api.create_commit(repo, [operation], commit_message="A lie"))
    assert 400 <= error.__cause__.response.status_code < 500, error.__cause__
    same((api.model_info(repo).sha, api.file_exists(repo, "lied.safetensors")), (head, False))


CHECKS = [
    a_file_of_200_mb_is_uploaded,
    it_is_downloaded_whole_and_once,
    the_command_line_uploads_and_downloads,
    a_snapshot_is_the_folder_that_was_published,
    what_was_downloaded_is_verified,
    the_headers_of_a_file,
    ranges_of_a_file,
    raw_files,
    a_missing_file_is_remembered,
    a_changed_file_alone_is_fetched_again,
    a_small_change_of_a_large_file_is_no_new_name,
    safetensors_headers,
    sharded_safetensors_headers,
    safetensors_loads_a_model,
    transformers_loads_a_model,
    the_file_system_reads_and_writes,
    what_can_run_code_is_given_only_to_who_asks_for_it,
    assay_imports_from_the_cache_of_this_client,
    a_wrong_digest_is_not_committed,
]
