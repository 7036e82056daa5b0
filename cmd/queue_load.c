/* SPDX-License-Identifier: Apache-2.0 */
/* `postroad queue load`: message files from elsewhere into this queue (spool/adopt.h), one by one
 * or a whole spool. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/queue.h"
#include "spool/adopt.h"
#include "util/mem.h"
#include "util/proc.h"

enum { FATES = ADOPT_FAILED + 1, PATH_BYTES = 4200 };

static const char *const fates[FATES] = { "taken", "there already", "taken before", "damaged",
	"unfinished", "failed" };

struct load {
	struct cmd *c;
	struct params params;
	struct spool *spool;
	struct adopt *adopt;
	struct adopt_how how;
	bool verbose;
	struct buf ids; /* that qmgr is to be told of */
	uint64_t counts[FATES], files, others, left_out;
	struct progress progress;
	int status;
};

/* -- qmgr -- */

/* Nothing to be said to a qmgr that is not there: it will find all of it when it starts. */
static bool
tell_qmgr(struct load *l, bool done)
{
	struct queue_request r = { .op = QUEUE_READ, .dry = !done, .no_help = true };
	struct queue_result out;
	int status;

	if (done)
		r.select.ids = buf_str(&l->ids);
	status = queue_do(l->c, &r, NULL, &out);
	queue_result_fini(&out);
	if (status != EX_DONE && status != EX_NO_SERVICE)
		l->status = status;
	if (done)
		buf_clear(&l->ids);
	return status == EX_DONE || status == EX_NO_SERVICE;
}

/* -- what became of each file -- */

static void
on_fate(void *arg, const struct adoption *a)
{
	struct load *l = arg;
	char id[QID_TEXT] = "";
	struct buf b = BUF(0);

	l->counts[a->fate]++;
	if (a->id)
		qid_text(a->id, id);
	if (!l->how.dry && (a->fate == ADOPT_TAKEN || a->fate == ADOPT_THERE))
		(void)wire_put_u64(&l->ids, a->id);
	if (l->c->json) {
		buf_adds(&b, "{\"file\": ");
		buf_add_json(&b, str_of(a->path));
		buf_printf(&b, ", \"queue_id\": \"%s\", \"result\": \"%s\", \"reason\": ", id,
		    fates[a->fate]);
		buf_add_json(&b, str_of(a->why));
		printf("%s}\n", buf_cstr(&b));
	} else if (a->fate >= ADOPT_BEFORE || a->why[0] || l->verbose) {
		progress_end(&l->progress);
		cmd_warn(l->c, "%s: %s%s%s", a->path, fates[a->fate], a->why[0] ? ": " : "",
		    a->why[0] ? a->why
		    : a->fate == ADOPT_BEFORE
			? " and left the queue since; left where it is (--again takes it once more)"
			: "");
	}
	buf_free(&b);
}

static void
commit(struct load *l)
{
	if (adopt_waiting(l->adopt) > 0) {
		/* One that does not answer now, and goes on later, would not know of them. */
		if (!tell_qmgr(l, false))
			return;
		if (adopt_commit(l->adopt) != OK)
			l->status = EX_LATER;
	}
	(void)tell_qmgr(l, true);
}

/* -- finding files -- */

/* "…/deferred/3A/ID" or "…/deferred/ID": the state it was in there. */
static enum spool_dir
state_of(const char *path)
{
	struct str rest = str_of(path);

	for (int up = 0; up < 3 && rest.n > 0; up++) {
		size_t slash = str_rfind(rest, '/');
		struct str name = slash == rest.n ? rest : str_sub(rest, slash + 1, rest.n);

		if (up > 0 && str_eq(name, STR("incoming")))
			return SPOOL_INCOMING;
		if (up > 0 && str_eq(name, STR("deferred")))
			return SPOOL_DEFERRED;
		if (up > 0 && str_eq(name, STR("hold")))
			return SPOOL_HOLD;
		rest = slash == rest.n ? STR("") : str_sub(rest, 0, slash);
	}
	return SPOOL_DIR_COUNT;
}

static void
add_file(struct load *l, const char *path)
{
	struct adopt_how how = l->how;

	if (how.dir == SPOOL_DIR_COUNT)
		how.dir = state_of(path);
	adopt_add(l->adopt, path, &how);
	progress_at(&l->progress, ++l->files);
	if (adopt_waiting(l->adopt) == ADOPT_MAX)
		commit(l);
}

