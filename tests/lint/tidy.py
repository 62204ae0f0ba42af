#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: tidy.py BUILD_DIR [FILE…]: clang-tidy over the sources, in parallel, remembering what was clean.

BUILD_DIR is a meson build made with clang (its compile_commands.json says how each file is compiled). A file is looked
at again only when its text, a header of the project that it reaches, its command or .clang-tidy has changed.
"""
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from floors import Tree  # noqa: E402

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


def reached(tree, path):
    """The project's files that `path` includes, near or far, and itself."""
    seen, todo = set(), [path]
    while todo:
        here = todo.pop()
        if here not in seen:
            seen.add(here)
            todo += [t for t in (tree.resolve(here, name) for _, _, name in tree.includes(here)) if t]
    return sorted(seen)


def fingerprint(tree, path, command, rules):
    digest = hashlib.sha256((rules + command).encode())
    for each in reached(tree, path):
        digest.update(each.encode() + b"\0" + tree.text[each].encode() + b"\0")
    return digest.hexdigest()


def tidy(build, path):
    run = subprocess.run(
        ["clang-tidy", "--quiet", "-p", build, path], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    return run.returncode == 0, run.stdout


def main(build, chosen):
    build = os.path.join(ROOT, build)
    if not os.path.exists(os.path.join(build, "build.ninja")):
        environment = dict(os.environ, CC="clang")
        subprocess.run(
            ["meson", "setup", build, "--buildtype=debugoptimized", "-Doptimization=0", "-Dwerror=true"],
            cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
    subprocess.run(["ninja", "-C", build, "build.ninja"], stdout=subprocess.DEVNULL, check=True)  # new files, new options
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = {os.path.relpath(os.path.join(c["directory"], c["file"]), ROOT): c["command"] for c in json.load(file)}
    with open(os.path.join(ROOT, ".clang-tidy"), encoding="utf-8") as file:
        rules = file.read()
    tree = Tree(ROOT)
    paths = sorted(p for p in commands if p.startswith("src/") and p in tree.text and (not chosen or p in chosen))

    remembered = os.path.join(build, "tidy-clean.json")
    try:
        with open(remembered, encoding="utf-8") as file:
            clean = json.load(file)
    except (FileNotFoundError, ValueError):
        clean = {}
    prints = {path: fingerprint(tree, path, commands[path], rules) for path in paths}
    todo = [path for path in paths if clean.get(path) != prints[path]]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, (good, text) in zip(todo, pool.map(lambda p: tidy(build, p), todo)):
            if good:
                clean[path] = prints[path]
            else:
                clean.pop(path, None)
                failed += 1
                print(text.replace(ROOT + "/", ""))
    with open(remembered, "w", encoding="utf-8") as file:
        json.dump({path: clean[path] for path in sorted(clean) if path in tree.text}, file)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
