# SPDX-License-Identifier: MIT
"""Instructions a request, counted by callgrind: the same work twice, once with N requests and once with 2 N; what the second needs more is
what N requests cost. Seconds vary with the machine, instructions do not, so a change that costs 3 % more is seen.

    instructions.py JOTGATE LOAD UPSTREAM            compare with instructions.json (exit 1: dearer or cheaper by more than 3 %)
    instructions.py JOTGATE LOAD UPSTREAM --write    take today's figures as the baseline

A baseline belongs to one compiler and one set of libraries: with others it is printed, not compared (exit 77)."""
import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BASELINE = os.path.join(HERE, "instructions.json")
ISSUER = "https://bench.example/auth/v1"
TOLERANCE, REQUESTS = 0.03, 2000

SCENARIOS = {
    "accepted": dict(tokens="good", status=200),
    "accepted, every token new": dict(tokens="new", status=200),
    "no token": dict(tokens=None, status=200),
    "expired": dict(tokens="expired", status=401),
    "over limit": dict(tokens="good", status=429, rate="1/day"),
    "post 1 KiB": dict(tokens="good", status=200, method="POST", body=1024),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(jotgate):
    """What a baseline depends on beside the code."""
    linked = subprocess.check_output(["ldd", jotgate], text=True)
    versions = sorted(os.path.basename(os.path.realpath(path)) for path in re.findall(r"=> (/\S+)", linked))
    compiler = subprocess.check_output(["gcc", "-dumpfullversion"], text=True).strip()
    return {"compiler": compiler, "libraries": [v for v in versions if re.match(r"lib(c|crypto|ssl|jansson)[-.]", v)]}


class Rig:
    def __init__(self, jotgate, load, upstream, work):
        self.jotgate, self.load_program, self.work = jotgate, load, work
        self.upstream_port = free_port()
        self.upstream = subprocess.Popen([upstream, str(self.upstream_port)])
        key = os.path.join(work, "key.pem")
        jwk = json.loads(subprocess.check_output([jotgate, "mint", "--new-key", key, "--alg", "ES256"]))
        self.write("jwks.json", json.dumps({"keys": [jwk]}))
        self.tokens = {name: self.mint(key, name, *options) for name, options in {
            "good": ("1", "2h"), "new": (str(4 * REQUESTS), "2h"), "expired": ("1", "-2h")}.items()}

    def write(self, name, text):
        path = os.path.join(self.work, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def mint(self, key, name, count, ttl):
        out = subprocess.check_output([self.jotgate, "mint", "--alg", "ES256", "--key", key, "--sub", "bench", "--ttl", ttl, "--count", count,
                                       "--claim", f"iss={ISSUER}"], text=True)
        return self.write(f"{name}.tokens", out)

    def per_request(self, scenario, n=REQUESTS, beside=lambda port: contextlib.nullcontext()):
        """Of the worker, whose instructions grow most with the requests: what other threads do depends on how long it all takes."""
        once, twice = (self.instructions(scenario, times * n, beside) for times in (1, 2))
        return max(count - once.get(thread, 0) for thread, count in twice.items()) / n

    def instructions(self, scenario, n, beside=lambda port: contextlib.nullcontext()):
        """Of each thread of the process that serves n requests over one connection, one after the other; `beside` may hold others open."""
        port, out = free_port(), os.path.join(self.work, "callgrind.out")
        for stale in glob.glob(f"{out}-*"):
            os.remove(stale)
        config = self.write("jotgate.yaml", f"""
listen: "127.0.0.1:{port}"
admin: ""
workers: 1
drain: {{ delay: 0s, timeout: 1s }}
supabase: {{ url: "http://127.0.0.1:{self.upstream_port}" }}
issuers: [ {{ name: supabase, issuer: "{ISSUER}", jwks_file: {self.work}/jwks.json }} ]
plans: {{ default: all, tiers: {{ all: {{ default: [ {{ name: burst, rate: {scenario.get("rate", "1000000000/second")} }} ] }} }} }}
limits: {{ per_ip: {{ key: ip, rate: 1000000000/second, for: anonymous }} }}
""")
        with open(os.path.join(self.work, "log"), "wb") as log:
            gateway = subprocess.Popen(
                ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--separate-threads=yes", self.jotgate, "-c", config], stdout=log, stderr=log)
            try:
                self.wait(port)
                self.warm(port, scenario)
                with beside(port):
                    result = self.ask(port, scenario, n)
            finally:
                gateway.send_signal(signal.SIGTERM)
                gateway.wait(30)
        if result["statuses"] != {str(scenario["status"]): n}:
            raise RuntimeError(f"expected {n} times {scenario['status']}, got {result}: {self.odd_line(scenario['status'])}")
        counts = {}
        for path in glob.glob(f"{out}-*"):
            with open(path, encoding="utf-8") as file:
                counts[os.path.basename(path)] = int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M).group(1))
        return counts

    def odd_line(self, status):
        with open(os.path.join(self.work, "log"), encoding="utf-8", errors="replace") as log:
            return next((line for line in reversed(log.readlines()) if '"event":"request"' in line and f'"status":{status},' not in line), "")

    def warm(self, port, scenario):
        """Until the keys are loaded the answer is another; then connections are opened and memory warmed."""
        for _ in range(20):
            if str(scenario["status"]) in self.ask(port, scenario, 2, seconds=3)["statuses"]:
                break
            time.sleep(0.2)
        self.ask(port, scenario, 20)

    def ask(self, port, scenario, n, seconds=120):
        argv = [self.load_program, "--port", str(port), "--connections", "1", "--seconds", str(seconds), "--requests", str(n), "--path", "/rest/v1/todos",
                "--method", scenario.get("method", "GET"), "--body", str(scenario.get("body", 0))]
        if scenario["tokens"]:
            argv += ["--tokens", self.tokens[scenario["tokens"]]]
        return json.loads(subprocess.check_output(argv, timeout=150))

    @staticmethod
    def wait(port):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 0.5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("the gateway does not listen")


def measure(jotgate, load, upstream):
    work = tempfile.mkdtemp(prefix="instructions-")
    rig = Rig(jotgate, load, upstream, work)
    try:
        return {name: round(rig.per_request(scenario)) for name, scenario in SCENARIOS.items()}
    finally:
        rig.upstream.kill()
        rig.upstream.wait()
        shutil.rmtree(work, ignore_errors=True)


def main():
    programs, write = sys.argv[1:4], "--write" in sys.argv
    here, figures = environment(programs[0]), measure(*programs)
    if write:
        with open(BASELINE, "w", encoding="utf-8") as file:
            json.dump({"environment": here, "instructions_per_request": figures}, file, indent=2)
            file.write("\n")
    with open(BASELINE, encoding="utf-8") as file:
        baseline = json.load(file)
    off = 0
    for name, figure in figures.items():
        before = baseline["instructions_per_request"].get(name)
        change = figure / before - 1 if before else 0
        off += abs(change) > TOLERANCE or before is None
        print(f"{name:<28} {figure:>8} instructions a request, baseline {before}, {100 * change:+.1f} %")
    if baseline["environment"] != here:
        print("not compared: the baseline is of another compiler or other libraries")
        sys.exit(77)
    sys.exit(off > 0)


if __name__ == "__main__":
    main()
