/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/promises.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "util/log.h"
#include "util/mem.h"
#include "util/proc.h"

enum { PLACES_MAX = 256 };

#define P(name, word, calls, what) NUMBER_##name,

enum { PROMISES(P) };

#undef P
#define P(name, word, calls, what) PROMISE_##name = 1U << NUMBER_##name,

enum { PROMISES(P) };

#undef P

static const struct {
	const char *word;
	unsigned promise, calls;
} words[] = {

#define P(name, word, calls, what) { word, PROMISE_##name, calls },
	PROMISES(P)
#undef P
};

/* Where a place is: below a directory of settings, or as it is written. */
enum base { AS_WRITTEN, IN_QUEUE, IN_DATA, IN_CONFIG, IN_DAEMONS, IN_MAILBOXES };

enum {
	READS = FILES_READ | FILES_LIST,
	MAKES = FILES_LIST | FILES_WRITE | FILES_CREATE | FILES_REMOVE,
	ALL = MAKES | FILES_READ | FILES_MOVE,
};

enum {
	EVERYBODY = 0,
	SPOOL_USERS =
	    PROMISE_spool_read | PROMISE_spool_create | PROMISE_spool_change | PROMISE_maildrop
};

static const struct {
	unsigned promises; /* for those who made one of these */
	enum base base;
	const char *path;
	unsigned rights;
} places[] = {
	{EVERYBODY,              IN_CONFIG,    "",                        READS                                  },
	{ EVERYBODY,             AS_WRITTEN,   "/usr",                    READS                                  },
	{ EVERYBODY,             AS_WRITTEN,   "/lib",                    READS                                  },
	{ EVERYBODY,             AS_WRITTEN,   "/lib64",                  READS                                  },
	{ EVERYBODY,             AS_WRITTEN,   "/etc/ld.so.cache",        FILES_READ                             },
	{ EVERYBODY,             AS_WRITTEN,   "/etc/ssl",                READS                                  },
	{ EVERYBODY,             AS_WRITTEN,   "/etc/hosts",              FILES_READ                             },
	{ EVERYBODY,             AS_WRITTEN,   "/dev/null",               FILES_READ | FILES_WRITE               },
	{ EVERYBODY,             AS_WRITTEN,   "/dev/urandom",            FILES_READ                             },
	{ EVERYBODY,             AS_WRITTEN,   "/sys/devices/system/cpu", READS                                  },
	{ SPOOL_USERS,           IN_QUEUE,     "",                        FILES_LIST                             },
	{ PROMISE_spool_read,    IN_QUEUE,     "/incoming",               READS                                  },
	{ PROMISE_spool_read,    IN_QUEUE,     "/deferred",               READS                                  },
	{ PROMISE_spool_read,    IN_QUEUE,     "/hold",                   READS                                  },
	{ PROMISE_spool_create,  IN_QUEUE,     "/incoming",               MAKES                                  },
	{ PROMISE_spool_create,  IN_QUEUE,     "/redo",                   MAKES | FILES_READ                     },
	{ PROMISE_spool_change,  IN_QUEUE,     "/redo",                   ALL                                    },
	{ PROMISE_spool_change,  IN_QUEUE,     "/incoming",               ALL                                    },
	{ PROMISE_spool_change,  IN_QUEUE,     "/active",                 ALL                                    },
	{ PROMISE_spool_change,  IN_QUEUE,     "/deferred",               ALL                                    },
	{ PROMISE_spool_change,  IN_QUEUE,     "/hold",                   ALL                                    },
	{ PROMISE_spool_change,  IN_QUEUE,     "/corrupt",                ALL                                    },
	{ PROMISE_spool_change,  IN_QUEUE,     "/pid",                    FILES_READ | FILES_WRITE | FILES_CREATE},
 /* Nothing is moved to where more could be done with it. */
	{ PROMISE_maildrop,      IN_QUEUE,     "/maildrop",               ALL                                    },
	{ PROMISE_maildrop,      IN_QUEUE,     "/corrupt",                ALL                                    },
	{ PROMISE_counters,      IN_DATA,      "",                        MAKES | FILES_READ                     },
	{ PROMISE_accounts,      AS_WRITTEN,   "/etc",                    READS                                  },
	{ PROMISE_accounts,      AS_WRITTEN,   "/run",                    READS                                  },
	{ PROMISE_accounts,      AS_WRITTEN,   "/var/lib/sss",            READS                                  },
	{ PROMISE_accounts,      AS_WRITTEN,   "/var/lib/extrausers",     READS                                  },
	{ PROMISE_accounts,      AS_WRITTEN,   "/var/cache/nscd",         READS                                  },
	{ PROMISE_dns,           AS_WRITTEN,   "/etc",                    READS                                  },
	{ PROMISE_dns,           AS_WRITTEN,   "/var/lib/unbound",        READS                                  },
	{ PROMISE_start_deliver, IN_DAEMONS,   "/deliver",                FILES_READ | FILES_EXECUTE             },
	{ PROMISE_start_deliver, IN_MAILBOXES, "",                        ALL                                    },
};

