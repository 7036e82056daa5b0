#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make check: lint, unit tests, corpora of the fuzz targets, end-to-end tests; closes with what failed, by name,
and "N passed, N failed"."""
import argparse, glob, os, re, subprocess, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(cmd, limit):
    """The command's exit status and output; a command that hangs is killed and counts as failed."""
    try:
        p = subprocess.run(cmd, cwd=ROOT, text=True, errors="replace", capture_output=True, timeout=limit)
        return p.returncode, p.stdout + p.stderr
    except subprocess.TimeoutExpired as e:
        return 124, f"{e.stdout or ''}\nno end after {limit} s"


# Each part answers with how many passed and the names of those that failed.

def lint(build):
    passed, failed = 0, []
    for tool in (["tools/lint.py"], ["tools/mancheck.py", *glob.glob(f"{build}/man/*.5")]):
        status, out = run([sys.executable, *tool], 60)
        print(out.strip())
        if status:
            failed.append(tool[0])
        else:
            passed += 1
    return passed, failed


FAILURE = re.compile(r"^Suite (.+), Test (.+) had failures:$\n\s+1\. (.*)", re.M)


def failures(program, out, n):
    """The failed tests of a program, each with its first assertion that did not hold; n of them in any case."""
    names = [f"unit {program}: {suite}, {test}: {what}" for suite, test, what in FAILURE.findall(out)]
    return (names + [f"unit {program}"] * n)[:n]


def unit(build):
    passed, failed = 0, []
    tests = asserts = bad = 0
    for program in sorted(glob.glob(f"{build}/unit/*")):
        if not os.access(program, os.X_OK) or os.path.isdir(program):
            continue
        status, out = run([program], 300)
        m = re.search(r"^\s*tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", out, re.M)
        a = re.search(r"^\s*asserts\s+(\d+)\s+\S+\s+(\d+)\s+(\d+)", out, re.M)
        if not m or status not in (0, 1) or int(m[2]) == 0:
            print(out[-4000:])
            print(f"unit {os.path.basename(program)}: ended with status {status}")
            failed.append(f"unit {os.path.basename(program)}, status {status}")
            continue
        passed += int(m[3])
        tests, asserts, bad = tests + int(m[2]), asserts + int(a[1]), bad + int(a[3])
        if status:
            print("\n".join(l for l in out.split("\n") if l.endswith(" had failures:") or re.match(r"\s+\d+\. ", l)))
            failed += failures(os.path.basename(program), out, int(m[4]))
        print(f"unit {os.path.basename(program)}: {m[3]} of {m[2]} tests, {a[1]} asserts")
    print(f"\nRun Summary:    Type  Total    Ran Passed Failed\n               tests {tests:6} {tests:6} {passed:6} {len(failed):6}"
          f"\n             asserts {asserts:6} {asserts:6} {asserts - bad:6} {bad:6}\n")
    return passed, failed


def corpora(build):
    passed, failed = 0, []
    for program in sorted(glob.glob(f"{build}/fuzz/*")):
        name = os.path.basename(program)
        status, out = run([program, f"tests/fuzz/corpus/{name}"], 120)
        if status:
            failed.append(f"corpus {name}")
        else:
            passed += 1
        print(f"corpus {name}: {out.strip()[-2000:] if status else 'replayed'}")
    return passed, failed


def e2e(build):
    p = subprocess.Popen([sys.executable, "tests/e2e/run.py", f"{build}/bin"], cwd=ROOT, text=True, stdout=subprocess.PIPE)
    passed, failed = None, []
    for line in p.stdout:
        print(line, end="", flush=True)
        if line.startswith("FAILED test_"):
            failed.append(line.split(maxsplit=1)[1].strip())
        m = re.match(r"e2e: (\d+) passed, \d+ failed", line)
        if m:
            passed = int(m[1])
    p.wait()
    return (passed, failed) if passed is not None else (0, [f"e2e, status {p.returncode}"])


PARTS = {"lint": lint, "unit": unit, "corpora": corpora, "e2e": e2e}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--only", choices=list(PARTS))
    a.add_argument("build")
    a = a.parse_args()
    passed, failed = 0, []
    for name, part in PARTS.items():
        if a.only and name != a.only:
            continue
        began = time.time()
        p, f = part(a.build)
        print(f"{name}: {time.time() - began:.1f} s", flush=True)
        passed, failed = passed + p, failed + f
    for name in failed:
        print(f"FAILED {name}")
    print(f"{passed} passed, {len(failed)} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
