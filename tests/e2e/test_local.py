# SPDX-License-Identifier: Apache-2.0
"""Mail for this host: aliases, lists, .forward files, commands, files, mailboxes.

As root with a user database of the story's own (a private mount over /etc/passwd), or where that cannot be had with accounts
that every system has; as anybody else with the caller as the only user."""
import contextlib, os, pwd, re, stat, subprocess

import house, sink

ROOT = os.geteuid() == 0
OWN_DATABASE = ROOT and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
IDS = {"alice": 20001, "bob": 20002, "carol": 20003}
COMMON = {"alice": "daemon", "bob": "games", "carol": "mail"}


def name_of(who):
    """What a person of the stories is called here; None when there is no such account."""
    if OWN_DATABASE:
        return who
    return COMMON[who] if ROOT else pwd.getpwuid(os.geteuid()).pw_name if who == "alice" else None


def uid_of(who): return IDS[who] if OWN_DATABASE else pwd.getpwnam(name_of(who)).pw_uid


def with_names(text): return re.sub(r"\b(alice|bob|carol)\b", lambda m: name_of(m[0]) or m[0], text)


class Town(house.Postroad):
    """A Postroad whose local users are alice, bob and carol; aliases as text; forwards by user; lists by name."""

    def __init__(self, aliases="", forwards=None, lists=None, workers="1", own_forward_path=True, sink=None, **settings):
        super().__init__(sink=sink, start=False, **settings)
        os.chmod(self.dir, 0o711)
        self.mail, self.home, self.out = f"{self.dir}/mail", f"{self.dir}/home", f"{self.dir}/out"
        for d in (self.mail, self.home, self.out):
            os.mkdir(d)
        os.chmod(self.mail, 0o1777)
        os.chmod(self.out, 0o1777)
        self.aliases(aliases)
        for who in IDS:
            if name_of(who):
                os.mkdir(f"{self.home}/{name_of(who)}")
                if ROOT:
                    os.chown(f"{self.home}/{name_of(who)}", uid_of(who), -1)
        for who, text in (forwards or {}).items():
            if name_of(who):
                self.forward(who, text)
        for name, text in (lists or {}).items():
            self.write(f"{self.dir}/{name}", with_names(text))
        mine = dict(mydestination="mx.test, localhost", myorigin="mx.test", local_recipient_maps="", recipient_delimiter="+",
                    alias_maps=f"texthash:{self.dir}/aliases", mail_spool_directory=self.mail)
        if own_forward_path:
            mine["forward_path"] = f"{self.home}/$user/.forward${{recipient_delimiter}}${{extension}}, {self.home}/$user/.forward"
        self.settings.update({**mine, **settings})
        self.services.append(f"local unix - n n - {workers} local")
        self.write_config()
        self.start()

    def write(self, path, text):
        with open(path, "w") as f:
            f.write(text)

    def aliases(self, text):
        self.write(f"{self.dir}/aliases", with_names(text.replace("$OUT", self.out).replace("$DIR", self.dir)))

    def forward(self, who, text):
        path = f"{self.home}/{name_of(who)}/.forward"
        self.write(path, with_names(text.replace("$OUT", self.out)))
        if ROOT:
            os.chown(path, uid_of(who), -1)
        return path

    def start(self):
        if not OWN_DATABASE:
            return super().start()
        people = "".join(f"{n}:x:{u}:65534::{self.home}/{n}:/bin/sh\n" for n, u in IDS.items())
        self.write(f"{self.dir}/passwd", f"root:x:0:0::/root:/bin/sh\n{people}nobody:x:65534:65534::/nonexistent:/bin/sh\n")
        os.chmod(f"{self.dir}/passwd", 0o644)
        script = 'mount --make-rprivate / && mount --bind "$0" /etc/passwd && exec "$@"'
        p = subprocess.run(["unshare", "-m", "sh", "-c", script, f"{self.dir}/passwd", f"{house.BIN}/postroad", "-c", self.dir, "start"],
                           env=self.env, text=True, capture_output=True, timeout=60)
        assert p.returncode == 0, p.stdout + p.stderr

    def send_to(self, *rcpts, **kw): return self.send(rcpts=[with_names(r) for r in rcpts], **kw)

    def mailbox(self, who):
        try:
            with open(f"{self.mail}/{name_of(who)}", "rb") as f:
                return f.read().decode()
        except FileNotFoundError:
            return ""

    def wait_mailbox(self, who, text="Subject: hello"):
        def look():
            got = self.mailbox(who)
            return got if text in got and got.endswith("\n\n") else None
        look.__doc__ = f"{text!r} in the mailbox of {who}"
        return house.wait_until(look)

    def written(self, name, text=""):
        def look():
            with contextlib.suppress(OSError), open(f"{self.out}/{name}") as f:
                got = f.read()
                return got if got and text in got else None
        look.__doc__ = f"file {name} with {text!r}"
        return house.wait_until(look)

    def logged(self, qid, to, status, text=".*"):
        return self.wait_log(rf"/local\[\d+\]: {qid}: to=<{re.escape(with_names(to))}>, (orig_to=<[^>]*>, )?relay=local, delay=\S+, "
                             rf"delays=\S+, dsn=\d\.\d+\.\d+, status={status} \({text}\)$")


