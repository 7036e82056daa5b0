# SPDX-License-Identifier: Apache-2.0
"""What each running daemon can do is what its line says (mail/promises.h): a library that a test's wrapper loads into it tries."""
import os, re, shutil, subprocess, tempfile

import house, sink

SERVICES = ["local unix - n n - - local", "virtual unix - n n - - virtual", "error unix - - n - 1 error",
            "discard unix - - n - 1 discard", "pickup unix n - n 60 1 pickup"]
DAEMONS = ("smtpd", "qmgr", "smtp", "bounce", "resolver", "pickup", "virtual", "error", "discard")

# Waits in the event loop for a file to appear whose name says what to try, and reports in the mail log (descriptor 3).
PROBE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

static void report(const char *what, int can)
{
	dprintf(3, "probe %s %s %s\n", program_invocation_short_name, what, can ? "can" : "cannot");
}

static int opens(const char *name, int flags) { int fd = open(name, flags, 0600); if (fd >= 0) close(fd); return fd >= 0; }
static int sockets(int family, int type) { int fd = socket(family, type, 0); if (fd >= 0) close(fd); return fd >= 0; }

static void look(void)
{
	static int harmless, deadly;
	const char *dir = getenv("PROBE_DIR");
	char name[200];

	snprintf(name, sizeof name, "%s/harmless", dir);
	if (!harmless && access(name, F_OK) == 0) {
		harmless = 1;
		snprintf(name, sizeof name, "%s/secret", dir);
		report("secret", opens(name, O_RDONLY));
		report("tmp", opens("/tmp/probe_was_here", O_WRONLY | O_CREAT));
		report("tcp", sockets(AF_INET, SOCK_STREAM));
		report("udp", sockets(AF_INET6, SOCK_DGRAM));
		report("packet", sockets(AF_PACKET, SOCK_RAW));
		report("change", opens("deferred/00/probe", O_WRONLY));
		report("read", opens("deferred/00/probe", O_RDONLY));
		report("code", mmap(0, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
		report("done", 1);
	}
	snprintf(name, sizeof name, "%s/execve", dir);
	if (!deadly && access(name, F_OK) == 0) {
		deadly = 1;
		execl("/bin/sh", "sh", "-c", "echo executed", (char *)0);
	}
	snprintf(name, sizeof name, "%s/ptrace", dir);
	if (!deadly && access(name, F_OK) == 0) {
		deadly = 1;
		ptrace(PTRACE_TRACEME, 0, 0, 0);
	}
}

int epoll_wait(int fd, struct epoll_event *e, int n, int ms)
{
	int (*real)(int, struct epoll_event *, int, int) = dlsym(RTLD_NEXT, "epoll_wait");
	int got;

	do {
		int step = ms < 0 || ms > 50 ? 50 : ms;

		got = real(fd, e, n, step);
		look();
		ms -= ms > 0 ? step : 0;
	} while (got == 0 && ms != 0);
	return got;
}
"""


def can_be_held():
    """Sanitized builds have no sandbox."""
    return not re.search(r"build/(asan|tsan|cov)", house.BIN)


class Probed:
    def __init__(self, **settings):
        self.dir = tempfile.mkdtemp(prefix="postroad-e2e-probe-")
        os.chmod(self.dir, 0o755)
        with open(f"{self.dir}/probe.c", "w") as f:
            f.write(PROBE)
        subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", f"{self.dir}/probe.so", f"{self.dir}/probe.c", "-ldl"], check=True)
        with open(f"{self.dir}/secret", "w") as f:
            f.write("nobody's business\n")
        os.mkdir(f"{self.dir}/bin")
        for name in os.listdir(house.BIN):
            if name in DAEMONS:
                with open(f"{self.dir}/bin/{name}", "w") as f:
                    f.write(f"#!/bin/bash\nexport LD_PRELOAD={self.dir}/probe.so PROBE_DIR={self.dir}\nexec -a {name} {house.BIN}/{name} \"$@\"\n")
                os.chmod(f"{self.dir}/bin/{name}", 0o755)
            elif os.path.isfile(f"{house.BIN}/{name}"):
                os.symlink(f"{house.BIN}/{name}", f"{self.dir}/bin/{name}")
        self.sink = sink.Sink()
        self.m = house.Postroad(sink=self.sink, master=SERVICES, start=False, daemon_directory=f"{self.dir}/bin",
                                virtual_mailbox_base=f"{self.dir}/boxes", worker_processes="1", **settings)
        # Not below the configuration directory, which all may read.
        self.m.settings["queue_directory"] = self.m.spool = f"{self.dir}/spool"
        self.m.write_config()
        self.m.start()
        os.makedirs(f"{self.m.spool}/deferred/00", exist_ok=True)
        with open(f"{self.m.spool}/deferred/00/probe", "w") as f:
            f.write("not a message")
        house.ALIVE.append(self)

    def trigger(self, name):
        with open(f"{self.dir}/{name}", "w"):
            pass

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def test_each_daemon_can_do_what_its_line_says():
    if not can_be_held():
        return
    p = Probed()
    p.trigger("harmless")
    can = {"smtp": {"tcp", "read"}, "qmgr": {"read", "change"}, "bounce": {"read"}, "resolver": {"tcp", "udp"}, "virtual": {"read"},
           "error": {"read"}, "discard": {"read"}}
    for daemon in DAEMONS:
        p.m.wait_log(f"^probe {daemon} done can")
        got = set(re.findall(rf"^probe {daemon} (\w+) can$", p.m.log(), re.M)) - {"done"}
        assert got == can.get(daemon, set()), (daemon, got)
    # The house complains of such lines: here they are what was to be shown.
    assert re.search(r"qmgr\[\d+\]: warning: system call socket \(\d+\) is not among the promises of qmgr", p.m.log())
    # It is none the worse for it.
    p.m.send()
    p.sink.wait(1)
    blank_promises(p.m)


def test_a_daemon_that_executes_a_program_dies_with_a_word():
    if not can_be_held():
        return
    for call in ("execve", "ptrace"):
        p = Probed(service_throttle_time="1s")
        before = p.m.processes()
        p.trigger(call)
        for daemon in DAEMONS:
            words = "ptrace" if call == "ptrace" else "execve"
            if daemon == "virtual" and call == "execve":   # it starts deliver, and nothing else
                continue
            p.m.wait_log(rf"{daemon}\[\d+\]: panic: system call {words} \(\d+\) is not among the promises of {daemon}$")
            p.m.wait_log(rf"master\[\d+\]: warning: process .*{daemon} pid {before[daemon][0]} killed by signal 31")
        assert "executed" not in p.m.log()
        os.unlink(f"{p.dir}/{call}")
        p.m.wait_log(r"postroad/qmgr\[\d+\]", count=1)
        blank_promises(p.m)
        house.clean_up()


def blank_promises(m):
    """The lines that were provoked are not held against the story."""
    m.stop(check=False)
    with open(m.maillog, "r+") as f:
        text = f.read().replace("is not among the promises", "was not among the promises")
        f.seek(0)
        f.write(text)


def test_without_the_sandbox_only_new_privileges_are_barred():
    m = house.Postroad(relayhost="[127.0.0.1]:1", sandbox="no")
    status = open(f"/proc/{m.processes()['qmgr'][0]}/status").read()
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t0" in status
    if can_be_held():
        m.settings["sandbox"] = "yes"
        m.write_config()
        qmgr = m.processes()["qmgr"]
        m.reload()
        status = open(f"/proc/{m.processes()['qmgr'][0]}/status").read()
        assert m.processes()["qmgr"] != qmgr and "Seccomp:\t2" in status


def test_a_table_in_a_new_place_is_read_after_a_reload():
    """qmgr takes new settings over by itself, but cannot take back what it gave up: another one takes its place."""
    if not can_be_held():
        return
    s = sink.Sink()
    m = house.Postroad(sink=s)
    qmgr = m.processes()["qmgr"]
    m.settings["message_size_limit"] = "20000000"
    m.write_config()
    m.reload()
    assert m.processes()["qmgr"] == qmgr
    os.mkdir(f"{m.dir}/elsewhere")
    with open(f"{m.dir}/elsewhere/canonical", "w") as f:
        f.write("bob@example.org eve@example.net\n")
    m.settings["canonical_maps"] = f"hash:{m.dir}/elsewhere/canonical"
    m.write_config()
    m.reload()
    assert m.processes()["qmgr"] != qmgr
    m.send()
    m.wait_log(r"to=<eve@example\.net>.*status=sent")
