#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a machine can hold us to: who includes whom, sizes, the SPDX line, where third-party headers live."""
import os, re, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOWER = {"util": {"util"}, "mail": {"util", "mail"}, "spool": {"util", "mail", "spool"},
         "agent": {"util", "mail", "spool", "agent"}, "intake": {"util", "mail", "spool", "intake"}}
DAEMONS = ["master", "smtpd", "qmgr", "smtp", "bounce", "resolver", "local", "pickup", "postdrop", "deliver", "pipe", "virtual", "error", "discard", "auth", "balance", "api"]
THIRD_PARTY = {"unbound.h": "resolver/", "unbound-event.h": "resolver/", "openssl/": "util/tls", "db.h": "util/map_db", "cdb.h": "util/map_cdb", "pcre2.h": "util/map_pcre", "seccomp.h": "util/sandbox_calls.c",
               "sasl/": "auth/", "CUnit/": "tests/unit/check.h", "valgrind/": "util/ctx"}
FILE_LINES, FUNCTION_LINES, COLUMNS = 500, 60, 120


def sources():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h"], cwd=ROOT, text=True, capture_output=True)
    return [f for f in out.stdout.split() if os.path.exists(os.path.join(ROOT, f))]


def may_include(user, used):
    if user in ("tests", "tools") or used not in set(LOWER) | set(DAEMONS) | {"cmd"}:
        return True
    return used in LOWER.get(user, set(LOWER) | {user})


def check(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        lines = f.read().split("\n")
    room = path.split("/")[0]
    if "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
        yield 1, "no SPDX line"
    if len(lines) > FILE_LINES + 1:
        yield FILE_LINES, f"{len(lines) - 1} lines; {FILE_LINES} at most"
    start = 0
    for n, line in enumerate(lines, 1):
        m = re.match(r'#\s*include\s+([<"])([^>"]+)[>"]', line)
        if m and m[1] == '"' and not may_include(room, m[2].split("/")[0]):
            yield n, f"{room}/ may not include {m[2]}"
        if m and m[1] == "<":
            for prefix, home in THIRD_PARTY.items():
                if (m[2].startswith(prefix) if prefix.endswith("/") else m[2] == prefix) and not path.startswith(home) \
                        and not path.startswith("tests/bench/"):
                    yield n, f"<{m[2]}> belongs to {home}"
        if line.startswith("{"):
            start = n
        if line.startswith("}") and start:
            if n - start > FUNCTION_LINES:
                yield start, f"function of {n - start} lines; {FUNCTION_LINES} at most"
            start = 0
        if path.endswith(".c") and not path.startswith("tests/") and len(line.expandtabs(8)) > COLUMNS:
            yield n, f"line of {len(line.expandtabs(8))} columns; {COLUMNS} at most"
        if line != line.rstrip():
            yield n, "blanks at the end of the line"


def main():
    bad = 0
    files = sources()
    for path in files:
        for line, what in check(path):
            print(f"{path}:{line}: {what}")
            bad += 1
    print(f"lint: {len(files)} files, {bad} complaints")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
