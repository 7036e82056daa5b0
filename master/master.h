/* SPDX-License-Identifier: Apache-2.0 */
/* master.h - the supervisor's state: services (crews), their workers, and what they all share.
 *
 * One thread, one poll loop; nothing here waits for a child, for a log or for the network. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <sys/types.h>

#include "mail/params.h"
#include "mail/service.h"
#include "master/listen.h"
#include "master/program.h"
#include "master/table.h"
#include "master/throttle.h"
#include "util/list.h"
#include "util/time.h"

/* A process. */
struct worker {
	struct list  link;                             /* crew's workers, or master's leaving */
	struct crew *crew;                             /* NULL: its service is gone */
	char        *service;                          /* "smtp/inet", for the log */
	char        *path;
	const struct program *program;
	pid_t        pid;
	unsigned     slot;
	unsigned     generation;
	int          status_fd;                        /* -1: it closed it */
	int          exec_error;                       /* it never became what it should */
	bool         ready, full;
	bool         can_reload;
	bool         outdated;                         /* of a former generation: ends once the next is ready */
	bool         leaving;                          /* told Q or X, or killed */
	bool         hurried;                          /* told X */
	struct time  started, active, retired;
	uint64_t     beats, served;                    /* at the last look */
	uint64_t     beats_at_probe;
	unsigned     unanswered;                       /* probes in a row */
};

/* A service and its workers. */
struct crew {
	struct list               link;
	const struct table_entry *entry;               /* in the master's table */
	const struct program     *program;
	struct listener          *listeners[SERVICE_LISTEN_MAX];
	size_t                    nlisteners;
	struct list               workers;
	struct throttle           throttle;
	unsigned                  worked;              /* the last generation of which one was ready; 0: none */
	size_t                    base, limit;         /* processes: kept at least, started at most */
	unsigned                  stalled;             /* checks in a row */
	bool                      wants_extra;         /* stalled: one more, even above the limit */
	struct time               warn_full_after;
	char                      unmade[64];          /* why no process could be made, the last time */
};

enum master_state { STARTING, RUNNING, STOPPING };

struct master {
	const char       *config_dir;
	struct params     params;
	struct table      table;
	struct list       crews, leaving;
	struct listeners  listeners;
	struct board     *board;
	int               board_fd, log_fd, signal_fd; /* log_fd -1: syslog */
	int               stdout_fd;                   /* start-fg: what was standard output; else -1 */
	int               ready_fd;                    /* tells who started us; -1: already told or nobody */
	bool              foreground, verbose;
	bool              all_as_root;                 /* mail_owner is root */
	off_t             log_from;                    /* where in the log file our story begins */
	unsigned          generation;
	bool              reloading;                   /* not all workers are of this generation yet */
	enum master_state state;
	struct time       start_limit, next_check, next_probe;
	char              failure[ERR_WHY_MAX];        /* why the start fails; empty: it does not */
	struct time       stop_limit;                  /* the first, then the last have to be gone */
	bool              last_told;
};

/* -- setup.c: what has to be there before the first child -- */
/* Settings and table of the configuration directory, all checked; error lines (and warnings) are left in the bufs. */
enum err setup_load(const char *config_dir, struct params *p, struct table *t, struct buf *errors, struct buf *warnings) MUST_USE;
enum err setup_data_directory(struct master *m) MUST_USE;
enum err setup_directories(struct master *m) MUST_USE; /* the spool's; the working directory is queue_directory */
enum err setup_as_owner(struct master *m, enum err (*fn)(struct master *m)) MUST_USE;  /* with mail_owner's rights only */
enum err setup_log(struct master *m) MUST_USE;         /* opens the log (again) */
void     setup_missing_accounts(const struct params *p, struct buf *warnings);       /* one line, or none */
bool     setup_all_as_root(const struct params *p);    /* root, and asked to let all processes be root */
/* The last words of a process of ours that died, from the log file; "" when there are none. */
void     setup_last_words(const struct master *m, pid_t pid, char *out, size_t size);

/* -- child.c -- */
struct worker *child_start(struct master *m, struct crew *c);          /* NULL: no process could be made (logged) */
void     child_say(struct worker *w, char what);
void     child_send_reload(struct master *m, struct worker *w);        /* 'L' */
void     child_hear(struct master *m, struct worker *w);               /* its status channel is readable */
void     child_kill(struct worker *w);                                 /* SIGKILL */
void     children_reap(struct master *m);
void     worker_free(struct worker *w);

/* -- crew.c -- */
struct crew *crew_new(const struct table_entry *e);
void     crew_set_limits(struct crew *c, const struct params *p);
void     crew_free(struct crew **c);                   /* it has no workers */
struct crew *crew_find(struct master *m, const char *identity);
void     crew_tend(struct master *m, struct crew *c, struct time now); /* start, replace, retire */
bool     crew_is_ready(const struct crew *c);          /* as many as should be are ready, none is outdated */
void     crew_died(struct master *m, struct worker *w, int status);    /* of waitpid(); w is still listed */
void     worker_retire(struct worker *w);              /* 'Q' */

/* -- watch.c: workers that do not do their work -- */
void     watch(struct master *m, struct time now);

/* -- reload.c, stop.c -- */
void     reload(struct master *m);
void     stop_begin(struct master *m, int drain);      /* seconds */
bool     stop_advance(struct master *m, struct time now);              /* true: nobody is left */
void     stop_at_once(struct master *m);

/* -- loop.c -- */
void     loop_run(struct master *m);                   /* until all is stopped */
enum err loop_setup_signals(struct master *m) MUST_USE;
/* Call each for every worker there is; it may take the worker off its list. */
void     each_worker(struct master *m, void (*each)(struct master *m, struct worker *w));
bool     any_worker(struct master *m);

#endif
