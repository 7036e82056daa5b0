/* SPDX-License-Identifier: Apache-2.0 */
/* Expansion, with the files that users have played by the test: everything is decided before anything is done. */
#include <stdio.h>
#include <unistd.h>

#include "agent/drop.h"
#include "local/deliver.h"
#include "local/expand.h"
#include "tests/unit/check.h"
#include "util/mem.h"

/* -- files of others: what drop_run() would read -- */

static struct {
	struct { const char *path, *text; enum err e; } v[8];
	size_t n;
	uid_t  last_uid;
	int    reads;
	char   dir[32];                                /* what "/f" stands for: files there exist, though nobody reads them */
	char   forward_path[128];
} files;

static bool
is_file(struct str path, const char *name)
{
	struct str dir = str_of(files.dir);

	return str_starts(path, dir) ? str_eq(str_sub(path, dir.n, path.n), str_sub(str_of(name), 2, strlen(name)))
				     : str_eq(path, str_of(name));
}

enum err
drop_run(struct job *j, struct drop *d)
{
	(void)j;
	CHECK(d->kind == DROP_READ);
	files.last_uid = d->uid;
	files.reads++;
	for (size_t i = 0; i < files.n; i++) {
		if (!is_file(d->path, files.v[i].path))
			continue;
		if (files.v[i].e != OK)
			return fail(files.v[i].e, "%s cannot be read", files.v[i].path);
		CHECK(buf_adds(&d->output, files.v[i].text));
		return OK;
	}
	return fail(E_NOENT, "%.*s: no such file", STR_ARG(d->path));
}

void
drop_fini(struct drop *d)
{
	buf_free(&d->output);
}

static void
file(const char *path, const char *text, enum err e)
{
	if (strncmp(path, "/f/", 3) == 0) {
		char real[64];

		snprintf(real, sizeof real, "%s%s", files.dir, path + 2);
		fclose(fopen(real, "w"));
	}
	files.v[files.n].path = path;
	files.v[files.n].text = text;
	files.v[files.n++].e = e;
}

/* -- one expansion -- */

static struct params params;

static const char *said(const char *text) { return text ? text : ""; }

/* Texts that nothing was said of are empty, not NULL. */
#define FILL_text(field) (params.field = said(params.field))
#define FILL_raw         FILL_text
#define FILL_dir         FILL_text
#define FILL_choice      FILL_text
#define FILL_nets(field) (void)0
#define FILL_size        FILL_nets
#define FILL_time        FILL_nets
#define FILL_hours       FILL_nets
#define FILL_days        FILL_nets
#define FILL_num         FILL_nets
#define FILL_bool        FILL_nets

static void
fill_params(void)
{
#define P(kind, name, def, min, max, doc) FILL_##kind(name);
	PARAMS(P)
#undef P
}

static void
begin(const char *alias_maps)
{
	static const char f[] = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	files.n = 0;
	files.reads = 0;
	strcpy(files.dir, "/tmp/forward-XXXXXX");
	CHECK(mkdtemp(files.dir) != NULL);
	snprintf(files.forward_path, sizeof files.forward_path, "%s/$user${recipient_delimiter}${extension}, %s/$user",
	    files.dir, files.dir);
	params = (struct params){ .mydestination = "here.test, also.test", .relay_domains = "", .virtual_mailbox_domains = "", .myorigin = "here.test",
		.mydomain = "test", .myhostname = "here.test", .append_at_myorigin = true, .recipient_delimiter = "+",
		.owner_request_special = true, .double_bounce_sender = "double-bounce", .default_privs = "nobody",
		.forward_path = files.forward_path, .forward_expansion_filter = f,
		.propagate_unmatched_extensions = "canonical", .allow_mail_to_commands = "alias, forward",
		.allow_mail_to_files = "alias, forward", .duplicate_filter_limit = 1000, .mail_spool_directory = "/spool/" };
	fill_params();
	local.p = &params;
	CHECK(aliases_open(str_of(alias_maps), "/", &local.aliases) == OK && router_open(&params, "/", &local.router) == OK);
}

static void
end(void)
{
	static const char *const made[] = { "/daemon", "/daemon+ext", "" };
	char path[64];

	aliases_close(&local.aliases);
	router_close(&local.router);
	for (size_t i = 0; i < countof(made); i++) {
		snprintf(path, sizeof path, "%s%s", files.dir, made[i]);
		(void)remove(path);
	}
}

