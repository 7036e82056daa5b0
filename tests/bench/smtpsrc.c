/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtpsrc -- generate SMTP load: one epoll process, many sessions.
 *
 *   smtpsrc [-s sessions] [-m messages] [-M per-connection] [-r recipients] [-l bytes] [-d domains]
 *           [-D domain] [-f sender] [-N] [-T | -R] [-i seconds] [-L] host port
 *
 *   -M K  K messages per connection (default 1; 0 = all that the session sends)
 *   -r R  recipients per message;  -d N  they lie in N different domains dI.DOMAIN (default 1: DOMAIN)
 *   -D A,B  take DOMAIN from this list in turn, message by message
 *   -N    no command pipelining
 *   -T    STARTTLS with a full handshake per connection;  -R  resume the last session
 *   -i S  open all sessions, EHLO, stay idle S seconds, then quit (for memory measurements)
 *   -L    print the latency from MAIL to the answer after the dot (p50, p99, max)
 * Prints: accepted=.. failed=.. seconds=.. rate=.. conns=.. [latency]
 */
#include "smtpio.h"
#include <sys/resource.h>
#include <signal.h>

enum { GREET, EHLO, TLSCMD, HANDSHAKE, EHLO2, MAIL, RCPT, DATA, BODY, QUIT, IDLE };
struct conn {
    int fd, st, seq, left, pend, pipelining, starttls, wantw, bad, rc, alive;
    SSL *ssl;
    size_t outoff, inlen;
    uint64_t t0;
    char *out; size_t outlen, outcap;
    const char *body; size_t bodyoff;
    char in[4096];
};
static int sessions = 1, per = 1, rcpts = 1, domains = 1, nopipe, tls, resume, idle, latency, ndoms;
static long messages = 1, started, accepted, failed, conns, active, refused;
static size_t size = 2048, bodylen;
static const char *doms[16] = { "rcpt.test" }, *sender = "sender@from.test";
static char *body;
static struct sockaddr_in addr;
static int ep;
static SSL_CTX *ctx;
static SSL_SESSION *sess;
static uint32_t *lat; static long nlat;
static uint64_t idle_end; static long idle_up;

