/* SPDX-License-Identifier: Apache-2.0 */
/* token.h - what the right-hand side of an alias says, aliases(5), and so does each line of a .forward or :include: file:
 *
 *	address         as in RFC 5322: user, user@domain, "a b"@domain, Name <user@domain>, user (comment)
 *	\user           that user's mailbox, no further expansion
 *	|command        or "|command", |"command": in quotes a backslash makes the next byte ordinary
 *	/file           or "/file"; a Maildir when it ends in /
 *	:include:/file  more of the same from a file
 *
 * Commas and line ends separate.  Pure, and bounded: what users write is not to be trusted. */
#ifndef LOCAL_TOKEN_H
#define LOCAL_TOKEN_H

#include "util/buf.h"
#include "util/err.h"

enum { TOKEN_MAX = 8192 };                             /* bytes of one of them */

enum token_kind { TOKEN_ADDRESS, TOKEN_MAILBOX, TOKEN_COMMAND, TOKEN_FILE, TOKEN_INCLUDE };
/* text: the address (quoting as given), the user, the command without its |, the path. */
struct token { enum token_kind kind; struct str text; };

struct tokens {
	struct token *v;
	size_t        n;
	struct buf    text;                            /* private: what they borrow from */
};

/* file: a line that begins with # is a comment.  E_SYNTAX: something in it is none of the above; E_TOOBIG: more than most of
 * them.  out is to be freed in any case, and holds nothing after an error. */
enum err tokens_parse(struct str text, bool file, size_t most, struct tokens *out) MUST_USE;
void     tokens_fini(struct tokens *t);

#endif
