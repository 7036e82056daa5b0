/* SPDX-License-Identifier: Apache-2.0 */
/* listen.h - the listening sockets of all services.  They belong to addresses, not to services: a reload keeps every socket
 * whose address is still wanted, and either all new ones can be had or nothing changes. */
#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include "mail/params.h"
#include "master/table.h"
#include "util/list.h"

struct listener {
	struct list link;
	char       *key;                               /* "192.0.2.1:25", "[::]:25", "private/smtp" */
	bool        is_unix;
	int         fd;                                /* FD_HIGH or above */
	bool        wanted, fresh;
};

struct listeners { struct list all; };

/* Descriptors that children get are kept out of the way of the numbers they get them as. */
enum { FD_HIGH = 128 };
/* Moves fd there, close-on-exec; -1 when there is no room. */
int      fd_high(int fd);

void     listeners_init(struct listeners *l);
void     listeners_begin(struct listeners *l);         /* nothing is wanted any more … */
/* … but what e listens on is: into out (SERVICE_LISTEN_MAX), opened when missing.  Sockets are made relative to the working
 * directory, queue_directory.  patience: seconds to try again while an address is in use (blocks). */
enum err listeners_want(struct listeners *l, const struct table_entry *e, const struct params *p, int patience,
    struct listener **out, size_t *n) MUST_USE;
void     listeners_commit(struct listeners *l);        /* close what is not wanted */
void     listeners_rollback(struct listeners *l);      /* close what is new */
void     listeners_fini(struct listeners *l);
/* Is a connection waiting to be accepted on any of them? */
bool     listeners_pending(struct listener *const *l, size_t n);

#endif
