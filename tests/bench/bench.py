# SPDX-License-Identifier: MIT
"""Everybody on the same work in one run, round by round, A and B in turn; what counts is the ratio within a round.

A row of `rows()` says what A and B do and by which figure they are compared. Each row has its turn in each round, so that a machine that is
slow for a while is slow for all; rounds go on until the median ratio's 95 % interval is within ±5 % of it in every row (or --rounds-most or
--minutes is reached, and the table says so). Rows that are settled wait for the others."""
import argparse
import csv
import math
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import chart
from peers import Bench

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
MIB = 1 << 20


class Work:
    """One side of a row: a server and what is asked of it."""

    def __init__(self, server, expect="200", **load):
        self.server, self.expect, self.load = server, expect, load

    def warm(self, bench):
        """Keys are loaded and connections open; what is answered until then does not count."""
        for _ in range(50):
            result = bench.load(self.server.port, 0.3, **self.load)  # of new tokens: the first of the file, met again much later
            if self.expect in result["statuses"] and "503" not in result["statuses"] or result["messages"]:
                return

    def run(self, bench, seconds):
        before, before_modes = self.server.cpu_ns(), self.server.user_and_system_ms()
        result = bench.load(self.server.port, seconds, **self.load)
        result["cpu_ns"] = self.server.cpu_ns() - before
        after_modes = self.server.user_and_system_ms()
        result["user_ms"], result["system_ms"] = (b - a for a, b in zip(before_modes, after_modes))
        result["rss_kib"] = self.server.rss_kib()
        self.server.forget_log()
        self.check(result)
        return result

    def check(self, result):
        wrong = {status: n for status, n in result["statuses"].items() if status != self.expect}
        # A stopped generator leaves requests behind, never wrong answers.
        if self.expect == "429":
            wrong.pop("200", None)
        if wrong or result["errors"]:
            raise RuntimeError(f"{self.server.name}: expected {self.expect} only, got {result['statuses']} and {result['errors']} errors")


def per_request(result):
    return result["cpu_ns"] / 1000 / max(1, result["requests"])


def per_gib(result):
    moved = result["bytes"] + result.get("sent", 0)
    return result["cpu_ns"] / 1e6 / max(1, moved / (1 << 30))


def per_message(result):
    return result["cpu_ns"] / 1000 / max(1, result["messages"])


def p99(result):
    return result["p99_us"]


UNITS = {per_request: "CPU µs a request", per_gib: "CPU ms a GiB", per_message: "CPU µs a message", p99: "p99 µs"}


class NewTokens(Work):
    """Goes on in the file of tokens where it stopped, so that no server has seen the next ones lately."""

    used = {}

    def run(self, bench, seconds):
        self.load["flags"] = ["--skip", str(self.used.get(self.server, 0))]
        result = super().run(bench, seconds)
        self.used[self.server] = self.used.get(self.server, 0) + result["requests"] + self.load.get("connections", 64)
        return result


class Crowd(Work):
    """Many callers, some of whom come often; each has been here before."""

    def __init__(self, server, tokens):
        super().__init__(server, tokens=tokens, flags=["--zipf"])

    def warm(self, bench):
        super().warm(bench)
        bench.load(self.server.port, 3, tokens=self.load["tokens"])  # one after the other


class Row:
    def __init__(self, key, what, a, b, goal=None, figure=per_request, quick=False):
        self.key, self.what, self.a, self.b, self.goal, self.figure, self.quick = key, what, a, b, goal, figure, quick
        self.ratios, self.figures, self.results = [], ([], []), ([], [])

    def work(self, side):
        return (self.a, self.b)[side]()

    def measure(self, bench, seconds, first):
        order = (0, 1) if first else (1, 0)
        values = [0.0, 0.0]
        for side in order:
            work = self.work(side)
            result = work.run(bench, seconds)
            if work.load.get("body"):
                result["sent"] = result["requests"] * work.load["body"]
            values[side] = self.figure(result)
            self.figures[side].append(values[side])
            self.results[side].append(result)
        self.ratios.append(values[0] / values[1])

    def interval(self):
        """The median's 95 % interval by order statistics; without enough rounds: everything that was seen."""
        r, n = sorted(self.ratios), len(self.ratios)
        half = 0.98 * math.sqrt(n)
        low, high = max(0, int(n / 2 - half)), min(n - 1, int(n / 2 + half))
        return r[low], r[high]

    def is_settled(self):
        if len(self.ratios) < 6:
            return False
        low, high = self.interval()
        median = statistics.median(self.ratios)
        return low >= median * 0.95 and high <= median * 1.05


