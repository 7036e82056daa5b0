# SPDX-License-Identifier: Apache-2.0
"""pipe: mail for commands."""
import os, pwd, re

import house

# What it got is in files of its own; the last one says that all are there.
SCRIPT = """#!/bin/sh
f={out}/$$
for word; do printf '%s\\n' "$word"; done >$f.argv
cat >$f.text
tr '\\0' '\\n' </proc/$$/environ >$f.env
(pwd; id -u; echo /proc/$$/fd/*) >$f.rest
: >$f
"""


def someone():
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


class World:
    """A Postroad whose mail all goes to the service "cmd"; what its command got is in got()."""
    def __init__(self, args, argv="", start=True, **settings):
        self.m = m = house.Postroad(start=False)
        os.chmod(m.dir, 0o755)
        self.out = f"{m.dir}/out"
        os.mkdir(self.out); os.chown(self.out, someone().pw_uid, someone().pw_gid)
        self.command = f"{m.dir}/command"
        with open(self.command, "w") as f:
            f.write(SCRIPT.format(out=self.out))
        os.chmod(self.command, 0o755)
        m.services.append(f"cmd unix - n n - - pipe {args} user={someone().pw_name} argv={argv or self.command + ' '}".replace("COMMAND", self.command))
        m.settings.update({"default_transport": "cmd", "recipient_delimiter": "+", "minimal_backoff_time": "1s", **settings})
        m.write_config()
        if start:
            m.start()

    def got(self, n=1):
        house.wait_until(lambda: len([f for f in os.listdir(self.out) if f.isdigit()]) >= n)
        return [self.read(f"{self.out}/{f}") for f in sorted(os.listdir(self.out)) if f.isdigit()]

    @staticmethod
    def read(path):
        def text(what):
            with open(f"{path}.{what}", encoding="latin-1", newline="") as f:
                return f.read()
        cwd, uid, fds = text("rest").splitlines()
        return dict(argv=text("argv").splitlines(), text=text("text"), env=dict(l.split("=", 1) for l in text("env").splitlines()),
                    cwd=cwd, uid=int(uid), fds=[int(f.split("/")[-1]) for f in fds.split()])


def test_a_command_gets_the_message_and_its_words():
    w = World("flags=Rhu", "COMMAND -f ${sender} -s ${size} id=${queue_id} helo=${client_helo} ${nexthop} to=${recipient} ${user}/${extension}/${domain}",
              export_environment="FOO=bar TZ")
    qid = w.m.send(rcpts=["Joe+Lists@Example.ORG", "ann@example.org"], sender="Alice@Client.Test", body="Subject: x\r\n\r\n.dot\r\nFrom me\r\n")
    got, = w.got()
    size = next(iter(re.findall(r"size=(\d+)", w.m.wait_log(rf"{qid}: from=<Alice@Client\.Test>, size=\d+")[0][0])))
    assert got["argv"] == ["-f", "Alice@Client.Test", "-s", size, f"id={qid}", "helo=client.test", "example.org", "to=joe+lists@example.org",
                           "to=ann@example.org", "joe/lists/example.org", "ann//example.org"], got["argv"]
    assert got["text"].startswith("Return-Path: <Alice@Client.Test>\nReceived: from client.test "), got["text"]
    assert got["text"].endswith("\nSubject: x\n\n.dot\nFrom me\n"), got["text"]
    assert got["uid"] == someone().pw_uid and got["cwd"] == "/" and set(got["fds"]) <= {0, 1, 2, 10}, got  # 10: the shell's script
    assert got["env"] == {"PATH": "/usr/bin:/bin", "FOO": "bar"}, got["env"]
    for to in ("Joe+Lists@Example.ORG", "ann@example.org"):
        w.m.wait_log(rf"/pipe\[\d+\]: {qid}: to=<{re.escape(to)}>, relay=cmd, delay=[\d.]+, delays=[\d./]+, dsn=2\.0\.0, status=sent \(delivered via cmd service\)$")
    w.m.empty()


def test_flags_shape_what_the_command_reads():
    w = World("flags=BDFOR.> eol=\\r\\n directory=/usr null_sender=nobody@x", "COMMAND ${recipient}")
    w.m.send(rcpts=["joe@example.org", "ann@example.org"], sender="", body="Subject: x\r\n\r\n.dot\r\nFrom me\r\n>From you\r\nend\r\n")
    got = w.got(2)
    assert sorted(g["argv"] for g in got) == [["ann@example.org"], ["joe@example.org"]], got
    for g in got:
        to = g["argv"][0]
        assert re.match(rf"From nobody@x  \w{{3}} \w{{3}} [ \d]\d [\d:]{{8}} \d{{4}}\r\nReturn-Path: <nobody@x>\r\nX-Original-To: {to}\r\n"
                        rf"Delivered-To: {to}\r\nReceived: ", g["text"]), g["text"]
        assert g["text"].endswith("\r\n\r\n..dot\r\n>From me\r\n>>From you\r\nend\r\n\r\n") and "\n" not in g["text"].replace("\r\n", ""), g["text"]
        assert g["cwd"] == "/usr"


