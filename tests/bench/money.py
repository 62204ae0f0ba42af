#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a fleet on Fly.io costs, on paper: processor time a request as measured by ./tests/bench/run, prices as published, arithmetic below.

    money.py [results.csv] [--requests-per-second N] [--redis-calls C]     a page in Markdown

The model, and what it leaves out:
  machines  = requests a second x CPU a request / (what a machine may use without pause x 0.5, for peaks), at least 2
  Redis     = requests x calls a request, at Upstash's price per command; 0 with limits in memory
  left out: traffic (Fly bills what goes out, whichever proxy sends it), Supabase itself, people.
A request measured on one machine's core costs another time on another's: the ratio between two rows is firmer than either."""
import argparse
import csv
import math
import os

HERE = os.path.dirname(os.path.abspath(__file__))

# Fly.io, iad, 30 days (fly.io/docs/about/pricing, read in November 2026); what a machine may use for ever: shared 1/16 of a core,
# performance 10/16 (fly.io/docs/machines/cpu-performance).
MACHINES = {"shared-cpu-1x": (2.19, 1 / 16), "shared-cpu-2x": (13.39, 2 / 16), "performance-1x": (33.00, 10 / 16)}
MEMORY_MIB = {"shared-cpu-1x": 256, "shared-cpu-2x": 2048, "performance-1x": 2048}
# Upstash for Redis on Fly, pay as you go, a command (fly.io/docs/upstash/redis).
REDIS_COMMAND = 0.20 / 100_000
HEADROOM, AT_LEAST, SECONDS = 0.5, 2, 30 * 86400


def measured(path):
    """CPU µs a small GET with an ES256 token, by who answers it."""
    with open(path, encoding="utf-8") as file:
        rows = {row["work"]: row for row in csv.DictReader(file)}
    found = {"jotgate": float(rows["es256"]["a"]), "HAProxy, jwt_verify + stick table": float(rows["es256"]["b"])}
    if "fastify" in rows:
        found["Fastify + jwt + rate-limit"] = float(rows["fastify"]["b"])
    return found


def cheapest(cpu_us, rate, least_mib):
    """(money a month, how many, of which kind) to serve `rate` requests a second."""
    choices = []
    for kind, (price, share) in MACHINES.items():
        if MEMORY_MIB[kind] >= least_mib:
            n = max(AT_LEAST, math.ceil(rate * cpu_us / 1e6 / (share * HEADROOM)))
            choices.append((n * price, n, kind))
    return min(choices)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", default=os.path.join(HERE, "results", "results.csv"))
    parser.add_argument("--requests-per-second", type=float, default=0, help="one rate instead of four")
    parser.add_argument("--redis-calls", type=float, default=50, help="of a thousand requests, `mode: leased`")
    options = parser.parse_args()
    cpu = measured(options.results)
    print("| who | CPU µs a request | requests a second of a shared-cpu-1x, for ever | of a performance-1x |\n|---|---|---|---|")
    for who, us in cpu.items():
        print(f"| {who} | {us:.1f} | {1e6 / us * MACHINES['shared-cpu-1x'][1]:,.0f} | {1e6 / us * MACHINES['performance-1x'][1]:,.0f} |")
    print("\n| requests a second | who | machines | $ a month | $ a million requests |\n|---|---|---|---|---|")
    for rate in [options.requests_per_second] if options.requests_per_second else [10, 100, 1000, 10000]:
        for who, us in cpu.items():
            money, n, kind = cheapest(us, rate, 512 if "Fastify" in who else 256)
            print(f"| {rate:,.0f} | {who} | {n} x {kind} | {money:,.2f} | {money / (rate * SECONDS / 1e6):.4f} |")
    print("\n| limits kept in | Redis commands of 1,000 requests | $ a million requests | $ a month at 100 a second |\n|---|---|---|---|")
    for where, calls in (("memory (one machine, or each its own)", 0), ("Redis, leased", options.redis_calls), ("Redis, exact", 1000)):
        million = calls * 1000 * REDIS_COMMAND
        print(f"| {where} | {calls:,.0f} | {million:.2f} | {million * 100 * SECONDS / 1e6:,.2f} |")


if __name__ == "__main__":
    main()
