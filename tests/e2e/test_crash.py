# SPDX-License-Identifier: Apache-2.0
"""kill -9 of each process under load: what got a 250 arrives."""
import os, random, signal, threading, time

import house, sink


def storm(programs, kills, pause, sync="auto"):
    s = sink.Sink()
    m = house.Postroad(sink=s, minimal_backoff_time="1s", maximal_backoff_time="2s", queue_run_delay="2s", spool_sync=sync)
    sent, stop, lock, number = set(), threading.Event(), threading.Lock(), [0]

    def inject():
        while not stop.is_set():
            try:
                t = m.talk(timeout=10).greet()
                while not stop.is_set():
                    with lock:
                        number[0] += 1
                        me = f"u{number[0]}@example.org"
                    m.send(rcpts=me, talk=t)
                    sent.add(me)
            except (AssertionError, OSError):
                time.sleep(0.05)
    threads = [threading.Thread(target=inject) for _ in range(6)]
    for t in threads:
        t.start()
    rnd = random.Random(1)
    for n in range(kills):
        time.sleep(pause)
        victims = m.processes().get(programs[n % len(programs)])
        if victims:
            try:
                os.kill(rnd.choice(victims), signal.SIGKILL)
            except OSError:
                pass
        if programs[n % len(programs)] == "master":
            house.wait_until(lambda: m.run("start", check=False) is not None and m.status == 0, 30, 0.2)
    stop.set()
    for t in threads:
        t.join()
    m.run("queue", "flush", check=False)
    got = lambda: {r for g in s.messages for r in g.rcpts}
    house.wait_until(lambda: sent <= got(), 60, 0.1)
    house.wait_until(lambda: not m.queue(), 60, 0.2)      # files may be left: debris of mail that got no 250
    assert len(sent) > 20
    # docs/SPOOL.md R6: what was in flight, and what was delivered in the last second and not yet written down or removed.
    assert len(s.messages) <= len(sent) + 300 * kills, "more copies than the bound"
    assert not m.files("corrupt")


def test_smtpd_dies_under_load(): storm(["smtpd"], 6, 0.4)
def test_qmgr_dies_under_load(): storm(["qmgr"], 5, 0.6)
def test_smtp_dies_under_load(): storm(["smtp"], 6, 0.4)
def test_all_kinds_die_under_load(): storm(["resolver", "bounce", "smtp", "qmgr", "smtpd"], 10, 0.4)
def test_master_dies_under_load(): storm(["master"], 3, 1.0)


for fn in list(globals().values()):
    if getattr(fn, "__name__", "").startswith("test_"):
        fn.slow = 5


def test_a_lost_notice_is_found_by_the_sweep():
    """qmgr frozen while mail comes in, then killed: the new one finds every file."""
    s = sink.Sink()
    m = house.Postroad(sink=s, queue_run_delay="2s")
    pid = m.kill("qmgr", signal.SIGSTOP)
    for n in range(20):
        m.send(rcpts=f"r{n}@example.org")
    os.kill(pid, signal.SIGKILL)
    s.wait(20)
    m.empty()


def test_debris_of_unacknowledged_mail_is_never_delivered():
    s = sink.Sink()
    m = house.Postroad(sink=s, message_size_limit="100000000")
    t = m.talk().greet()
    t.put("MAIL FROM:<a@b.test>"); t.expect("250")
    t.put("RCPT TO:<c@d.test>"); t.expect("250")
    t.put("DATA"); t.expect("354"); t.raw(b"S: x\r\n\r\n" + b"y" * 78 + b"\r\n" + b"0123456789\r\n" * 500000)
    house.wait_until(lambda: m.files("incoming"))
    for pid in m.processes()["smtpd"]:
        os.kill(pid, signal.SIGKILL)
    m.kill("qmgr")
    m.send()
    s.wait(1)
    time.sleep(1)
    assert len(s.messages) == 1 and not m.files("corrupt", "deferred")
