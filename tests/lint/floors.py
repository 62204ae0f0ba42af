#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The architecture as a test.

usage: floors.py [ROOT]          lint the tree at ROOT (default: this one)
       floors.py --self-test     lint a tree that is wrong in every way and expect every finding

Rooms stand on floors and use only what is below them (src/meson.build links them the same way); route, auth and limit
share a floor and never meet. Each third-party library has its door. Findings are file:line: text; exit 1 if any.
"""
import os
import re
import sys
import tempfile

FLOOR_OF = {
    "base": 0, "http": 1, "route": 2, "auth": 2, "limit": 2, "settings": 3,
    "io": 4, "gateway": 5, "server": 6, "cli": 7, "main": 8,
}

# library: (what its headers look like, the files that may include them)
DOORS = {
    "jansson": (r"jansson", {"src/base/json.c"}),
    "OpenSSL": (r"openssl/", {"src/auth/p256.c", "auth/pkey", "src/auth/private_key.c", "src/auth/signature.c", "src/io/digest.c", "io/tls", "io/tls_certificate", "io/tls_client", "io/tls_server", "io/tls_state", "io/tls_tickets"}),
    "libjwt": (r"jwt\.h", {"src/auth/signer.c"}),
    "libcurl": (r"curl/", {"src/io/key_fetch.c", "src/io/key_source.c"}),
    "libmicrohttpd": (r"microhttpd", {"src/io/service.c"}),
    "libyaml": (r"yaml\.h", {"src/settings/tree.c"}),
    "hiredis": (r"hiredis/", {"src/io/redis_codec.c"}),
    # Threads share snapshots, counters and the limiter's table; nothing else needs a lock or an atomic.
    "threads": (
        r"(?:stdatomic|pthread|threads)\.h",
        {
            "base/counters", "base/log", "base/snapshot", "io/arrears", "io/loop", "io/resolver", "io/key_source", "io/key_fetch", "io/redis_sights", "io/roll",
            "io/feed", "io/news", "io/service", "io/tls_server", "io/tls_tickets", "limit/memory_limits", "limit/purses", "limit/slots", "auth/deny_list", "auth/keyring", "auth/keyset",
            "settings/memory",
            "gateway/metrics", "gateway/ledger", "server/*",
        },
    ),
}

# Headers that only hold types, macros or declarations proven through another contract's test.
ONLY_TYPES = {"base/result", "base/cleanup", "base/poison", "io/key_origin", "gateway/parts", "limit/state"}

BANNED = {
    "strcpy": "str_dup or memcpy with a checked length", "strcat": "struct buffer", "strncpy": "memcpy", "strncat": "struct buffer",
    "sprintf": "snprintf or buffer_printf", "vsprintf": "vsnprintf", "strtok": "str_split", "strtok_r": "str_split",
    "atoi": "str_to_u64", "atol": "str_to_u64", "atof": "strtod with its end checked", "gets": "fgets",
    "localtime": "gmtime_r", "localtime_r": "gmtime_r", "gmtime": "gmtime_r", "asctime": "clock_rfc3339", "ctime": "clock_rfc3339",
    "alloca": "an arena",
}

LINES_MAX, TEST_LINES_MAX = 600, 1200
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.M)
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")[ \t]*\(")
# Comments and literals, so that words in them are not taken for code.
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank_out(match):
    return re.sub(r"[^\n]", " ", match.group())


def code_of(text):
    """The text with comments and literals blanked, line breaks kept; `#include "x"` survives."""
    kept = {m.start(2) for m in INCLUDE.finditer(text)}
    return NOT_CODE.sub(lambda m: m.group() if m.start() + 1 in kept else blank_out(m), text)


def concept_of(path):
    """src/limit/bucket.c and include/limit/bucket.h are both limit/bucket; src/main.c is main."""
    return re.sub(r"^(?:src|include)/|\.[ch]$", "", path)


def room_of(concept):
    return concept.split("/")[0]


class Tree:
    def __init__(self, root):
        self.root = root
        self.text = {}
        for top in ("include", "src", "tests"):
            for folder, folders, names in os.walk(os.path.join(root, top)):
                folders[:] = sorted(d for d in folders if d not in ("node_modules", "__pycache__"))
                for name in sorted(names):
                    if name.endswith((".c", ".h")):
                        path = os.path.join(folder, name)
                        with open(path, encoding="utf-8", errors="replace") as file:
                            self.text[os.path.relpath(path, root)] = file.read()

    def product(self):
        return [path for path in self.text if path.startswith(("src/", "include/"))]

    def includes(self, path):
        """(line, kind, name) of every #include."""
        code = code_of(self.text[path])
        return [(code.count("\n", 0, m.start()) + 1, m[1], m[2]) for m in INCLUDE.finditer(code)]

    def resolve(self, path, name):
        """The project's file that `#include "name"` in `path` means, or None."""
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        for candidate in (beside, f"include/{name}", f"src/{name}"):
            if candidate in self.text:
                return candidate
        return None