def count(text, part): return text.count(part)


def several(story):
    """For stories that take more users than the caller."""
    def run():
        if ROOT:
            story()
        else:
            print(f"{story.__name__}: needs root")
    run.__name__, run.__doc__ = story.__name__, story.__doc__
    return run


def test_mail_to_a_user_goes_into_his_mailbox():
    m = Town()
    body = b"Subject: hello\r\n\r\nFrom here\r\n.dot\r\n\r\n>From there\r\nlast\r\n"
    qid = m.send_to("alice@mx.test", body=body)
    got = m.wait_mailbox("alice")
    me = with_names("alice@mx.test")
    assert re.match(r"From alice@client\.test  \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n"
                    rf"Return-Path: <alice@client\.test>\nX-Original-To: {me}\nDelivered-To: {me}\nReceived: ", got), got
    assert got.endswith("Subject: hello\n\n>From here\n.dot\n\n>>From there\nlast\n\n") or \
        got.endswith("Subject: hello\n\n>From here\n.dot\n\n>From there\nlast\n\n"), got
    m.logged(qid, "alice@mx.test", "sent", "delivered to mailbox")
    m.empty()
    st = os.stat(f"{m.mail}/{name_of('alice')}")
    assert stat.S_IMODE(st.st_mode) == 0o600 and st.st_uid == uid_of("alice"), oct(st.st_mode)
    m.send(rcpts=f"{name_of('alice').upper()}+ext@localhost")
    house.wait_until(lambda: count(m.mailbox("alice"), "\nReturn-Path: ") == 2)


def test_maildirs():
    m = Town(mail_spool_directory="/nowhere")
    m.stop()
    m.settings["mail_spool_directory"] = m.mail + "/"
    m.write_config()
    m.start()
    qid = m.send_to("alice@mx.test", sender="")
    m.logged(qid, "alice@mx.test", "sent", "delivered to maildir")
    box = f"{m.mail}/{name_of('alice')}"
    files = os.listdir(f"{box}/new")
    assert len(files) == 1 and os.path.isdir(f"{box}/tmp") and os.path.isdir(f"{box}/cur") and os.listdir(f"{box}/tmp") == []
    with open(f"{box}/new/{files[0]}") as f:
        got = f.read()
    assert got.startswith(f"Return-Path: <>\nX-Original-To: {with_names('alice@mx.test')}\nDelivered-To: "), got
    assert got.endswith("\nSubject: hello\n\nhello\n"), got


