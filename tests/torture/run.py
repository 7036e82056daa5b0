#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The torture suites: proof that nothing acknowledged is lost.  docs/RELIABILITY.md says what each does and found.

    tests/torture/run.py [--quick] [-k SUITE] BIN_DIRECTORY
Each suite prints a table and has a control that must fail; the exit status is 0 when all that could be done held."""
import argparse, importlib, os, signal, sys, time, traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]
import house

SUITES = ("powercut", "faults", "killstorm", "damage", "crowd", "exhaust")


def table(rows):
    heads = list(dict.fromkeys(k for r in rows for k in r))
    lines = [heads, ["---"] * len(heads)] + [[str(r.get(k, "")) for k in heads] for r in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--quick", action="store_true")
    a.add_argument("-k", default="", choices=("",) + SUITES)
    a.add_argument("bin")
    a = a.parse_args()
    house.BIN = os.path.abspath(a.bin)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failed = 0
    for name in SUITES:
        if a.k and name != a.k:
            continue
        began, rows, left_out = time.time(), [], []
        try:
            rows, left_out = importlib.import_module(name).suite(a.quick)
        except Exception:
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}{house.evidence()}", flush=True)
        finally:
            house.clean_up()
        print(f"## {name} ({time.time() - began:.0f} s)\n")
        if rows:
            print(table(rows) + "\n")
        for what in left_out:
            print(f"LEFT OUT {what}")
        sys.stdout.flush()
    print(f"torture: {failed} of {len(SUITES) if not a.k else 1} suites failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
