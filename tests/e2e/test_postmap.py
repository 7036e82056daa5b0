# SPDX-License-Identifier: Apache-2.0
"""Making and asking lookup tables: postmap and postalias, and what the files look like."""
import os, stat, subprocess, threading

import house

POSTFIX = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../unit/mail/postfix")


def world():
    m = house.Postroad(start=False)
    m.map = lambda *args, **kw: m.run(*args, name=kw.pop("name", "postmap"), **kw)
    return m


def write(m, name, text):
    path = f"{m.dir}/{name}"
    with open(path, "w") as f:
        f.write(text)
    return path


def read(path):
    with open(path, "rb") as f:
        return f.read()


def not_done(m, *args, **kw):
    m.said = ""
    out = m.map(*args, check=False, **kw)
    assert m.status == 1, (m.status, out, m.said)
    return m.said


def test_what_postmap_makes_is_what_postfix_makes():
    m = world()
    with open(f"{POSTFIX}/table") as f:
        path = write(m, "table", f.read())
    m.map(f"cdb:{path}")
    assert read(f"{path}.cdb") == read(f"{POSTFIX}/table.cdb")
    for kind, theirs in (("hash", "hash"), ("btree", "btree")):
        m.map(f"{kind}:{path}")
        os.symlink(f"{POSTFIX}/{theirs}.db", f"{m.dir}/{kind}-theirs.db")
        assert m.map("-s", f"{kind}:{path}") == m.map("-s", f"{kind}:{m.dir}/{kind}-theirs")
        # All end in a NUL, as there; with -n none does, save, as there, one that stands before an empty place of the file.
        words = [w + b"\0" for w in (b"one", b"foo@bar", b"two words   more", b"x", b"v", b'"q k"@d')]
        assert all(w in read(f"{path}.db") for w in words) and all(w in read(f"{POSTFIX}/{theirs}.db") for w in words)
        m.map("-n", f"{kind}:{path}")
        if kind == "hash":
            left = [w for w in words if w in read(f"{path}.db")]
            assert len(left) <= 1 and left == [w for w in words if w in read(f"{POSTFIX}/hash-n.db")], left
        assert m.map("-q", "x", f"{kind}:{path}") == "two words   more\n"
    m.map("-N", f"cdb:{path}")
    assert b"foo@bar\0one\0" in read(f"{path}.cdb") and m.map("-q", "FOO@bar", f"cdb:{path}") == "one\n"


def test_asking():
    m = world()
    path = write(m, "table", "a 1\nB 2\n")
    other = write(m, "other", "c 3\n")
    m.map(path, other)
    assert os.path.exists(f"{path}.db") and os.path.exists(f"{other}.db"), "hash is the default_database_type"
    assert m.map("-q", "b", path) == "2\n"
    assert m.map("-q", "c", path, other) == "3\n"
    assert m.map("-q", "-", path, stdin="b\nnone\n\nA\n") == "b\t2\nA\t1\n"
    not_done(m, "-q", "none", path)
    not_done(m, "-q", "-", path, stdin="none\n")
    assert "No such file" in not_done(m, "-q", "x", f"hash:{m.dir}/gone")
    assert 'did you mean "hash"?' in not_done(m, "-q", "x", f"hush:{path}")
    assert m.map("-q", "root", "unix:group.byname") == "root:x:0:\n"
    assert m.map("-q", "x@y", "regexp:{{/^(.*)@y$/ $1@z}}") == "x@z\n"
    # Relative to the caller's directory, not to that of main.cf.
    out = subprocess.run([f"{m.dir}/postmap", "-c", m.dir, "-q", "a", "hash:table"], cwd=m.dir, env=m.env, capture_output=True, text=True)
    assert out.stdout == "1\n", out
    os.utime(path + ".db", (1, 1))
    write(m, "table", "a changed\n")
    assert m.map("-q", "a", path) == "changed\n", "as a daemon would: the text is newer"


def test_case_and_the_flag_f():
    m = world()
    path = write(m, "table", "Key value\n")
    m.map("-f", path)
    assert m.map("-f", "-q", "Key", path) == "value\n" and m.map("-s", path) == "Key\tvalue\n"
    not_done(m, "-q", "Key", path)


def test_entries_with_one_key():
    m = world()
    path = write(m, "table", "k 1\nother x\nK 2\n")
    for kind in ("hash", "btree", "cdb"):
        for flag, want, told in (((), "1\n", True), (("-w",), "1\n", False), (("-r",), "2\n", False)):
            m.said = ""
            m.map(*flag, f"{kind}:{path}")
            assert m.map("-q", "k", f"{kind}:{path}") == want, (kind, flag)
            assert (f'{path}:3:1: duplicate entry: "k"' in m.said) == told, (kind, flag, m.said)


