# SPDX-License-Identifier: Apache-2.0
"""What a user of this host, or a process that is not ours, may do to us: links in the spool, rubbish on our sockets, signals."""
import glob, os, random, signal, socket, struct, subprocess, threading, time

import house, sink

SERVICES = ["pickup unix n - n 60 1 pickup", "local unix - n n - - local", "pipe unix - n n - - pipe flags=R user=nobody argv=/bin/true"]


def world(**settings):
    s = sink.Sink()
    m = house.Postroad(sink=s, master=SERVICES, **settings)
    m.send()
    s.wait(1)
    m.empty()
    return s, m


def test_links_in_the_spool_are_not_followed():
    s, m = world()
    secret = f"{m.dir}/secret"
    with open(secret, "w") as f:
        f.write("Subject: x\n\nnobody's business\n")
    os.chmod(secret, 0o600)
    before = os.stat(secret)
    places = [f"{m.spool}/maildrop/00000000000000A{n}" for n in range(2)]
    places += [f"{m.spool}/{d}/00/000000000{n}00000B" for d in ("incoming", "deferred", "hold") for n in range(2)]
    m.stop()
    for n, path in enumerate(places):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        (os.symlink if n % 2 == 0 else os.link)(secret, path)
    os.symlink("/etc", f"{m.spool}/deferred/7F")
    m.start()
    m.send()
    s.wait(2)
    m.run("queue", "flush", check=False)
    m.run("check", check=False)
    house.wait_until(lambda: not os.path.lexists(places[0]) and not os.path.lexists(places[1]))
    time.sleep(0.3)
    assert len(s.messages) == 2 and not any(b"nobody's" in x.content for x in s.messages)
    after = os.stat(secret)
    assert open(secret).read().endswith("nobody's business\n")
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (before.st_mode, before.st_uid, before.st_mtime_ns)
    assert os.path.isdir("/etc") and os.path.exists("/etc/passwd")


def test_a_link_in_the_place_of_the_log_or_of_a_pid_file():
    """As root: what is opened below directories of the mail system's account leads nowhere else."""
    if os.geteuid() != 0:
        return
    s = sink.Sink()
    m = house.Postroad(sink=s, start=False, mail_owner="mail", mail_group="mail")
    os.chmod(m.dir, 0o755)
    m.start(); m.stop()
    target = f"{m.dir}/target"
    with open(target, "w") as f:
        f.write("keep\n")
    for path in (f"{m.settings['data_directory']}/master.lock", f"{m.spool}/pid/qmgr.lock", f"{m.spool}/pid/master.pid"):
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(target, path)
    m.run("start", check=False)
    m.run("stop", check=False)
    assert open(target).read() == "keep\n" and os.stat(target).st_uid == 0


def sockets(m): return [p for p in glob.glob(f"{m.spool}/p*/*") if os.path.exists(p) and (os.stat(p).st_mode & 0o170000) == 0o140000]


def poke(path, data, wait=0.01):
    c = socket.socket(socket.AF_UNIX)
    c.settimeout(0.3)
    try:
        c.connect(path)
        while data:
            data = data[c.send(data[:65536]):]
        c.settimeout(wait)
        while c.recv(65536):
            pass
    except OSError:
        pass
    return c


def test_rubbish_on_our_sockets_ends_that_connection_and_nothing_else():
    s, m = world()
    rnd, kept = random.Random(9), []
    paths = sockets(m)
    assert len(paths) >= 5, paths
    master = m.processes()["master"]
    before = {p: sorted(pids) for p, pids in m.processes().items() if p in ("qmgr", "resolver", "master")}
    for path in paths:
        for data in (b"", rnd.randbytes(100), rnd.randbytes(70000), b"\xff" * 64, struct.pack("<I", 0xFFFFFFFF) + b"x", struct.pack("<IHH", 8, 0, 0) * 50,
                     struct.pack("<I", 0) * 100, b"GET / HTTP/1.0\r\n\r\n", b"A" * 3000000, *(struct.pack("<IHH", n, t, 0) + bytes(n) for n, t in ((2, 1), (40, 2), (1000, 3), (9, 77)))):
            poke(path, data).close()
        kept += [poke(path, b"", 0.001) for _ in range(5)]                # who connects and stays
    t = time.time()
    m.send()
    s.wait(2)
    assert time.time() - t < 10
    m.run("queue")
    m.empty()
    assert m.processes()["master"] == master
    assert {p: sorted(m.processes()[p]) for p in before} == before, "a process died of rubbish"
    for c in kept:
        c.close()


def test_a_storm_of_signals_loses_nothing():
    """What asks master to reload, or means nothing to a process, at any moment of its work."""
    s, m = world()
    stop = threading.Event()

    def storm():
        rnd = random.Random(2)
        while not stop.is_set():
            for program, pids in m.processes().items():
                for pid in pids:
                    try:
                        os.kill(pid, rnd.choice((signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGWINCH, signal.SIGURG) if program == "master"
                                                else (signal.SIGCHLD, signal.SIGPIPE, signal.SIGWINCH, signal.SIGURG, signal.SIGCONT)))
                    except OSError:
                        pass
            time.sleep(0.002)
    master = m.processes()["master"]
    t = threading.Thread(target=storm)
    t.start()
    try:
        for n in range(60):
            m.send(sender=f"s{n}@client.test", body=b"Subject: x\r\n\r\n" + (b"y" * 70 + b"\r\n") * 40)
    finally:
        stop.set()
        t.join()
    s.wait(61)
    m.empty()
    house.wait_until(lambda: m.processes()["master"] == master)            # a child that has not yet become something else looks like it
    got = [x.sender for x in s.messages[1:]]
    assert set(got) == {f"s{n}@client.test" for n in range(60)}, got
    assert all(x.body == (b"y" * 70 + b"\r\n") * 40 for x in s.messages[1:])


def test_the_set_gid_helper_takes_nothing_from_its_environment():
    """postdrop runs with a group that its caller does not have."""
    s, m = world()
    evil = f"{m.dir}/evil"
    os.makedirs(f"{evil}/spool/maildrop")
    with open(f"{evil}/main.cf", "w") as f:
        f.write(f"queue_directory = {evil}/spool\n")
    env = {"PATH": evil, "MAIL_CONFIG": evil, "POSTROAD_CONFIG": evil, "TZ": "../../../../" + evil, "LC_ALL": "C" * 5000, "MAIL_DEBUG": "x",
           "POSTROAD_FAULT": "postdrop:write:1:KILL", "POSTROAD_CLOCK": f"{evil}/clock", "TMPDIR": evil, "HOME": evil, "IFS": "/",
           **{k: v for k, v in m.env.items() if k.endswith("SAN_OPTIONS")}}
    link = f"{m.dir}/sendmail"
    os.path.lexists(link) or os.symlink(f"{house.BIN}/postroad", link)
    p = subprocess.run([link, "-C", m.dir, "-f", "alice@client.test", "bob@example.org"], input="Subject: x\n\nhello\n", text=True, capture_output=True, env=env)
    assert p.returncode == 0, p.stderr
    s.wait(2)
    assert s.messages[1].rcpts == ["bob@example.org"]
    assert not os.listdir(f"{evil}/spool/maildrop")
