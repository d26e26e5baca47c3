#!/usr/bin/env python3
"""Takes one check of the verifier away at a time and reports which test notices.

Works in a scratch copy of the crates, built once: every check of `checks.txt` becomes one that an environment variable
switches off. Writes `killed.txt` beside this file (check, and the tests that fail without it) and exits with 1 if a
mutant survives.

    run.py SCRATCH [PART-OF-A-NAME ...]
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CRATES = HERE.parent.parent
MACRO = """
macro_rules! off {
    ($n:literal) => {
        crate::mutant($n)
    };
}
pub(crate) fn mutant(n: usize) -> bool {
    static WHICH: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
    *WHICH.get_or_init(|| std::env::var("MUTANT").ok().and_then(|text| text.parse().ok())) == Some(n)
}
"""


def checks():
    """The blocks of checks.txt: name, file, old lines, new lines."""
    blocks = []
    for line in (HERE / "checks.txt").read_text().splitlines():
        kind, rest = line[:1], line[1:]
        if kind == "=":
            blocks.append({"name": rest.strip(), "file": "", "old": [], "new": []})
        elif kind == "@":
            blocks[-1]["file"] = rest.strip()
        elif kind in "-+" and kind:
            blocks[-1]["old" if kind == "-" else "new"].append(rest)
    return blocks


def patch(source, block, number):
    """One check, made removable. Indentation of the first old line does not matter; earlier patches may have touched it."""
    old = "\n".join(block["old"])
    new = "\n".join(block["new"]).replace("off!()", f"off!({number})")
    words = re.split(r"\s+", old.strip())
    pattern = re.compile(r"\s*".join(re.escape(word) for word in words))
    found = list(pattern.finditer(source))
    if len(found) != 1:
        sys.exit(f"`{block['name']}`: {block['file']} has this {len(found)} times:\n{old}")
    begin, end = found[0].span()
    return source[:begin] + new.strip() + source[end:]


def scratch(root):
    """A workspace of three crates with every check removable, and the groups of checks that fit in one build."""
    for crate in ("tensor", "zkml", "zkml-verify"):
        shutil.copytree(CRATES / crate, root / "crates" / crate, dirs_exist_ok=True)
    for folder in ("vectors/zkml", "models"):
        shutil.copytree(CRATES.parent / folder, root / folder, dirs_exist_ok=True)
    manifest = (CRATES.parent / "Cargo.toml").read_text()
    members = 'members = ["crates/tensor", "crates/zkml", "crates/zkml-verify"]'
    manifest = re.sub(r"members = \[[^\]]*\]", members, manifest, count=1)
    for crate in ("assay-receipt", "assay-inference"):
        manifest = re.sub(rf"\[profile\.dev\.package\.{crate}\]\n[^\n]*\n", "", manifest)
    (root / "Cargo.toml").write_text(manifest)
    shutil.copy(CRATES.parent / "Cargo.lock", root / "Cargo.lock")
    shutil.copytree(CRATES.parent / ".cargo", root / ".cargo", dirs_exist_ok=True)


def apply(root, blocks):
    """Patches the verifier; returns the checks that are in this build (two patches of one place take two builds)."""
    verify = root / "crates/zkml-verify/src"
    shutil.copytree(CRATES / "zkml-verify/src", verify, dirs_exist_ok=True)
    taken, kept, later = set(), [], []
    for number, block in blocks:
        place = (block["file"], "".join(block["old"][0].split()))
        (later if place in taken else kept).append((number, block))
        taken.add(place)
    for number, block in kept:
        path = verify / block["file"]
        path.write_text(patch(path.read_text(), block, number))
    lib = verify / "lib.rs"
    text = lib.read_text()
    at = text.index("pub mod circuit;")
    lib.write_text(text[:at] + MACRO + text[at:])
    return kept, later


def binaries(root):
    """Builds the tests of both crates and returns them."""
    command = ["cargo", "test", "--no-run", "--message-format=json", "-p", "assay-zkml", "-p", "assay-zkml-verify"]
    built = subprocess.run([*command, "--lib", "--tests"], cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return [m["executable"] for m in messages if m.get("executable") and m.get("profile", {}).get("test")]


# Tests that take longer, asked in this order when none before has noticed.
SLOW = ["mutations", "second_verifier", "random_graphs", "leakage"]


def killers(root, tests, mutant):
    """The tests that notice: the slow ones are asked when no other does."""
    skipping = [word for name in SLOW for word in ("--skip", name)]
    found = failures(root, tests, mutant, skipping)
    for name in SLOW:
        found = found or failures(root, tests, mutant, [name])
    return found


def failures(root, tests, mutant, options):
    """The tests that fail with a check switched off; a crash or a test that does not end counts as one."""
    environment = {**os.environ, "MUTANT": str(mutant), "RUST_BACKTRACE": "0"}
    failed = []
    for test in tests:
        # Cargo runs tests in the folder of their crate.
        name = "zkml-verify" if "zkml_verify" in test else "zkml"
        try:
            run = subprocess.run(
                [test, *options], cwd=root / "crates" / name, env=environment, capture_output=True, text=True, timeout=300
            )
        except subprocess.TimeoutExpired:
            failed.append("(does not end)")
            continue
        own = re.findall(r"^test (\S+) ... FAILED", run.stdout, re.M)
        failed += own or (["(crashes)"] if run.returncode else [])
    return failed


def main():
    """Every mutant, one after the other."""
    root, parts = pathlib.Path(sys.argv[1]), sys.argv[2:]
    wanted = lambda name: not parts or any(part in name for part in parts)
    rest = [(n, b) for n, b in enumerate(checks(), 1) if wanted(b["name"])]
    scratch(root)
    lines, alive = [], []
    while rest:
        kept, rest = apply(root, rest)
        tests = binaries(root)
        if broken := failures(root, tests, 0, []):
            sys.exit(f"with every check in place these fail: {', '.join(broken)}")
        for number, block in kept:
            killed = killers(root, tests, number)
            lines.append(f"{block['name']}\n    " + (", ".join(killed[:4]) or "SURVIVES"))
            alive += [] if killed else [block["name"]]
            print(lines[-1], flush=True)
    if not parts:
        (HERE / "killed.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} mutants, {len(alive)} survive: {'; '.join(alive) or 'none'}")
    sys.exit(bool(alive))


if __name__ == "__main__":
    main()