static const char *const letters[] = { "", "user ", "to ", "mailbox ", "|", "", "transport " };

/* The leaves as text, or the failure. */
static const char *
expansion(const char *rcpt)
{
	static char out[4096];
	struct job j = { .params = &params };
	struct outcome o = { .rcpt = { .addr = str_of(rcpt) } };
	struct delivery d = { .j = &j, .o = &o };
	struct buf text = { 0 };
	enum err e;

	name_set(&d.name, &params, o.rcpt.addr);
	e = expand(&d);
	for (size_t i = 0; i < d.n && e == OK; i++) {
		struct leaf *l = &d.leaves[i];

		if (l->kind == LEAF_NONE)
			continue;
		(void)buf_printf(&text, "%s%s%s", text.n > 0 ? ", " : "", letters[l->kind], l->text);
		if (l->rights)
			(void)buf_printf(&text, " as %s", l->rights->name);
		if (l->sender)
			(void)buf_printf(&text, " from %s", l->sender);
	}
	if (e != OK)
		(void)buf_printf(&text, "%s %s %s", e == E_REFUSED ? "bounce" : "defer", d.esc, err_why());
	snprintf(out, sizeof out, "%s", buf_cstr(&text));
	expand_fini(&d);
	name_fini(&d.name);
	buf_free(&text);
	return out;
}

static void
expect(const char *rcpt, const char *want)
{
	const char *got = expansion(rcpt);

	CHECK(strcmp(got, want) == 0);
	if (strcmp(got, want) != 0)
		printf("\n  %s gave <%s>\n  expected <%s>\n", rcpt, got, want);
}

static void
aliases_come_before_users(void)
{
	begin("inline:{ {one=daemon}, {two=daemon, games}, {far=bob@example.org}, {daemon=daemon}, {games=games, far},"
	      " {ghost=no-such-user}, {empty= , }, {raw=\\daemon}, {sys+ext=far}, {sys=daemon}, {bad=a b}, {named=daemon@also.test} }");
	expect("one@here.test", "/spool/daemon/ as daemon");
	expect("ONE@here.test", "/spool/daemon/ as daemon");
	expect("two@here.test", "user daemon@here.test, user games@here.test, to bob@example.org");
	expect("far@here.test", "to bob@example.org");
	expect("daemon@here.test", "/spool/daemon/ as daemon");
	expect("games@here.test", "/spool/games/ as games, to bob@example.org");
	expect("ghost@here.test", "bounce 5.1.1 unknown user: \"no-such-user\"");
	expect("ghost+x@here.test", "bounce 5.1.1 unknown user: \"no-such-user\"");
	expect("empty@here.test", "defer 4.3.5 alias empty stands for nobody");
	expect("raw@here.test", "/spool/daemon/ as daemon");
	expect("sys+ext@here.test", "to bob@example.org");
	expect("sys+other@here.test", "/spool/daemon/ as daemon");
	expect("daemon+x@here.test", "/spool/daemon/ as daemon");
	expect("named@here.test", "/spool/daemon/ as daemon");
	expect("bad@here.test", "defer 4.3.0 expansion: not an address: \"a b\"");
	params.propagate_unmatched_extensions = "alias";
	expect("far+x@here.test", "to bob+x@example.org");
	end();
}

static void
loops_of_aliases_end(void)
{
	char spec[8192] = "inline:{ {a=b}, {b=a}, {c=c2}, {c2=c3, x@y.z}, {c3=c}, {deep0=deep1}";

	for (int i = 1; i < 150; i++)
		snprintf(spec + strlen(spec), sizeof spec - strlen(spec), ", {deep%d=deep%d}", i, i + 1);
	strcat(spec, " }");
	begin(spec);
	expect("a@here.test", "bounce 5.4.6 alias database loop for a");
	expect("c@here.test", "to x@y.z");
	expect("deep0@here.test", "bounce 5.4.6 alias database loop for deep100");
	expect("deep60@here.test", "bounce 5.1.1 unknown user: \"deep150\"");
	end();
}

