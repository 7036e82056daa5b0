# SPDX-License-Identifier: Apache-2.0
"""`postroad queue load`: messages from elsewhere come in once, with what is known of them."""
import json, os, shutil, signal, subprocess

import house, sink
from sink import refuse
from test_queue import stuck


def paths(m, *dirs):
    return {f: f"{d}/{f}" for where in dirs or ("incoming", "deferred", "hold") for d, _, fs in os.walk(f"{m.spool}/{where}") for f in fs}


def two(n=3, **kw):
    """An instance that has n deferred messages, the first on hold, and is stopped; and an empty one that runs."""
    s, old, ids = stuck(n)
    old.run("queue", "hold", ids[0])
    house.wait_until(lambda: old.files("hold") == [ids[0]])
    old.stop()
    new = house.Postroad(sink=s, **kw)
    return s, old, new, ids


def test_a_whole_spool_moves_with_its_states():
    s, old, new, ids = two()
    assert new.run("queue", "load", old.spool).startswith("3 messages taken")
    assert not old.files() and new.files("hold") == [ids[0]] and sorted(new.files("deferred")) == sorted(ids[1:])
    rows = {r["queue_id"]: r for r in new.queue()}
    assert sorted(rows) == sorted(ids) and rows[ids[0]]["queue_name"] == "hold"
    assert rows[ids[1]]["recipients"][0]["attempts"] == 1 and "450 4.2.0 later" in rows[ids[1]]["recipients"][0]["delay_reason"]
    s.rules.clear()
    new.run("queue", "flush")
    s.wait(2)
    new.run("queue", "release", ids[0])
    s.wait(3)
    new.empty()
    assert sorted(x.rcpts[0] for x in s.messages) == ["r0@example.org", "r1@example.org", "r2@example.org"]


def test_loading_into_a_system_that_is_down():
    s, old, new, ids = two()
    new.stop()
    assert new.run("queue", "load", "--keep", old.spool).startswith("3 messages taken")
    assert len(old.files()) == 3 and sorted(q["queue_id"] for q in new.queue()) == sorted(ids)
    new.start()
    s.rules.clear()
    new.run("queue", "release", "ALL")
    new.run("queue", "flush")
    s.wait(3)
    new.empty()


def test_the_same_file_is_taken_once():
    s, old, new, ids = two()
    file = paths(old)[ids[1]]
    copy = f"{new.dir}/anything.eml"
    shutil.copy(file, copy)
    out = [json.loads(l) for l in new.run("queue", "load", "--json", "--keep", copy).splitlines()]
    assert out[0]["queue_id"] == ids[1] and out[0]["result"] == "taken" and out[1]["taken"] == 1
    assert new.run("queue", "load", "--keep", copy, file).startswith("0 messages taken, 2 there already")
    assert len(new.queue()) == 1
    assert "active_limit" not in new.said, new.said
    s.rules.clear()
    new.run("queue", "flush")
    s.wait(1)
    new.empty()
    # Delivered since: it is not taken again, and its file stays.
    out = new.run("queue", "load", copy)
    assert "0 messages taken, 1 taken before" in out and os.path.exists(copy), out
    assert "--again" in new.said and not new.queue()
    assert "1 message taken" in new.run("queue", "load", "--again", copy)
    new.run("queue", "flush")
    s.wait(2)
    new.empty()


def test_damaged_and_foreign_files_are_reported_and_left():
    s, old, new, ids = two()
    files = paths(old)
    with open(files[ids[1]], "r+b") as f:
        f.seek(300); was = f.read(1); f.seek(300); f.write(bytes([was[0] ^ 255]))
    with open(files[ids[2]], "r+b") as f:
        f.truncate(200)
    with open(f"{old.spool}/deferred/notes.txt", "w") as f:
        f.write("not a message\n")
    out = new.run("queue", "load", old.spool, check=False)
    assert new.status == 1 and out.startswith("1 message taken, 1 damaged, 1 unfinished, 1 other file left alone"), out
    assert f"{files[ids[1]]}: damaged: " in new.said and f"{files[ids[2]]}: unfinished: " in new.said, new.said
    assert os.path.exists(files[ids[1]]) and os.path.exists(files[ids[2]]) and [q["queue_id"] for q in new.queue()] == [ids[0]]
    new.run("queue", "load", f"{old.spool}/deferred/notes.txt", check=False)
    assert new.status in (0, 1) and os.path.exists(f"{old.spool}/deferred/notes.txt")


