# SPDX-License-Identifier: Apache-2.0
"""As a service of systemd: it starts at boot, its sandbox lets mail through, and it comes back."""
import machine
from machine import wait_until


def restarts(m):
    return int(m.sh("systemctl show -p NRestarts --value postroad"))


def main_pid(m):
    return int(m.sh("systemctl show -p MainPID --value postroad"))


def test_it_runs_after_a_boot(m):
    m.wait_for("systemctl is-active postroad")
    assert m.sh("systemctl show -p Type -p NotifyAccess --value postroad") == "notify\nmain\n"
    unit = m.sh("systemd-analyze security --no-pager postroad.service | tail -1")
    assert float(unit.split("postroad.service:")[1].split()[0]) <= 3.0, unit
    # Besides the unit's filters of calls each daemon has one of its own; local cannot, as it starts users' programs.
    master = main_pid(m)
    filters = {}
    for pid in [master] + m.sh(f"cat /proc/{master}/task/{master}/children").split():
        text = m.sh(f"cat /proc/{pid}/comm /proc/{pid}/status")
        filters.setdefault(text.split()[0], int(text.split("Seccomp_filters:")[1].split()[0]))
    assert filters["master"] > 0 and {"qmgr", "smtpd"} <= set(filters), filters
    assert all(n > filters["master"] for name, n in filters.items() if name not in ("master", "local", "pipe")), filters


def test_deliveries_are_the_users_own(m):
    m.put("/home/bob/.forward", '\\bob, "|id -un >~/who; cat >~/piped", /home/bob/saved\n', owner="bob")
    m.sh("printf 'Subject: three ways\\n\\nhello\\n' | sendmail bob")
    m.wait_for("test -s /home/bob/piped -a -s /home/bob/saved -a -s /var/mail/bob")
    assert m.get("/home/bob/who") == "bob\n"
    assert m.sh("stat -c %U /home/bob/piped /home/bob/saved /var/mail/bob") == "bob\nbob\nbob\n"
    m.sh("rm /home/bob/.forward")


def test_a_users_command_may_hand_in_mail(m):
    """postdrop is set-gid: the unit must not take that away from users' commands."""
    m.put("/home/alice/.forward", '"|(echo Subject: away; echo; echo I am away) | /usr/sbin/sendmail bob"\n', owner="alice")
    m.sh("printf 'Subject: are you there\\n\\nhello\\n' | sendmail alice")
    m.wait_for("grep -q '^Subject: away' /var/mail/bob")
    m.sh("rm /home/alice/.forward")


def test_a_reload_drops_no_session(m):
    pid = main_pid(m)
    m.sh("mkfifo /tmp/in; (nc 127.0.0.1 25 </tmp/in >/tmp/out & exec 3>/tmp/in; sleep 0.5; echo EHLO x >&3; sleep 0.5; systemctl reload postroad; "
         "sleep 0.3; echo NOOP >&3; sleep 0.5; echo QUIT >&3; sleep 1)")
    out = m.get("/tmp/out")
    assert out.rstrip().endswith("221 2.0.0 Bye") and out.count("250 2.0.0 Ok") == 1, out
    assert main_pid(m) == pid and "generation 2" in m.sh("systemctl status --no-pager postroad")
    assert m.sh("postconf -xh myorigin").strip() == "host.example.net"


def test_a_mistake_in_the_settings_is_refused_and_mail_goes_on(m):
    pid = main_pid(m)
    m.sh("echo relayhots = x >>/etc/postroad/main.cf")
    m.sh("systemctl reload postroad", check=False)
    assert m.status != 0
    assert main_pid(m) == pid and m.sh("systemctl is-active postroad") == "active\n"
    m.sh("sed -i /relayhots/d /etc/postroad/main.cf; systemctl reload postroad")


def test_a_killed_or_frozen_master_is_replaced(m):
    m.sh("mkdir -p /etc/systemd/system/postroad.service.d; printf '[Service]\\nWatchdogSec=3\\n' "
         ">/etc/systemd/system/postroad.service.d/test.conf; systemctl daemon-reload; systemctl restart postroad")
    for signal in ("KILL", "STOP"):
        before, pid = restarts(m), main_pid(m)
        m.sh(f"kill -{signal} {pid}")
        wait_until(lambda: restarts(m) > before, 60, 0.3)
        m.wait_for("systemctl is-active postroad", 60)
        m.sh(f"printf 'Subject: after {signal}\\n\\nhello\\n' | sendmail bob")
        m.wait_for(f"grep -q 'Subject: after {signal}' /var/mail/bob")


def test_stop_leaves_nothing_running(m):
    m.sh("systemctl stop postroad")
    assert m.sh("systemctl show -p Result --value postroad") == "success\n"
    assert m.sh("cat /sys/fs/cgroup/systemd/system.slice/postroad.service/cgroup.procs 2>/dev/null; pgrep -x master; true") == ""
    # Mail can be handed in all the same, and goes when it is back.
    m.sh("printf 'Subject: while it was down\\n\\nhello\\n' | sendmail bob", user="alice")
    m.sh("systemctl start postroad")
    m.wait_for("grep -q 'while it was down' /var/mail/bob")