def check_floors(tree):
    for path in tree.product():
        here = room_of(concept_of(path))
        if here not in FLOOR_OF:
            yield path, 1, f"'{here}' is not a room (tests/lint/floors.py lists them)"
            continue
        for line, kind, name in tree.includes(path):
            target = tree.resolve(path, name)
            if not target:
                if kind == '"':
                    yield path, line, f'"{name}" is not a file of the project; system headers go in <>'
                continue
            there = room_of(concept_of(target))
            if there == here or there not in FLOOR_OF:
                continue
            if FLOOR_OF[there] == FLOOR_OF[here]:
                yield path, line, f"sibling include: {here} and {there} stand on one floor and never meet"
            elif FLOOR_OF[there] > FLOOR_OF[here]:
                yield path, line, f"upward include: {here} is below {there}"
            elif target.startswith("src/"):
                yield path, line, f"{name} is {there}'s own; what other rooms use stands in include/"


def check_cycles(tree):
    graph, where = {}, {}
    for path in tree.product():
        concept = concept_of(path)
        for line, _, name in tree.includes(path):
            target = tree.resolve(path, name)
            if target and concept_of(target) != concept:
                graph.setdefault(concept, set()).add(concept_of(target))
                where.setdefault((concept, concept_of(target)), (path, line))
    done, trail = set(), []

    def walk(concept):
        if concept in trail:
            cycle = trail[trail.index(concept):] + [concept]
            yield (*where[cycle[0], cycle[1]], "include cycle: " + " -> ".join(cycle))
        elif concept not in done:
            trail.append(concept)
            for target in sorted(graph.get(concept, ())):
                yield from walk(target)
            trail.pop()
            done.add(concept)

    for concept in sorted(graph):
        yield from walk(concept)


def may_enter(path, files):
    concept = concept_of(path)
    return path in files or concept in files or room_of(concept) + "/*" in files


def check_doors(tree):
    for path in tree.product():
        for line, _, name in tree.includes(path):
            for library, (pattern, files) in DOORS.items():
                if re.match(pattern, name) and not may_enter(path, files):
                    yield path, line, f"<{name}>: {library} has its door elsewhere ({', '.join(sorted(files))})"


def check_contracts(tree):
    for path in tree.product():
        if not path.endswith(".h"):
            continue
        text, concept = tree.text[path], concept_of(path)
        if "#pragma once" not in text:
            yield path, 1, "header without #pragma once"
        if path.startswith("include/") and concept not in ONLY_TYPES:
            test = f"tests/unit/{room_of(concept)}/test_{concept.split('/')[-1]}.c"
            if test not in tree.text:
                yield path, 1, f"contract without a test: {test} is missing"