struct sandbox_plan {
	struct sandbox_place place[PLACES_MAX];
	size_t n;
	bool patterns; /* a pcre: table is among them */
};

static enum err
parse(const char *line, unsigned *promises, unsigned *calls)
{
	struct str rest = str_of(line), word;

	*promises = *calls = 0;
	while (str_word(&rest, " ", &word)) {
		size_t i = 0;

		while (i < countof(words) && !str_eq(word, str_of(words[i].word)))
			i++;
		if (i == countof(words))
			return fail(
			    E_SYNTAX, "\"%.*s\" is no promise of mail/promises.h", STR_ARG(word));
		*promises |= words[i].promise;
		*calls |= words[i].calls;
	}
	return OK;
}

enum err
promises_check(const char *line)
{
	unsigned promises, calls;

	return parse(line, &promises, &calls);
}

static void
add(struct sandbox_plan *plan, struct str path, unsigned rights)
{
	if (plan->n == PLACES_MAX || path.n == 0)
		return;
	plan->place[plan->n++] = (struct sandbox_place){ str_dup(path), rights };
}

/* The directory, since a table that is made anew is another file. */
static void
add_directory_of(struct sandbox_plan *plan, struct str path)
{
	size_t slash = str_rfind(path, '/');

	add(plan, slash > 0 && slash < path.n ? str_sub(path, 0, slash) : path, READS);
}

/* A table, and where it really lies if its name is a link. */
static void
add_table(void *arg, const char *setting, struct str word)
{
	static const char *const endings[] = { "", ".db", ".cdb" };
	struct sandbox_plan *plan = arg;
	struct str path = str_sub(word, str_find(word, '/'), word.n);

	(void)setting;
	plan->patterns |= str_starts(word, STR("pcre:")) || str_starts(word, STR("proxy:pcre:"));
	add_directory_of(plan, path);
	for (size_t i = 0; i < countof(endings); i++) {
		struct buf name = BUF(PATH_MAX);
		char *real;

		buf_printf(&name, "%.*s%s", STR_ARG(path), endings[i]);
		if ((real = realpath(buf_cstr(&name), NULL)) != NULL &&
		    !str_eq(str_of(real), buf_str(&name)))
			add_directory_of(plan, str_of(real));
		free(real);
		buf_free(&name);
	}
}

/* Whoever starts a program starts its interpreter: the dynamic linker, as this very program names
 * it. */
static int
add_interpreter(struct dl_phdr_info *info, size_t size, void *plan)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_INTERP)
			add(plan,
			    str_of((const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr)),
			    FILES_READ | FILES_EXECUTE);
	return 1;
}

static const char *
base_path(const struct params *p, enum base b)
{
	switch (b) {
	case IN_QUEUE:
		return p->queue_directory;
	case IN_DATA:
		return p->data_directory;
	case IN_CONFIG:
		return p->config_directory;
	case IN_DAEMONS:
		return p->daemon_directory;
	case IN_MAILBOXES:
		return p->virtual_mailbox_base;
	case AS_WRITTEN:
		break;
	}
	return "";
}

