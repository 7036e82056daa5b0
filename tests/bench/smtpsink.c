/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtpsink -- accept mail and discard it: an epoll server, one process per -n, SO_REUSEPORT.
 *
 *   smtpsink [-n procs] [-c counters] [-k cert+key.pem] [-K] [-e pattern:code]... [-w pattern:ms]... port
 *
 *   -c FILE  8-byte counters, mapped: connections, messages, recipients, bytes, time of the last
 *            message (us, CLOCK_MONOTONIC), TLS handshakes, TLS resumed, refused recipients, open, fast
 *   -k PEM   offer STARTTLS; -K: with no session resumption (no tickets, no cache)
 *   -e P:C   a RCPT whose address contains P is answered with code C (421 also closes)
 *   -w P:MS  a message with a recipient containing P is answered MS milliseconds after its final dot
 *   -f P     counter `fast` counts the messages that have a recipient containing P
 *   -E MS    delay every greeting by MS
 *   -x W     do not offer extension W (PIPELINING, SIZE, 8BITMIME ...)
 *   -j DIR   bound of a durable receiver: append every message to DIR/log.PID and answer only after
 *            one fdatasync per turn of the event loop (group commit)
 *   -J DIR   the same with one file per message in DIR: written, then fsync'ed, before the answer
 *   -a N     listen at 127.0.0.1 .. 127.0.0.N (so that N destinations look different)
 */
#include "smtpio.h"
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <signal.h>

enum { C_CONN, C_MSG, C_RCPT, C_BYTES, C_LAST, C_TLS, C_RESUMED, C_REFUSED, C_OPEN, C_FAST, C_N };
static uint64_t dummy[C_N], *cnt = dummy;
#define ADD(i, v) __atomic_fetch_add(&cnt[i], (v), __ATOMIC_RELAXED)

struct rule { const char *pat; int val; };
static struct rule refuse[16], slow[16];
static int nrefuse, nslow, greet_ms;
static const char *fastpat, *noext[8];
static int nnoext;
static SSL_CTX *ctx;
static const char *jdir, *Jdir;
static int jfd = -1;
static off_t joff;

struct conn {
    int fd, mode;               /* mode: 0 commands, 1 data, 2 TLS handshake, 3 BDAT */
    SSL *ssl;
    int nrcpt, dot, delay, fast, closing, want_out;
    size_t inlen, outlen, outoff, bdat;
    int bdatlast;
    uint64_t due;               /* when a delayed answer may go */
    struct conn *next;          /* list of delayed connections */
    char *msg; size_t msglen, msgcap;   /* the message so far, with -j or -J */
    int waiting, fd2;           /* answer withheld until the commit */
    char in[4096], out[4096];
};
static struct conn *delayed;
static int ep;

