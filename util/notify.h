/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h - words to the service manager that started us, in the protocol of sd_notify(3): datagrams to the socket that
 * $NOTIFY_SOCKET names.  Nothing here ever waits, and nobody who listens, or listens too slowly, is no error: a mail system
 * must not stand still because its supervisor does. */
#ifndef UTIL_NOTIFY_H
#define UTIL_NOTIFY_H

#include <stdbool.h>

/* Take NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment, so that no child takes itself for the
 * service.  Close-on-exec, at descriptor `lowest` or above.  Without a manager the other calls do nothing. */
void notify_open(int lowest);
/* One datagram: lines "NAME=value" with a newline between them.  Values from elsewhere go through notify_status(). */
void notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "STATUS=…", on one line whatever the words hold; with READY=1 as well when `ready`. */
void notify_status(bool ready, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Say RELOADING=1 with the moment it begins; the end is notify_status(true, …). */
void notify_reloading(void);
/* Call it at every turn of the loop: says WATCHDOG=1 when half of the time has passed in which the manager wants to hear
 * something. */
void notify_watchdog(void);
void notify_close(void);

#endif
