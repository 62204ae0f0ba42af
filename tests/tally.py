#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: tally.py TESTLOG.JSON: count what `meson test` ran, as 'N passed, N failed'.

A Check program counts as the checks that it says it ran, a fuzz replay as its inputs, anything else as one. A program
that failed without saying what (a crash, a leak, a time-out) has failed once more than it counted.
"""
import json
import re
import sys

CHECK = re.compile(r"\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)  # a test of the log may leave the line that it stands in unended
REPLAY = re.compile(r"^replayed (\d+) inputs", re.M)


def tally(result):
    """(passed, failed) of one program."""
    if result["result"] == "SKIP":
        return 0, 0
    good = result["result"] == "OK"
    passed = failed = 0
    for m in CHECK.finditer(result.get("stdout", "")):
        bad = int(m[2]) + int(m[3])
        passed, failed = passed + int(m[1]) - bad, failed + bad
    for m in REPLAY.finditer(result.get("stdout", "")):
        passed += int(m[1])
    if not good and not failed:
        failed = 1
    if good and not passed:
        passed = 1
    return passed, failed


def main(path):
    try:
        with open(path, encoding="utf-8") as log:
            results = [tally(json.loads(line)) for line in log if line.strip()]
    except FileNotFoundError:
        results = []
    passed, failed = sum(r[0] for r in results), sum(r[1] for r in results)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
