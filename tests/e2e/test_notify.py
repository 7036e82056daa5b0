# SPDX-License-Identifier: Apache-2.0
"""What a service manager hears from master, as systemd would with Type=notify."""
import os, signal, socket, subprocess, time

import house, sink


class Manager:
    """Starts an instance in the foreground and listens; heard is every word so far."""

    def __init__(self, m, watchdog=None):
        self.m, self.path, self.heard = m, f"{m.dir}/notify", []
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(0.05)
        env = dict(m.env, NOTIFY_SOCKET=self.path)
        if watchdog:
            env["WATCHDOG_USEC"] = str(watchdog)
        self.process = subprocess.Popen([f"{house.BIN}/postroad", "-c", m.dir, "start-fg"], env=env, stderr=subprocess.PIPE)
        house.ALIVE.append(self)

    def listen(self):
        try:
            while True:
                self.heard += self.sock.recv(4096).decode().split("\n")
        except TimeoutError:
            pass
        return self.heard

    def wait(self, word, count=1):
        def said():
            return sum(w.startswith(word) for w in self.listen()) >= count
        said.__doc__ = f"{word} x{count} in {self.heard}"
        house.wait_until(said)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.sock.close()


def test_ready_reload_and_stop_are_said_when_they_are_so():
    m = house.Postroad(start=False, relayhost="[127.0.0.1]:1", stop_drain_time="3s")
    manager = Manager(m)
    manager.wait("READY=1")
    m.talk().greet().quit()
    master = m.processes()["master"][0]
    assert f"MAINPID={master}" in manager.heard and master == manager.process.pid, manager.heard
    assert f"STATUS=takes and delivers mail; configuration {m.dir}, generation 1" in manager.heard, manager.heard
    began = time.monotonic_ns() // 1000
    m.reload()
    manager.wait("READY=1", 2)
    words = manager.heard
    when = int(next(w for w in words if w.startswith("MONOTONIC_USEC="))[15:])
    assert began <= when <= time.monotonic_ns() // 1000
    assert words.index("RELOADING=1") < words.index(f"STATUS=takes and delivers mail; configuration {m.dir}, generation 2")
    os.kill(master, signal.SIGTERM)
    manager.wait("STOPPING=1")
    assert "EXTEND_TIMEOUT_USEC=18000000" in manager.listen(), manager.heard
    assert manager.process.wait(20) == 0


def test_a_reload_that_is_refused_ends_too():
    m = house.Postroad(start=False, relayhost="[127.0.0.1]:1")
    manager = Manager(m)
    manager.wait("READY=1")
    m.settings["relayhots"] = "[127.0.0.1]:2"
    m.write_config()
    os.kill(manager.process.pid, signal.SIGHUP)
    manager.wait("READY=1", 2)
    assert manager.heard[-1].startswith("STATUS=a reload was refused"), manager.heard
    m.talk().greet().quit()


def test_a_start_that_fails_is_said_too():
    m = house.Postroad(start=False)
    other = sink.Sink()
    m.services[0] = m.services[0].replace(str(m.port), str(other.port))
    m.write_config()
    manager = Manager(m)
    assert manager.process.wait(30) == 1
    manager.wait("STATUS=")
    assert "in use" in manager.heard[-1] and "READY=1" not in manager.heard, manager.heard


def test_children_are_not_told_of_the_manager():
    m = house.Postroad(start=False, relayhost="[127.0.0.1]:1")
    manager = Manager(m)
    manager.wait("READY=1")
    for program, pids in m.processes().items():
        if program == "master":
            continue
        with open(f"/proc/{pids[0]}/environ", "rb") as f:
            assert b"NOTIFY_SOCKET" not in f.read(), program


def test_a_frozen_master_starves_the_watchdog():
    m = house.Postroad(start=False, relayhost="[127.0.0.1]:1")
    manager = Manager(m, watchdog=2000000)
    manager.wait("WATCHDOG=1", 3)
    os.kill(manager.process.pid, signal.SIGSTOP)
    try:
        manager.listen()
        before = manager.heard.count("WATCHDOG=1")
        time.sleep(2)                              # the manager's patience is over: there must be nothing
        assert manager.listen().count("WATCHDOG=1") == before
    finally:
        os.kill(manager.process.pid, signal.SIGCONT)
    manager.wait("WATCHDOG=1", before + 1)
