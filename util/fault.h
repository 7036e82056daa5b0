/* SPDX-License-Identifier: Apache-2.0 */
/* fault.h - a fault at the n-th system call of a kind, for tests.  The environment variable POSTROAD_FAULT holds
 * "PROG:CALL:N[+]:ERROR", e.g. "smtpd:fsync:3:EIO" (once) or "qmgr:unlink:1+:EIO" (from then on); several are separated by
 * commas.  ERROR "SHORT" makes a write short by half, "KILL" kills the process there.  Costs one load and a branch when unset.
 * The calls below stand for the system's wherever the spool and the daemons touch disk, sockets and processes. */
#ifndef UTIL_FAULT_H
#define UTIL_FAULT_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#define FAULT_CALLS(X) \
	X(open) X(write) X(pwrite) X(read) X(fsync) X(fdatasync) X(syncfs) X(fstat) X(link) X(rename) X(unlink) X(mkdir) \
	X(close) X(accept) X(connect) X(mmap) X(fork) X(epoll_ctl) X(sendmsg) X(flock)

#define X(call) FAULT_##call,
enum fault_call { FAULT_CALLS(X) FAULT_CALL_COUNT };
#undef X

extern bool fault_armed;                               /* read POSTROAD_FAULT once, in fault_init() */
void fault_init(const char *prog);
/* True: this call must fail; errno is set.  SHORT is reported through *shorten (may be NULL: counts as EIO). */
bool fault_hits(enum fault_call call, bool *shorten);
#define FAULT(call) (__builtin_expect(fault_armed, 0) && fault_hits(FAULT_##call, NULL))

int     sys_open(const char *path, int flags, mode_t mode);
int     sys_openat(int dir, const char *path, int flags, mode_t mode);
ssize_t sys_write(int fd, const void *p, size_t n);
ssize_t sys_writev(int fd, const struct iovec *v, int n);
ssize_t sys_pwrite(int fd, const void *p, size_t n, off_t at);
/* Is the file system still there that this file is on?  0: yes.  A regular file must be open for writing, to be sure. */
int     sys_alive(int fd);
/* 0 only if it is, after the sync (fault.c says why). */
int     sys_fsync(int fd);
int     sys_fdatasync(int fd);
int     sys_syncfs(int fd);
int     sys_renameat(int d1, const char *from, int d2, const char *to);
int     sys_unlinkat(int dir, const char *path, int flags);
int     sys_close(int fd);

#endif
