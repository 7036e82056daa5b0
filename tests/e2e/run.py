#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the end-to-end stories: tests/e2e/test_*.py, each function test_*, several at a time, each in a process of its own.

    tests/e2e/run.py [-j N] [-k WORD] [-v] BIN_DIRECTORY
A story that fails prints its traceback, the mail log and what the processes said."""
import argparse, glob, importlib, os, signal, sys, time, traceback
import multiprocessing as mp

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
LIMIT = 120


def stories(word):
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        module = importlib.import_module(os.path.basename(path)[:-3])
        for name, fn in vars(module).items():
            if name.startswith("test_") and callable(fn) and (not word or word in f"{module.__name__}.{name}"):
                yield module.__name__, name, getattr(fn, "slow", 0)


def tell(module, name, bindir, pipe):
    """In a process of its own: run one story and send back what went wrong, or ""."""
    import house
    os.setpgid(0, 0)
    signal.alarm(LIMIT)
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError(f"no end after {LIMIT} s")))
    house.BIN = os.path.abspath(bindir)
    wrong = ""
    try:
        getattr(importlib.import_module(module), name)()
    except BaseException:
        wrong = traceback.format_exc() + house.evidence()
    finally:
        try:
            house.clean_up()
        except BaseException:
            wrong += traceback.format_exc()
    pipe.send(wrong)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("-j", type=int, default=max(4, 2 * (os.cpu_count() or 1)))
    a.add_argument("-k", default="")
    a.add_argument("-v", action="store_true")
    a.add_argument("bin")
    a = a.parse_args()
    waiting = sorted(stories(a.k), key=lambda s: -s[2])
    running, passed, failed = [], 0, 0
    ctx = mp.get_context("fork")
    while waiting or running:
        while waiting and len(running) < a.j:
            module, name, _ = waiting.pop(0)
            ours, theirs = ctx.Pipe(duplex=False)
            p = ctx.Process(target=tell, args=(module, name, a.bin, theirs))
            p.start()
            theirs.close()
            running.append((p, ours, module, name, time.time()))
        time.sleep(0.02)
        for entry in list(running):
            p, pipe, module, name, began = entry
            if pipe.poll() or not p.is_alive() or time.time() - began > LIMIT + 20:
                try:
                    wrong = pipe.recv() if pipe.poll() else f"died with {p.exitcode}"
                except EOFError:
                    wrong = f"died with {p.exitcode}"
                p.join(5)
                try:
                    os.killpg(p.pid, signal.SIGKILL)
                except OSError:
                    pass
                running.remove(entry)
                passed, failed = passed + (not wrong), failed + bool(wrong)
                if wrong or a.v:
                    print(f"{'FAILED' if wrong else 'ok'} {module}.{name} ({time.time() - began:.1f} s)\n{wrong}", flush=True)
    print(f"e2e: {passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
