# SPDX-License-Identifier: MIT
"""Where the time of one accepted request goes, as a table in Markdown.

    rooms.py JOTGATE LOAD UPSTREAM       jotgate built as it ships, and with -Ddebug=true, so that what was inlined is known by its file

Three looks at the same request: callgrind counts the instructions of each room and library (repeatable); strace counts system calls; perf
samples the processor while 64 connections ask as fast as they can, which shares the measured CPU time out over system calls and user code.
User time is shared out by instructions. Without perf the table has no microseconds."""
import collections
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from instructions import REQUESTS, SCENARIOS, Rig
from peers import Bench

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SECONDS = 4
LIBRARIES = {"libcrypto": "OpenSSL", "libssl": "OpenSSL", "libjansson": "jansson", "libhiredis": "hiredis", "libc": "libc", "ld-linux": "libc"}


def owner(program, source, function_source):
    """Whose an instruction is: a room's, by the file it was written in, or a library's."""
    library = re.match(r"(lib[a-z]+|ld-linux)", os.path.basename(program))
    if library:
        return LIBRARIES.get(library.group(1), library.group(1))
    for path in (source, function_source):
        room = re.search(r"(?:src|include)/([a-z]+)/", path)
        if room:
            return room.group(1)
    return "libc" if source.startswith("/usr/") else "other"


def count(path):
    """callgrind.out: cost lines are "line cost" below what fl, fi and fe (the file), fn and ob (the program) said last; the line behind
    calls= is the callee's. Names are told once, then by number."""
    names, at, found = {}, {"ob": "", "fl": "", "here": ""}, collections.Counter()
    is_call = False
    with open(path, encoding="utf-8") as file:
        for line in file:
            said = re.match(r"(c?)(ob|fl|fi|fe|fn)=\((\d+)\)(?: (.*))?", line)
            if said:
                of_callee, kind, number, name = said.groups()
                space = "fl" if kind in ("fi", "fe") else kind
                names[space, number] = name = name or names[space, number]
                if not of_callee and kind in ("ob", "fl"):
                    at[kind] = name
                if not of_callee and space == "fl":
                    at["here"] = name
            elif line.startswith("calls="):
                is_call = True
            elif re.match(r"[+\-*\d]", line):
                if not is_call:
                    found[owner(at["ob"], at["here"], at["fl"])] += int(line.split()[1])
                is_call = False
    return found


def instructions(programs, work):
    rig, counts = Rig(*programs, work), []
    try:
        for n in (REQUESTS, 2 * REQUESTS):
            rig.instructions(SCENARIOS["accepted"], n)
            counts.append(sum((count(path) for path in glob.glob(os.path.join(work, "callgrind.out-*"))), collections.Counter()))
    finally:
        rig.upstream.kill()
        rig.upstream.wait()
    return {who: (n - counts[0][who]) / REQUESTS for who, n in counts[1].items() if n - counts[0][who] >= REQUESTS}


def attached(argv, server, ask):
    """What `ask` gives while argv looks at the server; and what argv said."""
    with subprocess.Popen([*argv, "-p", str(server.process.pid)], stderr=subprocess.PIPE, text=True) as looker:
        time.sleep(1)
        result = ask()
        looker.send_signal(signal.SIGINT)
        return result, looker.communicate(timeout=30)[1]


def system_calls(server, ask):
    result, said = attached(["strace", "-f", "-c", "-U", "calls,name"], server, ask)
    return {name: int(calls) / result["requests"] for calls, name in re.findall(r"^\s*(\d+) (\w+)$", said, re.M) if name != "total"}


def sampled(server, ask, work):
    """CPU µs a request, shared out: by system call, "interrupts", "user"."""
    data, before = os.path.join(work, "perf.data"), server.cpu_ns()
    result, _ = attached(["perf", "record", "-q", "-F", "2000", "-g", "-o", data], server, ask)
    cpu_us = (server.cpu_ns() - before) / 1000 / result["requests"]
    shares = collections.Counter()
    script = subprocess.check_output(["perf", "script", "-i", data, "-F", "ip,sym,dso"], text=True, stderr=subprocess.DEVNULL)
    for sample in re.split(r"\n\s*\n+", script.strip()):
        in_kernel = "[kernel" in sample.split("\n", 1)[0]
        call = re.search(r"__(?:x64|arm64|se)_sys_(\w+)", sample)
        shares[call.group(1) if in_kernel and call else "interrupts" if in_kernel else "user"] += 1
    return {what: cpu_us * n / shares.total() for what, n in shares.items()}, cpu_us


def table(rooms, calls, times):
    user_us, total = times.get("user", 0), sum(rooms.values())
    us = lambda value: f"{value:.1f}" if times else ""
    lines = ["| | a request | CPU µs |", "|---|---|---|"]
    for name, n in sorted(calls.items(), key=lambda item: -times.get(item[0], item[1] / 1000)):
        if n >= 0.005 or times.get(name, 0) >= 0.05:
            lines.append(f"| `{name}` | {n:.2f} calls | {us(times.get(name, 0))} |")
    rest = sum(value for what, value in times.items() if what not in calls and what != "user")
    lines.append(f"| kernel, beside calls | | {us(rest)} |")
    for who, n in sorted(rooms.items(), key=lambda item: -item[1]):
        lines.append(f"| {who} | {n:,.0f} instructions | {us(user_us * n / total)} |")
    lines.append(f"| **all** | {sum(calls.values()):.1f} calls, {total:,.0f} instructions | **{us(sum(times.values()))}** |")
    return "\n".join(lines)


def main():
    programs = sys.argv[1:4]
    work = tempfile.mkdtemp(prefix="rooms-")
    bench = Bench(ROOT, work)
    bench.jotgate, bench.load_program = programs[0], programs[1]
    try:
        bench.make_keys()
        server, tokens = bench.jotgate_server("jotgate"), bench.mint("one", "ES256")
        ask = lambda: bench.load(server.port, SECONDS, tokens=tokens)
        ask()
        calls = system_calls(server, ask)
        times = sampled(server, ask, work)[0] if shutil.which("perf") else {}
        print(table(instructions(programs, work), calls, times))
    finally:
        bench.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
