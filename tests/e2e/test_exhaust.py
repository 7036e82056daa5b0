# SPDX-License-Identifier: Apache-2.0
"""What runs out for a while: a slice of tests/torture/exhaust.py that needs no root, and what that has found."""
import ctypes, os, re, resource, signal, sys, tempfile, time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "torture"))
import exhaust, house, mailer, sink

CLONE_NEWNS, CLONE_NEWUSER, MS_REC, MS_PRIVATE = 0x20000, 0x10000000, 0x4000, 1 << 18


def own_mounts():
    """A mount namespace of this process's own, with the rights to mount in it; False: not to be had here."""
    libc, uid, gid = ctypes.CDLL(None, use_errno=True), os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if uid else 0)) != 0:
        return False
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as f:
                f.write(text)
    return libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0


class Ram:
    """A tmpfs."""
    kind = "tmpfs"

    def __init__(self, megabytes=48):
        self.mounted, self.libc = tempfile.mkdtemp(prefix="postroad-ram-"), ctypes.CDLL(None, use_errno=True)
        if self.libc.mount(b"tmpfs", self.mounted.encode(), b"tmpfs", 0, f"size={megabytes}m,nr_inodes=20000".encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount tmpfs")
        house.ALIVE.append(self)

    def close(self):
        self.libc.umount2(self.mounted.encode(), 2)
        os.rmdir(self.mounted)


def test_a_full_disk_that_is_freed_again():
    if not own_mounts():
        print("LEFT OUT: no mount namespace of our own")
        return
    w = exhaust.World(Ram(), rate=80)
    for state in (exhaust.FullDisk(), exhaust.FullDisk("full disk, restarted", exhaust.restart), exhaust.NoInodes()):
        row, bad, _ = w.endure(state, 3)
        assert not bad and row["refused"] > 10 and row["acknowledged"] > 0, f"{row} {bad}"


def test_a_system_starts_on_a_full_disk_and_delivers():
    """Also the files that processes map into their memory have to be there: a page without room is death by SIGBUS."""
    if not own_mounts():
        print("LEFT OUT: no mount namespace of our own")
        return
    disk, s = Ram(16), sink.Sink(lambda session, step, text: "451 4.2.1 later" if step == "rcpt" and not ready else None)
    ready = []
    m = house.Postroad(sink=s, queue_directory=f"{disk.mounted}/spool", data_directory=f"{disk.mounted}/data", minimal_backoff_time="1s",
                       queue_run_delay="1s", message_size_limit="100000")
    m.spool = f"{disk.mounted}/spool"
    m.send()
    house.wait_until(lambda: m.files("deferred"))
    m.stop()
    os.unlink(f"{disk.mounted}/data/smtpd_clients")
    with open(f"{disk.mounted}/data/smtpd_clients", "wb"):
        pass
    exhaust.fill(f"{disk.mounted}/filler")
    m.start()
    m.talk().greet()("""
        C: MAIL FROM:<a@b.test>
        S: 452 4.3.1 *
    """)
    ready.append(True)
    s.wait(1)
    m.wait_log("qmgr.*the spool is used without having been tried: .*No space left")
    m.wait_log("smtpd_clients: No space left on device: sessions are counted for this process alone")
    m.no_log("killed by signal")
    os.unlink(f"{disk.mounted}/filler")
    m.send()
    s.wait(2)


def test_an_operator_frees_a_full_disk_by_deleting_mail():
    """With qmgr, and without."""
    if not own_mounts():
        print("LEFT OUT: no mount namespace of our own")
        return
    disk = Ram(16)
    m = house.Postroad(relayhost="[127.0.0.1]:1", queue_directory=f"{disk.mounted}/spool", message_size_limit="100000", notify_classes="")
    m.spool = f"{disk.mounted}/spool"
    for down in (False, True):
        for _ in range(4):
            m.send(body=b"x" * 90 + b"\r\n" + (b"y" * 70 + b"\r\n") * 1300)
        house.wait_until(lambda: len(m.files("incoming", "deferred")) == 4)
        exhaust.fill(f"{disk.mounted}/filler")
        t = m.talk().greet()
        t.put("MAIL FROM:<a@b.test>"); t.expect("452 4.3.1")
        assert "example.org" in m.run("-p", name="postqueue")
        if down:
            m.stop()
        assert "4" in m.run("-d", "ALL", name="postsuper") + m.said
        house.wait_until(lambda: not m.files("incoming", "deferred"), 5)
        if down:
            m.start()
        t = m.talk().greet()
        t.put("MAIL FROM:<a@b.test>"); t.expect("250")
        t.quit()
        os.unlink(f"{disk.mounted}/filler")


def test_what_is_being_removed_is_not_found_again():
    """A next hop that hung takes many at once, while the queue is looked through for what nobody told of."""
    directory = tempfile.mkdtemp(prefix="postroad-exhaust-")
    ledger = mailer.Ledger(directory)
    s = mailer.Sink(ledger)
    house.ALIVE.append(s)
    m = house.Postroad(sink=s, queue_run_delay="1s", message_size_limit="1000000", default_destination_concurrency_limit="50",
                       smtpd_client_connection_count_limit="0", minimal_backoff_time="1s", maximal_backoff_time="2s")
    os.kill(s.process.pid, signal.SIGSTOP)
    load = mailer.Load(ledger, m.port, threads=8, limit=2500)
    house.wait_until(lambda: len(ledger.read().acked) >= 2500, 60)
    load.stop()
    time.sleep(6)                                        # older than what may still have a notice under way
    os.kill(s.process.pid, signal.SIGCONT)
    assert ledger.settle(30) == 0, f"{len(ledger.owed())} got nothing"
    m.empty()
    copies = list(ledger.copies())
    assert not copies, f"{len(copies)} second copies: {copies[:3]}"
    m.no_log("has vanished")


def test_who_was_killed_and_comes_back_is_not_kept_waiting():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    for _ in range(5):
        dead = m.kill("bounce")
        house.wait_until(lambda: m.processes().get("bounce", [dead]) != [dead], 20)
        time.sleep(0.3)                                  # it says that it is ready
    assert max(int(x) for x in re.findall(r"service bounce: next start in (\d+) s", m.log())) == 4


def test_master_outlives_a_lack_of_descriptors():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    master = m.processes()["master"]
    hard = resource.prlimit(master[0], resource.RLIMIT_NOFILE)[1]
    resource.prlimit(master[0], resource.RLIMIT_NOFILE, (3, hard))
    m.kill("bounce")
    m.wait_log("service bounce: status channel: Too many open files")
    resource.prlimit(master[0], resource.RLIMIT_NOFILE, (hard, hard))
    house.wait_until(lambda: "bounce" in m.processes())
    assert m.processes()["master"] == master


def test_when_memory_is_short_a_worker_goes_before_master():
    m = house.Postroad(relayhost="[127.0.0.1]:1")

    def score(program):
        with open(f"/proc/{m.processes()[program][0]}/oom_score_adj") as f:
            return int(f.read())
    if score("master") == 0:
        assert score("qmgr") == score("smtpd") == 20


for fn in (test_a_full_disk_that_is_freed_again, test_what_is_being_removed_is_not_found_again, test_who_was_killed_and_comes_back_is_not_kept_waiting):
    fn.slow = 15
