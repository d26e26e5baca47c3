"""Bytes on the wire for content that the hub has in another arrangement, as the client sends them by Xet."""

import numpy

import hub
import samples
from check import same
from content import counted, folder
from repositories import RUN, api, read, repository, seen

# A model of 80 MB: ten layers, of which the last is a tenth.
LAYERS = 10
VALUES = 2_000_000

# What may go over the wire, as a share of the file's size.
COPY_SHARE = 0.005
FINE_TUNE_SHARE = 0.12


def original():
    """The tensors that everything here derives from."""
    return samples.weights(samples.random(RUN, "dedup"), LAYERS, VALUES)


def renamed(prefix="model.encoder"):
    """The same under other names."""
    return {f"{prefix}.{name}": tensor for name, tensor in original().items()}


def tuned(word="tuned"):
    """The same with another last layer, which is another for each word."""
    last = samples.random(RUN, word).random(VALUES, dtype=numpy.float32)
    return {**original(), f"layer.{LAYERS - 1}.weight": last}


def send(repo, path):
    """Uploads by the client in this process, which remembers what it sent before."""
    api.upload_folder(repo_id=repo, folder_path=path.parent)


def upload(name, tensors, sender=send):
    """Publishes the tensors as a repository of its own; what went up as a share of the file, which is read back."""
    packed = samples.packed(tensors)
    path = folder() / "model.safetensors"
    path.write_bytes(packed)
    repo = repository(f"dedup-{name}")
    _, up, _ = counted(lambda: sender(repo, path))
    assert read(repo, "model.safetensors") == packed, f"{repo} came back with other bytes"
    same(next(one for one in api.get_paths_info(repo, "model.safetensors")).size, len(packed))
    return up / len(packed)


def a_first_upload_goes_whole():
    share = upload("original", original())
    assert 0.7 < share < 1.1, f"{share:.4f} of the file passed the counter"
    return f"{share:.3%} of its size"


def an_exact_copy_goes_by_its_names():
    share = upload("copy", original())
    assert share < COPY_SHARE, f"{share:.4f}, not under {COPY_SHARE}"
    return f"{share:.3%} of its size"


def renamed_tensors_go_by_their_names():
    share = upload("renamed", renamed())
    assert share < COPY_SHARE, f"{share:.4f}, not under {COPY_SHARE}"
    return f"{share:.3%} of its size"


def a_changed_last_layer_goes_alone():
    share = upload("tuned", tuned())
    assert share < FINE_TUNE_SHARE, f"{share:.4f}, not under {FINE_TUNE_SHARE}"
    return f"{share:.3%} of its size"


# Without Xet a file is sent whole or, where the hub has its digest, not at all.
CHECKS = [a_first_upload_goes_whole, an_exact_copy_goes_by_its_names]
if hub.XET:
    CHECKS += [renamed_tensors_go_by_their_names, a_changed_last_layer_goes_alone]
