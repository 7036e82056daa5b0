/* SPDX-License-Identifier: Apache-2.0 */
#include "pipe/macro.h"

static enum err
add_word(const struct pipe_words *w, struct str word, const struct msg_rcpt *r, struct buf *out)
{
	size_t from = out->n;
	struct str made;

	if (!macro_expand(w, word, r, out))
		return fail(E_TOOBIG, "the command line would be too long");
	made = str_sub(buf_str(out), from, out->n);
	if (made.n > 0 && made.p[0] == '-' && word.p[0] != '-')
		return fail(E_REFUSED, "\"%.*s\" would be taken for an option of the command",
		    STR_ARG(made));
	return buf_addc(out, '\0') ? OK : fail(E_TOOBIG, "the command line would be too long");
}

enum err
pipe_words(const struct pipe_words *w, struct buf *out)
{
	for (char **arg = w->service->argv; *arg; arg++) {
		struct str word = str_of(*arg);

		if (!macro_per_recipient(word)) {
			TRY(add_word(w, word, NULL, out));
			continue;
		}
		for (size_t i = w->from; i < w->to; i++)
			TRY(add_word(w, word, &w->job->rcpts[i].rcpt, out));
	}
	return OK;
}
