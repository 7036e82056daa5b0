# SPDX-License-Identifier: Apache-2.0
"""The package comes, is upgraded, goes; each story has a machine of its own."""
import os, re, subprocess, tempfile

import machine
from machine import Failed, wait_until


def begin():
    return None


def fresh(*before):
    """A machine in which `before` was installed, and then our package."""
    m = machine.Machine(installed=False)
    if before:
        m.install(*before)
    m.copy_in(machine.deb(), "/root/postroad.deb")
    m.said = m.install("/root/postroad.deb")
    return m


def later_version(m, version):
    """The same package with a later number, as FILE of the machine."""
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["dpkg-deb", "-R", machine.deb(), f"{d}/p"], check=True)
        with open(f"{d}/p/DEBIAN/control") as f:
            control = re.sub(r"(?m)^Version: .*", f"Version: {version}", f.read())
        with open(f"{d}/p/DEBIAN/control", "w") as f:
            f.write(control)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", f"{d}/p", f"{m.root}/root/later.deb"], check=True, stdout=subprocess.DEVNULL)
    return "/root/later.deb"


def processes(m):
    return m.sh("ps -eo user:20=,args= | grep -E '/usr/libexec/postroad|-c /etc/postroad' | grep -v grep", check=False).splitlines()


def make_waiting(m):
    """Two messages that cannot be delivered now: there is no network."""
    m.sh("for n in 1 2; do printf 'Subject: waiting %s\\n\\nhello\\n' $n | sendmail -f root someone@far.example; done")
    m.wait_for("mailq | grep -q -- '-- .* in 2 Requests'", 60)
    m.wait_for("test $(find /var/spool/postroad/deferred -type f | wc -l) = 2", 60)


def test_a_fresh_installation_works_as_it_is():
    m = fresh()
    assert m.get("/etc/mailname") == "host.example.net\n"
    assert "postmaster: root" in m.get("/etc/aliases")
    assert m.sh("systemctl is-enabled postroad; systemctl is-active postroad") == "enabled\nactive\n"
    assert "takes and delivers mail; configuration /etc/postroad, generation 1" in m.sh("systemctl status postroad --no-pager")
    assert m.sh("stat -c '%a %U %G' /usr/sbin/postdrop /var/spool/postroad/maildrop /var/lib/postroad") == \
        "2755 root postdrop\n1770 postroad postdrop\n710 postroad postroad\n"
    for name in ("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/mailq", "/usr/bin/newaliases", "/usr/sbin/postconf"):
        assert m.sh(f"readlink -f {name}") == "/usr/sbin/postroad\n", name
    for name in ("postroad", "postroad-in", "postroad-q", "postroad-out"):
        assert "nologin" in m.sh(f"getent passwd {name}"), name
    assert set(re.findall(r"(\S+):25 ", m.sh("ss -Hltn sport = 25"))) == {"127.0.0.1", "[::1]"}
    m.sh("useradd -m bob; postroad check")
    m.sh("printf 'Subject: first\\n\\nhello\\n' | sendmail bob", user="bob")
    got = m.wait_for("cat /var/mail/bob")
    assert "From: bob@host.example.net" in got and "by host.example.net (Postroad, from userid" in got, got
    assert m.sh("stat -c '%a %U %G' /var/mail/bob") == "600 bob mail\n"
    assert m.sh("dpkg --verify postroad") == ""


def test_it_takes_the_place_of_postfix():
    m = machine.Machine(installed=False)
    m.install("postfix")
    m.put("/etc/aliases", "postmaster: root\nlist: bob\n")
    m.copy_in(machine.deb(), "/root/postroad.deb")
    said = m.install("/root/postroad.deb")
    assert "Removing postfix" in said, said
    # Its stop script looks once a second whether it is over.
    m.wait_for("! pgrep -a -x qmgr | grep postfix && ! pgrep -f '[/]usr/lib/postfix'")
    m.sh("useradd -m bob; printf 'Subject: via the former aliases\\n\\nhello\\n' | sendmail list")
    assert "X-Original-To: list" in m.wait_for("cat /var/mail/bob")


