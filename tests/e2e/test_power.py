# SPDX-License-Identifier: Apache-2.0
"""The machine crashes: what the file system had not made durable yet comes back from the redo logs (docs/SPOOL.md, R10)."""
import os, shutil, signal, struct, threading

import house, sink

HEAD, RECORD = 64, struct.Struct("<IIQQQII")


def records(path):
    """Queue ids of the messages that the log stands for."""
    with open(path, "rb") as f:
        log = f.read()
    at, ids, first = HEAD, [], None
    while at + RECORD.size <= len(log):
        magic, size, generation, where, qid, _, _ = RECORD.unpack_from(log, at)
        if magic != 0x4F444552 or where != at or generation != (first or generation):
            break
        first = generation
        ids.append(f"{qid:016X}")
        at += RECORD.size + size
    return ids


def burst(m, sessions, each):
    def session(i):
        t = m.talk().greet()
        for n in range(each):
            me = f"u{i}.{n}@example.org"
            m.send(rcpts=me, talk=t)
            sent.add(me)
    sent = set()
    threads = [threading.Thread(target=session, args=(i,)) for i in range(sessions)]
    for t in threads: t.start()
    for t in threads: t.join()
    return sent


def crash(m):
    """Every process dies at once, and the spool is found as it may look after a loss of power: on a file system that was mounted
    anew (here: copied), with names, sizes and bytes missing of what was not durable."""
    for pid in m.all_pids(): os.kill(pid, signal.SIGSTOP)
    for pid in m.all_pids(): os.kill(pid, signal.SIGKILL)
    house.wait_until(lambda: not m.all_pids())
    os.rename(m.spool, m.spool + ".before")
    shutil.copytree(m.spool + ".before", m.spool, ignore=lambda d, names: [n for n in names if os.path.basename(d) in ("public", "private")])
    logged = {qid for name in os.listdir(f"{m.spool}/redo") for qid in records(f"{m.spool}/redo/{name}")}
    lost = 0
    for top, _, names in os.walk(m.spool):
        for name in names:
            if name in logged:
                path, lost = f"{top}/{name}", lost + 1
                if lost % 3 == 0: os.unlink(path)
                elif lost % 3 == 1: os.truncate(path, 0)
                else:
                    with open(path, "r+b") as f: f.write(bytes(os.path.getsize(path)))
    return lost


def test_what_the_file_system_lost_is_put_back():
    s = sink.Sink()
    m = house.Postroad(sink=s, workers=1, defer_transports="smtp")
    sent, lost = set(), 0
    for _ in range(20):                    # a checkpoint may come between a burst and the crash
        sent |= burst(m, 8, 10)
        if any(records(f"{m.spool}/redo/{name}") for name in os.listdir(f"{m.spool}/redo")):
            lost = crash(m)
            if lost:
                break
            m.start()
    assert lost > 0
    m.settings.pop("defer_transports")
    m.write_config()
    m.start()
    m.wait_log(rf"redo/\S+: \d+ messages, of which [1-9]\d* were put back")
    house.wait_until(lambda: sent <= {r for g in s.messages for r in g.rcpts}, 60, 0.1)
    m.empty()
    assert not m.files("corrupt")


def test_a_clean_end_leaves_no_log():
    s = sink.Sink()
    m = house.Postroad(sink=s, workers=1)
    burst(m, 8, 10)
    s.wait(80)
    m.empty()
    m.stop()
    assert [name for name in os.listdir(f"{m.spool}/redo") if not name.startswith("removed.")] == []