static void events(struct conn *c)
{
    int w = c->outlen > c->outoff;
    if (w != c->want_out) {
        struct epoll_event e = { .events = EPOLLIN | (w ? EPOLLOUT : 0), .data.ptr = c };
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
        c->want_out = w;
    }
}
static int flush(struct conn *c)
{
    while (c->outoff < c->outlen) {
        ssize_t r = io_write(c->fd, c->ssl, c->out + c->outoff, c->outlen - c->outoff);
        if (r == 0) return -1;
        if (r < 0) { events(c); return 0; }
        c->outoff += r;
    }
    c->outoff = c->outlen = 0;
    events(c);
    return c->closing ? -1 : 0;
}
static void say(struct conn *c, const char *s)
{
    size_t n = strlen(s);
    if (c->outlen + n <= sizeof c->out) { memcpy(c->out + c->outlen, s, n); c->outlen += n; }
    else c->closing = 1;
}
static struct conn *commits[65536];
static int ncommit;
/* Make all messages of this event loop turn durable; the caller then answers. */
static void commit(void)
{
    if (jdir) {
        if (jfd < 0 || joff > 256 << 20) {
            char p[512];
            snprintf(p, sizeof p, "%s/log.%d", jdir, (int)getpid());
            if (jfd >= 0) close(jfd);
            if ((jfd = open(p, O_CREAT | O_TRUNC | O_WRONLY, 0600)) < 0) die(p);
            joff = 0;
        }
        for (int i = 0; i < ncommit; ) {
            struct iovec v[256];
            int k = 0;
            size_t n = 0;
            for (; i < ncommit && k < 256; i++, k++) { v[k] = (struct iovec){ commits[i]->msg, commits[i]->msglen }; n += v[k].iov_len; }
            if (writev(jfd, v, k) != (ssize_t)n) die("writev");
            joff += n;
        }
        if (fdatasync(jfd)) die("fdatasync");
    } else for (int i = 0; i < ncommit; i++) {
        if (fsync(commits[i]->fd2)) die("fsync");
        close(commits[i]->fd2);
    }
}
static void keep(struct conn *c)
{
    if (Jdir) {
        static long seq;
        char p[512];
        snprintf(p, sizeof p, "%s/%02lx/%d-%ld", Jdir, seq & 15, (int)getpid(), seq); seq++;
        if ((c->fd2 = open(p, O_CREAT | O_EXCL | O_WRONLY, 0600)) < 0) die(p);
        if (write(c->fd2, c->msg, c->msglen) != (ssize_t)c->msglen) die("write");
    }
    c->waiting = 1; c->due = UINT64_MAX;
    commits[ncommit++] = c;
}
static void collect(struct conn *c, const char *b, size_t n)
{
    if (c->msglen + n > c->msgcap) c->msg = realloc(c->msg, c->msgcap = (c->msglen + n) * 2);
    memcpy(c->msg + c->msglen, b, n);
    c->msglen += n;
}
static void done(struct conn *c)
{
    if (jdir || Jdir) {
        ADD(C_MSG, 1); ADD(C_RCPT, c->nrcpt); cnt[C_LAST] = now_us();
        c->nrcpt = 0; c->mode = 0; keep(c);
        return;
    }
    ADD(C_MSG, 1); ADD(C_RCPT, c->nrcpt);
    if (c->fast) ADD(C_FAST, 1);
    cnt[C_LAST] = now_us();
    if (c->delay) { c->due = now_us() + c->delay * 1000ull; c->next = delayed; delayed = c; }
    else say(c, "250 2.0.0 Ok: discarded\r\n");
    c->nrcpt = c->fast = c->delay = 0; c->mode = 0;
}
static int has(const char *w)
{
    for (int i = 0; i < nnoext; i++) if (!strcasecmp(noext[i], w)) return 0;
    return 1;
}
static void command(struct conn *c, char *l, size_t n)
{
    if (n && l[n - 1] == '\r') n--;
    l[n] = 0;
    if (!strncasecmp(l, "RCPT", 4)) {
        for (int i = 0; i < nrefuse; i++)
            if (strstr(l, refuse[i].pat)) {
                char b[64];
                snprintf(b, sizeof b, "%d %d.7.1 refused by rule\r\n", refuse[i].val, refuse[i].val / 100);
                ADD(C_REFUSED, 1); say(c, b);
                if (refuse[i].val == 421) c->closing = 1;
                return;
            }
        for (int i = 0; i < nslow; i++) if (strstr(l, slow[i].pat)) c->delay = slow[i].val;
        if (fastpat && strstr(l, fastpat)) c->fast = 1;
        c->nrcpt++; say(c, "250 2.1.5 Ok\r\n");
    } else if (!strncasecmp(l, "MAIL", 4)) { c->nrcpt = 0; say(c, "250 2.1.0 Ok\r\n"); }
    else if (!strncasecmp(l, "DATA", 4)) {
        if (c->nrcpt) { say(c, "354 go\r\n"); c->mode = 1; c->dot = 2; }
        else say(c, "554 5.5.1 no valid recipients\r\n");
    } else if (!strncasecmp(l, "BDAT ", 5)) {
        c->bdat = strtoul(l + 5, 0, 10); c->bdatlast = strcasestr(l, "LAST") != 0; c->mode = 3;
        if (c->bdat == 0) { if (c->bdatlast) done(c); else { c->mode = 0; say(c, "250 ok\r\n"); } }
    } else if (!strncasecmp(l, "EHLO", 4)) {
        say(c, "250-sink.test\r\n");
        if (has("PIPELINING")) say(c, "250-PIPELINING\r\n");
        if (has("SIZE")) say(c, "250-SIZE 104857600\r\n");
        if (ctx && !c->ssl) say(c, "250-STARTTLS\r\n");
        if (has("8BITMIME")) say(c, "250-8BITMIME\r\n");
        say(c, "250 ENHANCEDSTATUSCODES\r\n");
    } else if (!strncasecmp(l, "HELO", 4)) say(c, "250 sink.test\r\n");
    else if (!strncasecmp(l, "STARTTLS", 8) && ctx && !c->ssl) {
        say(c, "220 2.0.0 Ready to start TLS\r\n"); c->mode = 2;
    } else if (!strncasecmp(l, "QUIT", 4)) { say(c, "221 2.0.0 Bye\r\n"); c->closing = 1; }
    else if (!strncasecmp(l, "RSET", 4) || !strncasecmp(l, "NOOP", 4)) { c->nrcpt = 0; say(c, "250 2.0.0 Ok\r\n"); }
    else say(c, "502 5.5.2 what\r\n");
}
/* Find CRLF.CRLF; c->dot: 0 in a line, 1 after CR, 2 at line start, 3 after the dot, 4 after dot CR. */
static size_t data(struct conn *c, const char *b, size_t n)
{
    size_t i = 0;
    while (i < n) {
        if (c->dot == 0) {      /* skip to the next line end quickly */
            const char *p = memchr(b + i, '\n', n - i);
            if (!p) return n;
            i = p - b + 1; c->dot = 2;
            continue;
        }
        char ch = b[i++];
        if (c->dot == 2) c->dot = ch == '.' ? 3 : ch == '\n' ? 2 : 0;
        else if (c->dot == 3) {
            if (ch == '\r') c->dot = 4;
            else if (ch == '\n') { done(c); return i; }
            else c->dot = 0;
        } else if (c->dot == 4) {
            if (ch == '\n') { done(c); return i; }
            c->dot = 0;
        }
    }
    return n;
}
static int take(struct conn *c, char *b, size_t n)
{
    size_t i = 0;
    while (i < n && !c->due) {
        if (c->mode == 1) { size_t k = data(c, b + i, n - i); ADD(C_BYTES, k); if (jdir || Jdir) collect(c, b + i, k); i += k; continue; }
        if (c->mode == 3) {
            size_t k = n - i < c->bdat ? n - i : c->bdat;
            i += k; c->bdat -= k; ADD(C_BYTES, k);
            if (!c->bdat) { if (c->bdatlast) done(c); else { c->mode = 0; say(c, "250 ok\r\n"); } }
            continue;
        }
        if (c->mode == 2) break;
        char *p = memchr(b + i, '\n', n - i);
        if (!p) break;
        command(c, b + i, p - (b + i));
        i = p - b + 1;
        if (c->closing) return n;
    }
    return i;
}
static void drop(struct conn *c)
{
    if (c->ssl) { SSL_shutdown(c->ssl); SSL_free(c->ssl); }
    for (struct conn **p = &delayed; *p; p = &(*p)->next) if (*p == c) { *p = c->next; break; }
    close(c->fd); free(c->msg); free(c); cnt[C_OPEN]--;
}
static int handshake(struct conn *c)
{
    if (!c->ssl) {
        c->ssl = SSL_new(ctx); SSL_set_fd(c->ssl, c->fd); SSL_set_accept_state(c->ssl);
        c->inlen = 0;
    }
    ERR_clear_error();
    int r = SSL_do_handshake(c->ssl);
    if (r == 1) { c->mode = 0; ADD(C_TLS, 1); if (SSL_session_reused(c->ssl)) ADD(C_RESUMED, 1); return 0; }
    int e = SSL_get_error(c->ssl, r);
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 1 : -1;
}
static char big[65536 + 4096];
static int service(struct conn *c)
{
    for (;;) {
        if (c->due) return 0;
        if (c->mode == 2) {
            if (flush(c) < 0) return -1;
            if (c->outlen) return 0;
            int r = handshake(c);
            if (r) return r < 0 ? -1 : 0;
        }
        memcpy(big, c->in, c->inlen);
        ssize_t r = io_read(c->fd, c->ssl, big + c->inlen, 65536);
        if (r == 0) return -1;
        if (r < 0) return 0;
        size_t n = c->inlen + r, k = take(c, big, n);
        if (n - k > sizeof c->in) return -1;
        memcpy(c->in, big + k, c->inlen = n - k);
        if (flush(c) < 0) return -1;
        if (!c->ssl && r < 65536 && c->mode != 2) return 0;
    }
}
struct listener { int fd; };
static int naddr = 1;
static struct listener listeners[255];
static struct conn *is_listener(void *p, int *fd)
{
    struct listener *l = p;
    if (l < listeners || l >= listeners + naddr) return p;
    *fd = l->fd;
    return 0;
}
static int listen_at(int port, int i)
{
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK + i) };
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(l, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(l, (void *)&a, sizeof a) || listen(l, 4096)) die("bind");
    return l;
}
/* Before it got the answer that is held back; epoll would tell of it for ever. */
static int has_left(struct conn *c)
{
    char byte;
    return c->due && !c->waiting && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}
