#!/usr/bin/env python3
"""scripts/package_docs.py PREFIX

Makes the documentation of a package stand on its own: in PREFIX/share/hearth a link to a file that is in the package leads there, and
of a link to a file of the sources alone the words stay. Quotes' origins, which are comments for scripts/snippets.py, go. The package's
own README (cmake/package/README.md) takes the place of that of the sources, whose commands need them.
Exit codes: 0 done, 2 usage or an unknown folder. `scripts/package` calls it; it may be run again.
"""

import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"(!?)\[([^\[\]]*(?:\[[^\]]*\][^\[\]]*)*)\]\(([^()\s]+)\)")
# Where files of the sources lie in a package.
MOVED = (("framework/sdk/include/", "include/"),)


def in_package(target, page, share):
    """The path from `page` to what `target` names, or None where the package does not have it."""
    path, _, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return target
    there = (page.parent / path).resolve()
    if there.exists():
        return target
    try:
        source = there.relative_to(share).as_posix()
    except ValueError:
        return None
    for old, new in MOVED:
        moved = share.parent.parent / (new + source[len(old):]) if source.startswith(old) else None
        if moved is not None and moved.exists():
            up = "../" * len(page.parent.relative_to(share.parent.parent).parts)
            return up + moved.relative_to(share.parent.parent).as_posix() + ("#" + anchor if anchor else "")
    return None


def rewritten(text, page, share):
    def link(match):
        target = in_package(match[3], page, share)
        return f"{match[1]}[{match[2]}]({target})" if target is not None else match[2]

    text = re.sub(r"<!-- from [^>]*-->\n", "", text)
    return LINK.sub(link, text)


def main():
    if len(sys.argv) != 2 or not (share := pathlib.Path(sys.argv[1]).resolve() / "share/hearth").is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    shutil.copyfile(ROOT / "cmake/package/README.md", share / "README.md")
    for page in sorted(share.rglob("*.md")):
        if "licenses" not in page.parts:
            page.write_text(rewritten(page.read_text(), page, share))
    return 0


if __name__ == "__main__":
    sys.exit(main())
