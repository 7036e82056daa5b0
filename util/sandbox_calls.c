/* SPDX-License-Identifier: Apache-2.0 */
/* System calls, by libseccomp.  The filter is a list of what may be done; the kernel remembers
 * which calls it allows whatever their arguments are, so these cost next to nothing.  All others
 * raise SIGSYS, whose handler says which it was. */
#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <ucontext.h>
#include <unistd.h>

#include "util/log.h"
#include "util/mem.h"
#include "util/sandbox.h"

#ifndef SYS_SECCOMP
enum { SYS_SECCOMP = 1 }; /* si_code; older C libraries do not name it */
#endif

/* Names that this processor does not have, or this libseccomp does not know, are passed over. */
static const char base[] =
    "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 close "
    "close_range lseek fstat stat lstat newfstatat statx statfs fstatfs fadvise64 open "
    "openat access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd "
    "chdir fchdir umask fcntl flock dup dup2 dup3 pipe pipe2 eventfd2 signalfd4 "
    "epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 poll ppoll select "
    "pselect6 timerfd_create timerfd_settime timerfd_gettime inotify_init1 "
    "inotify_add_watch inotify_rm_watch futex futex_waitv munmap mremap madvise brk "
    "membarrier msync mincore exit exit_group rt_sigaction rt_sigprocmask rt_sigreturn "
    "rt_sigsuspend rt_sigtimedwait rt_sigpending sigaltstack restart_syscall pause "
    "alarm setitimer getitimer gettid getpid getppid getpgid getpgrp getsid getuid "
    "geteuid getgid getegid getresuid getresgid getgroups set_tid_address "
    "set_robust_list get_robust_list rseq arch_prctl sched_yield sched_getaffinity "
    "sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min "
    "getcpu getrusage getrlimit sysinfo uname times time gettimeofday clock_gettime "
    "clock_getres clock_nanosleep nanosleep getrandom bind connect accept accept4 "
    "sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg shutdown getsockopt setsockopt "
    "getsockname getpeername sendfile splice tee";
static const char files[] =
    "mkdir mkdirat unlink unlinkat rename renameat renameat2 link linkat truncate "
    "ftruncate fallocate chmod fchmod fchmodat fsync fdatasync syncfs sync_file_range "
    "utimensat copy_file_range fchownat"; /* fchownat: what root makes is given to the spool's owner */
static const char accounts[] =
    "getxattr lgetxattr fgetxattr listxattr name_to_handle_at memfd_create";
static const char programs[] =
    "execve execveat fork vfork wait4 waitid kill setuid setgid setresuid setresgid "
    "setreuid setregid setgroups setsid setpgid setrlimit prlimit64 chown fchown "
    "fchownat lchown symlink symlinkat rmdir ioctl prctl tgkill";

static const struct {
	unsigned calls;
	const char *names;
} sets[] = {
	{0,	       base    },
	{ CALLS_FILES,    files   },
	{ CALLS_ACCOUNTS, accounts},
	{ CALLS_PROGRAMS, programs},
};

/* Nobody tries these by accident. */
static const char deadly[] =
    "execve execveat fork vfork ptrace process_vm_readv process_vm_writev "
    "process_madvise pidfd_getfd kcmp setuid setgid setresuid setresgid setreuid "
    "setregid setfsuid setfsgid setgroups capset chroot pivot_root unshare setns mount "
    "umount2 open_tree move_mount fsopen fsconfig fsmount mknod mknodat chown fchown "
    "lchown fchownat open_by_handle_at bpf perf_event_open userfaultfd io_uring_setup "
    "keyctl add_key request_key personality seccomp kill tkill clone";
/* What no program that a user may start has any business with. */
static const char administration[] =
    "init_module finit_module delete_module kexec_load kexec_file_load reboot swapon "
    "swapoff iopl ioperm acct settimeofday adjtimex clock_settime clock_adjtime "
    "quotactl syslog vhangup open_by_handle_at userfaultfd";

/* Calls that may be made with some arguments only: (argument & mask) == value. */
struct condition {
	unsigned calls;
	const char *name;
	unsigned argument;
	uint64_t mask, value;
};