/* The spool that a path is (in): the directory with pid/ and incoming/ in it; false: in none. */
static bool
spool_around(const char *path, char root[PATH_BYTES])
{
	char probe[PATH_BYTES + 16];
	struct stat st;

	if (realpath(path, root) == NULL)
		return false;
	for (;;) {
		char *slash = strrchr(root, '/');

		snprintf(probe, sizeof probe, "%s/pid/.", root);
		if (stat(probe, &st) == 0) {
			snprintf(probe, sizeof probe, "%s/incoming/.", root);
			if (stat(probe, &st) == 0)
				return true;
		}
		if (slash == NULL || slash == root)
			return false;
		*slash = '\0';
	}
}

/* Nobody may be at work on the other spool; its lock is ours until the end of this process. */
static bool
lock_other(struct load *l, const char *path)
{
	static char locked[PATH_BYTES];
	char root[PATH_BYTES], lock[PATH_BYTES + 16], own[PATH_BYTES];
	int fd;

	if (!spool_around(path, root) || strcmp(root, locked) == 0)
		return true;
	if (realpath(l->params.queue_directory, own) && strcmp(root, own) == 0) {
		cmd_warn(l->c, "%s: that is this queue", path);
		return false;
	}
	snprintf(lock, sizeof lock, "%s/pid/qmgr.lock", root);
	if (proc_lock(lock, &fd) == E_BUSY) {
		cmd_warn(l->c, "%s: the mail system there is running; stop it first", root);
		return false;
	}
	snprintf(locked, sizeof locked, "%s", root);
	return true;
}

static void
visit(struct load *l, FTS *walk, FTSENT *f)
{
	/* Users' mail in maildrop is for pickup there; what is corrupt is for a human. */
	static const char *const left_out[] = { "maildrop", "corrupt", "load" };
	static const char *const not_mail[] = { "pid", "public", "private" };
	uint64_t id;

	switch (f->fts_info) {
	case FTS_D:
		f->fts_number = f->fts_level > 0 ? f->fts_parent->fts_number : 0;
		for (size_t i = 0; i < countof(not_mail) && f->fts_level > 0; i++)
			if (strcmp(f->fts_name, not_mail[i]) == 0)
				fts_set(walk, f, FTS_SKIP);
		for (size_t i = 0; i < countof(left_out) && f->fts_level > 0; i++)
			f->fts_number |= strcmp(f->fts_name, left_out[i]) == 0;
		break;
	case FTS_F:
		if (f->fts_level > 0 && f->fts_parent->fts_number)
			l->left_out++;
		else if (f->fts_level == 0 || qid_parse(str_of(f->fts_name), &id))
			add_file(l, f->fts_path);
		else
			l->others++;
		break;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		cmd_warn(l->c, "%s: %s", f->fts_path, strerror(f->fts_errno));
		l->counts[ADOPT_FAILED]++;
		break;
	default:
		break;
	}
}

static void
add_all(struct load *l, char **paths)
{
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *f;

	if (walk == NULL) {
		cmd_warn(l->c, "%s", strerror(errno));
		l->status = EX_LATER;
		return;
	}
	while (l->status == EX_DONE && (errno = 0, f = fts_read(walk)) != NULL)
		visit(l, walk, f);
	fts_close(walk);
	if (!l->how.dry)
		commit(l);
}

/* -- */

