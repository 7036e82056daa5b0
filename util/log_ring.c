/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log_ring.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "util/mem.h"

enum { RING = 1 << 20, NAP_MS = 10, NAPS = 10, PATIENCE_MS = 100, CLOSE_MS = 1000 };

_Static_assert((int)LOG_LINE_MAX <= PIPE_BUF, "a line goes into a pipe whole");

/* Lines lie in bytes[tail..head), positions modulo RING.  Producers move head and the writer moves tail; both
 * only grow, save that an empty ring starts again at 0 (a quiet process then touches few pages).  Both are
 * atomic for the sake of log_ring_crash(), which cannot take the lock. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t  work, end;
	pthread_t       thread;
	atomic_bool     running;                       /* there is a writer */
	bool            idle;                          /* it sleeps until signalled */
	atomic_uint     generation;                    /* a writer of an earlier one must end without a trace */
	unsigned        ended;                         /* the generation of the last writer that ended */
	bool            whole_lines;                   /* fd is no regular file: at most PIPE_BUF a write */
	bool            datagrams;
	atomic_bool     failing;                       /* the last write failed */
	atomic_bool     closing, crashing, writing;
	atomic_int      fd;
	char            path[sizeof ((struct sockaddr_un *)0)->sun_path];
	_Atomic uint64_t head, tail;
	_Atomic uint64_t dropped;
	uint64_t        reported;                      /* of dropped: told in a notice */
} ring = { .lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER,
	.end = PTHREAD_COND_INITIALIZER, .fd = -1 };

static char bytes[RING];

static char
byte_at(uint64_t at)
{
	return bytes[at % RING];
}

static int
pieces(uint64_t from, size_t n, struct iovec v[2])
{
	size_t at = from % RING, first = n < RING - at ? n : RING - at;

	v[0] = (struct iovec){ bytes + at, first };
	v[1] = (struct iovec){ bytes, n - first };
	return n > first ? 2 : 1;
}

static void
count_lost(uint64_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (byte_at(from + i) == '\n')
			ring.dropped++;
}

/* The longest run of whole lines at `from` of at most `most` bytes. */
static size_t
whole_lines(uint64_t from, size_t n, size_t most)
{
	if (n <= most)
		return n;
	for (n = most; n > 1 && byte_at(from + n - 1) != '\n'; n--)
		continue;
	return n;
}

static bool
has_room(int timeout_ms)
{
	return poll(&(struct pollfd){ ring.fd, POLLOUT, 0 }, 1, timeout_ms) > 0;
}

/* write_*: how many bytes at `from` are done with, written or given up.  They wait PATIENCE_MS at most, so that the
 * writer sees when it is to end: a pipe that has room takes PIPE_BUF bytes at once. */
static size_t
write_stream(uint64_t from, size_t n)
{
	unsigned generation = ring.generation;
	struct iovec v[2];
	ssize_t wrote;

	if (ring.whole_lines) {
		/* A writer that was left behind meanwhile would write old lines to a new place. */
		if (!has_room(PATIENCE_MS) || ring.generation != generation)
			return 0;
		n = whole_lines(from, n, PIPE_BUF);
	}
	wrote = writev(ring.fd, v, pieces(from, n, v));
	ring.failing = false;
	if (wrote >= 0)
		return (size_t)wrote;
	if (errno == EINTR || errno == EAGAIN)
		return 0;
	ring.failing = true;
	count_lost(from, n);
	return n;
}

static bool
reconnect(void)
{
	static const struct timeval patience = { .tv_usec = PATIENCE_MS * 1000L };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	if (ring.fd >= 0)
		close(ring.fd);
	ring.fd = -1;
	memcpy(to.sun_path, ring.path, sizeof to.sun_path);
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		close(fd);
		return false;
	}
	ring.fd = fd;
	return true;
}

static bool
send_datagram(uint64_t from, size_t n)
{
	struct iovec v[2];
	struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)pieces(from, n, v) };
	int flags = MSG_NOSIGNAL | (ring.crashing || !ring.running ? MSG_DONTWAIT : 0);

	if (ring.fd >= 0) {
		if (sendmsg(ring.fd, &m, flags) >= 0)
			return true;
		if (errno == EMSGSIZE) {
			count_lost(from, n + 1);
			return true;
		}
		if (errno == EAGAIN)
			return false;
	}
	/* The logger was restarted: its old socket is dead. */
	return reconnect() && sendmsg(ring.fd, &m, flags) >= 0;
}

