/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/files.h"
#include "util/fault.h"

/* An id that came twice (a clock set back across a restart) must not cost the message that had it first. */
int
rename_new(int root, const char *from, const char *to)
{
	struct stat st;

	if (FAULT(rename))
		return -1;
	if (renameat2(root, from, root, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* Not every file system knows how; as `to` has one writer (rule 8) looking first is as good. */
	if (fstatat(root, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return renameat(root, from, root, to);
}

/* Moves between incoming and deferred need not last: either place is right after a crash, and the journal tells the
 * rest.  What an operator held or released must stay so (R8.3). */
static bool
must_last(enum spool_dir from, enum spool_dir to)
{
	return from == SPOOL_HOLD || to == SPOOL_HOLD;
}

enum err
spool_move(struct spool *s, uint64_t id, enum spool_dir from, enum spool_dir to)
{
	char old[SPOOL_PATH], new[SPOOL_PATH];
	unsigned hash = spool_hash(id);
	int rc;

	TRY(spool_may_write(s));
	if (from == to)
		return OK;
	spool_path(from, id, old);
	spool_path(to, id, new);
	rc = rename_new(s->root, old, new);
	if (rc != 0 && errno == ENOENT && faccessat(s->root, old, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		TRY(spool_make_hash(s, to, hash));
		rc = rename_new(s->root, old, new);
	}
	if (rc != 0)
		return fail_errno("rename %s to %s", old, new);
	if (!must_last(from, to))
		return OK;
	/* The new name first: a crash in between may leave both on a file system without a journal, never neither. */
	TRY(spool_sync_dir(s, spool_hash_path(to, hash, new)));
	return spool_sync_dir(s, spool_hash_path(from, hash, old));
}

void
spool_removing(struct spool *s, const uint64_t *ids, size_t n)
{
	if (s->sync == SYNC_AUTO)                      /* the others keep no log */
		removed_note(s, ids, n);
}

enum err
spool_remove(struct spool *s, enum spool_dir d, uint64_t id)
{
	char path[SPOOL_PATH];

	TRY(spool_may_write(s));
	return sys_unlinkat(s->root, spool_path(d, id, path), 0) == 0 ? OK : fail_errno("unlink %s", path);
}
