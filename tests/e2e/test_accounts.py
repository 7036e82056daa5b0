# SPDX-License-Identifier: Apache-2.0
"""As root: each process has an account of its own, and what one may do with the files of another is what docs/SPOOL.md says.
Accounts that every Debian has stand in for postroad-in and the others."""
import os, pwd, stat, subprocess

import house, sink

NAMES = {"mail_owner": "mail", "mail_group": "mail", "smtpd_owner": "news", "qmgr_owner": "uucp", "smtp_owner": "games"}
SERVICES = ["pickup unix n - n 60 1 pickup", "discard unix - - n - 1 discard"]


def world(**settings):
    s = sink.Sink()
    m = house.Postroad(sink=s, start=False, master=SERVICES, **dict(NAMES, **settings))
    os.chmod(m.dir, 0o755)
    return s, m


def as_account(account, script, *args, groups=("mail",)):
    """Run Python code as this account, in a process of its own, as master would start it; what it printed."""
    code = ("import os, sys\nfor fn in sys.argv[1:]: pass\n"
            "def can(what, *a):\n"
            "    try: what(*a); return 'can'\n"
            "    except OSError as e: return 'cannot'\n" + script)
    pw = pwd.getpwnam(account)
    gid = pwd.getpwnam("uucp").pw_gid if account == "uucp" else pwd.getpwnam("mail").pw_gid
    p = subprocess.run(["python3", "-c", code, *args], capture_output=True, text=True, user=pw.pw_uid, group=gid,
                       extra_groups=[pwd.getpwnam("mail").pw_gid])
    assert p.returncode == 0, p.stderr
    return p.stdout.split()


def owners(m):
    return {program: {os.stat(f"/proc/{pid}").st_uid for pid in pids} for program, pids in m.processes().items()}


def test_each_daemon_runs_as_its_own_account():
    if os.geteuid() != 0:
        return
    s, m = world()
    m.start()
    uid = lambda name: {pwd.getpwnam(name).pw_uid}
    got = owners(m)
    assert got["master"] == {0} and got["smtpd"] == uid("news") and got["qmgr"] == uid("uucp") and got["smtp"] == uid("games")
    assert got["resolver"] == uid("games") and got["bounce"] == got["pickup"] == got["discard"] == uid("mail")
    for program, pids in m.processes().items():
        if program != "master":
            groups = [l for l in open(f"/proc/{pids[0]}/status") if l.startswith("Groups:")][0].split()[1:]
            assert groups == [str(pwd.getpwnam("mail").pw_gid)], (program, groups)
    m.no_log("there is no account")
    # All ways through: relayed, deferred and delivered later, bounced, handed in here, after a reload and a restart.
    m.send()
    s.wait(1)
    s.close()
    m.send(rcpts="later@example.org")
    m.wait_log(r"to=<later@example\.org>.*status=deferred")
    m.stop()
    again = sink.Sink()
    m.settings["relayhost"] = f"[127.0.0.1]:{again.port}"
    m.write_config()
    m.start()
    m.run("queue", "flush", check=False)
    m.run("-f", name="postqueue")
    again.wait(1)
    m.run("-f", "bob@example.org", "bob@example.org", name="sendmail", stdin="Subject: x\n\nhello\n")
    again.wait(2)
    m.empty()
    m.no_log("ermission denied")


def test_nobody_but_qmgr_changes_what_others_made():
    if os.geteuid() != 0:
        return
    s, m = world(defer_transports="smtp")
    m.start()
    qid = m.send()
    m.wait_log(qid + r".*status=deferred")
    m.send(rcpts="second@example.org")
    name = house.wait_until(lambda: [os.path.join(d, f) for d, _, fs in os.walk(m.spool) for f in fs if f == qid])[0]
    other = f"{m.spool}/incoming/00/0000000000000001"
    with open(other, "w") as f:
        f.write("somebody else's")
    os.chown(other, pwd.getpwnam("mail").pw_uid, pwd.getpwnam("uucp").pw_gid)
    os.chmod(other, 0o664)
    probe = ("m, o = sys.argv[1:]\n"
             "print(can(open, m), can(open, m, 'r+'), can(os.unlink, m), can(open, o, 'r+'), can(os.unlink, o), "
             "can(os.rename, o, o + 'X'), can(open, os.path.dirname(o) + '/NEW' + str(os.getpid()), 'w'))")
    #           read   change   remove   change another's, remove, rename it, make one
    #                  (the first is in deferred, and smtpd's own)
    expected = {"news":  ["can", "can", "cannot", "cannot", "cannot", "cannot", "can"],
                "games": ["can", "cannot", "cannot", "cannot", "cannot", "cannot", "can"],
                "mail":  ["can", "cannot", "cannot", "can"],
                "nobody": None}
    got = as_account("news", probe, name, other)
    assert got == expected["news"], got
    got = as_account("games", probe, name, other)
    assert got == expected["games"], got
    # Outsiders see nothing at all.
    pw = pwd.getpwnam("nobody")
    p = subprocess.run(["cat", name], user=pw.pw_uid, group=pw.pw_gid, extra_groups=[], capture_output=True, text=True)
    assert p.returncode != 0 and "ermission denied" in p.stderr
    got = as_account("uucp", "m, o = sys.argv[1:]\nprint(can(open, m, 'r+'), can(open, o, 'r+'), can(os.unlink, o))", name, other)
    assert got == ["can", "can", "can"], got


