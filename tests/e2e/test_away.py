# SPDX-License-Identifier: Apache-2.0
"""What an operator sees and can do when qmgr is not there, does not move, or has much else to do."""
import fcntl, json, os, re, resource, shutil, signal, socket, struct, subprocess, threading, time

import house
from test_lifecycle import with_programs
from test_queue import stuck
from test_queue_many import as_user, many, on_terminal, open_to_all

SOON = 5                                        # a second, on a machine that does much else


def asked(m, *args, name="postroad", within=SOON):
    """The exit status and all that the command says, which comes soon."""
    m.said, begin = "", time.time()
    out = m.run(*args, name=name, check=False)
    took = time.time() - begin
    assert took < within, f"{args}: {took:.1f} s"
    return m.status, out + m.said


def expect(m, status, words, *args, **kw):
    got = asked(m, *args, **kw)
    assert got[0] == status and re.search(words, got[1]), f"{args}: {got}"
    return got[1]


class Unstartable:
    """An instance with two deferred messages whose qmgr ended, and is now a program of the story's own."""

    def __init__(self, script):
        self.dir = with_programs()
        house.ALIVE.append(self)
        self.s, self.m, self.ids = stuck(2, daemon_directory=self.dir, minimal_backoff_time="1000s")
        os.rename(f"{self.dir}/qmgr", f"{self.dir}/qmgr.real")
        if script:
            with open(f"{self.dir}/qmgr", "w") as f:
                f.write(script)
            os.chmod(f"{self.dir}/qmgr", 0o755)
        self.m.kill("qmgr")

    def repair(self):
        os.rename(f"{self.dir}/qmgr.real", f"{self.dir}/qmgr")

    def close(self): shutil.rmtree(self.dir)


def test_a_qmgr_that_cannot_be_started():
    u = Unstartable("#!/bin/sh\nexit 3\n")
    m, away = u.m, r"qmgr does not answer: it cannot be started: exit status 3 \((\d+ times in \d+s, )?(next try in \d+s|being tried again)\)"
    m.wait_log("next start in 2 s")
    out = expect(m, 69, f"(?m)^{away}$", "status")
    assert "mail system is running" in out and re.search(r"(?m)^qmgr +[01] +0 +0$", out), out
    state = json.loads(asked(m, "--json", "status")[1])
    assert state["running"] and not state["qmgr"]["answers"] and "exit status 3" in state["qmgr"]["why"], state
    assert [t["service"] for t in state["troubles"]] == ["qmgr"], state
    # Looking: the spool itself is read.
    for command in (("mailq",), ("postqueue", "-p")):
        expect(m, 0, f"in 2 Requests(.|\n)*warning: {away} -- accessing queue directly", *command[1:], name=command[0])
    expect(m, 0, "(?m)^ +2 +2 .*450 4.2.0 later", "queue", "--by", "reason")
    assert '"status": "the queue manager does not answer"' in asked(m, "--json", "queue")[1]
    # Two questions to qmgr, one wait and one warning.
    out = expect(m, 0, "because the queue manager, which would say when, does not answer(.|\n)*see: postroad status", "explain", u.ids[0])
    assert out.count("accessing queue directly") == 1, out
    # What only qmgr can do is refused; what can be done is done, and is seen on the disk.
    for name, args, status in (("postqueue", ("-f",), 69), ("postroad", ("queue", "flush"), 69), ("sendmail", ("-q",), 69), ("postqueue", ("-i", u.ids[0]), 69)):
        out = expect(m, status, f"fatal: Cannot flush mail queue - {away}", *args, name=name)
        assert "directly" not in out, out
    expect(m, 0, "(?m)^1 message held", "queue", "hold", u.ids[0])
    assert m.files("hold") == [u.ids[0]]
    out = expect(m, 0, "Deleted: 1 message", "-d", u.ids[1], "-H", u.ids[0], "-h", u.ids[0], name="postsuper")
    assert out.count("accessing queue directly") == 1, out
    assert m.files() == [u.ids[0]] == m.files("hold")
    u.repair()
    house.wait_until(lambda: asked(m, "status")[0] == 0, 30)
    m.wait_log("queue rebuilt")
    house.wait_until(lambda: not json.loads(m.run("--json", "status"))["qmgr"]["reading"])
    state = json.loads(m.run("--json", "status"))
    assert state["troubles"] == [] and state["qmgr"] == {"answers": True, "messages": 1, "recipients": 1, "deliveries": 0, "reading": False}, state
    assert re.search("(?m)^queue: 1 message, 1 recipient, 0 deliveries under way$", m.run("status"))
    assert [i["queue_name"] for i in m.queue()] == ["hold"]


