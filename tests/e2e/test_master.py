# SPDX-License-Identifier: Apache-2.0
"""The supervisor: start, stop, reload, and children that die or freeze."""
import os, signal, subprocess, threading, time

import house, sink
from sink import refuse


def test_start_returns_when_mail_is_taken_and_stop_when_all_is_down():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    m.talk().greet().quit()
    assert set(m.processes()) == {"master", "smtpd", "qmgr", "smtp", "bounce", "resolver"}
    m.run("start", check=False)
    assert m.status != 0 and "already running" in m.said, m.said
    m.stop()
    assert not m.all_pids()
    m.run("stop", check=False)
    assert m.status != 0 and "not running" in m.said
    m.start()
    m.talk().greet().quit()


def test_broken_files_are_refused_with_place_and_advice():
    for change, where in ((("settings", "relayhots", "[127.0.0.1]:1"), 'main.cf:'), (("settings", "message_size_limit", "lots"), "main.cf:")):
        m = house.Postroad(start=False)
        getattr(m, change[0])[change[1]] = change[2]
        m.write_config()
        m.run("start", check=False)
        assert m.status != 0 and where in m.said and change[1] in m.said, m.said
        assert not m.all_pids()
    assert "message_size_limit" in m.said
    m = house.Postroad(start=False, relayhots="x")
    m.run("start", check=False)
    assert "relayhost" in m.said, m.said
    m = house.Postroad(start=False)
    m.services.append("nonsense unix -")
    m.write_config()
    m.run("start", check=False)
    assert m.status != 0 and "master.cf:6" in m.said, m.said


def test_a_port_in_use_is_said():
    s = sink.Sink()
    m = house.Postroad(start=False)
    m.services[0] = m.services[0].replace(str(m.port), str(s.port))
    m.write_config()
    m.run("start", check=False)
    assert m.status != 0 and "in use" in m.said, m.said
    assert not m.all_pids()


def test_dead_children_are_replaced():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    for n, program in enumerate(("smtpd", "qmgr", "smtp", "bounce", "resolver"), 1):
        before = set(m.processes()[program])
        m.kill(program)

        def replaced():
            now = set(m.processes().get(program, []))
            return len(now) == len(before) and now != before
        house.wait_until(replaced)
        m.send()
        s.wait(n)
    m.wait_log(r"/master\[\d+\]: warning: process .*/smtpd pid \d+ killed by signal 9")


def test_who_keeps_dying_is_throttled():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    deaths = 0
    end = time.time() + 8
    while time.time() < end:
        for pid in m.processes().get("bounce", []):
            try:
                os.kill(pid, signal.SIGKILL)
                deaths += 1
            except OSError:
                pass
        time.sleep(0.02)
    assert 2 <= deaths <= 12, deaths
    m.wait_log("throttling")
    m.talk().greet().quit()


def test_frozen_children_hold_up_nobody():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    for program in ("smtpd", "qmgr", "smtp", "bounce", "resolver"):
        pid = m.kill(program, signal.SIGSTOP)
        try:
            for _ in range(4):
                t0 = time.time()
                t = m.talk().greet()
                took = time.time() - t0
                t.quit()
                assert took < 2.5, (program, took)
        finally:
            os.kill(pid, signal.SIGCONT)


def test_what_does_not_move_any_more_is_replaced():
    s = sink.Sink()
    m = house.Postroad(s, daemon_timeout="3s")
    for program in ("smtp", "qmgr", "bounce", "resolver", "smtpd"):
        pid = m.kill(program, signal.SIGSTOP)
        m.wait_log(rf"master\[\d+\]: warning: service .*: process .*/{program} pid {pid} has not moved for 3 seconds; killing it")
        house.wait_until(lambda: pid not in m.all_pids())
        house.wait_until(lambda: m.processes().get(program))
    m.send()
    s.wait(1)


def test_who_is_idle_or_busy_is_left_alone():
    s = sink.Sink()
    s.rules.append(lambda session, step, text: 6 if step == "content" else None)
    m = house.Postroad(s, daemon_timeout="1s")
    before = sorted(m.all_pids())
    m.send()
    s.wait(1, seconds=30)
    assert sorted(m.all_pids()) == before
    m.no_log("has not moved")


