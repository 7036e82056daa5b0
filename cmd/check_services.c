/* SPDX-License-Identifier: Apache-2.0 */
/* master.cf as a whole: do settings and services go together, and can the ports be had? */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/check.h"
#include "cmd/instance.h"
#include "util/mem.h"
#include "util/proc.h"

enum { FILES_OF_ITS_OWN = 100 };

struct services {
	struct check *k;
	struct buf file, text;
	struct conf_lines *lines;
	struct str line; /* the current one */
	unsigned at;     /* its number */
};

static void
open_services(struct services *s, struct check *k)
{
	*s = (struct services){ .k = k };
	buf_printf(&s->file, "%s/master.cf", k->p->config_directory);
	(void)!proc_read_file(buf_cstr(&s->file), &s->text);
	s->lines = conf_lines_open(buf_str(&s->text));
}

static void
close_services(struct services *s)
{
	conf_lines_close(&s->lines);
	buf_free(&s->text);
	buf_free(&s->file);
}

/* Words of one line: name, type, …, maxproc, command. */
enum { COLUMN_NAME, COLUMN_TYPE, COLUMN_MAXPROC = 6, COLUMN_COMMAND = 7, COLUMNS };

static bool
next_service(struct services *s, struct str column[COLUMNS])
{
	while (conf_lines_next(s->lines, &s->line, &s->at)) {
		struct str rest = s->line;
		size_t n = 0;

		while (n < COLUMNS && str_word(&rest, " \t", &column[n]))
			n++;
		if (n == COLUMNS)
			return true;
	}
	return false;
}

static bool
service_exists(struct check *k, struct str name)
{
	struct services s;
	struct str column[COLUMNS];
	bool exists = false;

	open_services(&s, k);
	while (!exists && next_service(&s, column))
		exists =
		    str_eq(column[COLUMN_NAME], name) && str_eq(column[COLUMN_TYPE], STR("unix"));
	close_services(&s);
	return exists;
}

/* A transport that has no service leaves its mail in the queue for ever. */
static void
check_transports(struct check *k)
{
	const struct {
		const char *setting, *value;
		bool used;
	} all[] = {
		{"default_transport",   k->p->default_transport,  true                          },
		{ "relay_transport",    k->p->relay_transport,    k->p->relay_domains[0] != '\0'},
		{ "local_transport",    k->p->local_transport,    k->p->mydestination[0] != '\0'},
		{ "virtual_transport",  k->p->virtual_transport,
                 k->p->virtual_mailbox_domains[0] != '\0'                                       },
		{ "mailbox_transport",  k->p->mailbox_transport,  k->p->mydestination[0] != '\0'},
		{ "fallback_transport", k->p->fallback_transport, k->p->mydestination[0] != '\0'},
	};

	for (size_t i = 0; i < countof(all); i++) {
		struct str rest = str_of(all[i].value), name;

		if (all[i].used && str_cut(&rest, ':', &name) && name.n > 0 &&
		    !service_exists(k, name))
			check_error(k,
			    "%s: there is no service \"%.*s unix\" in master.cf: mail for it stays "
			    "in the queue; add the line",
			    check_place(k, all[i].setting), STR_ARG(name));
	}
}

/* "25", "smtp", "127.0.0.1:25", "[::1]:25" as an address; false: it means something else, which
 * master explains. */
static bool
endpoint(struct str name, struct addr *a)
{
	size_t colon = str_rfind(name, ':');
	struct str host = colon < name.n ? str_sub(name, 0, colon) : STR("0.0.0.0");
	struct str port = colon < name.n ? str_sub(name, colon + 1, name.n) : name;
	uint64_t number;

	if (!str_u64(port, &number)) {
		char *copy = str_dup(port);
		const struct servent *se = getservbyname(copy, "tcp");

		free(copy);
		if (se == NULL)
			return false;
		number = ntohs((uint16_t)se->s_port);
	}
	return number > 0 && number <= UINT16_MAX && addr_parse(host, (uint16_t)number, a) == OK;
}

/* The socket's inode, from /proc/net/tcp or tcp6: column 10 of the line whose port and state (0A:
 * listens) fit. */