def test_a_running_system_is_not_emptied_under_its_feet():
    s, other, ids = stuck(1)
    new = house.Postroad(sink=s)
    new.run("queue", "load", other.spool, check=False)
    assert new.status == 77 and "is running" in new.said
    new.run("queue", "load", paths(other)[ids[0]], check=False)
    assert new.status == 77
    new.run("queue", "load", new.spool, check=False)
    assert new.status == 77 and "that is this queue" in new.said
    assert other.files() == ids and not new.files()
    for args in ([], ["--nonsense", other.spool]):
        new.run("queue", "load", *args, check=False)
        assert new.status == 64


def test_dry_run_and_hold():
    s, old, new, ids = two()
    assert new.run("queue", "load", "--dry-run", old.spool).startswith("would have 3 messages taken")
    assert len(old.files()) == 3 and not new.files()
    assert new.run("queue", "load", "--hold", old.spool).startswith("3 messages taken")
    assert len(new.files("hold")) == 3
    new.run("queue", "delete", "ALL")
    new.empty()


def killed_load(old, new, keep, call, n):
    """Load a copy of `keep`, until the n-th such call, where the command dies."""
    shutil.rmtree(old.spool)
    shutil.copytree(keep, old.spool)
    # What it was told of earlier rounds must not get in the way of this one.
    ledger = f"{new.spool}/load/ledger"
    if os.path.exists(ledger):
        os.unlink(ledger)
    new.env["POSTROAD_FAULT"] = f"postroad:{call}:{n}:KILL"
    new.run("queue", "load", old.spool, check=False)
    assert new.status == -signal.SIGKILL, (call, n, new.status)
    del new.env["POSTROAD_FAULT"]


def test_killed_in_the_middle_it_comes_in_once_all_the_same():
    """Death at each of several system calls of the loading, with qmgr running; then the same command again."""
    s, old, new, ids = two(4)
    s.rules.clear()
    sent = 0
    keep = f"{new.dir}/keep"
    shutil.copytree(old.spool, keep)
    for call, n in (("pwrite", 3), ("syncfs", 1), ("fdatasync", 1), ("rename", 1), ("rename", 3), ("fsync", 5), ("unlink", 2), ("unlink", 4)):
        killed_load(old, new, keep, call, n)
        new.run("queue", "load", old.spool, check=False)
        sent += 4
        new.run("queue", "release", "ALL")
        new.run("queue", "flush")
        house.wait_until(lambda: len(s.messages) >= sent)
        new.empty()
        assert len(s.messages) == sent, (call, n, len(s.messages), sent)


def test_killed_in_the_middle_and_never_run_again_nothing_is_lost_or_doubled():
    """What has not become live here is still where it came from, whole."""
    s, old, new, ids = two(4)
    s.rules.clear()
    keep = f"{new.dir}/keep"
    shutil.copytree(old.spool, keep)
    whole = {i: open(f, "rb").read() for i, f in paths(old).items()}
    for call, n in (("pwrite", 3), ("fdatasync", 1), ("rename", 1), ("rename", 3), ("unlink", 2)):
        s.messages.clear()
        killed_load(old, new, keep, call, n)
        new.stop(); new.start()
        new.run("queue", "release", "ALL")
        new.run("queue", "flush")
        new.empty()
        got = [x.rcpts[0] for x in s.messages]
        left = paths(old)
        assert len(set(got)) == len(got), (call, n, got)
        assert len(got) + len(left) >= 4 and {f"r{ids.index(i)}@example.org" for i in ids if i not in left} <= set(got), (call, n, got, left)
        assert all(open(f, "rb").read() == whole[i] for i, f in left.items()), (call, n)


def test_killed_in_the_middle_and_the_old_system_started_again():
    """What has not become live here is the old system's: it delivers, and the next load brings none of that."""
    s, old, new, ids = two(4)
    s.rules.clear()
    keep = f"{new.dir}/keep"
    shutil.copytree(old.spool, keep)
    for call, n in (("fdatasync", 1), ("rename", 1)):
        s.messages.clear()
        killed_load(old, new, keep, call, n)
        assert os.listdir(f"{new.spool}/load") != ["ledger"] and not new.files()
        old.start()
        old.run("queue", "release", "ALL")
        old.run("queue", "flush")
        s.wait(4)
        old.empty()
        old.stop()
        assert new.run("queue", "load", old.spool).startswith("0 messages taken")
        assert os.listdir(f"{new.spool}/load") == ["ledger"] and not new.files()
        assert len(s.messages) == 4, (call, n, len(s.messages))
