/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"
#include "smtpd/session.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "mail/dns.h"
#include "smtpd/arguments.h"
#include "smtpd/clients.h"
#include "util/log.h"

enum { LOOKUP_SECONDS = 1, GOODBYE_SECONDS = 5, LINGER_SECONDS = 1, LINGER_BYTES = 1 << 20 };

const struct params *
session_params(const struct session *s)
{
	const struct smtpd *d = s->smtpd;
	bool meets_stress = d->overload.full || (d->overload.on && !s->may_relay);

	return meets_stress ? d->params->stressed : d->params;
}

struct time
session_await(struct session *s)
{
	s->waiting = true;
	s->waits_since = time_now();
	return time_after(s->waits_since, session_params(s)->smtpd_timeout);
}

void
session_heard(struct session *s)
{
	s->waiting = false;
}

void
session_time_out(struct session *s)
{
	s->reason = "timeout";
	s->smtpd->overload.dismissed++;
	say(s, SAY_TIMEOUT);
}

void
transaction_reset(struct session *s)
{
	struct transaction *t = &s->transaction;

	incoming_abort(&t->incoming);
	buf_free(&t->sender);
	buf_free(&t->text);
	buf_free(&t->envid);
	free(t->rcpts);
	*t = (struct transaction){ 0 };
	s->state &= ~(unsigned)(S_MAIL | S_RCPT);
	session_account(s);
}

void
session_flush(struct session *s)
{
	enum err e;

	s->unflushed = 0;
	if (s->lost)
		return;
	e = io_flush(s->io, session_await(s));
	session_heard(s);
	if (e != OK) {
		s->lost = true;
		s->reason = "lost connection";
	}
}

bool
session_is_ahead(const struct session *s)
{
	int n = 0;

	return io_has_input(s->io) || (ioctl(io_fd(s->io), FIONREAD, &n) == 0 && n > 0);
}

/* A client that talks before its turn does not listen to answers: a spammer in a hurry, or mail smuggled by a proxy. */
static WAITS bool
is_out_of_turn(struct session *s)
{
	struct buf text = BUF(0);
	struct str bytes;

	/* Before the greeting the kernel is asked; later what came along with the command tells, at no cost. */
	if (s->greeted ? !io_has_input(s->io) : !session_is_ahead(s))
		return false;
	if (io_some(s->io, &bytes, time_after(time_now(), GOODBYE_SECONDS)) != OK)
		bytes = STR("");
	ENSURE(buf_add_clean(&text, str_sub(bytes, 0, 100)));
	log_info("improper command pipelining after %s from %s: %s", s->where, s->from, buf_cstr(&text));
	buf_free(&text);
	if (!session_params(s)->smtpd_forbid_unauth_pipelining)
		return false;
	say(s, SAY_SYNC);
	return true;
}

static WAITS void
find_name(struct session *s)
{
	const struct params *p = session_params(s);
	struct buf name = BUF(0), from = BUF(0);
	char text[ADDR_TEXT];

	s->address = mem_dup(addr_text(&s->client, text));
	/* A name server that does not answer must not hold up the greeting, nor be asked who we are ourselves. */
	if (addr_is_loopback(&s->client) || s->client.sa.sa_family == AF_UNIX)
		ENSURE(buf_adds(&name, "localhost"));
	else if (p->smtpd_peername_lookup)
		dns_client_name(&s->client, time_after(time_now(), LOOKUP_SECONDS), &name);
	s->name = mem_dup(name.n > 0 ? buf_cstr(&name) : "unknown");
	ENSURE(buf_printf(&from, "%s[%s]", s->name, s->address));
	if (p->smtpd_client_port_logging)
		ENSURE(buf_printf(&from, ":%u", addr_port(&s->client)));
	s->from = mem_dup(buf_cstr(&from));
	buf_free(&name);
	buf_free(&from);
}

static enum newlines
newlines_for(const struct params *p, const struct addr *client)
{
	if (strcmp(p->smtpd_forbid_bare_newline, "no") == 0 ||
	    nets_match(p->smtpd_forbid_bare_newline_exclusions, client))
		return NEWLINES_NO;
	return strcmp(p->smtpd_forbid_bare_newline, "reject") == 0 ? NEWLINES_REJECT : NEWLINES_NORMALIZE;
}

/* False: too many of this client are here already. */
static WAITS bool
admit(struct session *s)
{
	const struct params *p = session_params(s);
	unsigned n;

	if (s->client.sa.sa_family == AF_UNIX)
		return true;
	n = clients_enter(s->smtpd->clients, &s->client);
	s->counted = true;
	if (p->smtpd_client_connection_count_limit == 0 || n <= (unsigned)p->smtpd_client_connection_count_limit ||
	    nets_match(p->smtpd_client_event_limit_exceptions, &s->client))
		return true;
	log_warn("Connection concurrency limit exceeded: %u from %s for service %s", n, s->from,
	    s->smtpd->service->name);
	say_with(s, SAY_TOO_MANY_SESSIONS, str_of(s->address));
	return false;
}