static void
an_owner_is_the_sender_of_what_is_forwarded(void)
{
	begin("inline:{ {list=daemon}, {owner-list=boss}, {all=list, x@y.z}, {cmd=\"|cat\"}, {owner-cmd=boss} }");
	expect("list@here.test", "user daemon@here.test from owner-list@here.test");
	expect("all@here.test", "to x@y.z, user daemon@here.test from owner-list@here.test");
	expect("cmd@here.test", "|cat as nobody from owner-cmd@here.test");
	params.expand_owner_alias = true;
	expect("list@here.test", "user daemon@here.test from boss@here.test");
	params.owner_request_special = false;
	expect("list@here.test", "/spool/daemon/ as daemon");
	end();
}

static void
commands_and_files_need_permission_and_have_rights(void)
{
	begin("inline:{ {cmd=\"|cat a, b\"}, {file=/var/x}, {list=:include:/l}, {both=|cat, /x, |cat, alice} }");
	expect("cmd@here.test", "|cat a, b as nobody");
	expect("file@here.test", "/var/x as nobody");
	expect("both@here.test", "|cat as nobody, /x as nobody, user alice@here.test");
	file("/l", "daemon\n|id\n", OK);
	expect("list@here.test", "bounce 5.7.1 mail to command is restricted");
	params.allow_mail_to_commands = "include";
	expect("list@here.test", "user daemon@here.test, |id as nobody");
	expect("cmd@here.test", "bounce 5.7.1 mail to command is restricted");
	params.allow_mail_to_files = "";
	expect("file@here.test", "bounce 5.7.1 mail to file is restricted");
	params.default_privs = "no-such-user";
	params.allow_mail_to_commands = "alias";
	expect("cmd@here.test", "defer 4.3.5 default_privs: there is no unprivileged user \"no-such-user\"");
	params.default_privs = "root";
	expect("cmd@here.test", "defer 4.3.5 default_privs: there is no unprivileged user \"root\"");
	end();
}

static void
a_table_has_the_rights_of_its_owner(void)
{
	char path[] = "/tmp/aliases-XXXXXX", spec[64], want[64];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");
	bool root = geteuid() == 0;
	struct account *me = NULL;

	fprintf(f, "cmd: \"|cat\"\n");
	fclose(f);
	snprintf(spec, sizeof spec, "texthash:%s", path);
	begin(spec);
	if (root)
		CHECK(chown(path, 2, 2) == 0);         /* bin, on any system */
	CHECK(account_of_uid(root ? 2 : geteuid(), &me) == OK && me);
	snprintf(want, sizeof want, "|cat as %s", me ? me->name : "?");
	expect("cmd@here.test", want);
	account_free(&me);
	if (root) {
		CHECK(chown(path, 0, 0) == 0);
		expect("cmd@here.test", "|cat as nobody");
	}
	unlink(path);
	end();
}

static void
lists_are_read_and_never_expanded_here(void)
{
	begin("inline:{ {list=:include:/l}, {self=:include:/self}, {gone=:include:/gone}, {bad=:include:/bad} }");
	file("/l", "# members\ndaemon\ngames, x@y.z\ndaemon\n", OK);
	expect("list@here.test", "user daemon@here.test, user games@here.test, to x@y.z");
	CHECK(files.last_uid == 65534);                /* nobody */
	file("/self", "x@y.z\n:include:/self\n", OK);
	expect("self@here.test", "to x@y.z");
	expect("gone@here.test", "defer 4.3.0 :include:: /gone: no such file");
	file("/bad", "", E_REFUSED);
	expect("bad@here.test", "defer 4.3.0 :include:: /bad cannot be read");
	end();
}