def test_changing_single_entries():
    m = world()
    path = f"{m.dir}/table"
    m.map("-i", path, stdin="New value\nb 2\n")
    assert m.map("-s", path) in ("new\tvalue\nb\t2\n", "b\t2\nnew\tvalue\n")
    m.said = ""
    m.map("-i", path, stdin="b 3\n")
    assert "duplicate" in m.said and m.map("-q", "b", path) == "2\n"
    m.said = ""
    m.map("-i", "-w", path, stdin="b 3\n")
    assert m.said == "" and m.map("-q", "b", path) == "2\n"
    m.map("-i", "-r", path, stdin="b 3\n")
    assert m.said == "" and m.map("-q", "b", path) == "3\n"
    m.map("-d", "B", path)
    not_done(m, "-d", "b", path)
    m.map("-i", path, stdin="c 4\nd 5\n")
    m.map("-d", "-", path, stdin="c\nnone\nd\n")
    assert m.map("-s", path) == "new\tvalue\n"
    before = read(path + ".db")
    assert "stdin:2:1: " in not_done(m, "-i", path, stdin="good 1\nbad\n")
    assert read(path + ".db") == before
    assert "cdb tables cannot be changed" in not_done(m, "-d", "x", f"cdb:{path}")
    # A table that Postfix made, entries without NULs.
    with open(f"{m.dir}/theirs.db", "wb") as f:
        f.write(read(f"{POSTFIX}/hash-n.db"))
    m.map("-d", "x", f"{m.dir}/theirs")
    m.map("-i", "-r", f"{m.dir}/theirs", stdin="foo@bar two\n")
    assert m.map("-q", "foo@bar", f"{m.dir}/theirs") == "two\n"
    not_done(m, "-q", "x", f"{m.dir}/theirs")
    assert m.map("-s", f"{m.dir}/theirs").count("foo@bar") == 1


def test_a_malformed_text_changes_nothing():
    m = world()
    path = write(m, "table", "a 1\n")
    for kind, suffix in (("hash", "db"), ("cdb", "cdb")):
        write(m, "table", "a 1\n")
        m.map(f"{kind}:{path}")
        before = read(f"{path}.{suffix}")
        write(m, "table", "a 2\nbad\n\"open x\n")
        said = not_done(m, f"{kind}:{path}")
        assert f"{path}:2:1: expected" in said and f"{path}:3:1: quote" in said, said
        assert read(f"{path}.{suffix}") == before
        assert sorted(n for n in os.listdir(m.dir) if n.endswith(".new")) == []
    assert "No such file" in not_done(m, f"{m.dir}/gone")
    assert "read as they are" in not_done(m, f"texthash:{path}")
    assert "usage" in not_done(m)
    assert "usage" in not_done(m, "-z", path)


def test_modes_come_from_the_text():
    m = world()
    path = write(m, "table", "a 1\n")
    os.chmod(path, 0o640)
    m.map(path)
    assert stat.S_IMODE(os.stat(path + ".db").st_mode) == 0o640
    m.map("-p", path)
    assert stat.S_IMODE(os.stat(path + ".db").st_mode) == 0o644
    # A name that somebody else planted is not written through.
    victim = write(m, "victim", "precious")
    os.symlink(victim, path + ".db.new")
    not_done(m, path)
    os.unlink(path + ".db.new")
    os.link(victim, path + ".db.new")
    not_done(m, path)
    assert read(victim) == b"precious"


def test_root_does_not_write_where_others_can_plant_names():
    if os.geteuid() != 0:
        return                                     # nobody else's directory to be had
    m = world()
    os.chmod(m.dir, 0o755)
    theirs = f"{m.dir}/theirs"
    os.mkdir(theirs)
    with open(f"{theirs}/table", "w") as f:
        f.write("a 1\n")
    for name in ("", "/table"):
        os.chown(theirs + name, 65534, 65534)
    m.map(f"{theirs}/table")
    st = os.stat(f"{theirs}/table.db")
    assert (st.st_uid, st.st_gid) == (65534, 65534)
    # Where the owner of the text may not write, root acting as he does may not either; -o says that it may.
    os.chown(theirs, 65533, 65533)
    os.chmod(theirs, 0o755)
    assert "Permission denied" in not_done(m, f"{theirs}/table")
    m.map("-o", f"{theirs}/table")
    # A directory of root's own is safe: the result belongs to the owner of the text.
    path = write(m, "table", "a 1\n")
    os.chown(path, 65534, 65534)
    m.map(path)
    assert os.stat(path + ".db").st_uid == 65534 and m.map("-q", "a", path) == "1\n"


def test_many_at_once_lose_nothing():
    m = world()
    path = f"{m.dir}/table"
    m.map("-i", path, stdin="k0 v\n")
    failed = []

    def add(k):
        for j in range(5):
            if failed:
                return
            p = subprocess.run([f"{m.dir}/postmap", "-c", m.dir, "-i", path], input=f"k{k}-{j} v\n", env=m.env, capture_output=True, text=True)
            if p.returncode:
                failed.append(p.stderr)
    threads = [threading.Thread(target=add, args=(k,)) for k in range(6)]
    [t.start() for t in threads]
    while any(t.is_alive() for t in threads):
        if m.map("-q", "k0", path, check=False) != "v\n":
            failed.append(f"readers always find a whole table: {m.said}")
    assert not failed, failed
    assert len(m.map("-s", path).splitlines()) == 31


def test_postalias():
    m = world()
    path = write(m, "aliases", 'root: joe, "|/bin/cat"\n"with blank": x\nList:\n  :include:/etc/list\n')
    for kind in ("hash", "cdb"):
        m.map(f"{kind}:{path}", name="postalias")
        for key, want in (("ROOT", 'joe, "|/bin/cat"'), ("with blank", "x"), ("list", ":include:/etc/list")):
            assert m.map("-q", key, f"{kind}:{path}", name="postalias") == want + "\n"
    assert f"{path}:1:5: the name of an alias has no domain" in not_done(m, f"hash:{write(m, 'aliases', 'root@x: joe')}", name="postalias")
