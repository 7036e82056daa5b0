# SPDX-License-Identifier: Apache-2.0
"""What an administrator does to a mail system besides letting it run: accounts, moved logs, other ports, broken programs."""
import fcntl, os, pwd, shutil, signal, socket, time

import house, sink


def with_programs(**scripts):
    """A copy of the programs with more of them; its directory."""
    d = house.tempfile.mkdtemp(prefix="postroad-e2e-bin-")
    for name in os.listdir(house.BIN):
        if os.path.isfile(f"{house.BIN}/{name}"):
            shutil.copy(f"{house.BIN}/{name}", d)
    for name, text in scripts.items():
        with open(f"{d}/{name}", "w") as f:
            f.write(text)
        os.chmod(f"{d}/{name}", 0o755)
    return d


def refused(m):
    """What a start that must fail says."""
    m.said = ""
    m.run("start", check=False)
    assert m.status == 1, m.said
    assert not m.all_pids()
    return m.said


def test_a_start_that_fails_says_why():
    d = with_programs(garbage="this is no program", dies="#!/bin/sh\nexit 3\n")
    try:
        for line, words in (("x unix - - n - 1 nosuch", "master.cf:6:18: expected a program in daemon_directory"),
                            ("x unix - - n - 1 smtp -o smtpd_timeout=soon", "master.cf:6:26: -o smtpd_timeout=soon: "),
                            ("x unix - - n - 1 garbage", "exec " + d + "/garbage: Exec format error"),
                            ("x unix - - n - 1 dies", d + "/dies ended before it was ready")):
            m = house.Postroad(start=False, daemon_directory=d, master=[line])
            assert words in refused(m), m.said
    finally:
        shutil.rmtree(d)


def test_last_words_of_a_child_reach_whoever_starts():
    m = house.Postroad()
    m.stop()
    with open(f"{m.spool}/pid/qmgr.lock", "r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        assert "qmgr.lock is locked by another process" in refused(m), m.said
    m.start()


def test_a_killed_masters_frozen_child_does_not_bar_the_next():
    m = house.Postroad(relayhost="[127.0.0.1]:1", stop_drain_time="1s")
    frozen = m.kill("smtpd", signal.SIGSTOP)
    m.kill("master")
    m.start()
    m.talk().greet().quit()
    assert frozen not in m.all_pids()


def test_reload_moves_services_and_log():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    qmgr, old_port = m.processes()["qmgr"], m.port
    os.rename(m.maillog, m.maillog + ".1")
    m.port = house.free_port()
    m.services[0] = m.services[0].replace(str(old_port), str(m.port))
    m.services.append("relay unix - - n - 1 smtp")
    m.write_config()
    m.reload()
    # All of it is done when the command returns.
    m.talk().greet().quit()
    try:
        socket.create_connection(("127.0.0.1", old_port)).close()
        raise AssertionError("the former port is still open")
    except ConnectionRefusedError:
        pass
    assert os.path.exists(f"{m.spool}/private/relay")
    m.send()
    m.wait_log(r"qmgr\[%d\]: .*queue active" % qmgr[0])
    m.services.pop()
    m.write_config()
    m.reload()
    assert not os.path.exists(f"{m.spool}/private/relay")
    assert m.processes()["qmgr"] == qmgr


def test_a_reload_that_master_refuses_is_reported():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    before = m.processes()
    other = sink.Sink()
    m.services.append(f"127.0.0.1:{other.port} inet n - n - 1 smtpd")
    m.write_config()
    m.run("reload", check=False)
    assert m.status == 1 and "refused" in m.said, m.said
    m.services.pop()
    m.settings["queue_directory"] = f"{m.dir}/other"
    m.write_config()
    m.run("reload", check=False)
    assert m.status == 1
    m.settings["queue_directory"] = m.spool
    m.write_config()
    assert m.processes() == before
    m.talk().greet().quit()


def test_each_process_has_the_account_it_should_have():
    if os.geteuid() != 0:
        return
    s = sink.Sink()
    m = house.Postroad(sink=s, start=False, mail_owner="mail", mail_group="mail")
    os.chmod(m.dir, 0o755)
    uid = pwd.getpwnam("mail").pw_uid

    def check(owner):
        for program, pids in m.processes().items():
            for pid in pids:
                assert os.stat(f"/proc/{pid}").st_uid == (0 if program == "master" else owner), program
    # There and back: what was root's becomes the account's.
    for n, (name, owner) in enumerate((("mail", uid), ("root", 0), ("mail", uid)), 1):
        m.settings["mail_owner"] = name
        m.write_config()
        m.start()
        check(owner)
        m.send()
        s.wait(n)
        m.reload()
        check(owner)
        m.stop()
    m.settings["mail_owner"] = "postroad-nobody"
    m.write_config()
    assert 'there is no account "postroad-nobody"' in refused(m), m.said


def test_in_a_new_root():
    if os.geteuid() != 0:
        return
    s = sink.Sink()
    m = house.Postroad(sink=s, start=False)
    for n in (0, 1):                               # smtpd, qmgr
        m.services[n] = m.services[n].replace(" n - n - ", " n - y - ").replace(" - - n - ", " n - y - ")
    m.write_config()
    m.start()
    m.send()
    s.wait(1)
    m.reload()
    m.send()
    s.wait(2)
    for program in ("smtpd", "qmgr"):
        assert os.readlink(f"/proc/{m.processes()[program][0]}/root") == m.spool


def test_a_long_name_of_the_queue_directory():
    s = sink.Sink()
    m = house.Postroad(sink=s, start=False)
    m.spool = m.settings["queue_directory"] = f"{m.dir}/{'long' * 25}/{'name' * 20}"
    m.write_config()
    m.start()
    m.send()
    s.wait(1)
    assert "empty" in m.run("queue")


def test_extra_processes_come_and_go():
    m = house.Postroad(relayhost="[127.0.0.1]:1", smtpd_client_limit="1", workers=4, worker_processes="1", max_idle="1s")
    assert len(m.processes()["smtpd"]) == 1
    for _ in range(2):
        talks = [m.talk().greet() for _ in range(4)]
        m.wait_log('service "127.0.0.1:%d" .* has reached its process limit "4"' % m.port)
        assert len(m.processes()["smtpd"]) == 4
        for t in talks:
            t.quit()
        house.wait_until(lambda: len(m.processes()["smtpd"]) == 1)


def test_stop_ends_also_who_does_not_move():
    for program in ("smtpd", "qmgr"):
        m = house.Postroad(relayhost="[127.0.0.1]:1", stop_drain_time="1s")
        m.kill(program, signal.SIGSTOP)
        t0 = time.time()
        m.stop()
        assert not m.all_pids() and time.time() - t0 < 10, program
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    m.kill("smtpd", signal.SIGSTOP)
    m.run("abort")
    assert not m.all_pids()