class AtOneRate(Row):
    """Open loop, both at half of the slower one's peak: who rests more pays more for each request, so peaks cannot be compared."""

    rate = 0

    def work(self, side):
        work = super().work(side)
        if self.rate:
            work.load["rate"] = self.rate
        return work

    def choose_rate(self, bench, seconds):
        if not self.rate:
            self.rate = int(min(self.work(side).run(bench, seconds)["requests"] for side in (0, 1)) / seconds / 2)

    def measure(self, bench, seconds, first):
        self.choose_rate(bench, seconds)
        super().measure(bench, seconds, first)


class AddedLatency(AtOneRate):
    """The p99 then, less what the same load meets without any proxy."""

    def __init__(self, key, what, a, b, goal):
        super().__init__(key, what, a, b, goal, p99)

    def measure(self, bench, seconds, first):
        self.choose_rate(bench, seconds)
        direct = bench.load(bench.upstream.port, seconds, rate=self.rate)["p99_us"]
        values = [0.0, 0.0]
        for side in ((0, 1) if first else (1, 0)):
            result = self.work(side).run(bench, seconds)
            values[side] = max(1.0, result["p99_us"] - direct)
            self.figures[side].append(values[side])
            self.results[side].append(result)
        self.ratios.append(values[0] / values[1])


def rows(bench, redis_modes, with_fastify):
    one = lambda algorithm: bench.mint(f"one-{algorithm}", algorithm)
    memory = lambda: bench.jotgate_server("jotgate")
    get = lambda server, algorithm="ES256", **load: lambda: Work(server(), tokens=one(algorithm), **load)
    haproxy = lambda algorithm: lambda: bench.haproxy(algorithm)
    fresh = lambda: bench.mint("fresh", "ES256", 40000)
    crowd = lambda: bench.mint("crowd", "ES256", 10000, subjects=True)
    list_ = [
        Row("hs256", "small GET, HS256, against HAProxy jwt_verify + stick table", get(memory, "HS256"), get(haproxy("HS256"), "HS256"), 0.60, quick=True),
        Row("rs256", "small GET, RS256, repeated token, against the same", get(memory, "RS256"), get(haproxy("RS256"), "RS256"), 0.32),
        Row("es256", "small GET, ES256, repeated token, against the same", get(memory), get(haproxy("ES256")), 0.18, quick=True),
        Row("es256-new", "small GET, ES256, every token new, against the same",
            lambda: NewTokens(memory(), tokens=fresh()), lambda: NewTokens(bench.haproxy("ES256"), tokens=fresh()), 0.85),
        Row("nginx", "small GET, ES256 with all on, against nginx as a plain proxy", get(memory), get(bench.nginx_plain), 0.95, quick=True),
        Row("plain-haproxy", "small GET, ES256 with all on, against HAProxy as a plain proxy", get(memory), get(bench.haproxy_plain)),
        Row("eddsa", "small GET, EdDSA, against own ES256", get(memory, "EdDSA"), get(memory)),
        # A server of its own: the others' new tokens would take the crowd's places in the cache.
        Row("crowd", "10,000 subjects, Zipf, against one", lambda: Crowd(bench.jotgate_server("jotgate-crowd"), crowd()), get(memory)),
        Row("expired", "refused: expired, against own accepted",
            lambda: Work(memory(), "401", tokens=bench.mint("expired", "ES256", ttl="-1h")), get(memory), 0.60),
        Row("forged", "refused: forged, one token again and again, against own accepted",
            lambda: Work(memory(), "401", tokens=forged(bench)), get(memory)),
        Row("limited", "refused: over limit, against own accepted",
            lambda: Work(bench.jotgate_server("jotgate-limited", rate="1/minute"), "429", tokens=one("ES256")), get(memory), 0.60),
        Row("down", "10 MiB answers, CPU a GiB, against nginx as a plain proxy, buffering off",
            get(memory, path=f"/rest/v1/bytes/{10 * MIB}", connections=8), get(bench.nginx_plain, path=f"/rest/v1/bytes/{10 * MIB}", connections=8), 1.0, per_gib),
        Row("up", "10 MiB request bodies, CPU a GiB, against the same",
            get(memory, method="POST", body=10 * MIB, connections=8), get(bench.nginx_plain, method="POST", body=10 * MIB, connections=8), 1.0, per_gib),
        Row("down-100k", "100 KiB answers, CPU a GiB, against the same",
            get(memory, path=f"/rest/v1/bytes/{100 * 1024}"), get(bench.nginx_plain, path=f"/rest/v1/bytes/{100 * 1024}"), None, per_gib),
        Row("tls", "small GET to a TLS upstream, against own plain upstream",
            get(lambda: bench.jotgate_server("jotgate-tls", upstream=f"https://localhost:{bench.tls_upstream().port}")), get(memory)),
        Row("c1", "small GET, 1 connection, against nginx", get(memory, connections=1), get(bench.nginx_plain, connections=1)),
        Row("c1000", "small GET, 1,000 connections, against nginx", get(memory, connections=1000), get(bench.nginx_plain, connections=1000)),
        Row("workers", "small GET, 2 workers on one core, against 1", get(lambda: bench.jotgate_server("jotgate-2", workers=2)), get(memory)),
        Row("sse", "event stream, CPU a message, against nginx",
            get(memory, path="/functions/v1/events", connections=4, flags=["--stream"]),
            get(bench.nginx_plain, path="/functions/v1/events", connections=4, flags=["--stream"]), None, per_message),
        Row("websocket", "WebSocket echo, CPU a message, against nginx",
            get(memory, path="/functions/v1/socket", connections=32, flags=["--websocket"]),
            get(bench.nginx_plain, path="/functions/v1/socket", connections=32, flags=["--websocket"]), None, per_message),
        AddedLatency("p99", "added p99 at half of peak, open loop, against HAProxy jwt_verify + stick table, ES256",
                     get(memory), get(haproxy("ES256")), 1.0),
    ]
    if with_fastify:
        list_.append(Row("fastify", "small GET, ES256, against Fastify + jwt + rate-limit", get(memory), get(lambda: bench.fastify()), 0.08))
    limits = lambda mode: lambda: bench.jotgate_server(
        f"jotgate-{mode}", extra=f"redis: {{ url: 'redis://127.0.0.1:{bench.redis().port}', mode: {mode} }}")
    for mode, goal in (("exact", 1.20), ("leased", 1.05)):
        if mode in redis_modes:
            list_.append(Row(f"redis-{mode}", f"limits in Redis, {mode}, against in memory", get(limits(mode)), get(memory), goal))
    if "exact" in redis_modes:
        list_.append(AtOneRate("redis-exact-rate", "limits in Redis, exact, both at half of its peak, open loop, against in memory",
                               get(limits("exact")), get(memory)))
    return list_


