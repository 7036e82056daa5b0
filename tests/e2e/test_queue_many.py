# SPDX-License-Identifier: Apache-2.0
"""A long queue: listed fast, also while it is being read at the start, and for readers who stop reading; and seen by ordinary users."""
import json, os, pty, pwd, re, shutil, signal, socket, struct, subprocess, sys, time

import house, sink
from sink import refuse
from test_queue import stuck

N = int(os.environ.get("QUEUE_N", "3000"))


def crc32c_table():
    table = []
    for i in range(256):
        c = i
        for _ in range(8):
            c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
        table.append(c)
    return table


TABLE = crc32c_table()


def crc32c(data, c=0):
    c ^= 0xFFFFFFFF
    for b in data:
        c = TABLE[(c ^ b) & 255] ^ c >> 8
    return c ^ 0xFFFFFFFF


def text(s):
    return struct.pack("<I", len(s)) + s.encode()


def message_file(qid, sender, rcpt, arrived, content=b"Subject: many\r\n\r\nbody\r\n"):
    """A message file as docs/SPOOL.md has it, deferred once an hour ahead."""
    envelope = text(sender) + b"\0" + text("") * 6 + text(rcpt) + text("") + b"\0" + text("")
    at = 64 + len(envelope)
    head = struct.pack("<8sIIQqQIIIIII", b"POSTROAD", 2, 0, qid, arrived, len(content), at, 0, 1, crc32c(envelope), crc32c(content), 0)
    head = head[:12] + struct.pack("<I", crc32c(head)) + head[16:]
    mark = b"\x1aCOMMIT\n" + struct.pack("<QQ", qid, at + len(content)) + head[12:16]
    mark += struct.pack("<I", crc32c(mark))
    record = struct.pack("<BqIIq", 2, arrived, 0, 1, arrived + 3600_000_000) + text("4.2.0") + text("host mx said: 450 4.2.0 later") + text("mx") + text("450")
    entry = struct.pack("<4sII", b"\x1aJRN", 0, len(record))
    return head + envelope + content + mark + entry + struct.pack("<I", crc32c(entry + record)) + record