def test_a_spool_of_one_account_becomes_one_of_several_and_back():
    if os.geteuid() != 0:
        return
    alone = {"smtpd_owner": "mail", "qmgr_owner": "mail", "smtp_owner": "mail"}
    s, m = world(**alone, defer_transports="smtp")
    m.start()
    ids = [m.send(rcpts=f"u{i}@example.org") for i in range(3)]
    for qid in ids:
        m.wait_log(qid + r".*status=deferred")
    m.no_log("there is no account")
    m.stop()
    assert stat.S_IMODE(os.stat(f"{m.spool}/deferred").st_mode) == 0o700
    for settings, mode in ((NAMES, 0o750), (alone, 0o700), (NAMES, 0o750)):
        m.settings.update(settings)
        m.write_config()
        m.start()
        ids.append(m.send(rcpts=f"u{len(ids)}@example.org"))
        m.wait_log(ids[-1] + r".*status=deferred")
        assert stat.S_IMODE(os.stat(f"{m.spool}/deferred").st_mode) == mode
        m.stop()
    m.settings["defer_transports"] = ""
    m.write_config()
    m.start()
    m.run("-f", name="postqueue")
    s.wait(len(ids))
    m.empty()
    m.no_log("ermission denied")


def test_accounts_that_do_not_exist_are_said_once():
    if os.geteuid() != 0:
        return
    s, m = world(smtpd_owner="no-such-in", qmgr_owner="no-such-q")
    m.start()
    words = ('there is no account "no-such-in" (smtpd_owner), "no-such-q" (qmgr_owner): their processes run as "mail" and could '
             "harm each other's files")
    assert m.log().count(words) == 1
    m.said = ""
    m.run("check", check=False)
    assert words in m.said, m.said
    assert owners(m)["smtpd"] == {pwd.getpwnam("mail").pw_uid}
    m.send()
    s.wait(1)


# What RestrictSUIDSGID of systemd does: nothing that runs under it sets a set-id bit; those that are there stay.
NO_SET_ID = """
import ctypes, os, sys
libc = ctypes.CDLL("libseccomp.so.2", use_errno=True)
class Cmp(ctypes.Structure): _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]
libc.seccomp_init.restype = ctypes.c_void_p
f = ctypes.c_void_p(libc.seccomp_init(0x7fff0000))
for call, arg in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2)):
    for bit in (0o4000, 0o2000):
        n = libc.seccomp_syscall_resolve_name(call.encode())
        assert libc.seccomp_rule_add_array(f, 0x00050001, n, 1, ctypes.byref(Cmp(arg, 7, bit, bit))) == 0
assert libc.seccomp_load(f) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_start_sets_no_set_id_bits_once_permissions_are_set():
    if os.geteuid() != 0:
        return
    s, m = world()
    under = lambda *a: subprocess.run(["python3", "-c", NO_SET_ID, f"{house.BIN}/postroad", "-c", m.dir, *a], capture_output=True, text=True)
    p = under("start")
    assert p.returncode != 0 and "chmod" in p.stderr, p.stderr
    m.run("set-permissions")
    assert {oct(stat.S_IMODE(os.stat(f"{m.spool}/{d}/A7").st_mode)) for d in ("deferred", "hold")} == {"0o2755"}
    assert stat.S_IMODE(os.stat(f"{m.spool}/redo").st_mode) == 0o3770
    p = under("start")
    assert p.returncode == 0, p.stderr
    m.send()
    s.wait(1)
    s.close()
    m.send(rcpts="later@example.org")
    m.wait_log(r"to=<later@example\.org>.*status=deferred")
    house.wait_until(lambda: m.files("deferred"))
    assert m.log().count("not permitted") == 1, "more than what the first start was refused"
    m.no_log("ermission denied")
    m.run("set-permissions", check=False)
    assert m.status == 1 and "already running" in m.said
    m.stop()
    os.chmod(f"{m.spool}/incoming/05", 0o700)
    m.run("set-permissions")
    assert stat.S_IMODE(os.stat(f"{m.spool}/incoming/05").st_mode) == 0o3777