#define EXACTLY UINT64_MAX
#define WX      (PROT_WRITE | PROT_EXEC)
static const struct condition conditions[] = {
	{0,	       "clone",      0, CLONE_THREAD, CLONE_THREAD},
	{ CALLS_PROGRAMS, "clone",      0, 0,            0           },
	{ 0,	      "socket",     0, EXACTLY,      AF_UNIX     },
	{ 0,	      "socketpair", 0, EXACTLY,      AF_UNIX     },
	{ 0,	      "ioctl",      1, EXACTLY,      FIONREAD    },
	{ 0,	      "ioctl",      1, EXACTLY,      FIONBIO     },
	{ 0,	      "ioctl",      1, EXACTLY,      TCGETS      },
	{ 0,	      "prctl",      0, EXACTLY,      PR_SET_NAME },
	{ 0,	      "prctl",      0, EXACTLY,      PR_GET_NAME },
	{ 0,	      "prctl",      0, EXACTLY,      0x53564d41  }, /* PR_SET_VMA: the C library names its memory */
	{ 0,	      "prlimit64",  2, EXACTLY,      0           }, /* reads */
	{ CALLS_JIT,      "mmap",       2, 0,            0           },
	{ CALLS_JIT,      "mprotect",   2, 0,            0           },
	{ 0,	      "mmap",       2, PROT_EXEC,    0           },
	{ 0,	      "mmap",       2, WX,           PROT_EXEC   },
#ifdef __aarch64__
	{ 0,	      "mprotect",   2, WX,           PROT_EXEC   }, /* BTI marks */
#endif
	{ 0,	      "mprotect",   2, PROT_EXEC,    0           },
};
static const struct {
	unsigned calls;
	int family, type;
} inet_sockets[] = {
	{CALLS_STREAMS,    AF_INET,  SOCK_STREAM},
	{ CALLS_STREAMS,   AF_INET6, SOCK_STREAM},
	{ CALLS_DATAGRAMS, AF_INET,  SOCK_DGRAM },
	{ CALLS_DATAGRAMS, AF_INET6, SOCK_DGRAM },
};

/* That these fail is no news: the C library tries them and knows what to do without. */
static const char unimportant[] = "mbind mlock setpriority sched_setscheduler sched_setaffinity";
static const int makes_code[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };

static struct {
	const char *prog;
	bool deadly[1024];
	atomic_bool told[1024];
} guard;

static int
number_of(const char *name)
{
	int n = seccomp_syscall_resolve_name(name);

	return n >= 0 ? n : -1; /* libseccomp's own numbers below 0: this processor lacks it */
}

/* The next of the names that this processor has. */
static bool
next_call(struct str *names, int *number)
{
	char name[32];
	struct str word;

	while (str_word(names, " ", &word)) {
		snprintf(name, sizeof name, "%.*s", STR_ARG(word));
		if ((*number = number_of(name)) >= 0)
			return true;
	}
	return false;
}

/* The call is not made; what it returns says so. */
static void
refuse(ucontext_t *u, int error)
{
#if defined(__x86_64__)
	u->uc_mcontext.gregs[REG_RAX] = -error;
#elif defined(__aarch64__)
	u->uc_mcontext.regs[0] = (unsigned long)-error;
#endif
}

/* Interrupted right at the call: locks of whoever made it may be held, the log's by fork(). */
static void __attribute__((noreturn)) die(const siginfo_t *info)
{
	char *name = seccomp_syscall_resolve_num_arch(info->si_arch, info->si_syscall);

	log_last_words("system call %s (%d) is not among the promises of %s",
	    name ? name : "unknown", info->si_syscall, guard.prog);
	signal(SIGSYS, SIG_DFL);
	raise(SIGSYS);
	_exit(128 + SIGSYS);
}

static void
tell(const siginfo_t *info)
{
	char *name;

	if (atomic_exchange(&guard.told[info->si_syscall], true))
		return;
	name = seccomp_syscall_resolve_num_arch(info->si_arch, info->si_syscall);
	log_warn("system call %s (%d) is not among the promises of %s", name ? name : "unknown",
	    info->si_syscall, guard.prog);
	free(name);
}

static void
caught(int sig, siginfo_t *info, void *context)
{
	int n = info->si_syscall, saved = errno;

	(void)sig;
	if (info->si_code != SYS_SECCOMP)
		return;
	if (n < 0 || (size_t)n >= countof(guard.told) || guard.deadly[n])
		die(info);
	tell(info);
	refuse(context, n == number_of("socket") ? EACCES : ENOSYS);
	errno = saved;
}