def test_home_mailbox_and_forward_in_the_home_directory():
    if not OWN_DATABASE:
        return print("needs a user database of its own")
    m = Town(home_mailbox="Mail/", own_forward_path=False)
    qid = m.send_to("bob@mx.test")
    m.logged(qid, "bob@mx.test", "sent", "delivered to maildir")
    assert len(os.listdir(f"{m.home}/bob/Mail/new")) == 1
    m.forward("carol", "bob")
    m.send_to("carol@mx.test")
    house.wait_until(lambda: len(os.listdir(f"{m.home}/bob/Mail/new")) == 2)


def test_an_unknown_user_bounces():
    s = sink.Sink()
    m = Town(sink=s)
    qid = m.send_to("nosuch+x@mx.test")
    m.logged(qid, "nosuch+x@mx.test", "bounced", r'unknown user: "nosuch\+x"')
    notice = s.wait(1)[0]
    assert notice.sender == "" and notice.rcpts == ["alice@client.test"] and b'unknown user: "nosuch+x"' in notice.content
    assert b"Status: 5.1.1" in notice.content


def test_hostile_names_are_plain_unknown_users():
    s = sink.Sink()
    m = Town(sink=s, luser_relay="")
    names = ['"../../etc/x"', '"|id > $OUT/x"'.replace("$OUT", m.out), "/etc/passwd", "|id", '":include:/etc/passwd"', r'"\\root"', '"a$(id)"',
             "${home}", "-f", "`id`", "owner-"]
    m.send_to(*[f"{n}@mx.test" for n in names])
    m.wait_log(r"status=bounced \(unknown user: ", len(names))
    assert s.wait(1)[0].rcpts == ["alice@client.test"]
    assert os.listdir(m.out) == [] and os.listdir(m.mail) == []
    m.empty()


@several
def test_an_alias_of_several_gives_each_a_state_of_his_own():
    s = sink.Sink()
    m = Town(sink=s, aliases="staff: alice, bob@localhost, far@example.org, nosuch\n", forwards={"bob": "|exit 75"})
    qid = m.send_to("staff@mx.test")
    m.wait_mailbox("alice")
    forwarded = m.logged(qid, "staff@mx.test", "sent", "forwarded as ([0-9A-F]{16})")[0][2]
    m.logged(forwarded, "bob@localhost", "deferred")
    m.logged(forwarded, "nosuch@mx.test", "bounced")
    got = s.wait(2)
    assert sorted(r for g in got for r in g.rcpts) == ["alice@client.test", "far@example.org"]
    far = [g for g in got if g.rcpts == ["far@example.org"]][0]
    assert far.sender == "alice@client.test" and far.header("Delivered-To") == "staff@mx.test"
    assert far.content.count(b"Received: ") == 2
    m.run("queue", "flush")                        # bob's trouble is nobody else's
    m.wait_log(rf"{forwarded}: to=<{with_names('bob')}@localhost>.*status=deferred", 2)
    assert count(m.mailbox("alice"), "Return-Path") == 1


def test_an_alias_of_one_user_is_that_user():
    m = Town(aliases="Postmaster: root\nroot: alice\n")
    qid = m.send_to("postmaster@mx.test")
    got = m.wait_mailbox("alice")
    assert "X-Original-To: postmaster@mx.test\nDelivered-To: postmaster@mx.test\n" in got
    m.logged(qid, "postmaster@mx.test", "sent", "delivered to mailbox")


def test_a_changed_alias_table_holds_at_once():
    s = sink.Sink()
    m = Town(sink=s, aliases="x: far@example.org\n")
    m.send_to("x@mx.test")
    s.wait(1)
    m.aliases("x: alice\n")
    m.send_to("x@mx.test")
    house.wait_until(lambda: m.mailbox("alice") or (m.send_to("x@mx.test") and False), step=1)


def test_bounces_of_a_list_go_to_its_owner():
    s = sink.Sink(sink.refuse("rcpt", "gone@", "550 5.1.1 moved"))
    m = Town(sink=s, aliases="list: gone@example.org, there@example.org\nowner-list: alice\n")
    m.send_to("list@mx.test")
    there = s.wait(1)[0]
    assert there.sender == "owner-list@mx.test" and there.rcpts == ["there@example.org"]
    got = m.wait_mailbox("alice", "550 5.1.1 moved")
    assert "X-Original-To: owner-list@mx.test" in got and "Return-Path: <>" in got
    assert [g.rcpts for g in s.messages] == [["there@example.org"]]        # the writer hears nothing


