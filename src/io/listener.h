/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/endpoint.h"
#include "io/loop.h"

/* A listening socket in a loop: accepts in batches, and rests while the process has no descriptors left. */
struct listener {
    struct loop *loop;
    struct watch watch;
    struct timer rest;
    int fd;         /* -1: stopped */
    int reserve_fd; /* given up to accept one connection more, to refuse it */
    bool is_starved;
    bool speaks_tls; /* then nothing can be said to whom we refuse */
    void (*on_connection)(struct listener *listener, int fd,
                          const struct endpoint *peer); /* takes the fd */
};

/* Takes the fd, also when it fails. -errno. */
int listener_start(struct listener *listener, struct loop *loop, int fd,
                   void (*on_connection)(struct listener *, int, const struct endpoint *)) MUST_USE;
/* Whoever asks to connect from now on is not heard, and asks again; handshakes under way end as they would. Closing resets what is
 * not accepted, and between the last accept and the close there is always a moment: in it nobody may come. */
void listener_turn_away(struct listener *listener);
void listener_empty(struct listener *listener); /* accept all that is queued */
void listener_stop(struct listener *listener);  /* fine when stopped */

/* Says 503 as far as that goes without waiting, and closes the fd. */
void listener_refuse(const struct listener *listener, int fd);
/* Says 400 to one who speaks plain HTTP where TLS is spoken. The fd stays the caller's. */
void listener_correct(int fd);
