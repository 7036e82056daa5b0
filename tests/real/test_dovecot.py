#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mail for the users of a real Dovecot (Debian: dovecot-core, dovecot-lmtpd), over its LMTP on a UNIX socket and over TCP, into
Maildirs.  Dovecot runs from a directory of its own, as root, which it wants; the system's service is not touched.  Also by itself:

    tests/real/test_dovecot.py [BIN_DIRECTORY]"""
import functools, os, pwd, re, shutil, signal, socket, subprocess, sys, tempfile, traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/e2e")
import house

CONF = """
protocols = lmtp
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
ssl = no
listen = 127.0.0.1
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
recipient_delimiter = +
auth_username_format = %Ln
mail_location = maildir:{dir}/mail/%n
mail_plugins = quota
plugin {{
  quota = count:all
  quota_vsizes = yes
}}
mailbox_list_index = yes
quota_full_tempfail = yes
lmtp_save_to_detail_mailbox = no
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = passwd-file
  args = {dir}/users
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service lmtp {{
  unix_listener {socket} {{
    mode = 0666
  }}
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""


class Dovecot:
    """Users joe and ann, and full, whose quota is nearly nothing."""
    def __init__(self, path):
        assert os.geteuid() == 0 and shutil.which("dovecot"), "needs root, dovecot-core and dovecot-lmtpd"
        who = pwd.getpwnam("nobody")
        self.dir, self.path, self.port = tempfile.mkdtemp(prefix="postroad-dovecot-"), path, house.free_port()
        os.chmod(self.dir, 0o755)
        os.mkdir(f"{self.dir}/mail"); os.chown(f"{self.dir}/mail", who.pw_uid, who.pw_gid)
        with open(f"{self.dir}/users", "w") as f:
            for user, extra in (("joe", ""), ("ann", ""), ("full", "userdb_quota_rule=*:bytes=300")):
                f.write(f"{user}:{{PLAIN}}x:{who.pw_uid}:{who.pw_gid}::{self.dir}/mail/{user}::{extra}\n")
        self.users = f"{self.dir}/users"
        with open(f"{self.dir}/dovecot.conf", "w") as f:
            f.write(CONF.format(dir=self.dir, socket=path, port=self.port))
        house.ALIVE.append(self)
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(["dovecot", "-F", "-c", f"{self.dir}/dovecot.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)

        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0 and os.path.exists(self.path)
        house.wait_until(listens)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def mail(self, user, n=1):
        """The texts of the user's n new messages."""
        new = f"{self.dir}/mail/{user}/new"
        names = house.wait_until(lambda: os.path.isdir(new) and len(os.listdir(new)) >= n and sorted(os.listdir(new)))
        return [open(f"{new}/{name}", "rb").read() for name in names]

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def story(fn):
    @functools.wraps(fn)
    def run():
        try:
            fn()
        except BaseException:
            print(house.evidence())
            for d in house.ALIVE:
                if isinstance(d, Dovecot):
                    with open(f"{d.dir}/log") as f:
                        print(f"--- Dovecot's log\n{f.read()[-3000:]}")
            raise
        finally:
            house.clean_up()
    return run


INSIDE = True                                  # for tests/real/run.py: as a program of its own, in a machine that has a Dovecot


def world(**settings):
    m = house.Postroad(master=["lmtp unix - - n - 1 lmtp", "local unix - n n - - local"], start=False, recipient_delimiter="+", minimal_backoff_time="1s")
    os.chmod(m.dir, 0o755)
    os.makedirs(f"{m.spool}/private")
    d = Dovecot(f"{m.spool}/private/dovecot-lmtp")
    m.settings.update({k: v.replace("PORT", str(d.port)) for k, v in settings.items()})
    m.write_config(); m.start()
    return d, m


UNIX = {"default_transport": "lmtp:unix:private/dovecot-lmtp"}
INET = {"default_transport": "lmtp:inet:127.0.0.1:PORT"}


@story
def test_into_a_maildir_over_a_unix_socket():
    d, m = world(**UNIX)
    qid = m.send(rcpts=["joe@example.org"], body="Subject: real\r\n\r\n.dot\r\ncaf\u00e9\r\nFrom me\r\n".encode())
    text = d.mail("joe")[0]
    assert text.endswith(b"Subject: real\n\n.dot\ncaf\xc3\xa9\nFrom me\n"), text
    assert text.startswith(b"Return-Path: <alice@client.test>\nDelivered-To: joe@example.org\nReceived: from mx.test"), text
    m.wait_log(rf"/lmtp\[\d+\]: {qid}: to=<joe@example\.org>, relay=mx\.test\[private/dovecot-lmtp\], .*dsn=2\.0\.0, status=sent "
               r"\(250 2\.0\.0 <joe@example\.org> \S+ Saved\)$")
    m.empty()


@story
def test_over_tcp_and_by_a_user_with_an_extension():
    d, m = world(**INET)
    qid = m.send(rcpts=["joe+lists@example.org"])
    assert b"\nDelivered-To: joe+lists@example.org\n" in d.mail("joe")[0]
    m.wait_log(rf"{qid}: to=<joe\+lists@example\.org>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:{d.port}, .*status=sent")


@story
def test_each_recipient_has_his_own_fate():
    for way in (UNIX, INET):
        d, m = world(**way)
        qid = m.send(rcpts=["joe@example.org", "nobody-here@example.org", "full@example.org", "ann@example.org"])
        for to in ("joe", "ann"):
            assert len(d.mail(to)) == 1
            m.wait_log(rf"{qid}: to=<{to}@example\.org>, .*status=sent")
        m.wait_log(rf"{qid}: to=<nobody-here@example\.org>, .*dsn=5\.1\.1, status=bounced \(host .* said: 550 5\.1\.1 .*User doesn't exist.*\(in reply to RCPT TO command\)\)")
        m.wait_log(rf"{qid}: to=<full@example\.org>, .*dsn=4\.2\.2, status=deferred \(host .* said: 452 4\.2\.2 .*\(in reply to (end of DATA|RCPT TO) command\)\)")
        left = house.wait_until(lambda: [q for q in m.queue() if q["queue_id"] == qid])[0]
        assert [r["address"] for r in left["recipients"]] == ["full@example.org"]
        # Room is made, and the rest of the mail comes, once.
        with open(d.users) as f:
            users = f.read()
        with open(d.users, "w") as f:
            f.write(users.replace("bytes=300", "bytes=300000"))
        m.run("queue", "flush")
        assert len(d.mail("full")) == 1
        house.wait_until(lambda: not [q for q in m.queue() if q["queue_id"] == qid])
        assert len(d.mail("joe")) == len(d.mail("ann")) == 1
        house.clean_up()


@story
def test_a_dovecot_that_is_down_is_waited_for():
    d, m = world(**UNIX)
    d.stop()
    qid = m.send(rcpts=["joe@example.org"])
    m.wait_log(rf"{qid}: to=<joe@example\.org>, .*dsn=4\.4\.1, status=deferred \(connect to mx\.test\[private/dovecot-lmtp\]: ")
    d.start()
    m.run("queue", "flush")
    assert len(d.mail("joe")) == 1
    m.empty()


@story
def test_as_the_mailbox_transport_of_local():
    d, m = world(mydestination="mx.test", local_recipient_maps="", alias_maps="inline:{ {both=joe, ann} }", mailbox_transport="lmtp:unix:private/dovecot-lmtp")
    m.send(rcpts=["joe@mx.test", "both@mx.test"])
    assert len(d.mail("joe", 2)) == 2 and len(d.mail("ann")) == 1
    m.empty()


@story
def test_a_hundred_messages_over_kept_connections():
    d, m = world(**UNIX)
    t = m.talk().greet()
    for n in range(100):
        m.send(talk=t, rcpts=["joe@example.org", "ann@example.org"], body=f"Subject: {n}\r\n\r\n")
    t.quit()
    for user in ("joe", "ann"):
        got = sorted(int(re.search(rb"(?m)^Subject: (\d+)$", text)[1]) for text in d.mail(user, 100))
        assert got == list(range(100)), got
    m.empty()
    assert "conn_use=" in m.log()


house.BIN = f"{ROOT}/build/release/bin"

if __name__ == "__main__":
    if len(sys.argv) > 1:
        house.BIN = os.path.abspath(sys.argv[1])
    failed = 0
    for name, fn in sorted((n, f) for n, f in globals().items() if n.startswith("test_")):
        try:
            fn()
            print(f"ok {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
    sys.exit(failed != 0)
