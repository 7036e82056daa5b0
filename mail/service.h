/* SPDX-License-Identifier: Apache-2.0 */
/* service.h - what every process under master has in common: how it is started, how it says it is well, how it ends.
 *
 * master starts PROGRAM with
 *	PROGRAM -n SERVICE -t TYPE -c CONFIG_DIR [-s LISTENERS] [-p PROCESSES] [-S SLOT] [-g GENERATION] [-u ACCOUNT] [-r CHROOT] [-v] [-o name=value] ... [arguments of master.cf]
 * and these descriptors: 0, 1, 2 /dev/null (2: master's stderr with start-fg); 3 the log file (or closed: syslog);
 * 4 the board (shared memory, below); 5 the status channel (a socket pair of this child's own); 6… the listening sockets.
 *
 * Status channel: the child writes one byte, 'R' when ready, 'F' when it takes no more sessions, 'A' when it does again; master
 * writes 'L' (read your settings again; only to a service that said it can: 'C' before 'R'), 'Q' (retire: finish what you have,
 * then exit 0), 'X' (end in stop_drain_time at most), 'P' (wake up: one turn of the event loop is the answer).  'L' brings the
 * log file along when it was opened anew, and is answered by another 'R'.  A child that could not be executed says 'E' and the
 * error number.  End of file: master is gone; as 'X', and listening sockets are closed at once.
 * SIGTERM is as 'X'. */
#ifndef MAIL_SERVICE_H
#define MAIL_SERVICE_H

#include <stdatomic.h>

#include "mail/identity.h"
#include "mail/params.h"
#include "util/err.h"
#include "util/task.h"

enum { SERVICE_FD_LOG = 3, SERVICE_FD_BOARD = 4, SERVICE_FD_STATUS = 5, SERVICE_FD_LISTEN = 6, SERVICE_LISTEN_MAX = 64 };

/* The board: one slot a child, and what is wrong with services, read by master, by `postroad status` and by siblings.  beats, served,
 * sessions and overloaded_until are written by the child alone, given by qmgr, the rest by master.  Slot 0 is master's own: served counts
 * reloads that are done, sessions those refused.
 * The file is locked (flock) as long as master or any of its children has it open. */
enum { BOARD_SLOTS = 1024 };
struct board_slot {
	_Atomic int32_t  pid;                          /* 0: free (set and cleared by master) */
	_Atomic uint32_t generation;
	_Atomic uint64_t beats;                        /* one a turn of the event loop */
	_Atomic uint64_t served;                       /* sessions or deliveries begun */
	_Atomic uint32_t sessions;                     /* now */
	_Atomic uint32_t given;                        /* it has been given deliveries, of which it would tell the next qmgr */
	_Atomic int64_t  overloaded_until;             /* smtpd has the settings of stress = yes: ns of struct time; 0: it has not */
	char             service[48];                  /* "smtpd 127.0.0.1:25", or "qmgr" when both are the same; cut when longer */
};
/* A service of which no process is ready since the last one ended or could not be made: written by master alone, read by commands. */
enum { BOARD_TROUBLES = 64 };
struct board_trouble {
	_Atomic uint32_t deaths;                       /* in a row; 0: free */
	_Atomic int64_t  since, next;                  /* the first of them; the next start: us since 1970 */
	char             service[48];                  /* as in its slot */
	char             why[80];                      /* "cannot be started: exit status 1" */
};
struct board {
	struct board_slot    slot[BOARD_SLOTS];
	struct board_trouble trouble[BOARD_TROUBLES];
};

struct service {
	const char    *name;                           /* as in master.cf: "smtp", "127.0.0.1:2525" */
	const char    *prog;                           /* "smtpd" */
	const char    *config_dir;
	struct params  params;
	int            listen[SERVICE_LISTEN_MAX];     /* registered with the loop (shared); out of PHASE_RUN they are */
	size_t         nlisten;                        /* taken away (0) and whoever waits on one gets E_EOF */
	unsigned       processes;                      /* of this service there are at most so many */
	unsigned       slot;                           /* own place on the board; also in queue ids */
	unsigned       generation;
	struct board  *board;                          /* a private one when there is no master (tests) */
	uid_t          uids[IDENTITY_COUNT];            /* of those we may talk to: without root all are our own */
	char         **args;                           /* arguments of master.cf after the options, NULL-terminated */
};

struct service_spec {
	const char *prog;
	int         helpers;                           /* offload threads */
	/* The process, as a task: returns when it has nothing left to do.  It is told through service_stopping() and service_wait(). */
	void      (*run)(struct service *s);
	/* Settings were read again into s->params (the former ones stay valid until it returns); NULL: replaced by a new process instead. */
	void      (*reload)(struct service *s, const struct params *former);
	const char *promises;                          /* one line: what this process may do, in words of mail/promises.h; kept by
	                                                  the kernel from before run() on */
};

/* main() of every daemon: parses the arguments, loads settings, opens the log, drops privileges, runs the task, exits. */
int  service_main(int argc, char **argv, const struct service_spec *spec);
void service_ready(void);                              /* 'R'; once */
void service_full(bool full);                          /* 'F' and 'A'; repeated calls cost nothing */
/* Told to end?  RETIRE: no new work, finish what there is, no hurry; HURRY: by service_deadline(). */
enum service_phase { PHASE_RUN, PHASE_RETIRE, PHASE_HURRY };
enum service_phase service_phase(void);
struct time        service_deadline(void);             /* TIME_NEVER unless PHASE_HURRY */
/* Wait until the phase is no longer `phase`. */
WAITS void         service_wait(enum service_phase phase);
struct service    *service_self(void);
/* Path of a service's socket: queue_directory/public/NAME or private/NAME; qmgr's is public, all others' private.  Relative when
 * the working directory is queue_directory (it is, in every service) or the absolute name is too long for a socket. */
const char        *service_path(const struct params *p, const char *name, char out[108]);

#endif