/* What to make of a failed wait for the client.  False: the session is over. */
static WAITS bool
survives(struct session *s, enum err e)
{
	switch (e) {
	case E_TOOLONG:
		s->errors++;
		s->where = "UNKNOWN";
		s->counts[CMD_COUNT].total++;
		say(s, SAY_TOO_LONG);
		return true;
	case E_TIMEOUT:
		session_time_out(s);
		return false;
	case E_STOPPED:
		say(s, SAY_SHUTDOWN);
		return false;
	default:
		s->reason = "lost connection";
		s->lost = true;
		return false;
	}
}

/* TLS without being asked for has no line ends: waiting for one would last until the timeout. */
static WAITS bool
begins_well(struct session *s)
{
	struct str bytes;
	enum err e;

	if (service_phase() == PHASE_HURRY || task_stopping())
		return survives(s, E_STOPPED);
	s->idle = true;
	e = io_some(s->io, &bytes, session_await(s));
	session_heard(s);
	s->idle = false;
	if (e != OK)
		return survives(s, e);
	if (bytes.p[0] != '\x16' || (bytes.n > 1 && bytes.p[1] != '\x03'))
		return true;
	s->counts[CMD_COUNT].total++;
	s->where = "UNKNOWN";
	log_warn("non-SMTP command from %s: TLS handshake", s->from);
	say(s, SAY_TLS_HERE);
	return false;
}

static WAITS bool
greet(struct session *s)
{
	struct buf text = BUF(0);

	log_info("connect from %s", s->from);
	if (!admit(s) || is_out_of_turn(s))
		return false;
	s->greeted = true;
	ENSURE(buf_printf(&text, "220 %s\r\n", session_params(s)->smtpd_banner));
	say_lines(s, buf_str(&text));
	buf_free(&text);
	session_flush(s);
	return !s->lost && begins_well(s);
}

/* A header line or a command of another protocol: a proxy or a browser is being abused (ALPACA). */
static bool
is_forbidden(const struct params *p, struct str verb)
{
	size_t colon = str_find(verb, ':');

	if (list_has(str_of(p->smtpd_forbidden_commands), verb, false))
		return true;
	for (size_t i = 0; i < colon; i++)
		if (verb.p[i] <= ' ' || verb.p[i] > '~')
			return false;
	return colon > 0 && colon < verb.n;
}

static WAITS enum verdict
unknown(struct session *s, struct str line, struct str verb)
{
	const struct params *p = session_params(s);
	struct buf text = BUF(0);

	if (list_has(str_of(p->smtpd_noop_commands), verb, false)) {
		say(s, SAY_OK);
		if (s->junk++ > (unsigned)p->smtpd_junk_command_limit)
			s->errors++;
		return V_OK;
	}
	s->where = "UNKNOWN";
	s->counts[CMD_COUNT].total++;
	if (!is_forbidden(p, verb)) {
		s->errors++;
		say(s, SAY_UNKNOWN);
		return V_BAD;
	}
	ENSURE(buf_add_clean(&text, str_sub(line, 0, 100)));
	log_warn("non-SMTP command from %s: %s", s->from, buf_cstr(&text));
	buf_free(&text);
	say(s, SAY_FORBIDDEN);
	return V_CLOSE;
}

static WAITS enum verdict
run(struct session *s, const struct command *c, struct str arg)
{
	unsigned id = (unsigned)(c - smtp_commands);
	enum reply_id refusal;
	enum verdict v = V_BAD;

	s->where = c->verb;
	s->counts[id].total++;
	if ((c->flags & C_JUNK) && s->junk++ > (unsigned)session_params(s)->smtpd_junk_command_limit)
		s->errors++;
	/* Without EHLO nothing was said of PIPELINING. */
	if (((c->flags & C_LAST) || (!s->esmtp && c->run != do_quit)) && is_out_of_turn(s))
		return V_CLOSE;
	refusal = command_check(c, s->state, arg);
	if (refusal == SAY_OK)
		v = c->run(s, arg);
	else
		say(s, refusal);
	s->counts[id].good += v == V_OK || c->run == do_quit;
	s->errors += v == V_BAD;
	return v;
}

static WAITS enum verdict
refuse_bare_lf(struct session *s)
{
	long long code = session_params(s)->smtpd_forbid_bare_newline_reject_code;
	struct buf text = BUF(0);

	s->errors++;
	ENSURE(buf_printf(&text, "%lld", code));
	say_with(s, SAY_BARE_LF, buf_str(&text));
	buf_free(&text);
	return code == 521 ? V_CLOSE : V_BAD;
}

