#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make demo: a whole Postroad as the calling user in a directory of its own, with a sink that its mail goes to, and a tour of
what it does.  make run (--stay): the same left running in the foreground.  Nothing leaves this machine: the sink is the relay
host of all mail, and only 127.0.0.1 is listened on."""
import argparse, os, shutil, signal, socket, subprocess, sys, tempfile, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import house, sink

BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def step(text): print(f"\n{BOLD}-- {text}{PLAIN}", flush=True)


def show(command, output, cut=12):
    print(f"$ {command}")
    lines = output.rstrip().split("\n")
    print("\n".join("  " + l for l in lines[:cut]) + ("\n  …" if len(lines) > cut else ""), flush=True)


def port_from(wanted):
    """The port wanted, or the next one that is free."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port != wanted:
                print(f"Port {wanted} is taken; using {port}.")
            return port
    sys.exit("no free port")


class Demo(house.Postroad):
    def __init__(self, the_sink):
        self.last = 0
        super().__init__(sink=the_sink, start=False, minimal_backoff_time="2s", maximal_backoff_time="10s", queue_run_delay="2s",
                         myhostname="mx.demo.test")
        self.port = port_from(2525)
        self.services[0] = f"127.0.0.1:{self.port} inet n - n - 2 smtpd"
        self.write_config()

    def command(self, *words):
        show(f"postroad -c {self.dir} {' '.join(words)}", self.run(*words, check=False))

    def new_log(self, want, seconds=10):
        """Show the log lines that say `want`."""
        found = self.wait_log(want, seconds=seconds)
        line = self.log()[:found[-1].end()].split("\n")[-1] + self.log()[found[-1].end():].split("\n")[0]
        print("  " + line, flush=True)


def rules():
    later = sink.for_a_while(sink.refuse("rcpt", "busy@", "450 4.2.2 mailbox is busy, try again later"), 3)
    return [sink.refuse("rcpt", "nobody@", "550 5.1.1 there is no such mailbox"), later]


def tour(mta, the_sink):
    step(f"a message that is delivered (sink on port {the_sink.port} plays the world)")
    qid = mta.send("you@demo.test", "friend@example.org", b"From: you@demo.test\r\nTo: friend@example.org\r\n"
                   b"Subject: hello\r\nMessage-ID: <demo1@demo.test>\r\n\r\nHello, world.\r\n")
    got = the_sink.wait(1)[0]
    print(f"  accepted as {qid}; the sink got {len(got.content)} bytes, Subject: {got.header('Subject')}")
    mta.new_log(f"{qid}: to=<friend@example.org>.*status=sent")
    step("one that has to wait, and why")
    qid = mta.send("you@demo.test", "busy@example.org")
    mta.new_log(f"{qid}: to=<busy@example.org>.*status=deferred")
    mta.command("queue")
    step("one that comes back")
    qid = mta.send("you@demo.test", "nobody@example.org")
    mta.new_log(f"{qid}: to=<nobody@example.org>.*status=bounced")
    house.wait_until(lambda: [m for m in the_sink.messages if m.rcpts == ["you@demo.test"]])
    notice = [m for m in the_sink.messages if m.rcpts == ["you@demo.test"]][0]
    print(f"  the sender gets: {notice.header('Subject')} ({notice.header('Content-Type').split(';')[0]})")
    step("kill -9 of the queue manager: the queue comes back from disk")
    the_sink.rules.insert(0, sink.refuse("rcpt", "patient@", "450 4.3.2 closed for the tour"))
    kept = mta.send("you@demo.test", "patient@example.org")
    mta.wait_log(f"{kept}: .*status=deferred")
    pid = mta.kill("qmgr")
    print(f"  killed qmgr, pid {pid}")
    house.wait_until(lambda: [p for p in mta.processes().get("qmgr", []) if p != pid])
    mta.command("queue")
    the_sink.rules.pop(0)
    mta.run("queue", "flush", check=False)
    house.wait_until(lambda: [m for m in the_sink.messages if m.rcpts == ["patient@example.org"]])
    mta.new_log(f"{kept}: to=<patient@example.org>.*status=sent")
    house.wait_until(lambda: [m for m in the_sink.messages if m.rcpts == ["busy@example.org"]])
    mta.empty()
    step("the queue is empty again")
    mta.command("queue")
    mta.command("status")


def stay(mta, the_sink):
    print(f"""
Running until Ctrl-C, in {mta.dir}.
  SMTP                 127.0.0.1:{mta.port}
  all mail goes to     127.0.0.1:{the_sink.port} (a sink in this process; nobody@… is refused, busy@… is put off)
  the queue            build/release/bin/postroad -c {mta.dir} queue
  the log              {mta.maillog}
""", flush=True)
    seen = 0
    try:
        while True:
            time.sleep(0.2)
            for m in the_sink.messages[seen:]:
                print(f"delivered: from=<{m.sender}> to={','.join(m.rcpts)} {len(m.content)} bytes Subject: {m.header('Subject')}", flush=True)
                seen += 1
    except KeyboardInterrupt:
        print("\nstopping")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--stay", action="store_true")
    a.add_argument("bin")
    a = a.parse_args()
    house.BIN = os.path.abspath(a.bin)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.time()
    the_sink = sink.Sink(*rules(), name="world.test")
    mta = Demo(the_sink)
    try:
        step(f"starting Postroad on 127.0.0.1:{mta.port} in {mta.dir}")
        mta.start()
        for program, pids in sorted(mta.processes().items()):
            print(f"  {program:9} {' '.join(map(str, pids))}")
        if a.stay:
            stay(mta, the_sink)
        else:
            tour(mta, the_sink)
        step("stopping")
        mta.stop()
        assert not mta.all_pids(), "something is still running"
    except BaseException:
        print(mta.log()[-3000:], mta.said[-2000:], file=sys.stderr)
        raise
    finally:
        house.clean_up()
    print(f"\nAll done in {time.time() - began:.1f} s; nothing is left running.")


if __name__ == "__main__":
    main()