static size_t
write_datagrams(uint64_t from, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t len = 0;

		while (byte_at(from + done + len) != '\n')
			len++;
		if (!send_datagram(from + done, len)) {
			if (ring.closing || !ring.running) {
				count_lost(from + done, n - done);
				return n;
			}
			/* Keep the lines: a logger that is being restarted comes back. */
			poll(NULL, 0, PATIENCE_MS);
			break;
		}
		done += len + 1;
	}
	return done;
}

static size_t
write_out(uint64_t from, size_t n)
{
	return ring.datagrams ? write_datagrams(from, n) : write_stream(from, n);
}

/* With the lock held. */
static bool
append(struct str line)
{
	struct iovec v[2];
	uint64_t head = ring.head;

	if (line.n > RING - (head - ring.tail))
		return false;
	pieces(head, line.n, v);
	memcpy(v[0].iov_base, line.p, v[0].iov_len);
	memcpy(v[1].iov_base, line.p + v[0].iov_len, v[1].iov_len);
	ring.head = head + line.n;
	return true;
}

static void
append_notice(void)
{
	uint64_t dropped = ring.dropped;
	char line[LOG_LINE_MAX];

	if (dropped != ring.reported && !ring.failing &&
	    append((struct str){ line, log_make_notice(line, dropped - ring.reported) }))
		ring.reported = dropped;
}

/* Until there are lines to write; false when the writer is to end. */
static bool
wait_for_lines(unsigned mine)
{
	while (ring.generation == mine && ring.head == ring.tail && !ring.closing) {
		/* In this order: a crash that comes in between must see an empty ring. */
		ring.head = 0;
		ring.tail = 0;
		ring.idle = true;
		pthread_cond_wait(&ring.work, &ring.lock);
		if (ring.generation == mine)
			ring.idle = false;
	}
	return ring.generation == mine && ring.head != ring.tail;
}

static void
add_ms(struct timespec *t, int ms)
{
	int64_t ns = t->tv_nsec + ms * INT64_C(1000000);

	t->tv_sec += ns / 1000000000;
	t->tv_nsec = ns % 1000000000;
}

/* More lines are likely under way: let them gather, and their writers need not wake anybody.  Waking costs a
 * busy process more than writing, so the writer stays awake, if drowsy, for some time after the last line. */
static void
nap(unsigned mine)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	for (int i = 0; i < NAPS; i++) {
		if (ring.generation != mine || ring.closing || ring.head - ring.tail > RING / 2 ||
		    (i > 0 && ring.head != ring.tail))
			return;
		add_ms(&until, NAP_MS);
		pthread_cond_clockwait(&ring.work, &ring.lock, CLOCK_MONOTONIC, &until);
	}
}

/* The dying thread writes what is left, and tail is its own. */
static void __attribute__((noreturn))
leave_the_rest(void)
{
	ring.writing = false;
	for (;;)
		pause();
}

static void *
writer(void *arg)
{
	unsigned mine = *(unsigned *)arg;

	free(arg);
	pthread_mutex_lock(&ring.lock);
	while (wait_for_lines(mine)) {
		uint64_t from = ring.tail, n = ring.head - from;

		pthread_mutex_unlock(&ring.lock);
		ring.writing = true;
		if (ring.crashing)
			leave_the_rest();
		n = write_out(from, n);
		pthread_mutex_lock(&ring.lock);
		if (ring.generation != mine)
			break;
		ring.tail = from + n;
		ring.writing = false;
		append_notice();
		nap(mine);
	}
	ring.ended = mine;
	pthread_cond_signal(&ring.end);
	pthread_mutex_unlock(&ring.lock);
	return NULL;
}

static void
before_fork(void)
{
	pthread_mutex_lock(&ring.lock);
}

static void
after_fork_parent(void)
{
	pthread_mutex_unlock(&ring.lock);
}

/* The lines in the ring are the parent's to write. */
static void
after_fork_child(void)
{
	pthread_cond_init(&ring.work, NULL);
	pthread_cond_init(&ring.end, NULL);
	ring.running = ring.idle = false;
	ring.writing = ring.crashing = ring.closing = false;
	ring.generation++;
	ring.head = ring.tail = 0;
	ring.dropped = ring.reported = 0;
	log_forked();
	pthread_mutex_unlock(&ring.lock);
}

