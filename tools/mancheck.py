#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manual against the tables it describes: everything has a page, every reference and setting exists, mandoc finds nothing.
mancheck.py [FILE ...]: pages that are generated."""
import glob, os, re, shutil, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Pages of others that ours refer to.
ELSEWHERE = {"fcntl(2)", "sd_notify(3)", "pcre2pattern(3)", "services(5)", "regex(7)", "systemd(1)"}
SECTIONS = ["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"]


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def wanted():
    """Names of pages that there must be."""
    commands, links = text("cmd/cmd.h").split("#define COMMAND_LINKS")
    for name in re.findall(r'C\("([\w-]+)",', commands):
        yield f"postroad-{name}(1)"
    for name in re.findall(r'C\("([\w-]+)",', links):
        yield f"{name}(1)"
    for name in re.search(r"(?m)^DAEMONS\s*:= (.*)", text("Makefile"))[1].split() + ["lmtp", "postdrop", "deliver"]:
        yield f"{name}(8)"
    yield from ("postroad(1)", "postroad(7)", "postroad.cf(5)", "master.cf(5)", "postroad-spool(5)", "postroad-tables(5)", "aliases(5)")


def known(name, settings):
    """A setting, or the beginning or end of some, as smtpd_ and _destination_ are."""
    return name in settings or (name.endswith("_") or name.startswith("_")) and any(name in s for s in settings) or \
        name.startswith("lmtp_") and "smtp_" + name[5:] in settings


def complaints(path, pages, settings):
    with open(path, encoding="utf-8") as f:
        body = f.read()
    titles = re.findall(r"(?m)^\.Sh (.*)", body)
    for s in SECTIONS:
        if s not in titles:
            yield 1, f"no section {s}"
    for n, line in enumerate(body.split("\n"), 1):
        m = re.match(r"\.(?:It )?Xr ([\w.-]+) (\d)", line)
        if m and f"{m[1]}({m[2]})" not in pages | ELSEWHERE:
            yield n, f"there is no {m[1]}({m[2]})"
        if re.match(r"\.Va ", line):
            for word in re.findall(r"(?<![\w$={}.])(_?[a-z0-9]+(?:_[a-z0-9]*)+)(?![\w}])", line):
                if not known(word, settings):
                    yield n, f"{word} is no setting"


def lint(path):
    """What mandoc says; it does not know our other pages, nor those of this host."""
    p = subprocess.run(["mandoc", "-Tlint", "-W", "style", path], text=True, capture_output=True)
    return [l for l in (p.stdout + p.stderr).split("\n") if l and "referenced manual not found" not in l and "mandoc.db" not in l]


def check(generated):
    """How many pages, and what is wrong with them."""
    files = sorted(glob.glob(os.path.join(ROOT, "man", "*.[1-9]"))) + generated
    pages = {re.sub(r"^(.*)\.(\d)$", r"\1(\2)", os.path.basename(f)) for f in files} | {"postroad.cf(5)"}
    settings = set(re.findall(r"\bP\(\w+,\s*(\w+),", text("mail/params.h")))
    bad = [f"man: there is no page {w}" for w in wanted() if w not in pages]
    for f in files:
        if not os.path.islink(f):
            bad += [f"{os.path.relpath(f, ROOT)}:{n}: {what}" for n, what in complaints(f, pages, settings)]
            bad += lint(f) if shutil.which("mandoc") else []
    return len(files), bad


def main():
    n, bad = check(sys.argv[1:])
    print("\n".join(bad + [f"manual: {n} pages, {len(bad)} complaints"]))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
