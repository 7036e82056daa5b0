# SPDX-License-Identifier: Apache-2.0
"""postconf and `postroad conf`: shown as Postfix shows it, changed without losing a comment."""
import json

import house

MASTER = """# services
smtp      inet  n       -       n       -       1       smtpd
  -o syslog_name=in
# between
  -o nonsense=1
qmgr      unix  n       -       n       -       1       qmgr
# the end
"""


def instance():
    m = house.Postroad(start=False)
    with open(f"{m.dir}/master.cf", "w") as f:
        f.write(MASTER)
    return m


def master(m):
    with open(f"{m.dir}/master.cf") as f:
        return f.read()


def test_settings_that_have_no_effect_are_shown_and_warned_of():
    m = instance()
    with open(f"{m.dir}/main.cf", "a") as f:
        f.write("milter_protocl = 6\nmine = 25\nsmtp_tcp_port = $mine\n")
    m.said = ""
    out = m.run("-n", name="postconf")
    assert "milter_protocl = 6\n" in out and "smtp_tcp_port = $mine\n" in out and "mine = 25\n" in out, out
    assert f"postconf: warning: {m.dir}/main.cf: unused parameter: milter_protocl=6\n" in m.said, m.said
    assert f"postconf: warning: {m.dir}/master.cf: unused parameter: nonsense=1\n" in m.said and "mine=25" not in m.said, m.said
    m.said = ""
    assert m.run("-h", "queue_directory", name="postconf") == m.spool + "\n"
    assert m.run("-dh", "smtp_tcp_port", name="postconf") == "25\n"
    assert m.run("nosuch", name="postconf") == "" and "postconf: warning: nosuch: unknown parameter\n" in m.said
    # The tool of our own says where, and that it would not start.
    m.said = ""
    out = m.run("conf", "-n", check=False)
    assert m.status == 1 and "milter_protocl = 6" in out and 'main.cf' in m.said and 'unknown setting "milter_protocl"' in m.said, m.said


def test_classes_of_settings():
    m = instance()
    m.settings["smtp_destination_rate_delay"] = "1s"
    m.settings["own_list"] = "127.0.0.0/8"
    m.settings["mynetworks"] = "$own_list"
    m.write_config()
    assert m.run("-n", "-C", "user", name="postconf") == "own_list = 127.0.0.0/8\n"
    assert m.run("-n", "-C", "service", name="postconf") == "smtp_destination_rate_delay = 1s\n"
    assert "myhostname = mx.test\n" in m.run("-n", "-C", "builtin", name="postconf")
    assert len(m.run("-n", "-C", "all", name="postconf").splitlines()) == len(m.settings)
    assert m.run("-xh", "mynetworks", name="postconf") == "127.0.0.0/8\n" and m.run("-h", "mynetworks", name="postconf") == "$own_list\n"
    m.run("-C", "nosuch", name="postconf", check=False)
    assert m.status == 64
    types = m.run("-m", name="postconf").split()
    assert {"hash", "cdb", "regexp", "pcre", "cidr", "inline", "static", "unix", "proxy"} <= set(types), types
    assert m.run("-l", name="postconf") == "fcntl\ndotlock\n"
    assert m.run("-a", name="postconf") == "" and m.run("-A", name="postconf") == ""
    row = json.loads(m.run("-jn", "myhostname", name="postconf"))
    assert row == {"name": "myhostname", "value": "mx.test"}


def test_master_cf_is_shown_as_ever():
    m = instance()
    assert m.run("-M", name="postconf") == (
        "smtp       inet  n       -       n       -       1       smtpd -o syslog_name=in -o nonsense=1\n"
        "qmgr       unix  n       -       n       -       1       qmgr\n")
    assert m.run("-Mf", "smtp", name="postconf") == (
        "smtp       inet  n       -       n       -       1       smtpd\n    -o syslog_name=in\n    -o nonsense=1\n")
    assert m.run("-F", "qmgr/unix/process_limit", name="postconf") == "qmgr/unix/process_limit = 1\n"
    assert m.run("-P", name="postconf") == "smtp/inet/syslog_name = in\nsmtp/inet/nonsense = 1\n"
    assert m.run("-Ph", "smtp/inet/syslog_name", name="postconf") == "in\n"
    m.said = ""
    assert m.run("-M", "nosuch", name="postconf") == "" and 'unmatched request: "nosuch"' in m.said


def test_master_cf_is_changed_entry_by_entry():
    m = instance()
    m.run("-P", "smtp/inet/syslog_name=postfix/in", "smtp/inet/smtpd_banner=$myhostname ESMTP", name="postconf")
    m.run("-PX", "smtp/inet/nonsense", name="postconf")
    m.run("-F", "qmgr/unix/chroot=y", name="postconf")
    assert master(m) == """# services
# between
smtp       inet  n       -       n       -       1       smtpd
    -o syslog_name=postfix/in
    -o {smtpd_banner=$myhostname ESMTP}
qmgr       unix  n       -       y       -       1       qmgr
# the end
""", master(m)
    m.run("-M", "submission/inet=submission inet n - n - - smtpd -o a=b", "-e", name="postconf")
    assert master(m).endswith("# the end\nsubmission inet  n       -       n       -       -       smtpd\n    -o a=b\n"), master(m)
    m.run("-M#", "submission/inet", name="postconf")
    assert master(m).endswith("#submission inet  n       -       n       -       -       smtpd\n#    -o a=b\n"), master(m)
    m.run("-MX", "qmgr/unix", name="postconf")
    assert "qmgr" not in master(m) and "# services\n" in master(m)
    before = master(m)
    for args in (["-M", "smtp/inet=smtp inet n"], ["-F", "smtp/inet/nosuch=1"], ["-Pe", "smtp/inet"], ["-F", "-X", "smtp/inet/chroot"],
                 ["-Pe", "smtp/syslog_name=x"]):
        m.run(*args, name="postconf", check=False)
        assert m.status != 0 and master(m) == before, (args, master(m))
    assert m.run("-P", "smtp/inet/syslog_name", name="postconf") == "smtp/inet/syslog_name = postfix/in\n"