static void serve(int port)
{
    struct epoll_event ev[256], e = { .events = EPOLLIN };
    int one = 1, l = -1;
    ep = epoll_create1(0);
    for (int i = 0; i < naddr; i++) {
        listeners[i].fd = listen_at(port, i);
        e.data.ptr = &listeners[i];
        epoll_ctl(ep, EPOLL_CTL_ADD, listeners[i].fd, &e);
    }
    for (;;) {
        int n = epoll_wait(ep, ev, 256, delayed ? 1 : -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = is_listener(ev[i].data.ptr, &l);
            if (!c) {
                int fd;
                while ((fd = accept4(l, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    c = calloc(1, sizeof *c);
                    c->fd = fd; e.events = EPOLLIN; e.data.ptr = c;
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
                    ADD(C_CONN, 1); cnt[C_OPEN]++;
                    if (greet_ms) { c->due = now_us() + greet_ms * 1000ull; c->mode = 9; c->next = delayed; delayed = c; }
                    else { say(c, "220 sink.test ESMTP\r\n"); if (flush(c) < 0) drop(c); }
                }
                continue;
            }
            if ((ev[i].events & EPOLLOUT) && flush(c) < 0) { drop(c); continue; }
            if ((ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !c->due && service(c) < 0) drop(c);
            else if ((ev[i].events & (EPOLLHUP | EPOLLERR)) && c->due && !c->waiting) drop(c);
            else if ((ev[i].events & EPOLLIN) && has_left(c)) drop(c);
        }
        if (ncommit) {
            commit();
            for (int i = 0; i < ncommit; i++) {
                struct conn *c = commits[i];
                c->waiting = 0; c->due = 0; c->msglen = 0;
                say(c, "250 2.0.0 Ok: kept\r\n");
                if (c->inlen) {
                    size_t k = take(c, c->in, c->inlen);
                    memmove(c->in, c->in + k, c->inlen -= k);
                }
                if (flush(c) < 0) drop(c);
            }
            ncommit = 0;
        }
        if (delayed) {
            uint64_t t = now_us();
            for (struct conn **p = &delayed, *c; (c = *p); )
                if (c->due <= t) {
                    *p = c->next; c->due = 0;
                    if (c->mode == 9) { c->mode = 0; say(c, "220 sink.test ESMTP\r\n"); }
                    else say(c, "250 2.0.0 Ok: discarded slowly\r\n");
                    if (c->inlen) {          /* commands that came while the answer was held back */
                        size_t k = take(c, c->in, c->inlen);
                        memmove(c->in, c->in + k, c->inlen -= k);
                    }
                    if (flush(c) < 0) { drop(c); p = &delayed; }
                } else p = &c->next;
        }
    }
}
static struct rule rule(char *s)
{
    char *p = strrchr(s, ':');
    if (!p) die("rule");
    *p = 0;
    return (struct rule){ s, atoi(p + 1) };
}
int main(int argc, char **argv)
{
    int o, procs = 1, noresume = 0;
    const char *pem = 0;
    while ((o = getopt(argc, argv, "n:c:k:Ke:w:f:E:x:a:j:J:")) != -1)
        switch (o) {
        case 'n': procs = atoi(optarg); break;
        case 'c': {
            int fd = open(optarg, O_CREAT | O_TRUNC | O_RDWR, 0644);
            if (fd < 0 || ftruncate(fd, sizeof dummy)) die(optarg);
            cnt = mmap(0, sizeof dummy, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            break;
        }
        case 'k': pem = optarg; break;
        case 'j': jdir = optarg; break;
        case 'J':
            Jdir = optarg;
            for (int i = 0; i < 16; i++) { char p[512]; snprintf(p, sizeof p, "%s/%02x", Jdir, i); mkdir(p, 0700); }
            break;
        case 'a': naddr = atoi(optarg); break;
        case 'K': noresume = 1; break;
        case 'e': refuse[nrefuse++] = rule(optarg); break;
        case 'w': slow[nslow++] = rule(optarg); break;
        case 'f': fastpat = optarg; break;
        case 'E': greet_ms = atoi(optarg); break;
        case 'x': noext[nnoext++] = optarg; break;
        default: return 2;
        }
    if (optind >= argc) { fprintf(stderr, "smtpsink [options] port\n"); return 2; }
    struct rlimit rl = { 20000, 20000 };
    setrlimit(RLIMIT_NOFILE, &rl);
    signal(SIGPIPE, SIG_IGN);
    if (pem) {
        ctx = SSL_CTX_new(TLS_server_method());
        if (SSL_CTX_use_certificate_chain_file(ctx, pem) != 1 || SSL_CTX_use_PrivateKey_file(ctx, pem, SSL_FILETYPE_PEM) != 1) die(pem);
        SSL_CTX_set_session_id_context(ctx, (const void *)"sink", 4);
        if (noresume) { SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET); SSL_CTX_set_num_tickets(ctx, 0); }
    }
    int port = atoi(argv[optind]);
    for (int i = 1; i < procs; i++) if (!fork()) { prctl(PR_SET_PDEATHSIG, SIGKILL); serve(port); }
    serve(port);
}
