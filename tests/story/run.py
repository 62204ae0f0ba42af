#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: run.py [-k PART] [--threads] [-j N]: run the stories, a process a class, several at once.

-k keeps the tests whose name (module.Class.test) contains PART; --threads keeps the classes that are worth running
under ThreadSanitizer. JOTGATE names the binary. The last line is 'N passed, N failed'.
"""
import argparse
import concurrent.futures
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CLASS_DEADLINE_S = 300
SLOW_S = 30
sys.path.insert(0, HERE)


def names_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from names_of(item)
        else:
            yield item


def stories(part, only_threads):
    """{'module.Class': [test ids]}, the file's order kept."""
    found = {}
    for name in sorted(os.listdir(HERE)):
        if not (name.startswith("test_") and name.endswith(".py")):
            continue
        module = importlib.import_module(name[:-3])
        for test in names_of(unittest.defaultTestLoader.loadTestsFromModule(module)):
            if type(test).__module__ != module.__name__ or part not in test.id():
                continue
            if only_threads and not getattr(type(test), "shares_threads", False):
                continue
            found.setdefault(f"{module.__name__}.{type(test).__qualname__}", []).append(test.id())
    return found


class Tally(unittest.TextTestResult):
    """Counts each test once; a table's row that fails (subTest) fails its test, and is shown by itself."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.failed_ids = set()

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.failed_ids.add(test.id())

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.failed_ids.add(test.id())

    def addError(self, test, err):
        super().addError(test, err)
        self.failed_ids.add(test.id())


def run_one(ids):
    """In the child: run these tests, say how it went as one line of JSON."""
    suite = unittest.defaultTestLoader.loadTestsFromNames(ids)
    runner = unittest.TextTestRunner(stream=sys.stderr, resultclass=Tally, verbosity=0)
    result = runner.run(suite)
    failed = len(result.failed_ids)
    passed = result.testsRun - len([i for i in result.failed_ids if i in ids]) - len(result.skipped)
    print(json.dumps({"passed": max(passed, 0), "failed": failed}))
    return 1 if failed else 0


def run_class(name, ids):
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, __file__, "--child", *ids], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = child.communicate(timeout=CLASS_DEADLINE_S)
        tally = json.loads(out.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError) as reason:
        try:
            os.killpg(child.pid, signal.SIGKILL)  # the child and the gateways that it started: its own session
        except ProcessLookupError:
            pass
        out, err = child.communicate()
        tally, err = {"passed": 0, "failed": 1}, f"{name} did not finish: {reason!r}\n{out}{err}"
    return name, tally, err, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-k", default="", metavar="PART")
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("-j", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--child", nargs="+", default=None)
    options = parser.parse_args()
    if options.child:
        return run_one(options.child)

    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        waiting = [pool.submit(run_class, *story) for story in stories(options.k, options.threads).items()]
        for done in concurrent.futures.as_completed(waiting):
            name, tally, err, seconds = done.result()
            passed, failed = passed + tally["passed"], failed + tally["failed"]
            if tally["failed"]:
                print(f"---- {name}: {tally['failed']} failed\n{err}", flush=True)
            elif seconds > SLOW_S:
                print(f"{name} took {seconds:.0f} s", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
