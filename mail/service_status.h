/* SPDX-License-Identifier: Apache-2.0 */
/* service_status.h - for mail/service.c alone: the status channel to master and the phase it puts the process in. */
#ifndef MAIL_SERVICE_STATUS_H
#define MAIL_SERVICE_STATUS_H

#include "mail/service.h"

/* fd: the status channel, -1 without master.  reload is called on 'L'; NULL: never said 'C'. */
void status_setup(struct service *s, int fd, void (*reload)(void));
/* Starts the tasks that listen to master and to SIGTERM (blocked by the caller) in g. */
void status_start(struct tasks *g);
/* As if master had said 'Q'. */
void status_retire(void);
/* One byte to master; false when it could not be sent. */
bool status_say(char what);

#endif