def test_a_list_from_a_file():
    s = sink.Sink()
    m = Town(sink=s, aliases="list: :include:$DIR/members\n", lists={"members": "# friends\na@example.org, B <b@example.org>\nc@example.org\n"})
    m.send_to("list@mx.test")
    assert sorted(s.wait(1)[0].rcpts) == ["a@example.org", "b@example.org", "c@example.org"]
    m.write(f"{m.dir}/members", "a@example.org\n|id\n")
    qid = m.send_to("list@mx.test")
    m.logged(qid, "list@mx.test", "bounced", "mail to command is restricted")


def test_commands_say_by_their_exit_status_what_became_of_the_mail():
    s = sink.Sink()
    m = Town(sink=s, aliases='ok: "|cat >$OUT/ok; env >$OUT/env; pwd >$OUT/pwd"\nlater: "|echo try later; exit 75"\n'
             'never: "|echo not allowed; exit 77"\nesc: "|echo 5.2.2 full up; exit 1"\n', export_environment="TZ FIXED=value",
             default_privs=name_of("alice"))
    qid = m.send_to("ok+ex$t@mx.test", sender="s`id`@client.test")
    m.logged(qid, "ok+ex$t@mx.test", "sent", "delivered to command: cat .*")
    ok, env = m.written("ok", "hello"), dict(l.split("=", 1) for l in m.written("env", "USER=").splitlines())
    assert ok.startswith("From s`id`@client.test  ") and "\nDelivered-To: ok+ex$t@mx.test\n" in ok and ok.endswith("\nhello\n")
    assert env["USER"] == "ok" and env["EXTENSION"] == "ex_t" and env["LOCAL"] == "ok+ex_t" and env["DOMAIN"] == "mx.test"
    assert env["SENDER"] == "s_id_@client.test" and env["RECIPIENT"] == "ok+ex_t@mx.test" and env["CLIENT_ADDRESS"] == "127.0.0.1"
    assert env["CLIENT_HELO"] == "client.test" and env["CLIENT_PROTOCOL"] == "ESMTP" and env["FIXED"] == "value"
    assert set(env) <= {"USER", "LOGNAME", "HOME", "SHELL", "EXTENSION", "LOCAL", "DOMAIN", "SENDER", "RECIPIENT", "ORIGINAL_RECIPIENT",
                        "CLIENT_ADDRESS", "CLIENT_HELO", "CLIENT_HOSTNAME", "CLIENT_PROTOCOL", "FIXED", "TZ", "PATH", "PWD", "SHLVL", "_", "OLDPWD"}, env
    m.logged(m.send_to("later@mx.test"), "later@mx.test", "deferred", ".*try later.*")
    m.logged(m.send_to("never@mx.test"), "never@mx.test", "bounced", ".*not allowed.*")
    m.logged(m.send_to("esc@mx.test"), "esc@mx.test", "bounced", ".*full up.*")
    m.wait_log(r"to=<esc@mx\.test>.*dsn=5\.2\.2, ")
    assert b"not allowed" in b"".join(g.content for g in s.wait(2))


def test_commands_of_a_table_that_root_owns_are_run_as_nobody():
    if not ROOT:
        return print("needs root")
    m = Town(aliases='who: "|id -u >$OUT/id"\n')
    m.send_to("who@mx.test")
    assert m.written("id").strip() == str(pwd.getpwnam("nobody").pw_uid)
    os.chown(f"{m.dir}/aliases", uid_of("bob"), -1)
    os.unlink(f"{m.out}/id")
    m.send_to("who@mx.test")
    assert m.written("id").strip() == str(uid_of("bob"))