def redis_modes_of(bench):
    """What can be measured: redis-server is there, and this jotgate takes the mode."""
    if not shutil.which("redis-server"):
        return []
    config = 'supabase: {{ url: "http://127.0.0.1:1" }}\nredis: {{ url: "redis://127.0.0.1:1", mode: {} }}\n'
    return [mode for mode in ("exact", "leased") if subprocess.run(
        [bench.jotgate, "check", "-c", bench.write("mode.yaml", config.format(mode))], capture_output=True, check=False).returncode == 0]


def forged(bench):
    """A good token with another signature of the right length."""
    if "forged" not in bench.tokens:
        with open(bench.mint("one-ES256", "ES256"), encoding="ascii") as file:
            head, payload, signature = file.read().strip().split(".")
        bench.tokens["forged"] = bench.write("forged.tokens", f"{head}.{payload}.{signature[::-1].replace('=', 'A')[:-1]}A\n")
    return bench.tokens["forged"]


# ---- what is told

def version(argv, pattern):
    try:
        found = re.search(pattern, subprocess.run(argv, capture_output=True, text=True, check=False).stdout + subprocess.run(
            argv, capture_output=True, text=True, check=False).stderr)
        return found.group(1) if found else "?"
    except OSError:
        return "-"


def describe():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return {
        "cpu": f"{os.cpu_count()} cores, {cpu}", "kernel": platform.release().split("-")[0],
        "jotgate": version([os.path.join(ROOT, "build", "jotgate"), "version"], r"(\d+\.\d+\.\d+)"),
        "haproxy": version(["haproxy", "-v"], r"version (\d+\.\d+\.\d+)"), "nginx": version(["nginx", "-v"], r"nginx/(\d+\.\d+\.\d+)"),
        "openssl": version(["openssl", "version"], r"OpenSSL (\S+)"), "node": version(["node", "--version"], r"v(\S+)"),
    }


def table(done):
    lines = [f"{'work':<14} {'A':>9} {'B':>9}  {'unit':<17} {'ratio':>6}  {'95 %':>13} {'rounds':>6}  goal"]
    for row in done:
        low, high = row.interval()
        goal = "" if row.goal is None else f"<= {row.goal:.2f} {'met' if statistics.median(row.ratios) <= row.goal else 'NOT MET'}"
        settled = "" if row.is_settled() else " (not settled)"
        lines.append(f"{row.key:<14} {statistics.median(row.figures[0]):9.2f} {statistics.median(row.figures[1]):9.2f}  {UNITS[row.figure]:<17} "
                     f"{statistics.median(row.ratios):6.2f}  {low:5.2f} to {high:5.2f} {len(row.ratios):6d}  {goal}{settled}")
    return "\n".join(lines)


def split(results):
    requests = sum(r["requests"] or r["messages"] for r in results)
    return [sum(r[mode] for r in results) * 1000 / max(1, requests) for mode in ("user_ms", "system_ms")]


