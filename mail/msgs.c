/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/msgs.h"

#include "util/ipc.h"

#define M(tag, rec, from, to, fields) WIRE_DEFINE(rec, fields)
MESSAGES(M)
#undef M
#define M(rec, fields) WIRE_DEFINE(rec, fields)
MESSAGE_PARTS(M)
#undef M

/* The table as text: whatever changes the bytes on the wire, or who may send them, changes it. */
#define F(kind, name) #kind " " #name ";"
static const char schema[] =
#define M(tag, rec, from, to, fields) #tag " " from ">" to ":" fields(F)
    MESSAGES(M)
#undef M
#define M(rec, fields) #rec ":" fields(F)
        MESSAGE_PARTS(M);
#undef M
#undef F

#define M(tag, rec, from, to, fields) { #tag, from, to },
static const struct {
	const char *name, *from, *to;
} table[] = { MESSAGES(M) };
#undef M

static const char agents[] = "smtp relay lmtp local virtual pipe discard error retry";

enum { HELLO_SECONDS = 10 };

uint32_t
msg_schema(void)
{
	uint32_t h = 2166136261U; /* FNV-1a */

	for (const char *p = schema; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619U;
	return h;
}

const char *
msg_name(unsigned tag)
{
	return tag < MSG_TAG_COUNT ? table[tag].name : "?";
}

const char *
sched_why_text(enum sched_why why)
{
#define W(tag, text) text,
	static const char *const texts[] = { SCHED_WHYS(W) };
#undef W

	return (unsigned)why < WHY_COUNT ? texts[why] : "?";
}

static bool
has_word(const char *list, struct str word)
{
	struct str rest = str_of(list), w;

	while (str_word(&rest, " ", &w))
		if (str_eq(w, word))
			return true;
	return false;
}

static bool
role_matches(const char *roles, struct str role)
{
	if (role.n == 0)
		return false;
	if (has_word(roles, STR("any")) || has_word(roles, role))
		return true;
	return has_word(roles, STR("agent")) && has_word(agents, role);
}

bool
msg_allowed(unsigned tag, struct str from_role, struct str to_role)
{
	return tag < MSG_TAG_COUNT && role_matches(table[tag].from, from_role) &&
	    role_matches(table[tag].to, to_role);
}

enum err
msg_hello_send(struct ipc *c, const struct msg_hello *mine)
{
	struct msg_hello ours = *mine;
	struct buf *out = ipc_begin(c, MSG_HELLO_TAG);

	if (out == NULL)
		return fail(E_EOF, "connection lost before hello");
	ours.schema = msg_schema();
	if (!msg_hello_put(out, &ours))
		return fail(E_IPC, "hello too long");
	ipc_end(c);
	return OK;
}

enum err
msg_hello_recv(struct ipc *c, struct msg_hello *peer, struct time deadline)
{
	uint16_t tag;
	struct str body;

	TRY(ipc_flush(c, deadline));
	TRY(ipc_recv(c, &tag, &body, deadline));
	if (tag != MSG_HELLO_TAG)
		return fail(E_IPC, "%s instead of HELLO", msg_name(tag));
	TRY(msg_hello_get(body, peer));
	if (peer->schema != msg_schema())
		return fail(E_IPC, "the other side is of another build (messages %08x, ours %08x)",
		    peer->schema, msg_schema());
	if (peer->role.n == 0)
		return fail(E_IPC, "hello without a role");
	return OK;
}

enum err
msg_hello_exchange(struct ipc *c, const struct msg_hello *mine, struct msg_hello *peer)
{
	TRY(msg_hello_send(c, mine));
	return msg_hello_recv(c, peer, time_after(time_now(), HELLO_SECONDS));
}