def test_a_command_inherits_nothing_of_ours():
    m = Town(aliases='fds: "|ls /proc/self/fd >$OUT/fds"\nenv: "|env >$OUT/env"\n', default_privs=name_of("alice"))
    m.send_to("fds@mx.test")
    assert m.written("fds").split() == ["0", "1", "2", "3"]       # 3: ls reading the directory
    m.send_to("env@mx.test")
    names = {line.partition("=")[0] for line in m.written("env", "PATH=").splitlines()}
    assert not names & {"POSTROAD_CLOCK", "LISTEN_FDS", "NOTIFY_SOCKET", "LD_PRELOAD"} and "SENDER" in names, names


def test_files():
    m = Town(aliases="file: $OUT/archive\ndir: $OUT/dir/\nnull: /dev/null\n", default_privs=name_of("alice"))
    m.logged(m.send_to("file@mx.test"), "file@mx.test", "sent", "delivered to file: .*/archive")
    assert m.written("archive", "hello").startswith("From alice@client.test  ")
    m.logged(m.send_to("dir@mx.test"), "dir@mx.test", "sent", "delivered to maildir: .*/dir/")
    assert len(os.listdir(f"{m.out}/dir/new")) == 1
    m.logged(m.send_to("null@mx.test"), "null@mx.test", "sent")
    m.stop()
    m.settings["allow_mail_to_files"] = "forward"
    m.write_config()
    m.start()
    m.logged(m.send_to("file@mx.test"), "file@mx.test", "bounced", "mail to file is restricted")


def test_a_user_keeps_a_copy_and_forwards():
    s = sink.Sink()
    m = Town(sink=s, forwards={"alice": "# mine\n\\alice, far@example.org\n|\"cat >$OUT/got\"\n"})
    qid = m.send_to("alice@mx.test")
    m.wait_mailbox("alice")
    m.written("got", "hello")
    assert s.wait(1)[0].rcpts == ["far@example.org"]
    m.logged(qid, "alice@mx.test", "sent", r"delivered to mailbox, delivered to command: .*, forwarded as [0-9A-F]{16}")
    assert os.stat(f"{m.out}/got").st_uid == uid_of("alice")


def test_what_was_done_is_not_done_again_when_the_rest_waits():
    m = Town(aliases='x: "|echo x >>$OUT/first", "|test -e $OUT/go || exit 75", $OUT/last\n', default_privs=name_of("alice"))
    qid = m.send_to("x@mx.test")
    m.logged(qid, "x@mx.test", "deferred")
    m.written("last", "hello")
    m.run("queue", "flush")
    m.wait_log(rf"{qid}: .*status=deferred", 2)
    open(f"{m.out}/go", "w").close()
    m.run("queue", "flush")
    m.logged(qid, "x@mx.test", "sent", r"delivered to command: .*, delivered to command: .*, delivered to file: .*")
    assert m.written("first") == "x\n" and count(m.written("last"), "Return-Path") == 1
    m.empty()


def test_a_forwarding_loop_is_found():
    s = sink.Sink()
    m = Town(sink=s, aliases="a: b\nb: a\nx: far@example.org\n", forwards={"alice": "bob\n", "bob": "alice@localhost, alice\n"})
    m.logged(m.send_to("a@mx.test"), "a@mx.test", "bounced", "alias database loop for a")
    if ROOT:
        qid = m.send_to("alice@mx.test")
        second = m.logged(qid, "alice@mx.test", "sent", "forwarded as ([0-9A-F]{16})")[0][2]
        third = m.logged(second, "bob@mx.test", "sent", "forwarded as ([0-9A-F]{16})")[0][2]
        m.logged(third, "alice@mx.test", "bounced", rf"mail forwarding loop for {name_of('alice')}@mx\.test")
    qid = m.send_to("x@mx.test", body=b"Subject: x\r\nDelivered-To:\r\n X@MX.test\r\n\r\nhello\r\n")
    m.logged(qid, "x@mx.test", "bounced", r"mail forwarding loop for x@mx\.test")
    qid = m.send_to("x@mx.test", body=b"Subject: x\r\n\r\nDelivered-To: x@mx.test\r\n")
    m.logged(qid, "x@mx.test", "sent", "forwarded as .*")