static WAITS enum verdict
obey(struct session *s, struct str borrowed, enum io_ending ending)
{
	const struct command *c;
	struct str verb, arg, line;
	enum verdict v;
	char *copy;

	transcript_in(&s->transcript, borrowed);
	if (ending == END_LF && s->newlines == NEWLINES_REJECT)
		return refuse_bare_lf(s);
	line_split(borrowed, &verb, &arg);
	if (verb.n == 0 || str_find(borrowed, '\0') < borrowed.n) {
		s->errors++;
		s->where = "UNKNOWN";
		s->counts[CMD_COUNT].total++;
		say(s, SAY_BAD_SYNTAX);
		return V_BAD;
	}
	/* The line is gone with the next look at the connection, which a command may take. */
	copy = str_dup(borrowed);
	line = (struct str){ copy, borrowed.n };
	line_split(line, &verb, &arg);
	c = command_find(verb);
	v = c ? run(s, c, arg) : unknown(s, line, verb);
	free(copy);
	return v;
}

/* One command.  False: the session is over. */
static WAITS bool
next_command(struct session *s)
{
	struct str line;
	enum io_ending ending;
	enum verdict v;
	enum err e;

	if (s->errors >= (unsigned)session_params(s)->smtpd_hard_error_limit) {
		s->reason = "too many errors";
		say(s, SAY_TOO_MANY_ERRORS);
		return false;
	}
	if (s->lost)
		return false;
	if (service_phase() == PHASE_HURRY || task_stopping())
		return survives(s, E_STOPPED);
	s->idle = true;
	e = io_line(s->io, &line, &ending, session_await(s));
	session_heard(s);
	s->idle = false;
	if (e != OK)
		return survives(s, e);
	v = obey(s, line, ending);
	session_account(s);
	return v != V_CLOSE;
}

/* Closing with unread input makes the kernel reset the connection, and the last reply may be lost with it. */
static WAITS void
linger(struct session *s)
{
	struct time until = time_after(time_now(), LINGER_SECONDS);
	struct str bytes;

	if (!session_is_ahead(s))
		return;
	shutdown(io_fd(s->io), SHUT_WR);
	for (size_t n = 0; n < LINGER_BYTES && io_some(s->io, &bytes, until) == OK; n += bytes.n)
		io_ate(s->io, bytes.n);
}

static void
session_free(struct session *s)
{
	struct smtpd *d = s->smtpd;
	struct board_slot *b = &d->service->board->slot[d->service->slot];

	transcript_fini(&s->transcript);
	transaction_reset(s);
	if (s->counted)
		clients_leave(d->clients, &s->client);
	io_close(&s->io);
	list_remove(&s->link);
	d->nsessions--;
	b->sessions = (uint32_t)d->nsessions;
	wait_wake(&d->room);
	wait_wake_all(&d->drained);
	free(s->name);
	free(s->address);
	free(s->from);
	free(s->helo);
	free(s);
}

static void
serve(void *arg)
{
	struct session *s = arg;

	s->task = task_self();
	s->newlines = newlines_for(session_params(s), &s->client);
	s->may_relay = policy_may_relay(s->smtpd->params, &s->client);
	s->local = policy_is_local(session_params(s), &s->client);
	if (!session_params(s)->smtpd_helo_required)
		s->state |= S_HELLO;
	find_name(s);
	if (greet(s))
		while (next_command(s))
			;
	if (!s->lost && io_flush_last(s->io, time_after(time_now(), GOODBYE_SECONDS)) == OK)
		linger(s);
	logline_broken(s);
	logline_disconnect(s);
	transcript_send(&s->transcript, s->smtpd->intake, s->from, s->reason);
	session_free(s);
}

bool
session_start(struct smtpd *smtpd, int fd, const struct addr *client)
{
	struct board_slot *b = &smtpd->service->board->slot[smtpd->service->slot];
	struct session *s;

	if (task_fd_add(fd) != OK) {
		log_warn("new session: %s", err_why());
		close(fd);
		return false;
	}
	s = mem_new(sizeof *s);
	s->smtpd = smtpd;
	s->client = *client;
	s->where = "CONNECT";
	transcript_init(&s->transcript, smtpd->notified);
	s->io = io_new(fd, (size_t)smtpd->params->line_length_limit);
	list_push(&smtpd->sessions, &s->link);
	smtpd->nsessions++;
	wait_wake(&smtpd->occupied);
	b->sessions = (uint32_t)smtpd->nsessions;
	b->served++;
	if (task_start(&smtpd->group, "session", serve, s))
		return true;
	log_warn("new session: no memory for a stack");
	session_free(s);
	return false;
}
