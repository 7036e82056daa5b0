/* SPDX-License-Identifier: Apache-2.0 */
/* clients.h - how many sessions each client has, over all processes of a service.  Each process counts its own in a table of shared
 * memory and sums over the tables of those that live, so what a killed one leaves behind counts no more.
 * Clients are told apart by the first bits of their addresses (smtpd_client_ipv4_prefix_length, _ipv6_). */
#ifndef SMTPD_CLIENTS_H
#define SMTPD_CLIENTS_H

#include "mail/service.h"
#include "util/net.h"

struct clients;
/* Never fails: without the file (a warning is logged) only this process's own sessions count. */
struct clients *clients_open(const struct service *s);
void            clients_close(struct clients **c);
/* One session more, or less; the number of sessions that client has now. */
unsigned        clients_enter(struct clients *c, const struct addr *client);
void            clients_leave(struct clients *c, const struct addr *client);

#endif
