/* SPDX-License-Identifier: Apache-2.0 */
/* smtpio.h -- the little that smtpsrc and smtpsink share: a non-blocking socket with optional TLS. */
#ifndef SMTPIO_H
#define SMTPIO_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>
#include <stdarg.h>
#include <openssl/ssl.h>
#include <openssl/err.h>

static inline uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}
static inline void die(const char *s) { perror(s); exit(1); }

/* Returns bytes read, 0 at end of file or error, -1 would block. */
static inline ssize_t io_read(int fd, SSL *ssl, char *b, size_t n)
{
    ssize_t r;
    if (!ssl) {
        r = read(fd, b, n);
        return r < 0 && (errno == EAGAIN || errno == EINTR) ? -1 : r < 0 ? 0 : r;
    }
    ERR_clear_error();
    r = SSL_read(ssl, b, n);
    if (r > 0) return r;
    int e = SSL_get_error(ssl, r);
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? -1 : 0;
}
/* Returns bytes written, 0 on error, -1 would block. */
static inline ssize_t io_write(int fd, SSL *ssl, const char *b, size_t n)
{
    ssize_t r;
    if (!ssl) {
        r = send(fd, b, n, MSG_NOSIGNAL);
        return r < 0 && (errno == EAGAIN || errno == EINTR) ? -1 : r < 0 ? 0 : r;
    }
    ERR_clear_error();
    r = SSL_write(ssl, b, n > 16384 ? 16384 : n);
    if (r > 0) return r;
    int e = SSL_get_error(ssl, r);
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? -1 : 0;
}
#endif