def test_forward_files_that_are_not_safe_are_not_followed():
    s = sink.Sink()
    m = Town(sink=s, forwards={"alice": "far@example.org\n"})
    path = f"{m.home}/{name_of('alice')}/.forward"
    os.chmod(path, 0o666)
    m.send_to("alice@mx.test")
    m.wait_mailbox("alice")
    os.unlink(path)
    os.mkfifo(path)
    if ROOT:
        os.chown(path, uid_of("alice"), -1)
    m.send_to("alice@mx.test")
    house.wait_until(lambda: count(m.mailbox("alice"), "Return-Path") == 2)
    os.unlink(path)
    os.mkdir(path)
    m.send_to("alice@mx.test")
    house.wait_until(lambda: count(m.mailbox("alice"), "Return-Path") == 3)
    os.rmdir(path)
    with open(path, "w") as f:
        f.write("a" * (1 << 20))
    if ROOT:
        os.chown(path, uid_of("alice"), -1)
    m.send_to("alice@mx.test")
    house.wait_until(lambda: count(m.mailbox("alice"), "Return-Path") == 4)
    os.truncate(path, 100000)
    qid = m.send_to("alice@mx.test")
    m.logged(qid, "alice@mx.test", "deferred", "expansion: not an address: .*")
    assert len(m.wait_log(r"warning: user \S+: .*\.forward", 4)) == 4
    assert s.messages == []


@several
def test_a_forward_file_of_somebody_else_is_not_followed():
    s = sink.Sink()
    m = Town(sink=s, forwards={"alice": "far@example.org\n", "bob": "far@example.org\n"})
    path = f"{m.home}/{name_of('alice')}/.forward"
    os.chown(path, uid_of("bob"), -1)
    os.chmod(path, 0o644)
    m.send_to("alice@mx.test")
    m.wait_mailbox("alice")
    os.unlink(path)
    os.symlink(f"{m.home}/{name_of('bob')}/.forward", path)
    os.lchown(path, uid_of("alice"), -1)
    m.send_to("alice@mx.test")
    house.wait_until(lambda: count(m.mailbox("alice"), "Return-Path") == 2 or
                     re.search(r"to=<\S+>, relay=local.*status=deferred", m.log()))
    assert s.messages == []


def test_mailbox_command():
    m = Town(mailbox_command="cat >$DIR/cmd-$USER-\"$EXTENSION\"")
    m.stop()
    m.settings["mailbox_command"] = f'cat >{m.out}/cmd-"$EXTENSION"; id -u >{m.out}/id; exit 0'
    m.write_config()
    m.start()
    qid = m.send_to("alice+lists@mx.test")
    m.logged(qid, "alice+lists@mx.test", "sent", "delivered to command: cat .*")
    assert m.written("cmd-lists", "hello") and m.written("id").strip() == str(uid_of("alice"))


def test_where_unknown_users_mail_goes():
    s = sink.Sink()
    m = Town(sink=s, luser_relay="catch+$local@example.org")
    m.send_to("nosuch@mx.test")
    assert s.wait(1)[0].rcpts == ["catch+nosuch@example.org"]


def test_a_table_that_cannot_be_read_only_delays_mail():
    m = Town(aliases="x: alice\n")
    os.rename(f"{m.dir}/aliases", f"{m.dir}/away")
    qid = m.send_to("x@mx.test")
    m.logged(qid, "x@mx.test", "deferred", "alias lookup: .*")
    os.rename(f"{m.dir}/away", f"{m.dir}/aliases")
    house.wait_until(lambda: m.run("queue", "flush") == "never" or m.mailbox("alice"), step=1)


def test_without_root_only_the_callers_mail_is_delivered():
    if ROOT:
        return print("LEFT OUT: must not be root")
    m = Town()
    qid = m.send_to("daemon@mx.test", "alice@mx.test")
    m.wait_mailbox("alice")
    m.logged(qid, "daemon@mx.test", "deferred")