static void
plan_make(struct sandbox_plan *plan, const struct params *p, unsigned promises)
{
	*plan = (struct sandbox_plan){ 0 };
	for (size_t i = 0; i < countof(places); i++) {
		struct buf path = BUF(0);

		if (places[i].promises != EVERYBODY && !(places[i].promises & promises))
			continue;
		if (places[i].base == AS_WRITTEN || base_path(p, places[i].base)[0])
			buf_printf(&path, "%s%s", base_path(p, places[i].base), places[i].path);
		add(plan, buf_str(&path), places[i].rights);
		buf_free(&path);
	}
	for (size_t i = 0; i < 2; i++) {
		struct buf path = BUF(0);
		static const char *const own[] = { "main.cf", "master.cf" };

		buf_printf(&path, "%s/%s", p->config_directory, own[i]);
		add_table(plan, "", buf_str(&path));
		buf_free(&path);
	}
	if (promises & (PROMISE_tables | PROMISE_dns))
		params_files(p, add_table, plan);
	if (promises & PROMISE_start_deliver)
		dl_iterate_phdr(add_interpreter, plan);
}

static void
plan_fini(struct sandbox_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		free((void *)(uintptr_t)plan->place[i].path);
}

/* Core files would hold other people's mail. */
static void
no_core_files(void)
{
	if (setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) != 0)
		log_debug("core files: %s", strerror(errno));
}

/* Most name services are asked through a daemon of theirs on this host; these ask over the network
 * themselves. */
static bool
asks_others(struct str line)
{
	static const char *const services[] = { "nis", "nisplus", "ldap", "hesiod" };
	struct str word;

	if (!str_word(&line, " \t", &word) ||
	    !(str_eq(word, STR("passwd:")) || str_eq(word, STR("group:"))))
		return false;
	while (str_word(&line, " \t", &word))
		for (size_t i = 0; i < countof(services); i++)
			if (str_eq(word, str_of(services[i])))
				return true;
	return false;
}

static bool
accounts_are_remote(void)
{
	struct buf file = BUF(64 << 10);
	struct str rest, line;
	bool remote = false;

	if (proc_read_file("/etc/nsswitch.conf", &file) == OK) {
		rest = buf_str(&file);
		while (!remote && str_cut(&rest, '\n', &line))
			remote = asks_others(line);
	}
	buf_free(&file);
	return remote;
}

enum err
promises_keep(const struct params *p, const char *prog, const char *line)
{
	struct sandbox s = { .prog = prog };
	struct sandbox_plan plan;
	unsigned promises;
	enum err e;

	TRY(parse(line, &promises, &s.calls));
	if (!p->sandbox)
		return promises & PROMISE_start_programs ? OK : sandbox_no_new_privs();
	no_core_files();
	plan_make(&plan, p, promises);
	s.places = plan.place;
	s.nplaces = plan.n;
	if ((promises & PROMISE_accounts) && accounts_are_remote())
		s.calls |= CALLS_STREAMS | CALLS_DATAGRAMS;
	s.connects = s.calls & CALLS_STREAMS;
	s.programs = promises & PROMISE_start_programs;
	s.calls |= plan.patterns ? CALLS_JIT : 0;
	e = sandbox_enter(&s);
	plan_fini(&plan);
	return e;
}

static bool
has(const struct sandbox_plan *plan, const struct sandbox_place *place)
{
	for (size_t i = 0; i < plan->n; i++)
		if (strcmp(plan->place[i].path, place->path) == 0 &&
		    (plan->place[i].rights & place->rights) == place->rights)
			return true;
	return false;
}

bool
promises_cover(const struct params *p, const struct params *next, const char *line)
{
	struct sandbox_plan now, then;
	unsigned promises, calls;
	bool covers = parse(line, &promises, &calls) == OK && p->sandbox == next->sandbox;

	plan_make(&now, p, promises);
	plan_make(&then, next, promises);
	for (size_t i = 0; i < then.n && covers; i++)
		covers = has(&now, &then.place[i]);
	covers = covers && (now.patterns || !then.patterns);
	plan_fini(&now);
	plan_fini(&then);
	return covers;
}
