/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"
#include "intake/newlines.h"
#include "mail/header.h"

enum err
intake_post(struct intake *in, const struct spool_msg *m, struct str sender, struct str to,
    struct str text, uint32_t flags)
{
	struct incoming *mail = incoming_new(in, m, INTAKE_INTERNAL);
	struct spool_rcpt rcpt = { .addr = to };
	struct header_scan header;
	enum err e = incoming_sender(mail, sender, RET_UNSAID, STR(""));

	header_scan_init(&header, (size_t)intake_params(in)->header_size_limit);
	header_scan_add(&header, text);
	if (e == OK)
		e = incoming_rcpt(mail, &rcpt);
	if (e == OK)
		e = incoming_add(mail, text);
	if (e == OK) {
		incoming_log_id(mail, &header);
		e = incoming_commit(&mail, MF_LOCAL | newlines_flags(text) | flags);
	}
	incoming_abort(&mail);
	header_scan_fini(&header);
	return e;
}