def test_all_smtpd_frozen_and_new_ones_come():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    pids = list(m.processes()["smtpd"])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    t0 = time.time()
    m.talk().greet().quit()
    assert time.time() - t0 < 4
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_reload_takes_new_settings_and_drops_no_session():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    old = m.talk().greet()
    old.put("MAIL FROM:<a@b.test>"); old.expect("250")
    m.settings["smtpd_banner"] = "new words"
    m.settings["message_size_limit"] = "5000"
    m.write_config()
    m.reload()
    house.wait_until(lambda: m.talk().reply() == "220 new words")
    old.put("RCPT TO:<c@d.test>"); old.expect("250")
    old.put("DATA"); old.expect("354"); old.raw(b"S: x\r\n\r\n" + b"y" * 70 + b"\r\n" + b"z\r\n" * 3000 + b".\r\n"); old.expect("250")
    old.quit()
    s.wait(1)


def test_reload_under_load_loses_nothing():
    s = sink.Sink()
    m = house.Postroad(sink=s)
    sent, refused, stop = [], [], threading.Event()

    def inject(k):
        while not stop.is_set():
            try:
                t = m.talk().greet()
                for _ in range(5):
                    sent.append(m.send(rcpts=f"u{len(sent)}k{k}@example.org", talk=t))
                t.quit()
            except (AssertionError, OSError) as e:
                refused.append(repr(e))
    threads = [threading.Thread(target=inject, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for n in range(5):
        m.settings["smtpd_banner"] = f"generation {n}"
        m.write_config()
        m.reload()
        time.sleep(0.3)
    stop.set()
    for t in threads:
        t.join()
    assert not refused, refused[:3]
    s.wait(len(sent))
    m.empty()
    assert len(s.messages) == len(sent)


def test_a_broken_reload_changes_nothing():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    m.settings["messages_size_limit"] = "1"
    m.write_config()
    m.run("reload", check=False)
    assert m.status != 0 and "message_size_limit" in m.said, m.said
    m.talk().greet().quit()


def test_stop_during_delivery_loses_nothing():
    s = sink.Sink(lambda ses, at, text: 0.3 if at == "content" else None)
    m = house.Postroad(sink=s)
    ids = [m.send(rcpts=f"r{n}@example.org") for n in range(40)]
    m.stop()
    assert not m.all_pids()
    got = len(s.messages)
    assert got + len(m.files("incoming", "deferred")) >= 40
    s.rules.clear()
    m.start()
    m.empty()
    rcpts = [g.rcpts[0] for g in s.messages]
    assert set(rcpts) == {f"r{n}@example.org" for n in range(40)}
    assert len(rcpts) == 40, "delivered twice"


def test_status_says_what_runs():
    import json
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    out = m.run("status")
    assert "running" in out and "smtpd" in out and "qmgr" in out, out
    json.loads(m.run("--json", "status"))
    m.stop()
    m.run("status", check=False)
    assert m.status != 0


def test_check_finds_nothing_wrong_with_a_good_directory():
    m = house.Postroad(relayhost="[127.0.0.1]:1", start=False)
    m.run("check")
    m.settings["smtpd_timeout"] = "soon"
    m.write_config()
    m.run("check", check=False)
    assert m.status != 0 and "main.cf:" in m.said and "smtpd_timeout" in m.said


def test_in_the_foreground():
    m = house.Postroad(relayhost="[127.0.0.1]:1", start=False)
    p = subprocess.Popen([f"{house.BIN}/postroad", "-c", m.dir, "start-fg"], env=m.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    house.wait_until(lambda: m.processes().get("smtpd"))
    def greeted():
        try:
            m.talk().greet().quit()
            return True
        except OSError:
            return False
    house.wait_until(greeted)
    p.send_signal(signal.SIGTERM)
    assert p.wait(15) == 0
    assert not m.all_pids()


def test_one_session_a_process_if_asked_for():
    m = house.Postroad(relayhost="[127.0.0.1]:1", smtpd_client_limit="1", workers=5)
    talks = [m.talk().greet() for _ in range(5)]
    assert len(m.processes()["smtpd"]) == 5
    for t in talks:
        t.quit()


def test_two_files_are_enough_whoever_starts_it():
    """Nothing but main.cf and master.cf, no account made for it."""
    m = house.Postroad(relayhost="[127.0.0.1]:1", start=False)
    m.settings.pop("mail_owner", None)
    m.write_config()
    assert sorted(os.listdir(m.dir)) == ["main.cf", "master.cf"]
    m.start()
    m.send()