static void
a_forward_file_says_where_a_users_mail_goes(void)
{
	begin("inline:{ {fred=daemon}, {chef=games} }");
	file("/f/daemon", "x@y.z, |cat\n", OK);
	expect("daemon@here.test", "to x@y.z, |cat as daemon");
	CHECK(files.last_uid == 1);
	expect("fred@here.test", "to x@y.z, |cat as daemon");
	files.n = 0;
	file("/f/daemon", "\\daemon, x@y.z\n", OK);
	expect("daemon@here.test", "/spool/daemon/ as daemon, to x@y.z");
	files.n = 0;
	file("/f/daemon", "daemon@also.test\nfred\n", OK);     /* himself, twice, once by an alias */
	expect("daemon@here.test", "/spool/daemon/ as daemon");
	files.n = 0;
	file("/f/daemon", "games, \\games, chef", OK);           /* another, whose own .forward holds */
	expect("daemon@here.test", "user games@here.test");
	files.n = 0;
	file("/f/daemon", "# nothing\n", OK);
	expect("daemon@here.test", "/spool/daemon/ as daemon");
	files.n = 0;
	file("/f/daemon+ext", "ext@y.z", OK);
	file("/f/daemon", "plain@y.z", OK);
	expect("daemon+ext@here.test", "to ext@y.z");
	expect("daemon+else@here.test", "to plain@y.z");
	files.n = 0;
	file("/f/daemon", "", E_REFUSED);                       /* a FIFO, say, or anybody may write it */
	expect("daemon@here.test", "/spool/daemon/ as daemon");
	files.n = 0;
	file("/f/daemon", "", E_PERM);                          /* his own, and he may not read it */
	expect("daemon@here.test", "/spool/daemon/ as daemon");
	files.n = 0;
	file("/f/daemon", "", E_IO);
	expect("daemon@here.test", "defer 4.3.0 .forward: /f/daemon cannot be read");
	files.n = 0;
	file("/f/daemon", "two words", OK);
	expect("daemon@here.test", "defer 4.3.0 expansion: not an address: \"two words\"");
	end();
}

static void
mailboxes_are_where_the_settings_say(void)
{
	begin("inline:{ {dup=\\daemon, daemon@also.test} }");
	params.mail_spool_directory = "/spool";
	expect("daemon@here.test", "/spool/daemon as daemon");
	expect("root@here.test", "/spool/root as nobody");
	params.home_mailbox = "Maildir/";
	expect("daemon@here.test", "/usr/sbin/Maildir/ as daemon");
	params.mailbox_command = "procmail -a \"$EXTENSION\"";
	expect("daemon@here.test", "|procmail -a \"$EXTENSION\" as daemon");
	expect("root@here.test", "|procmail -a \"$EXTENSION\" as nobody");
	params.mailbox_transport = "lmtp:unix:/run/lmtp";
	expect("daemon@here.test", "transport lmtp:unix:/run/lmtp as daemon");
	expect("nosuch@here.test", "transport lmtp:unix:/run/lmtp");
	expect("dup@here.test", "user daemon@here.test as daemon, user daemon@also.test");      /* it knows no "dup" */
	params.mailbox_transport = "";
	params.luser_relay = "catch+$local@y.z";
	expect("nosuch+e@here.test", "to catch+nosuch+e@y.z");
	params.fallback_transport = "smtp:[other]";
	expect("nosuch@here.test", "transport smtp:[other]");
	end();
}

static void
who_is_not_there_is_unknown(void)
{
	begin("inline:{ {root=daemon} }");
	expect("\"../../etc/x\"@here.test", "bounce 5.1.1 unknown user: \"../../etc/x\"");
	expect("\"|id\"@here.test", "bounce 5.1.1 unknown user: \"|id\"");
	expect("/etc/passwd@here.test", "bounce 5.1.1 unknown user: \"/etc/passwd\"");
	expect("\":include:/etc/passwd\"@here.test", "bounce 5.1.1 unknown user: \":include:/etc/passwd\"");
	expect("\"\\\\root\"@here.test", "bounce 5.1.1 unknown user: \"?root\"");
	expect("postmaster@here.test", "defer 4.3.5 required alias not found: postmaster");
	CHECK(files.reads == 0);
	end();
	begin("fail:x");
	CHECK(strncmp(expansion("daemon@here.test"), "defer 4.3.0 alias lookup: ", 26) == 0);
	end();
	begin("regexp:{ {/^(.*)-list$/ |echo $1} }");
	CHECK(strncmp(expansion("x-list@here.test"), "defer ", 6) == 0);       /* or senders would write commands */
	end();
}

SUITE(expand, TASK_TEST(aliases_come_before_users), TASK_TEST(loops_of_aliases_end),
    TASK_TEST(an_owner_is_the_sender_of_what_is_forwarded), TASK_TEST(commands_and_files_need_permission_and_have_rights),
    TASK_TEST(a_table_has_the_rights_of_its_owner), TASK_TEST(lists_are_read_and_never_expanded_here),
    TASK_TEST(a_forward_file_says_where_a_users_mail_goes), TASK_TEST(mailboxes_are_where_the_settings_say),
    TASK_TEST(who_is_not_there_is_unknown));
