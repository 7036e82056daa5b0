/* SPDX-License-Identifier: Apache-2.0 */
/* instance.h - the mail system that runs (or not) with these settings, seen from outside: its lock and its board. */
#ifndef CMD_INSTANCE_H
#define CMD_INSTANCE_H

#include <stdint.h>
#include <sys/types.h>

#include "cmd/cmd.h"
#include "mail/service.h"

struct instance {
	char  lock[4200], board_file[4200];
	int   board_fd;                                /* -1: it never ran, or may not be read */
	const struct board *board;                     /* NULL likewise */
};

void    instance_open(struct instance *i, const struct params *p);
void    instance_close(struct instance *i);
pid_t   instance_pid(const struct instance *i);        /* master's; 0: not running */
int64_t instance_uptime(const struct instance *i);     /* seconds since master took the lock */
/* The process of a service that has only one, by the board; 0: none, or it is not known. */
pid_t   instance_process(const struct instance *i, const char *service);
/* What master says is wrong with a service: NULL: nothing. */
const struct board_trouble *instance_trouble(const struct instance *i, const char *service);
/* "cannot be started: exit status 1 (5 times in 2m10s, next try in 3s)" */
void    trouble_text(const struct board_trouble *t, struct buf *out);
/* Is the process in this slot of the board one of this instance?  A pid alone may be a stranger's by now. */
bool    instance_owns(const struct instance *i, unsigned slot);
/* Wait until master and all its children have ended; false after so many seconds. */
bool    instance_await_end(const struct instance *i, int64_t seconds);
/* SIGKILL to all of it. */
void    instance_kill(const struct instance *i);

/* Have master check settings and table; what is wrong goes to stderr. */
bool    check_configuration(const struct cmd *c, const struct params *p);
/* Become master; returns (having said why) when that cannot be.  how: NULL, "-f" or "-C"; ready: descriptor for -w, or -1. */
void    exec_master(const struct cmd *c, const struct params *p, const char *how, int ready);

#endif
