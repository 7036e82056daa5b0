# SPDX-License-Identifier: Apache-2.0
"""deliver, the last step of a delivery on this host, asked directly: agent/drop_wire.h."""
import fcntl, os, pwd, shutil, socket, stat, struct, subprocess, tempfile, threading, time
from concurrent.futures import ThreadPoolExecutor

import house

MBOX, MAILDIR, COMMAND, READ = range(4)
QUOTE_FROM, QUOTE_DOT, FINAL_DOT, EMPTY_END, CRLF, NO_CONTENT = 1, 2, 4, 8, 16, 32
OK = 0
TEXT = b"Subject: x\r\n\r\nFrom here\r\n.dot\r\n>From there\r\n\xfc\r\n"


class Dir:
    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="postroad-deliver-")
        os.chmod(self.path, 0o777)
        house.ALIVE.append(self)

    def close(self): shutil.rmtree(self.path, ignore_errors=True)


def someone():
    """A user that root may become; ourselves without root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def deliver(kind, path="", argv=(), env=(), head=b"", flags=0, limit=0, seconds=20, content=TEXT, who=None, uid=None):
    text = lambda t: struct.pack("<I", len(t)) + t
    joined = lambda v: text(b"".join(w.encode() + b"\0" for w in v))
    who = who or someone()
    body = struct.pack("<BB", kind, 1) + text(who.pw_name.encode()) + struct.pack("<II", who.pw_uid if uid is None else uid, who.pw_gid)
    body += text(path.encode()) + text(b"") + joined(argv) + joined(env) + text(head) + struct.pack("<IQIQQ", flags, limit, seconds, 5, len(content))
    body += text(b"mx.test")
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as f:
        f.write(b"junk " + content); f.flush()
        p = subprocess.Popen([f"{house.BIN}/deliver"], stdin=f, pass_fds=[3], preexec_fn=lambda: os.dup2(theirs.fileno(), 3))
    theirs.close()
    ours.sendall(struct.pack("<IH", len(body) + 2, 1) + body)
    data = b""
    while piece := ours.recv(65536):
        data += piece
    p.wait()
    err, status = struct.unpack_from("<II", data, 6)
    at, fields = 14, []
    for _ in range(3):
        n, = struct.unpack_from("<I", data, at)
        fields.append(data[at + 4:at + 4 + n]); at += 4 + n
    return err, status, fields[0].decode(), fields[1].decode(), fields[2]


def test_a_mailbox_file_grows_message_by_message():
    d = Dir()
    for i in range(2):
        got = deliver(MBOX, f"{d.path}/box", head=b"From a Tue Nov 24\nReturn-Path: <a>\n", flags=QUOTE_FROM | EMPTY_END)
        assert got[0] == OK and got[2] == "2.0.0", got
    one = b"From a Tue Nov 24\nReturn-Path: <a>\nSubject: x\n\n>From here\n.dot\n>>From there\n\xfc\n\n"
    st = os.stat(f"{d.path}/box")
    assert open(f"{d.path}/box", "rb").read() == 2 * one
    assert stat.S_IMODE(st.st_mode) == 0o600 and st.st_uid == someone().pw_uid and os.listdir(d.path) == ["box"]


def test_a_full_mailbox_keeps_what_it_had():
    d = Dir()
    assert deliver(MBOX, f"{d.path}/box", limit=1000)[0] == OK
    before = open(f"{d.path}/box", "rb").read()
    got = deliver(MBOX, f"{d.path}/box", content=2000 * b"x\r\n", limit=1000)
    assert got[0] != OK and got[2] == "5.2.2", got
    assert open(f"{d.path}/box", "rb").read() == before


def test_a_maildir_is_made_and_filled():
    d = Dir()
    for i in range(3):
        assert deliver(MAILDIR, f"{d.path}/Maildir/", head=b"Delivered-To: b\n")[0] == OK
    names = os.listdir(f"{d.path}/Maildir/new")
    assert len(names) == 3 and not os.listdir(f"{d.path}/Maildir/tmp") and all(n.endswith(".mx.test") for n in names)
    for n in names:
        assert open(f"{d.path}/Maildir/new/{n}", "rb").read() == b"Delivered-To: b\n" + TEXT.replace(b"\r\n", b"\n")
        assert os.stat(f"{d.path}/Maildir/new/{n}").st_uid == someone().pw_uid


def test_locks_of_others_are_waited_for():
    d = Dir()
    assert deliver(MBOX, f"{d.path}/box")[0] == OK
    f = open(f"{d.path}/box", "r+b")
    fcntl.lockf(f, fcntl.LOCK_EX)
    threading.Timer(1.5, f.close).start()
    began = time.time()
    assert deliver(MBOX, f"{d.path}/box")[0] == OK and time.time() - began > 1
    open(f"{d.path}/box.lock", "w").close()
    threading.Timer(1.5, os.unlink, [f"{d.path}/box.lock"]).start()
    began = time.time()
    assert deliver(MBOX, f"{d.path}/box")[0] == OK and time.time() - began > 1


def lock_of(d, owner, age=0):
    with open(f"{d.path}/box.lock", "w") as f:
        f.write(owner)
    os.chmod(f"{d.path}/box.lock", 0o644)
    os.utime(f"{d.path}/box.lock", (time.time() - age,) * 2)


def test_a_lock_of_the_dead_is_taken_away():
    """As Dovecot writes them, and we: process and host."""
    d, host = Dir(), socket.gethostname()
    dead = subprocess.Popen(["true"])
    dead.wait()
    for owner, age in ((f"{dead.pid}:{host}", 0), (f"{dead.pid}:{host}\n", 0), ("", 600), (f"{os.getpid()}:{host}", 600)):
        lock_of(d, owner, age)
        got = deliver(MBOX, f"{d.path}/box")
        assert got[0] == OK and os.listdir(d.path) == ["box"], (owner, age, got)


def test_a_lock_that_may_be_held_is_waited_for():
    d, host = Dir(), socket.gethostname()
    dead = subprocess.Popen(["true"])
    dead.wait()
    for owner in (f"{os.getpid()}:{host}", f"{dead.pid}:elsewhere.test", f"{dead.pid}", "", f"0:{host}", f"-1:{host}", f"99999999999:{host}", ":", 400 * "1"):
        lock_of(d, owner)
        threading.Timer(0.7, os.unlink, [f"{d.path}/box.lock"]).start()
        began = time.time()
        assert deliver(MBOX, f"{d.path}/box")[0] == OK and time.time() - began > 0.6, owner


def test_many_who_find_the_lock_of_the_dead_take_turns():
    d = Dir()
    dead = subprocess.Popen(["true"])
    dead.wait()
    one = b"From a Tue Nov 24\n" + TEXT.replace(b"\r\n", b"\n").replace(b"From here", b">From here").replace(b">From there", b">>From there") + b"\n"
    for _ in range(5):
        lock_of(d, f"{dead.pid}:{socket.gethostname()}")
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda _: deliver(MBOX, f"{d.path}/box", head=b"From a Tue Nov 24\n", flags=QUOTE_FROM | EMPTY_END), range(8)))
        assert all(g[0] == OK for g in got), got
    assert open(f"{d.path}/box", "rb").read() == 40 * one and os.listdir(d.path) == ["box"]


def test_half_a_message_does_not_swallow_the_next():
    """A delivery that was killed leaves what it had written."""
    d = Dir()
    head, flags = b"From a Tue Nov 24\n", QUOTE_FROM | EMPTY_END
    for left, gap in ((b"From b\nSubject: ha", b"\n\n"), (b"From b\nSubject: half\n", b"\n"), (b"x", b"\n\n"), (b"\n", b""), (b"\n\n", b""), (b"", b"")):
        with open(f"{d.path}/box", "wb") as f:
            f.write(left)
        os.chown(f"{d.path}/box", someone().pw_uid, someone().pw_gid)
        assert deliver(MBOX, f"{d.path}/box", head=head, flags=flags)[0] == OK
        got = open(f"{d.path}/box", "rb").read()
        assert got.startswith(left + gap + head) and got.endswith(b"\n\n"), got


def test_hostile_mailboxes():
    d = Dir()
    victim = f"{d.path}/victim"
    with open(victim, "w") as f:
        f.write("mine")
    os.symlink(victim, f"{d.path}/link")
    os.mkfifo(f"{d.path}/fifo", 0o666)
    os.link(victim, f"{d.path}/second")
    os.mkdir(f"{d.path}/dir")
    for name in ("link", "fifo", "second", "dir", "nowhere/box"):
        got = deliver(MBOX, f"{d.path}/{name}")
        assert got[0] != OK and got[3], (name, got)
    assert open(victim).read() == "mine"
    if os.geteuid() == 0:
        os.unlink(f"{d.path}/second")
        os.chmod(victim, 0o666)
        got = deliver(MBOX, victim)
        assert got[0] != OK and "not owned by recipient" in got[3], got
        got = deliver(MBOX, f"{d.path}/root", uid=0)
        assert got[0] != OK and "root" in got[3] and not os.path.exists(f"{d.path}/root"), got
    else:
        assert deliver(MBOX, f"{d.path}/box", uid=0)[0] != OK


def test_a_command_gets_the_message_and_decides():
    d = Dir()
    got = deliver(COMMAND, argv=[f"cat > {d.path}/got; id -u >> {d.path}/got; pwd >> {d.path}/got; env | grep -v ^_ >> {d.path}/got"],
                  env=["PATH=/usr/bin:/bin", "SENDER=a b;c"], head=b"Delivered-To: b\n", flags=QUOTE_DOT)
    assert got[0] == OK, got
    lines = open(f"{d.path}/got", "rb").read().split(b"\n")
    assert lines[:3] == [b"Delivered-To: b", b"Subject: x", b""] and b"..dot" in lines and str(someone().pw_uid).encode() in lines
    assert b"SENDER=a b;c" in lines and b"/" in lines and not any(l.startswith(b"HOME") for l in lines), lines
    for command, esc, words in (("exit 75", "4.3.0", "temporary failure"), ("echo no such; exit 67", "5.1.1", "user unknown. Command output: no such"),
                                ("exit 77", "5.7.0", "permission denied"), ("exit 3", "5.3.0", "Command died with status 3"),
                                ("kill -9 $$", "4.3.0", "Command died with signal 9"), ("echo 4.7.9 later; exit 65", "4.7.9", "data format error. Command output: later"),
                                ("echo 5.7.9 never; exit 75", "5.7.9", "temporary failure. Command output: never")):
        got = deliver(COMMAND, argv=[command], env=["PATH=/usr/bin:/bin"])
        assert got[0] != OK and got[2] == esc and got[3] == words, (command, got)


def test_words_are_not_given_to_a_shell():
    d = Dir()
    got = deliver(COMMAND, argv=["touch", f"{d.path}/$(id)", "--", f"{d.path}/;x"], env=["PATH=/usr/bin:/bin"])
    assert got[0] == OK and sorted(os.listdir(d.path)) == ["$(id)", ";x"], (got, os.listdir(d.path))
    got = deliver(COMMAND, argv=["no-such-program"], env=["PATH=/usr/bin:/bin"])
    assert got[0] != OK and "cannot run no-such-program" in got[3], got


def test_a_command_that_does_not_read_or_does_not_end():
    assert deliver(COMMAND, argv=["true"], env=["PATH=/usr/bin:/bin"], content=1000000 * b"x\r\n")[0] == OK
    began = time.time()
    got = deliver(COMMAND, argv=["echo working; sleep 60 & sleep 60"], env=["PATH=/usr/bin:/bin"], seconds=1)
    assert got[2] == "4.3.0" and got[3].startswith("Command time limit exceeded"), got
    assert time.time() - began < 20
    got = deliver(COMMAND, argv=["head -c 100000 /dev/zero | tr '\\\\0' x; exit 75"], env=["PATH=/usr/bin:/bin"])
    assert got[2] == "4.3.0" and len(got[4]) <= 16384, (got[:4], len(got[4]))


def test_reading_a_users_file():
    d = Dir()
    path = f"{d.path}/forward"
    with open(path, "w") as f:
        f.write("a@b\n")
    if os.geteuid() == 0:
        os.chown(path, someone().pw_uid, someone().pw_gid)
    os.chmod(path, 0o600)
    assert deliver(READ, path)[4] == b"a@b\n"
    assert deliver(READ, f"{d.path}/none")[0] not in (OK,) and "no such file" in deliver(READ, f"{d.path}/none")[3]
    os.chmod(path, 0o666)
    assert "written by everybody" in deliver(READ, path)[3]
    os.mkfifo(f"{d.path}/fifo", 0o644)
    assert "not a regular file" in deliver(READ, f"{d.path}/fifo")[3]
    with open(f"{d.path}/big", "w") as f:
        f.write(2000000 * "x")
    assert "too large" in deliver(READ, f"{d.path}/big")[3]
