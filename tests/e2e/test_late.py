# SPDX-License-Identifier: Apache-2.0
"""qmgr dies while deliveries are under way: agents tell the next one (docs/SPOOL.md R12)."""
import os, signal, threading, time

import house, sink


class Slow:
    """A server that has all of the content and does not answer before it is let go."""
    def __init__(self, reply=None, **more):
        self.has, self.go, self.reply = threading.Semaphore(0), threading.Event(), reply
        self.sink = sink.Sink(self.rule, **more)

    def rule(self, session, step, text):
        if step != "content" or self.go.is_set():
            return None
        self.has.release()
        assert self.go.wait(60)
        return self.reply

    def wait(self): assert self.has.acquire(timeout=20), "nothing came"


def new_qmgr(m, former):
    house.wait_until(lambda: [p for p in m.processes().get("qmgr", []) if p != former])


def kill_qmgr(m):
    pid = m.kill("qmgr")
    new_qmgr(m, pid)


def kill_all(m, program, sig=signal.SIGKILL):
    pids = m.processes()[program]
    for pid in pids:
        os.kill(pid, sig)
    return pids


class NoQmgr:
    """master is not there to start another one meanwhile."""
    def __init__(self, m): self.m = m

    def __enter__(self):
        self.master = self.m.kill("master", signal.SIGSTOP)
        self.former = self.m.kill("qmgr")

    def __exit__(self, *_):
        os.kill(self.master, signal.SIGCONT)
        new_qmgr(self.m, self.former)


def test_mail_that_comes_with_a_new_qmgr_is_not_left_to_its_sweep():
    """The sweep is 10 s after the start."""
    s = sink.Sink()
    m = house.Postroad(sink=s)
    m.send()
    s.wait(1)
    for sent in range(2, 6):
        time.sleep(0.2)                              # a channel that breaks as soon as it is made is not made again at once
        kill_qmgr(m)
        m.queue()                                    # it answers
        m.send()
        s.wait(sent, seconds=5)


def test_a_delivery_that_is_under_way_is_not_made_again():
    server = Slow()
    m = house.Postroad(sink=server.sink)
    m.send()
    server.wait()
    kill_qmgr(m)
    house.wait_until(lambda: m.queue())
    time.sleep(1)                                    # for the new one to do the wrong thing
    assert not server.has.acquire(blocking=False), "it was begun again"
    server.go.set()
    m.empty()
    assert len(server.sink.messages) == 1


def test_a_result_that_came_while_there_was_no_qmgr_counts():
    server = Slow()
    m = house.Postroad(sink=server.sink)
    m.send()
    server.wait()
    with NoQmgr(m):
        server.go.set()
        m.wait_log("status=")
    m.empty()
    assert len(server.sink.messages) == 1
    m.wait_log("removed")


def test_a_refusal_that_came_while_there_was_no_qmgr_is_told_to_the_sender():
    server = Slow("550 5.7.1 no")
    m = house.Postroad(sink=server.sink)
    m.send(sender="alice@client.test")
    server.wait()
    with NoQmgr(m):
        server.go.set()
        m.wait_log("status=")
    notice, = server.sink.wait(1)
    assert notice.sender == "" and b"550 5.7.1 no" in notice.content
    m.empty()


def test_two_qmgrs_die_during_one_delivery():
    server = Slow()
    m = house.Postroad(sink=server.sink)
    m.send(rcpts=("a@example.org", "b@example.org"))
    server.wait()
    for _ in range(2):
        kill_qmgr(m)
        house.wait_until(lambda: m.queue())
    server.go.set()
    m.empty()
    assert len(server.sink.messages) == 1 and len(server.sink.messages[0].rcpts) == 2


def test_other_mail_does_not_wait_for_a_delivery_of_an_earlier_qmgr():
    server = Slow()
    m = house.Postroad(sink=server.sink)
    m.send(rcpts="slow@example.org")
    server.wait()
    kill_qmgr(m)
    time.sleep(1)                                    # smtpd finds its way to the new one
    began = time.monotonic()
    m.send(rcpts="quick@example.org")
    server.wait()
    assert time.monotonic() - began < 5
    server.go.set()
    m.empty()
    assert sorted(r for g in server.sink.messages for r in g.rcpts) == ["quick@example.org", "slow@example.org"]


def test_an_agent_that_dies_too_loses_nothing():
    server = Slow()
    m = house.Postroad(sink=server.sink, minimal_backoff_time="1s", maximal_backoff_time="2s")
    m.send()
    server.wait()
    with NoQmgr(m):
        server.go.set()
        m.wait_log("status=")
        kill_all(m, "smtp")
    server.sink.wait(2)                              # nobody knows of the first
    m.empty()
    assert len(server.sink.messages) == 2


def test_an_agent_that_dies_during_a_delivery_of_an_earlier_qmgr_loses_nothing():
    server = Slow()
    m = house.Postroad(sink=server.sink, minimal_backoff_time="1s", maximal_backoff_time="2s")
    m.send()
    server.wait()
    kill_qmgr(m)
    house.wait_until(lambda: m.queue())
    kill_all(m, "smtp")
    m.wait_log("the agent died during this delivery")
    server.go.set()
    m.empty()
    assert 1 <= len(server.sink.messages) <= 2


def test_mail_is_not_kept_waiting_by_an_agent_that_says_nothing():
    server = Slow()
    m = house.Postroad(sink=server.sink, minimal_backoff_time="1s", maximal_backoff_time="2s")
    m.send(rcpts="first@example.org")
    server.wait()
    with NoQmgr(m):
        frozen = kill_all(m, "smtp", signal.SIGSTOP)
    m.wait_log("does not say what it has delivered")
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    server.go.set()
    m.empty()
    assert {r for g in server.sink.messages for r in g.rcpts} == {"first@example.org"}


def test_a_command_that_runs_while_qmgr_dies_is_run_once():
    from test_pipe import World
    w = World("", start=False)
    with open(w.command, "w") as f:
        f.write(f"#!/bin/sh\necho begun >>{w.out}/log\nwhile [ ! -e {w.out}/go ]; do sleep 0.1; done\ncat >/dev/null\n")
    w.m.start()
    begun = lambda: os.path.exists(f"{w.out}/log") and open(f"{w.out}/log").read()
    w.m.send()
    house.wait_until(begun)
    kill_qmgr(w.m)
    house.wait_until(lambda: w.m.queue())
    time.sleep(1)
    open(f"{w.out}/go", "w").close()
    w.m.empty()
    assert begun() == "begun\n"
    w.m.wait_log("status=sent")


def test_recipients_of_an_lmtp_server_that_answers_after_the_end_of_qmgr():
    """Some taken, some refused, some put off: each counts as it was answered."""
    server = Slow(lmtp=True)
    server.sink.rules.append(sink.refuse("content", "bob", "550 5.2.2 full"))
    server.sink.rules.append(sink.for_a_while(sink.refuse("content", "tom", "450 4.2.1 not now"), 1))
    m = house.Postroad(master=["lmtp unix - - n - 1 lmtp"], virtual_mailbox_domains="v.test", virtual_transport=f"lmtp:inet:127.0.0.1:{server.sink.port}",
                       minimal_backoff_time="1s", maximal_backoff_time="2s")
    m.send(sender="", rcpts=("ann@v.test", "bob@v.test", "tom@v.test"))
    server.wait()
    with NoQmgr(m):
        server.go.set()
        m.wait_log("status=", 3)
    m.empty()
    assert sorted(r for g in server.sink.messages for r in g.rcpts) == ["ann@v.test", "tom@v.test"]