/* raise() needs tgkill, which may reach this process only. */
static int
add_own_kill(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(
	    ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

static int
add_all(scmp_filter_ctx ctx, const char *list, uint32_t action)
{
	struct str names = str_of(list);
	int n, rc = 0;

	while (rc == 0 && next_call(&names, &n))
		rc = seccomp_rule_add(ctx, action, n, 0);
	return rc;
}

static bool
is_set(size_t i, unsigned calls)
{
	return (sets[i].calls & calls) == sets[i].calls;
}

static int
add_sets(scmp_filter_ctx ctx, unsigned calls)
{
	int rc = 0;

	for (size_t i = 0; i < countof(sets) && rc == 0; i++)
		if (is_set(i, calls))
			rc = add_all(ctx, sets[i].names, SCMP_ACT_ALLOW);
	return rc;
}

static bool
is_always_allowed(int call, unsigned calls)
{
	struct str names;
	int n;

	for (size_t i = 0; i < countof(sets); i++)
		for (names = str_of(sets[i].names); is_set(i, calls) && next_call(&names, &n);)
			if (n == call)
				return true;
	return false;
}

static int
add_conditions(scmp_filter_ctx ctx, unsigned calls)
{
	int rc = 0;

	for (size_t i = 0; i < countof(conditions) && rc == 0; i++) {
		const struct condition *c = &conditions[i];
		int n = number_of(c->name);

		if ((c->calls & calls) != c->calls || n < 0 || is_always_allowed(n, calls))
			continue;
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, n, c->mask ? 1 : 0,
		    SCMP_CMP(c->argument, SCMP_CMP_MASKED_EQ, c->mask, c->value));
	}
	return rc;
}

static int
add_sockets(scmp_filter_ctx ctx, unsigned calls)
{
	int rc = 0;

	for (size_t i = 0; i < countof(inet_sockets) && rc == 0; i++)
		if (inet_sockets[i].calls & calls)
			rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)inet_sockets[i].family),
			    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, (scmp_datum_t)inet_sockets[i].type));
	if (rc != 0)
		return rc;
	/* The host's own addresses. */
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
	    SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE));
}

static int
add_refusals(scmp_filter_ctx ctx, unsigned calls)
{
	int rc = add_all(ctx, "clone3", SCMP_ACT_ERRNO(ENOSYS));

	if (rc == 0)
		rc = add_all(ctx, unimportant, SCMP_ACT_ERRNO(EPERM));
	for (size_t i = 0; i < countof(makes_code) && rc == 0 && !(calls & CALLS_JIT); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), makes_code[i], 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, WX, WX));
	return rc;
}

static int
fill(scmp_filter_ctx ctx, const struct sandbox *s)
{
	int rc = add_own_kill(ctx);

	if (rc == 0)
		rc = add_sets(ctx, s->calls);
	if (rc == 0)
		rc = add_conditions(ctx, s->calls);
	if (rc == 0)
		rc = add_sockets(ctx, s->calls);
	return rc ? rc : add_refusals(ctx, s->calls);
}

static void
listen_to_refusals(const struct sandbox *s)
{
	struct sigaction act = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct str names = str_of(deadly);
	int n;

	guard.prog = s->prog;
	while (next_call(&names, &n))
		if ((size_t)n < countof(guard.deadly))
			guard.deadly[n] = true;
	sigaction(SIGSYS, &act, NULL);
}

static bool
kernel_has_filters(void)
{
	return prctl(PR_GET_SECCOMP) >= 0 || errno != EINVAL;
}

enum err
sandbox_calls(const struct sandbox *s)
{
	scmp_filter_ctx ctx;
	int rc;

	if (!kernel_has_filters()) {
		log_debug("sandbox: this kernel has no seccomp");
		return OK;
	}
	if ((ctx = seccomp_init(s->programs ? SCMP_ACT_ALLOW : SCMP_ACT_TRAP)) == NULL)
		return fail(E_IO, "sandbox: no filter");
	/* A process may have been told not to change its privileges, or not to have to: ours to
	 * decide, not the library's. */
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	(void)seccomp_attr_set(
	    ctx, SCMP_FLTATR_CTL_SSB, 1); /* no slower memory accesses on older kernels */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!s->programs)
		listen_to_refusals(s);
	if (rc == 0)
		rc = s->programs ? add_all(ctx, administration, SCMP_ACT_ERRNO(EPERM))
				 : fill(ctx, s);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	/* Containers and emulators forbid it, or do not know it.  Without no_new_privs it takes CAP_SYS_ADMIN, which
	 * a unit of systemd rightly leaves out; the library's word for that is ECANCELED. */
	if ((s->programs && rc == -ECANCELED) || rc == -EPERM || rc == -EACCES || rc == -ENOSYS ||
	    rc == -EINVAL) {
		log_debug("sandbox: system calls are not filtered: %s", strerror(-rc));
		return OK;
	}
	errno = -rc;
	return rc == 0 ? OK : fail_errno("sandbox: seccomp");
}
