# SPDX-License-Identifier: MIT
"""What a request costs as things grow, in instructions (callgrind: repeatable), in one command.

    grow.py GROW JOTGATE LOAD UPSTREAM [--out FOLDER]     a table in Markdown; FOLDER receives grow.csv and grow.svg

Of tables the one step that meets them is counted (grow.c); of connections a whole accepted request, while so many others are open and idle,
and the resident memory that each of them takes (without valgrind)."""
import contextlib
import csv
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile

import chart
from instructions import SCENARIOS, Rig
from peers import Bench

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SUBJECTS, ROUTES, POLICIES, KEYS = (1000, 10000, 100000, 1000000), (10, 100, 1000), (1, 2, 4, 8), (1, 10, 100)
CONNECTIONS = (10, 100, 1000, 10000)
REQUESTS = 500
WHAT = {
    "subjects": "limit of one of N subjects", "routes": "route among N", "policies": "N policies of one request, each",
    "keys": "key of a token among N, once per new token", "connections": "accepted request, N idle connections open",
}


def step(program, work, *arguments):
    """(instructions, what it printed beside) of one call of `measured`."""
    out = os.path.join(work, "grow.out")
    said = subprocess.check_output(
        ["valgrind", "--tool=callgrind", "--toggle-collect=measured", f"--callgrind-out-file={out}", program, *map(str, arguments)],
        text=True, stderr=subprocess.DEVNULL, timeout=600)
    calls, beside = said.split()
    with open(out, encoding="utf-8") as file:
        return int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M).group(1)) / int(calls), float(beside)


@contextlib.contextmanager
def idle(port, n):
    with contextlib.ExitStack() as stack:
        for _ in range(n):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        yield


def connections(programs, work):
    rig = Rig(*programs, work)
    try:
        for n in CONNECTIONS:
            yield n, rig.per_request(SCENARIOS["accepted"], REQUESTS, lambda port: idle(port, n))
    finally:
        rig.upstream.kill()
        rig.upstream.wait()


def bytes_per_connection(programs, work):
    bench = Bench(ROOT, work)
    bench.jotgate, bench.load_program = programs[0], programs[1]
    try:
        bench.make_keys()
        server = bench.jotgate_server("jotgate")
        bench.load(server.port, 0.5)
        before = server.rss_kib()
        for n in CONNECTIONS:
            with idle(server.port, n):
                bench.load(server.port, 0.2, connections=1)  # all others are accepted before
                yield n, (server.rss_kib() - before) * 1024 / n
    finally:
        bench.stop()


def key_sets(jotgate, work):
    """(n, JWKS file, the last one's kid)"""
    keys = [json.loads(subprocess.check_output([jotgate, "mint", "--new-key", os.path.join(work, f"{i}.pem"), "--alg", "ES256"])) for i in range(max(KEYS))]
    for n in KEYS:
        path = os.path.join(work, f"{n}.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"keys": keys[:n]}, file)
        yield n, path, keys[n - 1]["kid"]


def measure(grow, programs, work):
    """Rows of (curve, n, instructions, bytes or None)."""
    for n in SUBJECTS:
        count, size = step(grow, work, "subjects", n)
        yield "subjects", n, count, size
    for n in ROUTES:
        yield "routes", n, step(grow, work, "routes", n)[0], None
    for n in POLICIES:
        yield "policies", n, step(grow, work, "policies", n)[0] / n, None
    for n, path, kid in key_sets(programs[0], work):
        yield "keys", n, step(grow, work, "keys", path, kid)[0], None
    sizes = dict(bytes_per_connection(programs, work))
    for n, count in connections(programs, work):
        yield "connections", n, count, sizes[n]


def table(rows):
    lines = ["| what grows | to | instructions | bytes each |", "|---|---|---|---|"]
    for curve, what in WHAT.items():
        mine = [row for row in rows if row[0] == curve]
        ns, counts = (" / ".join(f"{row[at]:,.0f}" for row in mine) for at in (1, 2))
        sizes = " / ".join(f"{row[3]:,.0f}" for row in mine if row[3] is not None)
        lines.append(f"| {what} | {ns} | {counts} | {sizes} |")
    return "\n".join(lines)


def main():
    grow, programs = sys.argv[1], sys.argv[2:5]
    folder = sys.argv[6] if sys.argv[5:6] == ["--out"] else ""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    work = tempfile.mkdtemp(prefix="grow-")
    try:
        rows = []
        for row in measure(grow, programs, work):
            print(*row, file=sys.stderr, flush=True)
            rows.append(row)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(table(rows))
    if folder:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "grow.csv"), "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["curve", "n", "instructions", "bytes_each"])
            out.writerows((curve, n, f"{count:.0f}", "" if size is None else f"{size:.0f}") for curve, n, count, size in rows)
        with open(os.path.join(folder, "grow.svg"), "w", encoding="utf-8") as file:
            file.write(chart.curves({what: [(n, count) for curve, n, count, _ in rows if curve == key] for key, what in WHAT.items()}))


if __name__ == "__main__":
    main()
