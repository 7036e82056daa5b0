#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make real: our package on a real Debian 12, with the programs that people use it with.  Needs root, debootstrap and
systemd-nspawn; closes with "N passed, N failed".  Each test_*.py is a machine; -k WORD picks tests by name; --possible makes the Debian, boots it and
says by its exit status whether this host can do that."""
import argparse, glob, importlib, os, shutil, sys, time, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine


def tests_of(module, word):
    return [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f) and word in f"{module.__name__}.{n}"]


def run_one(name, fn, m):
    began = time.time()
    try:
        fn(m) if m else fn()
        print(f"ok {name} ({time.time() - began:.1f} s)", flush=True)
        return True
    except Exception:
        print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
        if m:
            print(f"--- log\n{m.sh('journalctl -q --no-pager -n 25 -o short', check=False)}", flush=True)
        return False


def close_all():
    for alive in list(machine.ALIVE):
        alive.close()


def possible():
    try:
        machine.Machine(installed=False)
        return True
    except Exception as e:
        print(f"no Debian of its own can be had here: {e}")
        return False
    finally:
        close_all()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("-k", default="", metavar="WORD")
    a.add_argument("--possible", action="store_true")
    a = a.parse_args()
    missing = [p for p in ("debootstrap", "systemd-nspawn", "nsenter") if not shutil.which(p)]
    if os.geteuid() != 0 or missing:
        print(f"make real needs root and debootstrap, systemd-container, util-linux; not there: {missing}")
        return 1
    if a.possible:
        return not possible()
    passed = failed = 0
    for path in sorted(glob.glob(f"{os.path.dirname(os.path.abspath(__file__))}/test_*.py")):
        module = importlib.import_module(os.path.basename(path)[:-3])
        chosen = tests_of(module, a.k)
        if not chosen:
            continue
        if hasattr(module, "INSIDE"):
            said = machine.run_inside(f"tests/real/{module.__name__}.py")
            good = len([l for l in said.splitlines() if l.startswith("ok ")])
            print(f"{module.__name__}:\n{said}", flush=True)
            passed, failed = passed + good, failed + len(chosen) - good
            continue
        m = None
        try:
            m = module.begin() if hasattr(module, "begin") else machine.Machine()
        except Exception:
            print(f"FAILED {module.__name__}: its machine\n{traceback.format_exc()}", flush=True)
            failed += len(chosen)
            chosen = []
        for name, fn in chosen:
            good = run_one(f"{module.__name__}.{name}", fn, m)
            passed, failed = passed + good, failed + (not good)
            if m is None:
                close_all()
        close_all()
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