def write_csv(path, done):
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["work", "what", "unit", "a", "b", "ratio", "low", "high", "rounds", "goal", "a_user_us", "a_system_us", "b_user_us", "b_system_us",
                      "a_per_second", "b_per_second", "a_p50_us", "a_p99_us", "b_p50_us", "b_p99_us", "a_rss_kib", "b_rss_kib"])
        for row in done:
            low, high = row.interval()
            rate = [statistics.median((r["requests"] or r["messages"]) / r["seconds"] for r in side) for side in row.results]
            times = [statistics.median(r[q] for r in side) for side in row.results for q in ("p50_us", "p99_us")]
            rss = [max(r["rss_kib"] for r in side) for side in row.results]
            numbers = [statistics.median(row.figures[0]), statistics.median(row.figures[1]), statistics.median(row.ratios), low, high]
            out.writerow([row.key, row.what, UNITS[row.figure], *(f"{n:.3f}" for n in numbers), len(row.ratios), row.goal or "",
                          *(f"{n:.2f}" for side in row.results for n in split(side)), *(f"{n:.0f}" for n in rate),
                          *(f"{n:.0f}" for n in times), *rss])


def markdown(path):
    """The table of the README, from a results.csv."""
    with open(path, newline="", encoding="utf-8") as file:
        done = list(csv.DictReader(file))
    print("| work | against | jotgate | the other | ratio | 95 % of rounds | goal |\n|---|---|---|---|---|---|---|")
    for row in done:
        work, _, other = row["what"].rpartition(", against ")
        goal = f"≤ {float(row['goal']):.2f}, {'met' if float(row['ratio']) <= float(row['goal']) else 'not met'}" if row["goal"] else ""
        print(f"| {work} | {other} | {float(row['a']):.1f} {row['unit']} | {float(row['b']):.1f} | **{float(row['ratio']):.2f}** "
              f"| {float(row['low']):.2f} to {float(row['high']):.2f} ({row['rounds']}) | {goal} |")


def measure(bench, todo, options):
    """Rounds over all rows that are not settled, until all are or the time is up. A row that breaks is told and left out."""
    began, done = time.monotonic(), []
    for row in todo:
        try:
            row.a().warm(bench)
            row.b().warm(bench)
            done.append(row)
        except RuntimeError as error:
            print(f"{row.key}: left out: {error}", file=sys.stderr, flush=True)
    for n in range(options.rounds_most):
        open_rows = [row for row in done if not row.is_settled()]
        for row in open_rows:
            if options.minutes and n > 0 and time.monotonic() - began > options.minutes * 60:
                return done
            try:
                row.measure(bench, options.seconds, n % 2 == 0)
            except RuntimeError as error:
                print(f"{row.key}: left out: {error}", file=sys.stderr, flush=True)
                done.remove(row)
        if not open_rows:
            break
        print(f"round {n + 1}: {len(open_rows)} of {len(done)} rows, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return done


def write_results(folder, done):
    os.makedirs(folder, exist_ok=True)
    write_csv(os.path.join(folder, "results.csv"), done)
    facts = describe()
    with open(os.path.join(folder, "machine.txt"), "w", encoding="utf-8") as file:
        file.writelines(f"{name}: {value}\n" for name, value in facts.items())
    with open(os.path.join(folder, "results.svg"), "w", encoding="utf-8") as file:
        file.write(chart.bars([(r.key, r.what, statistics.median(r.ratios), *r.interval(), r.goal) for r in done], facts))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rows, at most a minute")
    parser.add_argument("--minutes", type=float, default=0, help="stop then, settled or not")
    parser.add_argument("--only", default="", help="rows whose name begins so, separated by commas")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--rounds-most", type=int, default=40)
    parser.add_argument("--fastify", action="store_true", help="with the row that needs Node and npm packages")
    parser.add_argument("--out", default="", help="a folder for results.csv, results.svg and machine.txt")
    parser.add_argument("--table", default="", metavar="RESULTS.CSV", help="only print these as the README's table")
    options = parser.parse_args()
    if options.table:
        markdown(options.table)
        return
    if options.quick:
        options.minutes = options.minutes or 0.6
    only = tuple(options.only.split(",")) if options.only else None
    work = tempfile.mkdtemp(prefix="bench-")
    bench = Bench(ROOT, work)
    try:
        bench.make_keys()
        todo = [row for row in rows(bench, redis_modes_of(bench), options.fastify)
                if (row.key.startswith(only) if only else row.quick or not options.quick)]
        done = [row for row in measure(bench, todo, options) if row.ratios]
    finally:
        bench.stop()
        shutil.rmtree(work, ignore_errors=True)
    print(table(done))
    if options.out:
        write_results(options.out, done)


if __name__ == "__main__":
    main()