def check_files(tree):
    for path, text in tree.text.items():
        if "SPDX-License-Identifier: MIT" not in "\n".join(text.split("\n", 3)[:3]):
            yield path, 1, "no SPDX line at the top"
        lines = text.count("\n")
        most = TEST_LINES_MAX if path.startswith("tests/") else LINES_MAX
        if lines > most:
            yield path, lines, f"{lines} lines; more than {most} are two concepts"
        code = code_of(text)
        for m in BANNED_CALL.finditer(code):
            yield path, code.count("\n", 0, m.start()) + 1, f"{m[1]} is banned: use {BANNED[m[1]]}"


CHECKS = (check_floors, check_cycles, check_doors, check_contracts, check_files)


def findings(root):
    tree = Tree(root)
    return sorted({finding for check in CHECKS for finding in check(tree)})


# ---- self-test: a tree with one of each sin ------------------------------------------------------------------------

SPDX = "/* SPDX-License-Identifier: MIT */\n"
HEADER = SPDX + "#pragma once\n"
BAD_TREE = {
    "include/base/str.h": HEADER + '#include "gateway/pipeline.h"\n',
    "include/gateway/pipeline.h": HEADER,
    "include/route/region.h": HEADER + '#include "auth/token.h"\n',
    "include/auth/token.h": SPDX,
    "include/limit/bucket.h": HEADER + '#include "limit/window.h"\n',
    "include/limit/window.h": HEADER + '#include "limit/bucket.h"\n',
    "src/gateway/relay.c": SPDX + "#include <openssl/ssl.h>\n#include <pthread.h>\n",
    "src/gateway/answer.c": SPDX + '#include "io/secret.h"\n#include "nowhere.h"\n',
    "src/io/secret.h": HEADER,
    "src/cellar/rat.c": SPDX,
    "src/base/str.c": "int x;\n" + '/* strcpy(a, b) in a comment */ const char *s = "atoi(1)";\n\n' + "void f(void) { strcpy(a, b); }\n",
    "src/base/long.c": SPDX + "\n" * 700,
}
EXPECTED = [
    ("include/auth/token.h", 1, "#pragma once"),
    ("include/base/str.h", 1, "contract without a test"),
    ("include/base/str.h", 3, "upward include: base is below gateway"),
    ("include/limit/bucket.h", 3, "include cycle: limit/bucket -> limit/window -> limit/bucket"),
    ("include/route/region.h", 3, "sibling include"),
    ("src/base/long.c", 701, "two concepts"),
    ("src/base/str.c", 1, "no SPDX"),
    ("src/base/str.c", 4, "strcpy is banned"),
    ("src/cellar/rat.c", 1, "not a room"),
    ("src/gateway/answer.c", 2, "io's own"),
    ("src/gateway/answer.c", 3, "not a file of the project"),
    ("src/gateway/relay.c", 2, "OpenSSL has its door"),
    ("src/gateway/relay.c", 3, "threads has its door"),
]
GOOD_TREE = {
    "include/base/json.h": HEADER,
    "src/base/json.c": SPDX + '#include "base/json.h"\n#include <jansson.h>\n',
    "src/base/log.c": SPDX + "#include <stdatomic.h>\n",
    "src/server/server.c": SPDX + '#include "base/json.h"\n#include <pthread.h>\n',
    "src/main.c": SPDX + '#include "base/json.h"\n/* gmtime(x) */\nint f(void) { return x->atoi(1); }\n',
    "tests/unit/base/test_json.c": SPDX,
}


def plant(root, files):
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8") as file:
            file.write(text)


def self_test():
    failed = 0
    with tempfile.TemporaryDirectory() as bad, tempfile.TemporaryDirectory() as good:
        plant(bad, BAD_TREE)
        found = findings(bad)
        for path, line, words in EXPECTED:
            if not any(f[0] == path and f[1] == line and words in f[2] for f in found):
                print(f"self-test: no finding '{words}' at {path}:{line}")
                failed += 1
        plant(good, GOOD_TREE)
        for path, line, text in findings(good):
            print(f"self-test: a good tree is blamed: {path}:{line}: {text}")
            failed += 1
    return failed


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    found = findings(root)
    for path, line, text in found:
        print(f"{path}:{line}: {text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
