/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock, landlock(7).  The C library has no functions for it yet, and Debian 12's kernel headers
 * do not know all of it: numbers and structures are written down here. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/fault.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/sandbox.h"

enum { SYS_CREATE_RULESET = 444, SYS_ADD_RULE = 445, SYS_RESTRICT_SELF = 446 };

enum { ASK_VERSION = 1, PATH_BENEATH = 1, NET_PORT = 2 };

#define FS_EXECUTE          (1ULL << 0)
#define FS_WRITE_FILE       (1ULL << 1)
#define FS_READ_FILE        (1ULL << 2)
#define FS_READ_DIR         (1ULL << 3)
#define FS_REMOVE_DIR       (1ULL << 4)
#define FS_REMOVE_FILE      (1ULL << 5)
#define FS_MAKE_CHAR        (1ULL << 6)
#define FS_MAKE_DIR         (1ULL << 7)
#define FS_MAKE_REG         (1ULL << 8)
#define FS_MAKE_SOCK        (1ULL << 9)
#define FS_MAKE_FIFO        (1ULL << 10)
#define FS_MAKE_BLOCK       (1ULL << 11)
#define FS_MAKE_SYM         (1ULL << 12)
#define FS_REFER            (1ULL << 13)
#define FS_TRUNCATE         (1ULL << 14)
#define FS_IOCTL_DEV        (1ULL << 15)
#define NET_BIND_TCP        (1ULL << 0)
#define NET_CONNECT_TCP     (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX (1ULL << 0)
#define SCOPE_SIGNAL        (1ULL << 1)
/* Those that a rule for a file, not a directory, may have. */
#define FS_OF_A_FILE        (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset {
	uint64_t fs, net, scoped;
};

struct beneath {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

struct port {
	uint64_t allowed, port;
};

/* What each version of the interface brought.  Version 1 forbids all moving between directories, so
 * it is not used. */
static const struct {
	int version;
	struct ruleset knows;
} versions[] = {
	{2,  { .fs = FS_REFER * 2 - 1 }                      },
	{ 3, { .fs = FS_TRUNCATE }                           },
	{ 4, { .net = NET_BIND_TCP | NET_CONNECT_TCP }       },
	{ 5, { .fs = FS_IOCTL_DEV }                          },
	{ 6, { .scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL }},
};

static const struct {
	unsigned right;
	uint64_t fs;
} rights[] = {
	{FILES_READ,     FS_READ_FILE					},
	{ FILES_LIST,    FS_READ_DIR					 },
	{ FILES_WRITE,   FS_WRITE_FILE | FS_TRUNCATE                         },
	{ FILES_CREATE,  FS_MAKE_REG | FS_MAKE_DIR                           },
	{ FILES_REMOVE,  FS_REMOVE_FILE                                      },
 /* What is moved may be no file at all. */
	{ FILES_MOVE,    FS_REFER | FS_MAKE_SYM | FS_MAKE_FIFO | FS_MAKE_SOCK},
	{ FILES_EXECUTE, FS_EXECUTE					  },
};

int
sandbox_landlock_version(void)
{
	long v = syscall(SYS_CREATE_RULESET, NULL, (size_t)0, ASK_VERSION);

	return v > 0 ? (int)v : 0;
}

static uint64_t
kernel_rights(unsigned wanted)
{
	uint64_t all = 0;

	for (size_t i = 0; i < countof(rights); i++)
		if (wanted & rights[i].right)
			all |= rights[i].fs;
	return all;
}

static bool
is_absent(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES || error == ELOOP || error == ENAMETOOLONG;
}

static enum err
allow(int rules, const struct ruleset *handled, const struct sandbox_place *place)
{
	struct beneath b = { .allowed = kernel_rights(place->rights) & handled->fs };
	struct stat st;
	enum err e = OK;

	b.parent = sys_open(place->path, O_PATH | O_CLOEXEC, 0);
	if (b.parent < 0 && is_absent(errno)) {
		log_debug("sandbox: %s: %s", place->path, strerror(errno));
		return OK;
	}
	/* A place that is there and got no rule would be closed for as long as the process lives. */
	if (b.parent < 0)
		return fail_errno("sandbox: %s", place->path);
	if (FAULT(fstat) || fstat(b.parent, &st) != 0) {
		e = fail_errno("sandbox: %s", place->path);
		close(b.parent);
		return e;
	}
	if (!S_ISDIR(st.st_mode))
		b.allowed &= FS_OF_A_FILE;
	if (b.allowed != 0 && syscall(SYS_ADD_RULE, rules, PATH_BENEATH, &b, 0) != 0)
		e = fail_errno("sandbox: %s", place->path);
	close(b.parent);
	return e;
}

static enum err
allow_all(int rules, const struct ruleset *handled, const struct sandbox *s)
{
	/* A source address is bound with port 0. */
	struct port any = { NET_BIND_TCP, 0 };

	for (size_t i = 0; i < s->nplaces; i++)
		TRY(allow(rules, handled, &s->places[i]));
	if (s->connects && (handled->net & NET_BIND_TCP) &&
	    syscall(SYS_ADD_RULE, rules, NET_PORT, &any, 0) != 0)
		return fail_errno("sandbox: TCP ports");
	return syscall(SYS_RESTRICT_SELF, rules, 0) == 0
		   ? OK
		   : fail_errno("sandbox: landlock_restrict_self");
}

/* Older kernels refuse a structure that is longer than theirs, unless what they do not know is
 * zero. */
enum err
sandbox_files(const struct sandbox *s)
{
	struct ruleset handled = { 0 };
	int version = sandbox_landlock_version(), rules;
	enum err e;

	for (size_t i = 0; i < countof(versions) && versions[i].version <= version; i++) {
		handled.fs |= versions[i].knows.fs;
		handled.net |= versions[i].knows.net;
		handled.scoped |= versions[i].knows.scoped;
	}
	if (handled.fs == 0) {
		log_debug("sandbox: files are not protected: this kernel's Landlock is version %d",
		    version);
		return OK;
	}
	if (s->connects)
		handled.net &= ~NET_CONNECT_TCP;
	if ((rules = (int)syscall(SYS_CREATE_RULESET, &handled, sizeof handled, 0)) < 0)
		return fail_errno("sandbox: landlock_create_ruleset");
	e = allow_all(rules, &handled, s);
	close(rules);
	return e;
}
