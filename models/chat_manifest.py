"""Writes the canonical manifest of the chat model: `assay-inference` defines and checks that form.

A language model takes a prompt and gives text; what they are made of is in its own files.
"""

import json
import pathlib

from blake3 import blake3

WHERE = pathlib.Path(__file__).resolve().parent / "assay-chat"


def manifest(where):
    """The manifest of a directory, as bytes."""
    files = []
    for path in sorted(p for p in where.iterdir() if p.is_file() and p.name != "manifest.json"):
        body = path.read_bytes()
        files.append({"blake3": blake3(body).hexdigest(), "path": path.name, "size": len(body)})
    text = {"dtype": "string", "shape": []}
    document = {
        "engine": "language",
        "files": sorted(files, key=lambda file: file["path"]),
        "format": 1,
        "inputs": [{**text, "name": "prompt"}],
        "licence": "MIT OR Apache-2.0",
        "name": "assay-chat",
        "outputs": [{**text, "name": "text"}],
        "task": "text-generation",
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


if __name__ == "__main__":
    (WHERE / "manifest.json").write_bytes(manifest(WHERE))