static void
print_summary(const struct load *l)
{
	if (l->c->json) {
		printf("{\"taken\": %" PRIu64 ", \"there\": %" PRIu64 ", \"before\": %" PRIu64
		       ", \"damaged\": %" PRIu64 ", \"unfinished\": %" PRIu64
		       ", \"failed\": %" PRIu64 ", \"dry_run\": %s}\n",
		    l->counts[ADOPT_TAKEN], l->counts[ADOPT_THERE], l->counts[ADOPT_BEFORE],
		    l->counts[ADOPT_DAMAGED], l->counts[ADOPT_UNFINISHED], l->counts[ADOPT_FAILED],
		    l->how.dry ? "true" : "false");
		return;
	}
	printf("%s%" PRIu64 " message%s taken", l->how.dry ? "would have " : "",
	    l->counts[ADOPT_TAKEN], l->counts[ADOPT_TAKEN] == 1 ? "" : "s");
	for (int i = ADOPT_THERE; i < FATES; i++)
		if (l->counts[i] > 0)
			printf(", %" PRIu64 " %s", l->counts[i], fates[i]);
	if (l->others > 0)
		printf(
		    ", %" PRIu64 " other file%s left alone", l->others, l->others == 1 ? "" : "s");
	putchar('\n');
	if (l->left_out > 0)
		cmd_warn(l->c, "%" PRIu64 " file%s in maildrop or corrupt left where they are",
		    l->left_out, l->left_out == 1 ? "" : "s");
}

static int
load(struct load *l, char **paths)
{
	enum err e;

	for (size_t i = 0; paths[i]; i++)
		if (!lock_other(l, paths[i]))
			return EX_NOT_ALLOWED;
	e = spool_open(
	    l->params.queue_directory, spool_sync_of(l->params.spool_sync), false, &l->spool);
	progress_begin(&l->progress, "files", 0);
	e = e == OK ? adopt_open(l->spool, on_fate, l, &l->adopt) : e;
	if (e == OK)
		add_all(l, paths);
	progress_end(&l->progress);
	if (e != OK) {
		cmd_warn(l->c, "%s", err_why());
		l->status = e == E_PERM ? EX_NOT_ALLOWED : EX_LATER;
	} else {
		print_summary(l);
	}
	adopt_close(&l->adopt);
	spool_close(&l->spool);
	if (l->status == EX_DONE && (l->counts[ADOPT_DAMAGED] > 0 || l->counts[ADOPT_FAILED] > 0))
		l->status = EX_NOT_DONE;
	return fflush(stdout) == 0 ? l->status : EX_NOT_DONE;
}

static int
usage(const struct cmd *c, FILE *out, int status)
{
	fprintf(out,
	    "usage: %s load [--keep] [--again] [--hold] [--dry-run] [--verbose] FILE|DIR ...\n"
	    "Takes message files into this queue, with what is known of their deliveries: single "
	    "files, or all\n"
	    "in a directory, such as the spool of another instance (which must be stopped).\n"
	    "A file goes away when its message is safe here; a message is taken once, however "
	    "often it is\n"
	    "loaded.  Damaged ones are reported and left.  Works whether the mail system runs or "
	    "not.\n"
	    "  --keep      leave the files\n"
	    "  --again     take also what was taken before and has left the queue since\n"
	    "  --hold      put all of it on hold\n"
	    "  --dry-run   only look\n"
	    "  --verbose   name each file\n",
	    c->name);
	return status;
}

int
queue_load(struct cmd *c, int argc, char **argv)
{
	struct load l = { .c = c, .how = { .dir = SPOOL_DIR_COUNT }, .ids = BUF(16 << 20) };
	char **paths = mem_array((size_t)argc + 1, sizeof *paths);
	size_t n = 0;
	int status = EX_DONE;

	for (int i = 1; i < argc && status == EX_DONE; i++) {
		const char *w = argv[i];

		if (strcmp(w, "--keep") == 0)
			l.how.keep = true;
		else if (strcmp(w, "--again") == 0)
			l.how.again = true;
		else if (strcmp(w, "--hold") == 0)
			l.how.dir = SPOOL_HOLD;
		else if (strcmp(w, "--dry-run") == 0)
			l.how.dry = true;
		else if (strcmp(w, "--verbose") == 0 || strcmp(w, "-v") == 0)
			l.verbose = true;
		else if (strcmp(w, "--help") == 0)
			return usage(c, stdout, EX_DONE);
		else if (w[0] == '-')
			status = usage(c, stderr, EX_BAD_USAGE);
		else
			paths[n++] = argv[i];
	}
	if (status == EX_DONE && n == 0)
		status = usage(c, stderr, EX_BAD_USAGE);
	if (status == EX_DONE && !cmd_params(c, &l.params))
		status = EX_NOT_DONE;
	else if (status == EX_DONE) {
		status = load(&l, paths);
		params_fini(&l.params);
	}
	buf_free(&l.ids);
	free(paths);
	return status;
}
