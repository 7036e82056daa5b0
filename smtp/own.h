/* SPDX-License-Identifier: Apache-2.0 */
/* own.h - which addresses and ports this mail system itself takes mail on, for finding loops (RFC 5321 section 5.1). */
#ifndef SMTP_OWN_H
#define SMTP_OWN_H

#include "mail/params.h"
#include "util/net.h"

/* Read from the smtpd services of DIR/master.cf and the interfaces of the host; when that file cannot be read, port 25 of all own
 * addresses counts.  Blocks on the disk; at start only. */
void own_setup(const struct params *p, const char *dir);
bool own_is(const struct addr *a);                     /* connecting there would lead to ourselves */
/* One line of master.cf, for own_setup() and tests: false when it is no inet service of smtpd.  host: "" when it names none. */
bool own_service(struct str line, struct str *host, uint16_t *port);
/* One more such service. */
void own_add(struct str host, uint16_t port, const char *inet_interfaces);
void own_clear(void);

#endif
