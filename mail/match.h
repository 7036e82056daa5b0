/* SPDX-License-Identifier: Apache-2.0 */
/* match.h - match lists, as mydestination, relay_domains and their like are: patterns separated by commas and blanks, of which
 * the first that fits decides.
 *
 *	name            that name, in any case; where `below` is asked for, what is below it as well
 *	.name           what is below it, not the name itself
 *	type:table      names the table (maps.h) has; then, with `below`, those whose parent it has, else those whose ".parent" it
 *	                has (patterns and networks see the whole name only).  What the table says is of no interest
 *	/file           a file of names, .names and !names, separated like these; text after # at the start of a line is a comment
 *	!pattern        what it fits is not on the list
 *
 * Tables and files that change are followed without reload, as in maps.h. */
#ifndef MAIL_MATCH_H
#define MAIL_MATCH_H

#include "mail/maps.h"

struct match;

/* Take spec apart and open its tables; what and dir as in maps_open().  An empty spec gives NULL, which fits nothing.  E_SYNTAX: a
 * table of unknown type, braces that do not pair.  Reads no file. */
WAITS enum err match_open(struct str spec, const char *what, const char *dir, bool below, struct match **out) MUST_USE;
void           match_close(struct match **m);          /* no match_find() may be under way */
/* Is name on the list?  Any error: a table could not be asked before a pattern fitted; temporary. */
WAITS enum err match_find(struct match *m, struct str name, bool *yes) MUST_USE;
bool           match_fixed(const struct match *m);     /* names alone: the answer for a name never changes, and never waits */
/* The first name in it that is no domain, for complaints; empty: all are. */
struct str     match_bad_domain(const struct match *m);
/* Does one name, or .name, fit? */
bool           match_name(struct str pattern, struct str name, bool below);

#endif
