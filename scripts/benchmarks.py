#!/usr/bin/env python3
"""Puts a part into BENCHMARKS.md, where several programs write each their own.

    benchmarks.py TITLE < BODY     the section of that title, in its place or at the end
    benchmarks.py < BODY           what stands before the first section
"""

import pathlib
import sys

PAGE = pathlib.Path(__file__).parent.parent / "BENCHMARKS.md"
MARK = "## "


def parts(text):
    """What stands before the first section, and the sections as pairs of title and body."""
    head, *sections = ("\n" + text).split("\n" + MARK)
    return head.strip(), [(title, body.strip()) for title, _, body in (section.partition("\n") for section in sections)]


def put(text, title, body):
    """The page with the part in it; no title for the head."""
    head, sections = parts(text)
    body = body.strip()
    if title is None:
        head = body
    elif title in dict(sections):
        sections = [(name, body if name == title else old) for name, old in sections]
    else:
        sections.append((title, body))
    return "\n\n".join([head, *(f"{MARK}{name}\n\n{old}" for name, old in sections)]) + "\n"


def main():
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    title = sys.argv[1] if len(sys.argv) == 2 else None
    body = sys.stdin.read()
    if not body.strip() or ("\n" + body).count("\n" + MARK):
        sys.exit("error: a part of BENCHMARKS.md is some text without a section of its own")
    PAGE.write_text(put(PAGE.read_text(), title, body))


if __name__ == "__main__":
    main()