static unsigned long
inode_of_port(uint16_t port)
{
	static const char *const tables[] = { "/proc/net/tcp", "/proc/net/tcp6" };
	unsigned long inode = 0;

	for (size_t i = 0; i < countof(tables) && inode == 0; i++) {
		FILE *f = fopen(tables[i], "re");
		char line[512];
		unsigned there, state;
		unsigned long found;

		while (f && inode == 0 && fgets(line, sizeof line, f))
			if (sscanf(line,
				"%*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*d %lu",
				&there, &state, &found) == 3 &&
			    there == port && state == 0x0a)
				inode = found;
		if (f)
			fclose(f);
	}
	return inode;
}

static bool
process_has(const char *pid, unsigned long inode)
{
	char path[300], link[64], want[64];
	const struct dirent *d;
	bool has = false;
	DIR *fds;

	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	snprintf(want, sizeof want, "socket:[%lu]", inode);
	if ((fds = opendir(path)) == NULL)
		return false;
	while (!has && (d = readdir(fds)) != NULL) {
		ssize_t n = readlinkat(dirfd(fds), d->d_name, link, sizeof link - 1);

		has = n > 0 && str_eq((struct str){ link, (size_t)n }, str_of(want));
	}
	closedir(fds);
	return has;
}

/* "exim4 (pid 123)"; "another program" when it cannot be seen. */
static void
who_listens(uint16_t port, char *out, size_t size)
{
	unsigned long inode = inode_of_port(port);
	const struct dirent *d;
	DIR *all = inode ? opendir("/proc") : NULL;

	snprintf(out, size, "another program");
	while (all && (d = readdir(all)) != NULL) {
		struct buf name = BUF(256);
		char path[300];

		if (d->d_name[0] < '0' || d->d_name[0] > '9' || !process_has(d->d_name, inode))
			continue;
		snprintf(path, sizeof path, "/proc/%s/comm", d->d_name);
		if (proc_read_file(path, &name) == OK)
			snprintf(out, size, "%.*s (pid %s)", STR_ARG(str_trim(buf_str(&name))),
			    d->d_name);
		buf_free(&name);
		break;
	}
	if (all)
		closedir(all);
}

static void
check_port(struct services *s, struct str name)
{
	struct addr a;
	char who[600];
	int fd;

	if (!endpoint(name, &a))
		return;
	if (net_listen(&a, 1, &fd) == OK) {
		close(fd);
		return;
	}
	if (errno == EADDRINUSE) {
		who_listens(addr_port(&a), who, sizeof who);
		check_error(s->k,
		    "%s:%u:1: %s listens on %.*s already: stop it, or use another port",
		    buf_cstr(&s->file), s->at, who, STR_ARG(name));
	} else if (errno == EADDRNOTAVAIL) {
		check_error(s->k, "%s:%u:1: %.*s is no address of this host", buf_cstr(&s->file),
		    s->at, STR_ARG(name));
	}
}

static void
check_ports(struct check *k)
{
	struct instance i;
	struct services s;
	struct str column[COLUMNS];
	bool running;

	instance_open(&i, k->p);
	running = instance_pid(&i) != 0;
	instance_close(&i);
	if (running) /* it has them itself */
		return;
	open_services(&s, k);
	while (next_service(&s, column))
		if (str_eq(column[COLUMN_TYPE], STR("inet")))
			check_port(&s, column[COLUMN_NAME]);
	close_services(&s);
}

/* A session of smtpd, or a delivery of smtp, has a descriptor for the peer and may have one for its
 * file. */
static void
check_limits(struct check *k)
{
	const struct {
		const char *setting;
		long long value;
	} limits[] = {
		{"smtpd_client_limit", k->p->smtpd_client_limit},
		{ "smtp_client_limit", k->p->smtp_client_limit },
	};
	struct rlimit r;

	if (geteuid() == 0 || getrlimit(RLIMIT_NOFILE, &r) != 0) /* root raises it */
		return;
	for (size_t i = 0; i < countof(limits); i++)
		if ((rlim_t)limits[i].value * 2 + FILES_OF_ITS_OWN > r.rlim_max &&
		    conf_get(&k->p->conf, str_of(limits[i].setting)))
			check_warn(k,
			    "%s: %lld sessions need %lld open files and %llu are allowed here: "
			    "raise ulimit -n, or set it lower",
			    check_place(k, limits[i].setting), limits[i].value,
			    limits[i].value * 2 + FILES_OF_ITS_OWN, (unsigned long long)r.rlim_max);
}

void
check_services(struct check *k)
{
	check_transports(k);
	check_ports(k);
	check_limits(k);
}