def fill(m, n):
    """n deferred messages straight into the spool of a system that is down."""
    now = int(time.time() * 1000)
    for i in range(n):
        qid = (now - i // 16) << 22 | i % 16
        name = f"{qid:016X}"
        d = f"{m.spool}/deferred/{qid >> 32 & 255:02X}"
        os.makedirs(d, mode=0o700, exist_ok=True)
        with open(f"{d}/{name}", "wb") as f:
            f.write(message_file(qid, f"s{i % 50}@client.test", f"r{i}@d{i % 97}.example", now * 1000))


def many(n=N, **kw):
    m = house.Postroad(start=False, relayhost="[127.0.0.1]:9", **kw)
    m.start(); m.stop()
    fill(m, n)
    return m


def timed(m, *args):
    begin = time.time()
    out = m.run(*args, limit=300)
    return out, time.time() - begin


def test_a_long_queue_is_listed_whole_and_fast():
    m = many()
    out, down = timed(m, "queue", "list")
    assert out.endswith(f" Kbytes in {N} Requests.\n"), out[-200:]
    m.start()
    # At once, while it is still being read: all of it all the same.
    out, early = timed(m, "queue", "list")
    assert out.endswith(f" Kbytes in {N} Requests.\n"), out[-200:]
    m.wait_log("queue rebuilt", seconds=60)
    out, up = timed(m, "queue", "list")
    assert out.endswith(f" Kbytes in {N} Requests.\n"), out[-200:]
    out, js = timed(m, "--json", "queue")
    assert len(out.splitlines()) == N and json.loads(out.splitlines()[-1])["queue_name"] == "deferred"
    out, by = timed(m, "queue", "--by", "domain")
    assert len(out.splitlines()) == 98
    dry, sel = timed(m, "queue", "delete", "--dry-run", "--recipient", "*@d1.example")
    assert dry.startswith(f"would have {len(range(1, N, 97))} messages"), dry
    gone, delete = timed(m, "queue", "delete", "--sender", "s1@client.test")
    assert gone.startswith(f"{len(range(1, N, 50))} messages"), gone
    if "QUEUE_N" in os.environ:
        print(f"{N} messages: down {down:.2f} s, while read {early:.2f}, up {up:.2f}, json {js:.2f}, by domain {by:.2f}, dry {sel:.2f}, delete {delete:.2f}",
              file=sys.stderr)


def test_a_reader_who_stops_reading_holds_up_nobody():
    s = sink.Sink()
    m = many(relay_domains="now.test", relay_transport=f"smtp:[127.0.0.1]:{s.port}")
    m.start()
    m.wait_log("queue rebuilt", seconds=60)
    link = f"{m.dir}/mailq"
    os.symlink(os.path.abspath(f"{house.BIN}/postroad"), link)
    stopped = [subprocess.Popen([link, "-c", m.dir], stdout=subprocess.PIPE, env=m.env) for _ in range(5)]
    try:
        for p in stopped:
            assert p.stdout.read(10)
        begin = time.time()
        for i in range(5):
            m.send(rcpts=f"a{i}@now.test")
        s.wait(5, seconds=20)
        assert len(m.run("--json", "queue").splitlines()) == N
        m.run("queue", "delete", "ALL")
        house.wait_until(lambda: not m.files(), 60)
        # They still get their answer to its end, from a queue that has changed under their feet.
        assert stopped[0].stdout.read().endswith(b"Requests.\n")
    finally:
        for p in stopped:
            p.kill()
            p.wait()
            p.stdout.close()


def as_user(m, name, uid, *args):
    link = f"{m.dir}/{name}"
    if not os.path.lexists(link):
        os.symlink(os.path.abspath(f"{house.BIN}/postroad"), link)
    p = subprocess.run([link, "-c", m.dir, *args], env=m.env, text=True, capture_output=True, timeout=60, user=uid, group=uid, extra_groups=[])
    return p.returncode, p.stdout, p.stderr


def open_to_all(m):
    """Built programs and the instance's directories may be in a place that others cannot enter: a copy that they can."""
    for d in (m.dir, m.spool):
        os.chmod(d, 0o755)


def test_ordinary_users_may_look_and_flush_and_nothing_else():
    if os.geteuid() != 0:
        return
    uid = 65534
    s, m, ids = stuck(2)
    open_to_all(m)
    binary = f"{m.dir}/bin"
    shutil.copytree(house.BIN, binary)
    was, house.BIN = house.BIN, binary
    try:
        code, out, err = as_user(m, "mailq", uid)
        assert code == 0 and "2 Requests" in out, (code, out, err)
        code, out, err = as_user(m, "postroad", uid, "explain", ids[0])
        assert code == 0 and "attempt 1" in out, (code, out, err)
        for args in (["hold", ids[0]], ["delete", "ALL"], ["requeue", ids[0]], ["expire", ids[0]]):
            code, out, err = as_user(m, "postroad", uid, "queue", *args)
            assert code == 77 and "only root" in err, (args, code, out, err)
        code, out, err = as_user(m, "postsuper", uid, "-d", "ALL")
        assert code == 1 and "only root" in err
        assert len(m.files("deferred")) == 2
        s.rules.clear()
        code, out, err = as_user(m, "postqueue", uid, "-i", ids[0])
        assert code == 0, err
        s.wait(1)
        name = pwd.getpwuid(uid).pw_name
        m.settings["authorized_mailq_users"] = "root, somebody"
        m.settings["authorized_flush_users"] = f"!{name}, root"
        m.write_config()
        m.reload()
        code, out, err = as_user(m, "mailq", uid)
        assert code == 69 and f"User {name}({uid}) is not allowed to view the mail queue" in err, (code, err)
        code, out, err = as_user(m, "postqueue", uid, "-f")
        assert code == 69 and "is not allowed to flush the mail queue" in err, (code, err)
        m.settings["authorized_mailq_users"] = f"inline:{{ {name}=yes }}"
        m.write_config()
        m.reload()
        code, out, err = as_user(m, "mailq", uid)
        assert code == 0, err
        m.stop()
        code, out, err = as_user(m, "mailq", uid)
        assert code == 69 and "mail system is down" in err, (code, err)
    finally:
        house.BIN = was


def on_terminal(m, *args):
    """What the command writes to a terminal that is its standard error."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([f"{house.BIN}/postroad", "-c", m.dir, *args], stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    out = p.communicate(timeout=60)[0]
    os.close(ours)
    return out, seen.decode(), p.returncode


def test_long_work_shows_on_a_terminal_how_far_it_is():
    m = many(2000)
    m.start()
    sources = []
    for n in range(12):                                    # until it takes longer than the half second that nothing is said in
        sources += [f"{m.dir}/source{n}"]
        shutil.copytree(m.spool, sources[-1], ignore=shutil.ignore_patterns("public", "private", "pid"))
        out, seen, status = on_terminal(m, "queue", "load", "--dry-run", *sources)
        assert status == 0, out
        if seen:
            break
    assert re.search(r"\rfiles: \d+\x1b\[K\r\x1b\[K", seen), seen[-300:]
    assert "files: " not in m.run("queue", "load", "--dry-run", *sources) + m.said


def test_an_answered_word_outlives_a_crash_of_qmgr():
    """What was said is on disk when the command returns: qmgr is killed at that moment."""
    s, m, ids = stuck(200)
    held, deleted, expired = ids[:60], ids[60:120], ids[:30]
    queue = lambda *words: lambda: m.run("queue", *words)
    for say, there in ((queue("hold", *held), lambda: set(m.files("hold")) == set(held)),
                       (queue("delete", *deleted), lambda: not set(m.files()) & set(deleted)),
                       (lambda: m.run("-e", "-", name="postsuper", stdin="\n".join(expired)), None),
                       (queue("release", *held[30:]), lambda: set(m.files("hold")) == set(held[:30]))):
        qmgr, = m.processes()["qmgr"]
        master = m.kill("master", signal.SIGSTOP)
        say()
        os.kill(qmgr, signal.SIGKILL)
        assert there is None or there(), (len(m.files("hold")), len(m.files()))
        os.kill(master, signal.SIGCONT)
        house.wait_until(lambda: [p for p in m.processes().get("qmgr", []) if p != qmgr])
        rows = {r["queue_id"]: r for r in m.queue()}
    assert {i for i, r in rows.items() if r["forced_expire"]} == set(expired), rows
    assert set(rows) == set(ids) - set(deleted) and {i for i, r in rows.items() if r["queue_name"] == "hold"} == set(held[:30])
