# SPDX-License-Identifier: Apache-2.0
"""postroad check: what is wrong, where, and how to mend it; and nothing about what is good."""
import json, os

import house, sink


def check(m, *args):
    """What it says, a line each, without the name of the command."""
    m.said = ""
    m.run("check", *args, check=False)
    return m.said.replace("postroad check: ", "")


def quiet(**settings):
    m = house.Postroad(start=False, mynetworks="127.0.0.0/8", myhostname="mx.postroad.net", **settings)
    m.settings.setdefault("alias_maps", "")
    m.settings.setdefault("alias_database", "")
    m.settings["local_recipient_maps"] = ""
    m.write_config()
    return m


def test_a_good_configuration_is_passed_over_in_silence():
    m = quiet()
    said = check(m)
    if os.geteuid() == 0:
        assert said == "warning: mail_owner = root: all processes run as root, none is kept from harm by another\n", said
    else:
        assert said == "", said
    assert m.status == 0
    m.start()
    assert "error" not in check(m) and m.status == 0


def test_errors_in_main_cf_have_a_place_and_a_caret():
    m = quiet()
    with open(f"{m.dir}/main.cf", "a") as f:
        f.write("smtpd_timeout = soon\nmynetwork = 127.0.0.0/8\n")
    said = check(m)
    line = open(f"{m.dir}/main.cf").read().splitlines().index("smtpd_timeout = soon") + 1
    assert f'error: {m.dir}/main.cf:{line}:17: smtpd_timeout: not a time: "soon"\n' in said, said
    assert f"{line:7} | smtpd_timeout = soon\n        |                 ^\n" in said, said
    assert 'unknown setting "mynetwork"' in said and "mynetworks" in said, said
    assert m.status == 1
    found = json.loads(m.run("--json", "check", check=False))
    assert {"severity": "error", "file": f"{m.dir}/main.cf", "line": line, "column": 17,
            "text": 'smtpd_timeout: not a time: "soon"'} in found, found


def test_errors_in_master_cf_have_a_place_and_a_caret():
    m = quiet()
    with open(f"{m.dir}/master.cf", "a") as f:
        f.write("x unix - - n - 1 nosuch\n")
    said = check(m)
    assert f"error: {m.dir}/master.cf:6:18: expected a program in daemon_directory" in said, said
    assert "      6 | x unix - - n - 1 nosuch\n        |                  ^\n" in said, said
    assert m.status == 1


BROKEN = [
    ({"mynetworks": "0.0.0.0/0"}, "mynetworks: open relay: strangers such as 192.0.2.77 may send mail anywhere through this host"),
    ({"mynetworks": "127.0.0.0/8, [2000::]/3"}, "mynetworks: open relay: strangers such as 2001:db8::77 may send"),
    ({"relay_domains": "invalid"}, "relay_domains: open relay: strangers may send mail to any domain"),
    ({"default_transport": "uucp:somewhere"}, 'default_transport: there is no service "uucp unix" in master.cf'),
    ({"canonical_maps": "hash:/nonexistent/canonical"}, "canonical_maps: /nonexistent/canonical does not exist: create it, or take it out of canonical_maps"),
]


def test_what_is_wrong_is_said_with_its_remedy():
    for settings, words in BROKEN:
        m = quiet(**{k: v for k, v in settings.items() if k != "mynetworks"})
        m.settings.update(settings)
        m.write_config()
        said = check(m)
        assert words in said and m.status == 1, (settings, said)
        house.clean_up()


def test_what_is_odd_is_a_warning():
    m = quiet(mydestination="example.net", virtual_mailbox_domains="example.net", virtual_mailbox_base="/tmp",
              master=["virtual unix - n n - - virtual", "local unix - n n - - local"])
    m.settings["myhostname"] = "mailhost"
    with open(f"{m.dir}/aliases", "w") as f:
        f.write("postmaster: alice\n")
    m.settings["alias_maps"] = f"texthash:{m.dir}/aliases"
    m.write_config()
    said = check(m)
    assert 'myhostname: "mailhost" has no domain' in said, said
    assert "virtual_mailbox_domains: example.net is in mydestination, too: list it in one of them" in said, said
    assert 'no alias for root: add "root: you"' in said and "no alias for postmaster" not in said, said
    assert "error:" not in said and m.status == 0, said


def test_a_malformed_table_is_named_with_its_line():
    m = quiet()
    with open(f"{m.dir}/canonical", "w") as f:
        f.write("a@example.org b@example.org\njust-a-key\n")
    m.settings["canonical_maps"] = f"texthash:{m.dir}/canonical"
    m.write_config()
    said = check(m)
    assert f"{m.dir}/canonical:2" in said and "error" in said and m.status == 1, said


def test_a_port_that_is_taken_is_said_with_who_has_it():
    m = quiet()
    other = sink.Sink()
    m.services[0] = m.services[0].replace(str(m.port), str(other.port))
    m.write_config()
    said = check(m)
    assert f"master.cf:1:1: python3 (pid {os.getpid()}) listens on 127.0.0.1:{other.port} already" in said, said


def test_the_whole_spool_is_read_and_nothing_changed():
    m = house.Postroad(relayhost="[127.0.0.1]:1", defer_transports="smtp")
    ids = [m.send(body=b"Subject: x\r\n\r\n" + b"a line of text\r\n" * 50) for _ in range(3)]
    for qid in ids:
        m.wait_log(qid + r".*status=deferred")
    m.stop()
    assert "3 messages of" in m.run("check", "--spool") and "0 damaged" in m.run("check", "--spool")
    path = [os.path.join(d, f) for d, _, fs in os.walk(m.spool) for f in fs if f == ids[1]][0]
    with open(path, "r+b") as f:
        whole = f.read()
        f.seek(whole.index(b"a line of text"))
        f.write(b"A")
    before = sorted(m.files())
    said = check(m, "--spool")
    assert f"error: deferred/{ids[1]}: damaged: " in said and m.status == 1, said
    got = json.loads(m.run("--json", "check", "--spool", check=False))
    assert got["good"] == 2 and got["damaged"] == 1 and got["unread"] == 0, got
    assert sorted(m.files()) == before


def test_a_reload_with_errors_keeps_what_there_was():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    before = m.processes()
    with open(f"{m.dir}/main.cf", "a") as f:
        f.write("smtpd_timeout = soon\n")
    m.said = ""
    m.run("reload", check=False)
    assert m.status == 1 and 'smtpd_timeout: not a time: "soon"' in m.said, m.said
    assert m.processes() == before
    m.talk().greet().quit()