static void
watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* Signals are for the threads that know what to do with them. */
static bool
start_writer(void)
{
	unsigned *generation = mem_new(sizeof *generation);
	sigset_t all, old;
	int rc;

	*generation = ring.generation;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&ring.thread, NULL, writer, generation);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		free(generation);
	return rc == 0;
}

void
log_ring_open(int fd, const char *path)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct stat st;

	pthread_once(&once, watch_forks);
	pthread_mutex_lock(&ring.lock);
	if (ring.datagrams && ring.fd >= 0)
		close(ring.fd);
	ring.fd = fd >= 0 ? fd : -1;
	ring.datagrams = fd < 0;
	ring.whole_lines = fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode);
	snprintf(ring.path, sizeof ring.path, "%s", path);
	ring.closing = ring.crashing = ring.failing = false;
	ring.head = 0;
	ring.tail = 0;
	ring.generation++;
	ring.running = false;
	if (ring.datagrams)
		reconnect();
	pthread_mutex_unlock(&ring.lock);
}

void
log_ring_start(void)
{
	pthread_mutex_lock(&ring.lock);
	ring.running = start_writer();
	pthread_mutex_unlock(&ring.lock);
}

/* Without a writer, as in a child before its log_open(): straight out, but not into a pipe that is full. */
static void
write_through(struct str line)
{
	ring.head = ring.tail = 0;
	append(line);
	if (!ring.datagrams && !has_room(0))
		ring.dropped++;
	else
		write_out(0, line.n);
	ring.head = 0;
}

void
log_ring_add(struct str line)
{
	pthread_mutex_lock(&ring.lock);
	if (!ring.running)
		write_through(line);
	else if (!append(line))
		ring.dropped++;
	if (ring.idle) {
		ring.idle = false;
		pthread_cond_signal(&ring.work);
	}
	pthread_mutex_unlock(&ring.lock);
}

/* With the lock held.  Not pthread_clockjoin_np(), which the thread sanitizer does not know. */
static bool
await_end(unsigned generation, int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	add_ms(&until, ms);
	while (ring.ended != generation)
		if (pthread_cond_clockwait(&ring.end, &ring.lock, CLOCK_MONOTONIC, &until) != 0)
			return false;
	return true;
}

/* A writer that cannot get rid of its lines is told to leave them; one that hangs in the kernel is left behind. */
void
log_ring_close(void)
{
	unsigned generation;
	bool ended;

	pthread_mutex_lock(&ring.lock);
	generation = ring.generation;
	ring.closing = true;
	append_notice();
	pthread_cond_signal(&ring.work);
	ended = ring.running && await_end(generation, CLOSE_MS);
	if (ring.running && !ended) {
		ring.generation++;
		ended = await_end(generation, 3 * PATIENCE_MS);
	}
	pthread_mutex_unlock(&ring.lock);
	if (ended)
		pthread_join(ring.thread, NULL);
	else if (ring.running)
		pthread_detach(ring.thread);
	pthread_mutex_lock(&ring.lock);
	ring.running = false;
	ring.idle = false;
	ring.writing = false;
	pthread_mutex_unlock(&ring.lock);
}

void
log_ring_crash(void)
{
	if (atomic_exchange(&ring.crashing, true))
		return;
	ring.closing = true;
	/* What the writer is just writing would come twice. */
	for (int ms = 0; ring.writing && ms < 100; ms++)
		poll(NULL, 0, 1);
	while (ring.tail < ring.head) {
		if (!ring.datagrams && !has_room(1000))
			break;
		ring.tail += write_out(ring.tail, ring.head - ring.tail);
	}
}

void
log_ring_last(struct str line)
{
	struct iovec v = { (void *)(uintptr_t)line.p, line.n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	log_ring_crash();
	if (ring.datagrams) {
		v.iov_len--;                           /* the line's end is the datagram's */
		if (ring.fd >= 0 || reconnect())
			(void)!sendmsg(ring.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	} else if (has_room(1000)) {
		(void)!write(ring.fd, line.p, line.n);
	}
}

uint64_t
log_ring_dropped(void)
{
	return ring.dropped;
}