def test_a_transport_takes_the_place_of_the_mailbox():
    busy = sink.for_a_while(sink.refuse("rcpt", "@mx.test", "450 4.2.0 later"), 1)
    other, s = sink.Sink(busy), sink.Sink()
    m = Town(sink=s, aliases="root: alice\n", forwards={"alice": "\\alice, far@example.org\n"}, minimal_backoff_time="1s",
             mailbox_transport=f"smtp:[127.0.0.1]:{other.port}", queue_run_delay="1s")
    qid = m.send_to("alice+x@mx.test", "nosuch@mx.test")
    house.wait_until(lambda: {r for g in other.messages for r in g.rcpts} == {with_names("alice+x@mx.test"), "nosuch@mx.test"})
    m.wait_log(rf"/smtp\[\d+\]: {qid}: to=<nosuch@mx\.test>, relay=127\.0\.0\.1.*status=sent")
    m.empty()
    m.send_to("root@mx.test")                      # as the user, not as the alias
    house.wait_until(lambda: with_names("alice@mx.test") in [r for g in other.messages for r in g.rcpts])
    m.empty()
    assert [g.rcpts for g in s.messages] == [["far@example.org"]] * 2
    assert os.listdir(m.mail) == []


def test_a_transport_for_users_that_are_not_there():
    other = sink.Sink()
    m = Town(fallback_transport=f"smtp:[127.0.0.1]:{other.port}", aliases="gone: nosuch\n")
    m.send_to("alice@mx.test", "gone@mx.test")
    m.wait_mailbox("alice")
    assert other.wait(1)[0].rcpts == ["nosuch@mx.test"]
    m.stop()
    m.settings["fallback_transport"] = "local:"
    m.write_config()
    m.start()
    m.logged(m.send_to("nosuch@mx.test"), "nosuch@mx.test", "deferred", 'mailboxes have transport "local:", which is no other')


@several
def test_a_list_that_a_user_keeps_has_his_rights():
    s = sink.Sink()
    m = Town(sink=s, aliases="list: :include:$DIR/members\n", lists={"members": ""},
             allow_mail_to_commands="alias, forward, include")
    m.write(f"{m.dir}/members", f'a@example.org\n"|id -u >{m.out}/id"\n')
    os.chmod(f"{m.dir}/members", 0o600)
    os.chown(f"{m.dir}/members", uid_of("carol"), -1)
    m.send_to("list@mx.test")
    assert s.wait(1)[0].rcpts == ["a@example.org"] and m.written("id").strip() == str(uid_of("carol"))
    os.chmod(f"{m.dir}/members", 0o666)
    m.logged(m.send_to("list@mx.test"), "list@mx.test", "deferred", ".*can be written by everybody.*")


@several
def test_a_slow_command_holds_up_nobody_else():
    m = Town(forwards={"alice": "|sleep 60"})
    for _ in range(6):
        m.send_to("alice@mx.test")
    house.wait_until(lambda: len(m.processes().get("deliver", [])) >= 2 or m.log().count("from=<alice@client.test>") == 6)
    m.send_to("bob@mx.test")
    m.wait_mailbox("bob")


def test_mail_survives_the_death_of_local():
    m = Town(forwards={"alice": "|echo x >>$OUT/begun; test -e $OUT/go || sleep 60; cat >$OUT/got"})
    m.send_to("alice@mx.test")
    m.written("begun")
    open(f"{m.out}/go", "w").close()
    m.kill("local")
    house.wait_until(lambda: m.run("queue", "flush", check=False) == "never" or os.path.exists(f"{m.out}/got"), step=0.5)
    assert "hello" in m.written("got", "hello")
    m.empty()


def test_mail_for_root_is_delivered_as_nobody():
    if not ROOT:
        return print("needs root")
    m = Town()
    m.logged(m.send_to("root@mx.test"), "root@mx.test", "sent", "delivered to mailbox")
    assert os.stat(f"{m.mail}/root").st_uid == pwd.getpwnam("nobody").pw_uid
