/* SPDX-License-Identifier: Apache-2.0 */
/* proc.h - what a process needs from the system: files, locks, identity, descriptors. */
#ifndef UTIL_PROC_H
#define UTIL_PROC_H

#include <sys/types.h>

#include "util/buf.h"
#include "util/err.h"

enum err proc_read_file(const char *path, struct buf *out) MUST_USE;           /* up to out's ceiling; E_TOOBIG past it */
/* Write via a temporary name, fsync, rename, fsync the directory. */
enum err proc_write_file(const char *path, struct str content, mode_t mode) MUST_USE;
enum err proc_mkdirs(const char *path, mode_t mode) MUST_USE;                  /* as mkdir -p; existing ones are left alone */
/* Exclusive lock (flock) on path, created when missing; E_BUSY when another process holds it.  The pid is written into it. */
enum err proc_lock(const char *path, int *fd) MUST_USE;
/* The pid in the file if some process holds its lock, else 0. */
pid_t    proc_lock_holder(const char *path);
/* What the system says of a process.  state: R runs, S waits, D waits for a disk, T stopped, Z dead, …: of its first thread. */
struct proc_look {
	char     name[17];
	char     state;
	uint64_t cpu_ms;                               /* used so far, by all its threads */
	int64_t  age;                                  /* seconds since it was started */
};
bool     proc_look(pid_t pid, struct proc_look *out);                          /* false: there is none, or it may not be seen */
/* Become user for good; a no-op without root.  Its group is `group`, or, with own_group, its account's with `group` as the only
 * supplementary one.  root: new root directory, entered between looking the names up and becoming the user; NULL: none.
 * E_PERM, E_NOENT. */
enum err proc_become(const char *user, const char *group, bool own_group, const char *root) MUST_USE;
void     proc_close_from(int lowest);                                          /* close all descriptors >= lowest */
enum err proc_limit_files(size_t want);                                        /* raise RLIMIT_NOFILE as far as allowed */
/* Directory of the running program's binary ("/usr/sbin"); points to static memory. */
const char *proc_self_dir(void);
enum err fd_cloexec(int fd, bool on);
enum err fd_nonblock(int fd, bool on);
/* pwrite/writev everything; a short write continues, EINTR is retried; E_NOSPACE on ENOSPC, EDQUOT, EFBIG and on a zero write. */
enum err fd_write_all(int fd, struct str s, off_t at) MUST_USE;                /* at < 0: at the file position */
enum err fd_read_all(int fd, char *p, size_t n, off_t at) MUST_USE;            /* E_EOF when the file is shorter */

#endif
