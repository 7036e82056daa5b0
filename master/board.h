/* SPDX-License-Identifier: Apache-2.0 */
/* board.h - the board (mail/service.h) from master's side: a file in data_directory that all processes map. */
#ifndef MASTER_BOARD_H
#define MASTER_BOARD_H

#include "mail/service.h"

/* Its file, made when missing; *fd is FD_HIGH or above. */
enum err board_open(const char *data_directory, int *fd) MUST_USE;
/* Map it, empty.  While children of a former master still have it open, waits `patience` seconds for them, then kills them. */
enum err board_take_over(int fd, int patience, struct board **board) MUST_USE;
/* A slot for a child, in turn, so that one is not used again soon (queue ids contain it); 0: all are taken. */
unsigned board_take(struct board *b, const char *name, const char *prog, unsigned generation);
void     board_give_back(struct board *b, unsigned slot);
/* A process of this service (named as for board_take()) ended, or could not be made, for the so manieth time in a row; seconds until the
 * next is made.  Forgotten by board_works(). */
void     board_fails(struct board *b, const char *name, const char *prog, unsigned deaths, int seconds, const char *why);
void     board_works(struct board *b, const char *name, const char *prog);

#endif