def test_no_shell_sees_what_comes_from_outside():
    w = World("", "COMMAND ${recipient} ${user}")
    to = '"; touch ${PWD}/x; $(id) `id` *"@example.org'
    w.m.send(rcpts=[to])
    assert w.got()[0]["argv"] == ['; touch ${PWD}/x; $(id) `id` *@example.org', '; touch ${PWD}/x; $(id) `id` *']
    for args, rcpt in (("${recipient}", '"touch /tmp/postroad-was-here;"@example.org'), ("COMMAND ${user}", "-rf@example.org")):
        w = World("", args)
        qid = w.m.send(rcpts=[rcpt], sender="")              # a notice would be for the command, too
        w.m.wait_log(rf"{qid}: to=<.*>, .*status=(bounced|deferred) \((\"-rf\" would be taken for an option of the command|.*cannot run touch /tmp.*)\)")
        assert not os.path.exists("/tmp/postroad-was-here") and not os.listdir(w.out)


def test_what_the_command_says_is_the_outcome():
    for script, dsn, status in (("exit 67", "5.1.1", r"bounced \(user unknown\)"), ("echo busy; exit 75", "4.3.0", r"deferred \(temporary failure\. Command output: busy\)"),
                                ("echo 4.2.2 mailbox full; exit 65", "4.2.2", r"deferred \(data format error\. Command output: mailbox full\)"),
                                ("echo 5.7.1 not you >&2; exit 1", "5.7.1", r"bounced \(Command died with status 1\. Command output: not you\)"),
                                ("echo 250 queued", "2.0.0", r"sent \(delivered via cmd service \(250 queued\)\)"),
                                ("sleep 60", "4.3.0", r"deferred \(Command time limit exceeded\)")):
        w = World("", "/bin/sh -c {" + script + "}", cmd_time_limit="1s", command_time_limit="1000s")
        qid = w.m.send(rcpts=["a@example.org", "b@example.org"])
        for to in "ab":
            w.m.wait_log(rf"{qid}: to=<{to}@example\.org>, relay=cmd, .*dsn={re.escape(dsn)}, status={status}$")


def test_loops_and_sizes_are_refused():
    w = World("flags=D size=2000", "COMMAND ${recipient}")
    qid = w.m.send(body="Delivered-To: BOB@example.org\r\nSubject: x\r\n\r\n", rcpts=["bob@example.org", "ann@example.org"])
    w.m.wait_log(rf"{qid}: to=<bob@example\.org>, .*dsn=5\.4\.6, status=bounced \(mail forwarding loop for bob@example\.org\)")
    w.m.wait_log(rf"{qid}: to=<ann@example\.org>, .*status=sent")
    qid = w.m.send(body="Subject: x\r\n\r\n" + "x" * 70 + "\r\n" * 2000)
    w.m.wait_log(rf"{qid}: to=<bob@example\.org>, .*dsn=5\.2\.3, status=bounced \(message too large\)")


def begun(line, **settings):
    """What start says of a Postroad with this line in master.cf; "" when it started."""
    m = house.Postroad(start=False, default_transport="cmd", **settings)
    os.chmod(m.dir, 0o755)
    m.services.append(f"cmd unix - n n - - pipe {line}")
    m.write_config()
    m.run("start", check=False)
    return m, m.said if m.status else ""


def test_what_cannot_be_is_said_at_the_start():
    me = someone().pw_name
    for line, words in (("argv=/bin/true", "missing user="), (f"user={me} argv=/bin/true ${{recpient}}", "unknown macro ${recpient}"),
                        (f"flags=Z user={me} argv=/bin/true", "unknown flag: Z")):
        assert f"service cmd in master.cf: {words}" in begun(line)[1], words
    if os.geteuid() == 0:
        assert "specifies root privileges" in begun("user=root argv=/bin/true")[1]
        assert "specifies root group privileges" in begun(f"user={me}:root argv=/bin/true")[1]
        assert "specifies mail system owner daemon" in begun("user=daemon argv=/bin/true", mail_owner="daemon", mail_group="daemon")[1]


def test_a_user_who_is_not_there_is_waited_for():
    m, said = begun("user=no-such-user-here argv=/bin/true")
    assert not said
    qid = m.send()
    m.wait_log(rf"/pipe\[\d+\]: {qid}: to=<bob@example\.org>, relay=cmd, .*dsn=4\.3\.5, status=deferred \(user= command-line attribute: unknown user: no-such-user-here\)")


def test_more_recipients_than_fit_into_one_command_line():
    w = World("", "COMMAND " + 5 * "${original_recipient}${recipient}" + " -- ${recipient}", smtpd_recipient_limit="5000",
              default_destination_recipient_limit="5000")
    rcpts = [f"somebody-with-quite-a-long-name-{n}@example.org" for n in range(3000)]
    w.m.send(rcpts=rcpts)
    w.m.empty()
    got = [word for g in w.got(2) for word in g["argv"][g["argv"].index("--") + 1:]]
    assert sorted(got) == sorted(rcpts), len(got)
    assert len(w.got(2)) == 2


def test_a_lost_command_is_run_again():
    w = World("", "COMMAND ${recipient}")
    w.m.send(); w.got(1); w.m.empty()
    w.m.kill("pipe")
    w.m.send(); w.got(2); w.m.empty()