static int new_session(SSL *s, SSL_SESSION *x)
{
    (void)s;
    if (!resume) return 0;
    if (sess) SSL_SESSION_free(sess);
    sess = x;
    return 1;
}
static void ev(struct conn *c, int op, int w)
{
    struct epoll_event e = { .events = EPOLLIN | (w ? EPOLLOUT : 0), .data.ptr = c };
    if (op == EPOLL_CTL_ADD || w != c->wantw) epoll_ctl(ep, op, c->fd, &e);
    c->wantw = w;
}
static void outf(struct conn *c, const char *f, ...)
{
    va_list a;
    for (;;) {
        va_start(a, f);
        int n = vsnprintf(c->out + c->outlen, c->outcap - c->outlen, f, a);
        va_end(a);
        if (c->outlen + n < c->outcap) { c->outlen += n; return; }
        c->out = realloc(c->out, c->outcap = (c->outcap + n) * 2);
    }
}
static int flush(struct conn *c)
{
    while (c->outoff < c->outlen) {
        ssize_t r = io_write(c->fd, c->ssl, c->out + c->outoff, c->outlen - c->outoff);
        if (r == 0) return -1;
        if (r < 0) { ev(c, EPOLL_CTL_MOD, 1); return 0; }
        c->outoff += r;
    }
    c->outoff = c->outlen = 0;
    while (c->body) {
        ssize_t r = io_write(c->fd, c->ssl, c->body + c->bodyoff, bodylen - c->bodyoff);
        if (r == 0) return -1;
        if (r < 0) { ev(c, EPOLL_CTL_MOD, 1); return 0; }
        if ((c->bodyoff += r) == bodylen) c->body = 0;
    }
    ev(c, EPOLL_CTL_MOD, 0);
    return 0;
}
static int opn(struct conn *c)
{
    int one = 1;
    if (idle ? conns >= sessions : started >= messages) { c->alive = 0; return 0; }
    c->left = per ? per : 1 << 30;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (void *)&addr, sizeof addr) && errno != EINPROGRESS) die("connect");
    c->st = GREET; c->ssl = 0; c->inlen = c->outlen = c->outoff = 0; c->body = 0; c->bad = 0; c->pipelining = c->starttls = 0;
    c->wantw = 0; conns++; c->alive = 1; active++;
    ev(c, EPOLL_CTL_ADD, 0);
    return 1;
}
static void rcpt_cmd(struct conn *c, int i)
{
    const char *d = doms[ndoms ? c->seq % ndoms : 0];
    if (domains > 1) outf(c, "RCPT TO:<r%d-%d@d%d.%s>\r\n", c->seq, i, i % domains, d);
    else outf(c, "RCPT TO:<r%d-%d@%s>\r\n", c->seq, i, d);
}
static void nextmsg(struct conn *c)
{
    if (c->left-- <= 0 || started >= messages) { outf(c, "QUIT\r\n"); c->st = QUIT; return; }
    c->seq = started++; c->t0 = now_us(); c->bad = 0;
    outf(c, "MAIL FROM:<%s>\r\n", sender);
    c->st = MAIL; c->rc = 0;
    if (c->pipelining) {
        for (int i = 0; i < rcpts; i++) rcpt_cmd(c, i);
        outf(c, "DATA\r\n");
    }
}
static int reply(struct conn *c, const char *l)
{
    int ok = l[0] == '2' || l[0] == '3';
    if ((c->st == EHLO || c->st == EHLO2) && ok) {
        if (!strncasecmp(l + 4, "PIPELINING", 10) && !nopipe) c->pipelining = 1;
        if (!strncasecmp(l + 4, "STARTTLS", 8)) c->starttls = 1;
    }
    if (l[3] == '-') return 0;
    if (!strncmp(l, "421", 3)) { refused++; return -1; }
    switch (c->st) {
    case GREET: if (!ok) { refused++; return -1; } outf(c, "EHLO client.test\r\n"); c->st = EHLO; break;
    case EHLO:
        if (tls && c->starttls) { outf(c, "STARTTLS\r\n"); c->st = TLSCMD; break; }
        if (tls) { fprintf(stderr, "no STARTTLS\n"); exit(1); }
        /* fall through */
    case EHLO2:
        if (!ok) return -1;
        if (idle) { c->st = IDLE; idle_up++; break; }
        nextmsg(c); break;
    case TLSCMD: if (!ok) { refused++; return -1; } c->st = HANDSHAKE; break;
    case MAIL: if (!ok) c->bad = 1; c->st = RCPT; if (!c->pipelining) rcpt_cmd(c, 0); break;
    case RCPT:
        if (!ok) c->bad = 1;
        if (++c->rc < rcpts) { if (!c->pipelining) rcpt_cmd(c, c->rc); }
        else { c->st = DATA; if (!c->pipelining) outf(c, "DATA\r\n"); }
        break;
    case DATA:
        if (l[0] != '3') { failed++; c->bad = 1; if (failed < 4) fprintf(stderr, "DATA: %s\n", l); return -1; }
        outf(c, "Received: from client.test by src.test id %d; Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <%d.%d@src.test>\r\n", c->seq, c->seq, (int)getpid());
        c->body = body; c->bodyoff = 0; c->st = BODY; break;
    case BODY:
        if (ok) accepted++; else failed++;
        if (lat) lat[nlat++] = now_us() - c->t0;
        nextmsg(c); break;
    case QUIT: return -1;
    }
    return 0;
}
static void cls(struct conn *c)
{
    if (c->st >= MAIL && c->st <= BODY && !c->bad) failed++;
    if (c->ssl) { SSL_shutdown(c->ssl); SSL_free(c->ssl); c->ssl = 0; }
    if (c->st == GREET) refused++;                  /* never greeted, or no listener */
    close(c->fd); active--; c->alive = 0;
    if (idle) idle_up -= c->st == IDLE;
    if (refused > 1000 + messages / 10) { fprintf(stderr, "too many refusals\n"); exit(1); }
    opn(c);
}
static int service(struct conn *c)
{
    for (;;) {
        if (c->st == HANDSHAKE) {
            if (!c->ssl) {
                c->ssl = SSL_new(ctx); SSL_set_fd(c->ssl, c->fd); SSL_set_connect_state(c->ssl);
                if (resume && sess) SSL_set_session(c->ssl, sess);
            }
            ERR_clear_error();
            int r = SSL_do_handshake(c->ssl);
            if (r != 1) {
                int e = SSL_get_error(c->ssl, r);
                if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) return 0;
                ERR_print_errors_fp(stderr);
                return -1;
            }
            c->st = EHLO2; c->inlen = 0; outf(c, "EHLO client.test\r\n");
            if (flush(c) < 0) return -1;
        }
        ssize_t r = io_read(c->fd, c->ssl, c->in + c->inlen, sizeof c->in - 1 - c->inlen);
        if (r == 0) return -1;
        if (r < 0) return 0;
        c->inlen += r; c->in[c->inlen] = 0;
        char *p = c->in, *q;
        while ((q = memchr(p, '\n', c->in + c->inlen - p))) {
            *q = 0;
            if (reply(c, p) < 0) return -1;
            p = q + 1;
            if (c->st == HANDSHAKE) break;
        }
        memmove(c->in, p, c->inlen -= p - c->in);
        if (flush(c) < 0) return -1;
    }
}
static int cmp(const void *a, const void *b)
{
    uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b;
    return x < y ? -1 : x > y;
}
int main(int argc, char **argv)
{
    int o;
    while ((o = getopt(argc, argv, "s:m:M:r:l:d:D:f:NTRi:L")) != -1)
        switch (o) {
        case 's': sessions = atoi(optarg); break;
        case 'm': messages = atol(optarg); break;
        case 'M': per = atoi(optarg); break;
        case 'r': rcpts = atoi(optarg); break;
        case 'l': size = atol(optarg); break;
        case 'd': domains = atoi(optarg); break;
        case 'D': for (char *p = strtok(optarg, ","); p && ndoms < 16; p = strtok(0, ",")) doms[ndoms++] = p; break;
        case 'f': sender = optarg; break;
        case 'N': nopipe = 1; break;
        case 'T': tls = 1; break;
        case 'R': tls = resume = 1; break;
        case 'i': idle = atoi(optarg); break;
        case 'L': latency = 1; break;
        default: return 2;
        }
    if (optind + 2 > argc) { fprintf(stderr, "smtpsrc [options] host port\n"); return 2; }
    addr.sin_family = AF_INET; addr.sin_port = htons(atoi(argv[optind + 1]));
    if (inet_pton(AF_INET, argv[optind], &addr.sin_addr) != 1) die("host");
    struct rlimit rl = { 20000, 20000 };
    setrlimit(RLIMIT_NOFILE, &rl);
    signal(SIGPIPE, SIG_IGN);
    if (tls) {
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, 0);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, new_session);
    }
    /* the constant part of every message, ending in the final dot */
    body = malloc(size + 1024);
    bodylen = sprintf(body, "From: Sender <%s>\r\nTo: Recipient <r@rcpt.test>\r\nSubject: bench\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMIME-Version: 1.0\r\n\r\n", sender);
    while (bodylen + 74 + 150 < size) { memset(body + bodylen, 'x', 72); bodylen += 72; body[bodylen++] = '\r'; body[bodylen++] = '\n'; }
    memcpy(body + bodylen, ".\r\n", 3); bodylen += 3;
    if (latency) lat = malloc((messages + 1) * sizeof *lat);
    ep = epoll_create1(0);
    struct conn *all = calloc(sessions, sizeof *all);
    struct epoll_event e[256];
    uint64_t t0 = now_us();
    for (int i = 0; i < sessions; i++) { all[i].out = malloc(all[i].outcap = 512); opn(&all[i]); }
    int idle_said = 0;
    while (active > 0) {
        int n = epoll_wait(ep, e, 256, idle ? 100 : -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = e[i].data.ptr;
            if (((e[i].events & EPOLLOUT) && flush(c) < 0) || ((e[i].events & ~EPOLLOUT) && service(c) < 0)) cls(c);
        }
        if (idle && !idle_said && idle_up >= active) { idle_said = 1; idle_end = now_us() + idle * 1000000ull; printf("idle=%ld after %.2fs\n", idle_up, (now_us() - t0) / 1e6); fflush(stdout); }
        if (idle && (idle_said ? now_us() > idle_end : now_us() > t0 + 20000000ull)) { printf("idle at end=%ld refused=%ld\n", idle_up, refused); exit(0); }
    }
    double s = (now_us() - t0) / 1e6;
    printf("accepted=%ld failed=%ld seconds=%.3f rate=%.1f conns=%ld", accepted, failed, s, accepted / s, conns);
    if (lat && nlat) { qsort(lat, nlat, sizeof *lat, cmp); printf(" p50_ms=%.2f p99_ms=%.2f max_ms=%.2f", lat[nlat / 2] / 1e3, lat[nlat * 99 / 100] / 1e3, lat[nlat - 1] / 1e3); }
    printf("\n");
    return failed != 0;
}
