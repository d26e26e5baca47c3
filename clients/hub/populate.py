"""Publishes what the malformed requests are about, with the unmodified client, and writes its names as JSON to stdout."""

import os
import sys
import tempfile

# Before the client is imported, which reads its environment once.
os.environ.update(HF_HOME=tempfile.mkdtemp(), HF_ENDPOINT=os.environ["HUB_URL"], HF_TOKEN=os.environ["HUB_TOKEN"],
                  HF_HUB_DISABLE_PROGRESS_BARS="1")

import json  # noqa: E402
import urllib.request  # noqa: E402

from huggingface_hub import HfApi  # noqa: E402

import samples  # noqa: E402

URL, NAMESPACE = os.environ["HUB_URL"], os.environ["HUB_NAMESPACE"]
# Nothing has this digest, and nobody can make something that has.
MISSING = "5eed" * 16


def asked(method, path, document=None):
    """The JSON with which the hub answers."""
    headers = {"authorization": f"Bearer {os.environ['HUB_TOKEN']}", "content-type": "application/json"}
    data = json.dumps(document).encode() if document is not None else None
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers, method=method)) as answer:
        return dict(answer.headers), json.load(answer)


def main():
    api, folder = HfApi(), tempfile.mkdtemp() + "/model"
    repo, data = f"{NAMESPACE}/target", f"{NAMESPACE}/target-rows"
    api.create_repo(repo)
    samples.write_model(folder, "target")
    commit = api.upload_folder(repo_id=repo, folder_path=folder).oid
    api.create_tag(repo, tag="v1")
    api.create_repo(data, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"# Rows\n", path_in_repo="README.md", repo_id=data, repo_type="dataset")
    (weights,) = api.get_paths_info(repo, "model.safetensors")
    absent = {"oid": MISSING, "size": 70_000_000}
    batch = {"operation": "upload", "transfers": ["basic"], "objects": [absent], "hash_algo": "sha256"}
    upload = asked("POST", f"/{repo}.git/info/lfs/objects/batch", batch)[1]["objects"][0]["actions"]["upload"]["href"]
    token = asked("GET", f"/api/models/{repo}/xet-read-token/main")[1]
    request = urllib.request.Request(f"{URL}/v1/reconstructions/{weights.xet_hash}")
    request.add_header("authorization", f"Bearer {token['accessToken']}")
    with urllib.request.urlopen(request) as answer:
        fetches = [one["url"] for infos in json.load(answer)["fetch_info"].values() for one in infos]
    own = asked("GET", f"/api/models/{repo}")[1]["assay"]
    _, entries = asked("GET", f"/api/models/{repo}/tree/main")
    json.dump({
        "namespace": NAMESPACE, "repo": repo, "data": data, "rev": "main", "commit": commit, "path": "README.md", "tag": "v1",
        "branch": "nowhere", "sha256": weights.lfs.sha256, "xet": weights.xet_hash, "missing": MISSING,
        "whole": own["commit"], "revision": own["revision"],
        "blob": next(entry["blake3"] for entry in entries if entry["path"] == "model.safetensors"),
        "upload": upload.rsplit("/", 1)[1], "fetch": fetches[0].rsplit("/", 1)[1],
    }, sys.stdout)


if __name__ == "__main__":
    main()