def test_an_upgrade_keeps_mail_settings_and_the_administrators_permissions():
    m = fresh()
    m.sh("sed -i 's/^#recipient_delimiter/recipient_delimiter/' /etc/postroad/main.cf; postroad reload; echo keep.example >/etc/mailname")
    m.sh("dpkg-statoverride --update --add root postdrop 2750 /usr/sbin/postdrop")
    make_waiting(m)
    before = sorted(m.sh("find /var/spool/postroad -type f -path '*/deferred/*' -exec sha256sum {} +").splitlines())
    pid = m.sh("systemctl show -p MainPID --value postroad")
    m.install(later_version(m, "0.9"))
    assert m.sh("dpkg-query -W -f '${Version}' postroad") == "0.9"
    assert m.sh("systemctl is-active postroad") == "active\n"
    assert m.sh("systemctl show -p MainPID --value postroad") != pid
    after = sorted(m.sh("find /var/spool/postroad -type f -path '*/deferred/*' -exec sha256sum {} +").splitlines())
    assert [l.split("/")[-1] for l in after] == [l.split("/")[-1] for l in before], (before, after)
    assert "2 Requests" in m.wait_for("mailq | grep Requests")
    assert m.sh("postconf -h recipient_delimiter").strip() == "+"
    assert m.get("/etc/mailname") == "keep.example\n"
    assert m.sh("stat -c '%a' /usr/sbin/postdrop") == "2750\n"


def test_removed_it_is_gone_and_purged_it_says_what_mail_it_leaves():
    m = fresh()
    make_waiting(m)
    said = m.sh("apt-get -q -y remove postroad")
    assert processes(m) == [], processes(m)
    assert m.sh("ss -Hltn sport = 25") == ""
    assert m.sh("ls /usr/sbin/sendmail /usr/libexec/postroad 2>&1; true").count("No such file") == 2
    assert m.sh("ls /etc/postroad") == "main.cf\nmaster.cf\n"
    said = m.sh("apt-get -q -y purge postroad")
    assert "2 undelivered messages are kept in /var/spool/postroad" in said, said
    assert m.sh("find /var/spool/postroad/deferred -type f | wc -l") == "2\n"
    assert m.sh("ls -d /etc/postroad /var/lib/postroad /etc/aliases.db /etc/logrotate.d/postroad 2>/dev/null; true") == ""
    # The next installation finds them.
    m.install("/root/postroad.deb")
    m.wait_for("mailq | grep -q '2 Requests'")
    m.sh("postsuper -d ALL")
    m.wait_for("mailq | grep -q 'queue is empty'")
    said = m.sh("apt-get -q -y purge postroad")
    assert "undelivered" not in said and m.sh("ls /var/spool/postroad 2>&1; true").count("No such file") == 1, said
    assert processes(m) == []


def test_by_hand_as_install_says():
    """The lines of INSTALL, word for word, on a tree that was built: accounts, make install, newaliases, check, systemd."""
    with open(f"{machine.ROOT}/INSTALL") as f:
        by_hand = f.read().split("\nBy hand\n")[1].split("\nA second instance")[0]
    steps = dict(re.findall(r"(?ms)^(\d)\. (.*?)(?=^\d\. |\Z)", by_hand))
    m = machine.Machine(installed=False)
    m.sh("printf 'postmaster: root\\n' >/etc/aliases; useradd -m bob")
    machine.run("cp", "-a", f"{machine.ROOT}/build/deb/postroad", f"{m.root}/root/tree")
    for number in "2345":
        # What follows "or" is for hosts without systemd.
        for line in re.findall(r"(?m)^\t(.*)", re.split(r"(?m)^   or\b", steps[number])[0]):
            m.sh(f"cd tree && {line.split('   #')[0]}", limit=300)
    assert m.sh("systemctl is-active postroad") == "active\n"
    m.sh("printf 'Subject: by hand\\n\\nhello\\n' | sendmail bob", user="bob")
    m.wait_for("grep -q 'Subject: by hand' /var/mail/bob")
    assert "POSTROAD(7)" in m.sh("man -P cat 7 postroad")
    assert m.sh("stat -c '%a %G' /usr/sbin/postdrop") == "2755 postdrop\n"
