"""The hub is killed in the midst of transfers and comes back: nothing is lost, nothing half is taken for whole."""

import hashlib

import hub
import samples
from check import fails, same
from content import counted, digest, folder
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from repositories import RUN, api, put, read, repository, seen

# Where in a transfer of 200 MB the hub dies, in bytes.
CUT_BYTES = 70_000_000
# What an interrupted transfer may send in all, as a multiple of the file: what was in flight is sent again.
RESUMED_SHARE = 1.4
# Uploads that are smaller still take the client some seconds; 100 MB.
UPLOAD_LAYERS = 5
# How often an upload is called for.
ATTEMPTS = 3


def a_download_survives_the_death_of_the_hub():
    hub.TRAFFIC.once("down", CUT_BYTES, hub.kill)
    path, _, down = counted(lambda: hf_hub_download(seen["large"], "model.safetensors", cache_dir=folder()))
    same((digest(path), hub.TRAFFIC.trigger), (seen["large_digest"], None))
    assert down < RESUMED_SHARE * seen["large_size"], f"{down} bytes for a file of {seen['large_size']}"
    return f"{down / seen['large_size']:.2f} of its size moved"


def an_upload_survives_the_death_of_the_hub():
    repo, path = repository("interrupted"), folder() / "model.safetensors"
    path.write_bytes(samples.packed(samples.weights(samples.random(RUN, "cut"), UPLOAD_LAYERS, samples.LARGE_VALUES)))
    before = api.model_info(repo).sha
    hub.TRAFFIC.once("up", CUT_BYTES, hub.kill)

    def call_until_it_succeeds():
        """The client may give up; whoever calls it again has to succeed, and until then stands what stood."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                api.upload_folder(repo_id=repo, folder_path=path.parent)
                return attempt
            except Exception:
                if attempt == ATTEMPTS:
                    raise
                hub.wait()
                same(api.model_info(repo).sha, before)
                fails(EntryNotFoundError, lambda: read(repo, "model.safetensors"))

    attempts, up, _ = counted(call_until_it_succeeds)
    same((hashlib.sha256(read(repo, "model.safetensors")).hexdigest(), hub.TRAFFIC.trigger), (digest(path), None))
    return f"{attempts} calls, {up / path.stat().st_size:.2f} of its size moved"


def what_was_answered_survives():
    repo = repository("durable")
    heads = []
    for number in range(3):
        heads.append(put(repo, "counter.txt", b"%d" % number).oid)
        api.create_tag(repo, tag=f"v{number}")
        # Nothing lies between the answer and the death.
        hub.kill()
        hub.wait()
        same(read(repo, "counter.txt"), b"%d" % number)
    same([one.commit_id for one in api.list_repo_commits(repo)][:3], heads[::-1])
    same({one.name: one.target_commit for one in api.list_repo_refs(repo).tags}, {f"v{n}": head for n, head in enumerate(heads)})
    same(digest(hf_hub_download(seen["large"], "model.safetensors", cache_dir=folder())), seen["large_digest"])


CHECKS = [
    a_download_survives_the_death_of_the_hub,
    an_upload_survives_the_death_of_the_hub,
    what_was_answered_survives,
]
