/* SPDX-License-Identifier: Apache-2.0 */
/* logsink -- stand in for syslogd: take datagrams on a UNIX socket and append them to a file.
 * usage: logsink SOCKET FILE     (so that a peer pays for its logging as it would in production) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    enum { N = 64, L = 2048 };
    static char buf[N][L + 1];
    struct mmsghdr m[N];
    struct iovec v[N], w[N];
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (argc != 3) return 2;
    strncpy(a.sun_path, argv[1], sizeof a.sun_path - 1);
    unlink(argv[1]);
    int s = socket(AF_UNIX, SOCK_DGRAM, 0), f = open(argv[2], O_CREAT | O_APPEND | O_WRONLY, 0644), big = 4 << 20;
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
    if (f < 0 || bind(s, (void *)&a, sizeof a)) { perror(argv[1]); return 1; }
    chmod(argv[1], 0666);
    for (;;) {
        memset(m, 0, sizeof m);
        for (int i = 0; i < N; i++) { v[i] = (struct iovec){ buf[i], L }; m[i].msg_hdr.msg_iov = &v[i]; m[i].msg_hdr.msg_iovlen = 1; }
        int n = recvmmsg(s, m, N, MSG_WAITFORONE, 0);
        for (int i = 0; i < n; i++) { buf[i][m[i].msg_len] = '\n'; w[i] = (struct iovec){ buf[i], m[i].msg_len + 1 }; }
        if (n > 0 && writev(f, w, n) < 0) perror("writev");
    }
}