def test_a_qmgr_whose_program_is_gone():
    m = Unstartable(None).m
    m.wait_log("next start in 2 s")
    expect(m, 69, r"qmgr does not answer: it cannot be started: exec: No such file or directory \(", "status")


def test_a_qmgr_that_starts_and_never_becomes_ready():
    u = Unstartable("#!/bin/sh\nexec sleep 1000\n")
    time.sleep(2.5)                              # what was started just now may yet become ready
    expect(u.m, 69, r"qmgr does not answer: process \d+ has not become ready in \d+s", "status")
    expect(u.m, 0, "in 2 Requests", name="mailq")
    expect(u.m, 0, "(?m)^2 messages held", "queue", "hold", "ALL")


def test_no_process_can_be_made():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    master = m.processes()["master"][0]
    hard = resource.prlimit(master, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(master, resource.RLIMIT_NOFILE, (3, hard))
    m.kill("qmgr")
    m.wait_log("service qmgr: status channel: Too many open files")
    expect(m, 69, "qmgr does not answer: it cannot be started: status channel: Too many open files", "status")
    expect(m, 0, "Mail queue is empty", name="mailq")
    resource.prlimit(master, resource.RLIMIT_NOFILE, (hard, hard))
    house.wait_until(lambda: asked(m, "status")[0] == 0, 30)


def test_other_services_that_fail_are_named():
    d = with_programs()
    try:
        m = house.Postroad(daemon_directory=d)
        os.unlink(f"{d}/bounce")
        m.kill("bounce")
        m.wait_log("service bounce: next start in 2 s")
        out = expect(m, 0, r"(?m)^bounce cannot be started: exec: No such file or directory \(", "status")
        assert re.search("(?m)^bounce +0 +0 +0$", out) and "queue: 0 messages" in out, out
        # Whoever removes it from the table has no trouble with it any more.
        m.services = [s for s in m.services if not s.startswith("bounce")]
        m.write_config()
        m.reload()
        assert json.loads(m.run("--json", "status"))["troubles"] == []
    finally:
        shutil.rmtree(d)


def test_a_qmgr_that_is_stopped():
    s, m, ids = stuck(2, minimal_backoff_time="1000s")
    pid = m.kill("qmgr", signal.SIGSTOP)
    away = rf"qmgr does not answer: process {pid} is stopped \(kill -CONT {pid} lets it go on\)"
    expect(m, 69, f"(?m)^{away}$", "status")
    expect(m, 0, f"in 2 Requests(.|\n)*{away} -- accessing queue directly", "-p", name="postqueue")
    expect(m, 0, "would have 2 messages", "queue", "delete", "ALL", "--dry-run")
    # It holds the lock: nobody else may change anything, and nothing is.
    for status, name, args in ((75, "postroad", ("queue", "hold", "ALL")), (75, "postroad", ("queue", "delete", "ALL")), (75, "postroad", ("queue", "flush")),
                               (1, "postsuper", ("-d", "ALL")), (1, "postsuper", ("-r", "ALL")), (69, "postqueue", ("-f",))):
        out = expect(m, status, f"fatal: Cannot (change|flush) mail queue - {away}", *args, name=name)
        assert "directly" not in out, out
    assert sorted(m.files("deferred")) == sorted(ids)
    # Files would be loaded behind its back.
    other = f"{m.dir}/{ids[0]}"
    shutil.copy(next(f"{d}/{ids[0]}" for d, _, names in os.walk(f"{m.spool}/deferred") if ids[0] in names), other)
    expect(m, 75, f"fatal: Cannot change mail queue - {away}", "queue", "load", "--again", other, within=2 * SOON)
    assert os.path.exists(other) and len(m.files()) == 2
    os.kill(pid, signal.SIGCONT)
    expect(m, 0, "queue: 2 messages", "status")
    # What was refused does not happen later.
    assert [i["queue_name"] for i in m.queue()] == ["deferred"] * 2 and len(s.sessions) == 2


def test_a_qmgr_that_is_busy_is_waited_for():
    """It has work to do before it listens to anybody: seen by what it uses of a processor."""
    u = Unstartable('#!/bin/sh\nend=$(($(date +%s) + 5))\nwhile [ $(date +%s) -lt $end ]; do i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done; done\nexec "$0.real" "$@"\n')
    house.wait_until(lambda: "qmgr.real" not in u.m.processes())
    begin = time.time()
    out = u.m.run("queue", "hold", "ALL")
    assert time.time() - begin > 1.5 and "2 messages held" in out and "directly" not in u.m.said, (time.time() - begin, out, u.m.said)
    assert sorted(u.m.files("hold")) == sorted(u.ids)


def test_the_mail_system_is_down():
    s, m, ids = stuck(2)
    m.stop()
    out = expect(m, 1, "not running", "status")
    expect(m, 0, "in 2 Requests(.|\n)*warning: Mail system is down -- accessing queue directly", name="mailq")
    for status, name, args in ((69, "postroad", ("queue", "flush")), (69, "postqueue", ("-f",)), (69, "sendmail", ("-q",))):
        out = expect(m, status, "fatal: Cannot flush mail queue - mail system is down", *args, name=name)
        assert "directly" not in out, out
    expect(m, 0, "2 messages held", "queue", "hold", "ALL")
    assert sorted(m.files("hold")) == sorted(ids)


def test_a_qmgr_waits_for_who_changes_the_queue_without_it():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    m.stop()
    with open(f"{m.spool}/pid/qmgr.lock", "r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        p = m.begin("start")
        m.wait_log("qmgr.lock is locked by another process; waiting for it")
    assert p.wait(20) == 0
    m.no_log("fatal")


# -- one that does answer, slowly --

def text(s): return struct.pack("<I", len(s)) + s.encode()


HELLO, QUEUE, ITEM, COUNTED = 0, 10, 11, 15


def item(qid):
    rcpt = struct.pack("<I", 0) + text("r@example.org") + text("") + b"\0" + text("") + text("why") + struct.pack("<Iq", 0, 0) + text("") + text("")
    return struct.pack("<IQBBBqQ", 0, qid, 2, 0, 0, 1_700_000_000_000_000, 100) + text("s@client.test") + struct.pack("<I", 0) + text("") + \
        struct.pack("<qqI", 0, 0, len(rcpt)) + rcpt


class Qmgr:
    """One with a story's own script: what it does with a request."""

    def __init__(self, m, does):
        self.does, path = does, f"{m.spool}/public/qmgr"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(20)
        threading.Thread(target=self.accept, daemon=True).start()
        house.ALIVE.append(self)

    def accept(self):
        while True:
            try:
                c = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        tag, hello = self.receive(c)
        assert tag == HELLO
        self.send(c, HELLO, hello[:4] + text("qmgr") + text("qmgr") + struct.pack("<II", 0, 1))
        if self.receive(c)[0] == QUEUE:
            self.does(lambda tag, body: self.send(c, tag, body))
        c.close()

    def receive(self, c):
        head = c.recv(6, socket.MSG_WAITALL)
        if len(head) < 6:
            return None, b""
        n, tag = struct.unpack("<IH", head)
        return tag, c.recv(n - 2, socket.MSG_WAITALL)

    def send(self, c, tag, body): c.sendall(struct.pack("<IH", len(body) + 2, tag) + body)

    def deafen(self): self.listener.shutdown(socket.SHUT_RDWR)
    def close(self): self.listener.close()


def counted(n): return struct.pack("<II", 0, n) + text("") + struct.pack("<BI", 0, 0) + text("")


def down():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    m.stop()
    return m


def test_a_listing_is_seen_as_it_comes():
    m, more = down(), threading.Event()

    def does(send):
        send(ITEM, item(1))
        time.sleep(0.3)
        send(ITEM, item(2))
        assert more.wait(20)
        send(ITEM, item(3))
        send(COUNTED, counted(3))
    Qmgr(m, does)
    p = subprocess.Popen([f"{house.BIN}/postroad", "-c", m.dir, "--json", "queue"], env=m.env, stdout=subprocess.PIPE)
    begin = time.time()
    lines = [json.loads(p.stdout.readline())["queue_id"] for _ in range(2)]
    assert time.time() - begin < SOON, time.time() - begin
    more.set()
    assert lines + [json.loads(p.stdout.readline())["queue_id"]] == [f"{n:016X}" for n in (1, 2, 3)] and p.wait(20) == 0
    p.stdout.close()


def test_a_qmgr_that_is_long_in_answering_is_waited_for():
    m = down()
    Qmgr(m, lambda send: (time.sleep(8), send(COUNTED, counted(7))))
    assert m.run("queue", "hold", "ALL") == "7 messages held\n"


def test_a_qmgr_that_stops_in_the_middle_of_an_answer():
    m = down()
    q = Qmgr(m, lambda send: (q.deafen(), send(ITEM, item(1)), time.sleep(60)))
    expect(m, 75, "fatal: in the middle of its answer, mail system is down; what was asked for may be done or not", "queue", "hold", "ALL", within=5 + SOON)


def test_a_sum_shows_on_a_terminal_how_far_it_is():
    m = down()
    Qmgr(m, lambda send: ([(send(ITEM, item(n)), time.sleep(0.1)) for n in range(1, 12)], send(COUNTED, counted(11))))
    for words in (("queue", "--by", "domain"), ("queue", "shape", "deferred"), ("explain", "example.org")):
        out, seen, status = on_terminal(m, *words)
        assert re.search(r"^\rmessages: \d+\x1b\[K(.|\n)*\r\x1b\[K", seen) and "11" in out, (words, out, seen)


def test_what_ordinary_users_are_told():
    if os.geteuid() != 0:
        return
    s, m, ids = stuck(1, minimal_backoff_time="1000s")
    open_to_all(m)
    binary, was = f"{m.dir}/bin", house.BIN
    shutil.copytree(house.BIN, binary)
    house.BIN = binary
    try:
        code, out, err = as_user(m, "postroad", 65534, "status")
        assert code == 0 and "is running" in out and "queue:" not in out, (code, out, err)
        pid = m.kill("qmgr", signal.SIGSTOP)
        away = f"qmgr does not answer: process {pid} is stopped"
        for name, args, status, words in (("postroad", ("status",), 69, away), ("mailq", (), 69, f"fatal: Queue report unavailable - {away}"),
                                          ("postqueue", ("-f",), 69, f"fatal: Cannot flush mail queue - {away}"),
                                          ("postsuper", ("-d", "ALL"), 1, f"fatal: Cannot change mail queue - {away}")):
            code, out, err = as_user(m, name, 65534, *args)
            assert code == status and words in out + err, (name, code, out, err)
        m.stop()
        code, out, err = as_user(m, "postsuper", 65534, "-d", "ALL")
        assert code == 1 and "fatal: Cannot change mail queue - mail system is down" in err and m.files() == ids, (code, out, err)
        m.no_log("is not for cmd to send")
    finally:
        house.BIN = was


def test_a_queue_that_is_being_read():
    m = many(4000)
    m.start()
    out = m.run(name="mailq")
    assert out.endswith(" in 4000 Requests.\n") and "directly" not in m.said, m.said
    expect(m, 0, r"(?m)^queue: \d+ messages", "status")


for fn in (test_a_qmgr_that_cannot_be_started, test_a_qmgr_that_is_stopped):
    fn.slow = 12
