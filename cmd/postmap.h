/* SPDX-License-Identifier: Apache-2.0 */
/* postmap.h - making the files that hash:, btree: and cdb: tables are looked up in. */
#ifndef CMD_POSTMAP_H
#define CMD_POSTMAP_H

#include "mail/maptext.h"

struct postmap {
	enum maptext_form form;
	bool              fold;                        /* keys in lower case */
	bool              key_nul, value_nul;          /* -N */
	bool              replace;                     /* -r: of several entries with one key the last one counts */
	bool              quiet;                       /* -w: no word about them */
	void            (*warn)(void *arg, const char *text);
	void             *arg;
};

/* Make FILE.db or FILE.cdb anew from FILE ("-": standard input is not taken here); name: "hash:/etc/aliases".  Whoever looks things up
 * meanwhile finds the former file, whole; an error leaves it in place.  The new one has FILE's owner's rights: mode as FILE's. */
enum err postmap_make(const struct postmap *how, struct str name) MUST_USE;
/* "type:path" or "path" taken apart. */
void     postmap_name(struct str name, struct str default_type, struct str *type, struct str *path);

#endif
