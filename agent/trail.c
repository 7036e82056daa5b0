/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/trail.h"

/* The next field: its name and its value, folded as it stands.  False at the end of the header. */
static bool
next_field(struct str *rest, struct str *name, struct str *value)
{
	size_t end = 0, colon;
	struct str field;

	do
		end += str_find(str_sub(*rest, end, rest->n), '\n') + 1;
	while (end < rest->n && (rest->p[end] == ' ' || rest->p[end] == '\t'));
	field = str_sub(*rest, 0, end);
	*rest = str_sub(*rest, end, rest->n);
	colon = str_find(field, ':');
	*name = str_trim(str_sub(field, 0, colon));
	*value = str_trim(str_sub(field, colon + 1, field.n));
	return str_trim(field).n > 0;
}

bool
trail_delivered(struct str header, struct str address)
{
	struct str name, value;

	while (header.n > 0 && next_field(&header, &name, &value))
		if (str_ieq(name, STR("Delivered-To")) && str_ieq(value, address))
			return true;
	return false;
}

unsigned
trail_received(struct str header)
{
	struct str name, value;
	unsigned n = 0;

	while (header.n > 0 && next_field(&header, &name, &value))
		n += str_ieq(name, STR("Received"));
	return n;
}
