# SPDX-License-Identifier: Apache-2.0
"""A small slice of each torture suite (tests/torture), and what they have found."""
import errno, os, sys

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "torture"))
import damage, faults, house, killstorm


def test_damaged_files_are_set_aside_and_the_others_arrive():
    w = damage.World()
    todo = [c for i, c in enumerate(damage.cases(w, 97)) if c.what[0] != "good" or i % 9 == 0]
    w.batch(todo)
    assert not w.bad and w.sums["set aside"] > 10 and w.sums["delivered"] > 5, f"{w.sums} {w.bad[:5]}"


def test_the_damage_suite_notices_changed_content():
    damage.control()


def test_a_damaged_content_is_neither_delivered_nor_returned():
    """Small and large, to a remote host, to a mailbox, and in a notice."""
    w = damage.World()
    todo = [damage.Case(w, "deferred", ("flip", 300, 1)), damage.Case(w, "deferred", ("flip", 90_000, 1), size=100_000),
            damage.Case(w, "incoming", ("flip", 300, 1), rcpt=f"{w.user}@mx.test"),
            damage.Case(w, "incoming", ("flip", 300, 1), rcpt="nobody-there@mx.test")]
    w.batch(todo)
    assert not w.bad and w.sums["set aside"] == 4 and not w.sink.messages, f"{w.sums} {w.bad}"


def sanitized():
    with open(f"{house.BIN}/master", "rb") as f:
        return b"__asan_init" in f.read()


def test_a_fault_at_some_calls_of_each_process():
    if sanitized():
        return                         # nothing can be put before a sanitizer's own library
    w = faults.World()
    cells = [("smtpd", "fsync", "EIO", True), ("smtpd", "fstat", "EIO", True), ("smtpd", "openat", "EMFILE", True), ("smtpd", "write", "SHORT", False),
             ("qmgr", "unlinkat", "KILL", False), ("smtp", "connect", "EAGAIN", False), ("master", "fork", "EAGAIN", False),
             ("master", "calloc", "ENOMEM", True), ("master", "poll", "ENOMEM", True), ("sendmail", "malloc", "ENOMEM", True),
             ("resolver", "calloc", "ENOMEM", False)]
    for role, call, error, onwards in cells:
        steps, bad = w.cell(role, False, call, error, onwards, 5 if role == "resolver" else 2)
        assert not bad, f"{role} {call} {error}: {bad}"
    assert w.steps >= len(cells) - 2


def test_a_fault_while_a_process_starts():
    """An error on the channel to master is not the end of master: the socket that all share must go on listening."""
    if sanitized():
        return
    w = faults.World()
    for role, call, error, onwards, most in [("smtpd", "recvmsg", "ECONNRESET", False, 1), ("bounce", "fstat", "ENOMEM", True, 1),
                                             ("resolver", "epoll_create1", "EMFILE", False, 2), ("qmgr", "epoll_ctl", "ENOMEM", True, 3), ("pickup", "flock", "ENOLCK", False, 2), ("master", "fork", "EAGAIN", False, 2),
                                             ("master", "calloc", "ENOMEM", True, 1)]:
        steps, bad = w.cell(role, True, call, error, onwards, most)
        assert steps == most and not bad, f"{role} {call} {error}: {bad}"


def test_deferred_mail_that_could_not_be_read_at_the_start_is_read_later():
    if sanitized():
        return
    w = faults.World()
    assert w.send("smtp", ("later",)) == "yes"
    w.m.wait_log("status=deferred")
    house.wait_until(lambda: w.m.files("deferred"))
    w.control.arm("qmgr", "pread", errno.EIO, 2, True)             # the first is the self-test's
    w.strike("qmgr")
    w.m.wait_log(r"queue rebuilt: 0 messages, .* [1-9]\d* errors")
    w.control.disarm()
    assert w.wait(w.look, 30), f"{w.owed}: {w.m.queue()}"


def test_a_resolver_whose_library_is_deaf_makes_way_for_another():
    if sanitized():
        return
    w = faults.World()
    w.control.arm("resolver", "read", errno.EAGAIN, 1, True)
    assert w.send("smtp", ("ok",)) == "yes"
    w.m.wait_log(r"/resolver\[\d+\]: fatal: libunbound does not answer any more")
    w.control.disarm()
    assert w.healthy() is not None and w.wait(w.look, 20), f"{w.owed}"


def test_a_short_kill_storm():
    s = killstorm.Storm(rate=60)
    s.rage(12, (0.05, 0.25))
    assert s.check()["acknowledged"] > 20


for fn in list(globals().values()):
    if getattr(fn, "__name__", "").startswith("test_"):
        fn.slow = 8
