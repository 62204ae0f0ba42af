/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/connection.h"
#include "io/redis.h"

/* One server of Redis: a connection, what was sent and not answered yet, and a breaker.
 *
 *   DOWN --(back-off)--> CONNECTING --> GREETING --(probe answered)--> UP
 *    ^                       |             |      deadline missed:   |    ^ probe answered
 *    `-------- failed -------+-------------+------- SILENT <---------'----'
 *                                                      `--(no answer for a second)--> DOWN
 *
 * Only an UP line takes commands. A SILENT one keeps its connection: what it still answers is
 * matched with what was asked. redis_line.c has the states, redis_pipeline.c the bytes.
 *
 * Commands go in packets, LINE_PACKETS of them on the way at most. While fewer are, those of one
 * turn go at its end; else they wait, and what has gathered goes as one when a packet is answered
 * whole:
 *
 *   asked      a   b  c d e   f g             h
 *   packets    [a] [b]     [c d e]    [f g]   [h]
 *   answered           a ──┘      b ──┘  c d e
 *
 * No clock is set for it: with little to ask nothing waits, and the more there is, the more goes
 * with one write here, one wake of the server and one read of its replies. It costs a command at
 * most the rest of a packet's round trip. What waits was not sent, so it ends AWAY when the line
 * falls silent or breaks, and OVERLOADED at its own deadline. A probe waits for nobody. */
enum line_state { LINE_DOWN, LINE_CONNECTING, LINE_GREETING, LINE_UP, LINE_SILENT };

struct redis_line;

/* A call on its way. */
struct redis_command {
    struct redis_line *line;              /* whose it is; NULL: nobody's */
    bool is_waiting;                      /* for a packet; else it is in the pipeline */
    size_t place;                         /* there */
    struct redis_command *ahead, *behind; /* of those that wait */
    size_t bytes;                         /* of all its memory */
    struct timer deadline;
    struct deferred deferred; /* to be told `verdict` at the turn's end */
    enum redis_verdict verdict;

    struct redis *redis;
    struct redis_command *next, *previous; /* of the client */
    struct redis_call *call;               /* NULL: cancelled */
    int64_t due_ns, started_ns;
    unsigned n_redirections;
    bool is_asking; /* a node that is only just receiving the slot */
    bool is_late;   /* it ended so, and waits for its reply all the same */

    const struct redis_script *script; /* or NULL: the arguments are the whole command */
    bool sends_source;                 /* the server does not know it */
    size_t n_keys, n;                  /* keys are the first of the arguments */
    struct str arguments[];
};

/* What the lines of one kind share. */
struct line_rules {
    struct loop *loop;
    struct resolver *resolver;
    struct tls_client *tls; /* or NULL */
    struct str user, password;
    uint32_t db;
    bool is_sentinel, must_be_master;
    size_t reply_bytes_max;
    int64_t timeout_ns;
    struct redis *redis;
    struct redis_stats *stats;
    /* It is up, or is not any more, or could not be reached. */
    void (*on_change)(struct redis_line *line);
    /* Out of the pipeline: ANSWERED (the reply may be an error), LATE, LOST or NONSENSE; or not
     * sent at all: AWAY or OVERLOADED. LATE with a call that heeds its late reply: still in it, as
     * its `line` says. */
    void (*on_end)(struct redis_line *line, struct redis_command *command,
                   enum redis_verdict verdict, const struct redis_reply *reply);
};

#define LINE_PACKETS   2                     /* on the way */
#define LINE_CALLS_MAX 1024                  /* under way, with those that wait */
#define LINE_PIPELINE  (LINE_CALLS_MAX + 16) /* with what the line itself asks */
#define LINE_OUT_MAX   (4 * 1024 * 1024)     /* bytes that the server has not taken */
#define LINE_HOST_MAX  256

enum expected_kind {
    EXPECT_REPLY,    /* to `command`, or to nobody any more */
    EXPECT_OK,       /* to AUTH, SELECT and ASKING */
    EXPECT_ANYTHING, /* to AUTH of a Sentinel, which may have no password */
    EXPECT_MASTER,   /* to ROLE */
    EXPECT_LIFE,     /* to a probe: TIME; of a Sentinel PING */
};
struct expected {
    enum expected_kind kind;
    bool ends_packet;
    struct redis_command *command;
};

struct redis_line {
    const struct line_rules *rules;
    enum line_state state;
    bool is_wanted;
    char told_away[LINE_HOST_MAX + 24]; /* whom the log calls away; empty: nobody */
    int64_t away_since_ns;              /* since then; where it does so */
    char host[LINE_HOST_MAX];           /* or the path of a socket */
    uint16_t port;                      /* 0: a unix socket */
    unsigned n_failures;                /* since it served, or a beat went well */
    char why[120];                      /* why it was of no use last, since it is wanted there */
    struct timer timer;                 /* what it means depends on the state */
    struct lookup lookup;
    struct resolved addresses;
    size_t next_address;
    struct connection connection;

    struct redis_decoder *decoder; /* of the newest connection; lives on when that is closed */
    struct buffer out;
    struct deferred departure;
    struct expected pipeline[LINE_PIPELINE]; /* a ring */
    size_t first, n_expected;
    unsigned n_probes;  /* of them */
    unsigned n_packets; /* that are not answered whole */
    struct redis_command *first_waiting, *last_waiting;
    size_t n_waiting, waiting_bytes; /* places that they take in the pipeline */
    int64_t clock_us;                /* the server's clock less our monotonic one; 0: not known */
};

struct redis_line *line_new(const struct line_rules *rules) MUST_USE; /* NULL: memory is out */
void line_free(struct redis_line *line);                              /* takes NULL; ends nothing */
/* Where its server is; what was at another place is given up. False: too long for a host. */
bool line_point(struct redis_line *line, struct str host, uint16_t port);
void line_want(struct redis_line *line, bool is_wanted);
/* The server is of no use now, and the connection is given up: everything under way ends so. */
void line_trouble(struct redis_line *line, enum redis_verdict verdict, const char *reason);
void line_probe(struct redis_line *line);        /* UP: ask the time, now */
void line_fall_silent(struct redis_line *line);  /* UP: something missed its deadline */
void line_come_to_life(struct redis_line *line); /* a probe was answered */
void line_serves(struct redis_line *line);       /* a script was answered, and all is well after */
/* In the log, once a process: of several clients the first and the last say it. */
void line_tell_away(struct redis_line *line, const char *reason);
/* It was tried, and is of no use; `why` tells who and what. */
bool line_is_lost(const struct redis_line *line, char why[REDIS_WHY_MAX]);
/* Adds how it stands. */
void line_look(const struct redis_line *line, struct redis_sight *sight);
static inline bool line_is_up(const struct redis_line *line) {
    return line && line->state == LINE_UP;
}

/* To an UP line. -EBUSY: too much is under way. */
int pipeline_send(struct redis_line *line, struct redis_command *command) MUST_USE;
void pipeline_turn_away(struct redis_line *line);     /* what waits: ends AWAY */
int pipeline_greet(struct redis_line *line) MUST_USE; /* ends with a probe */
int pipeline_probe(struct redis_line *line) MUST_USE; /* at most one at a time */
void pipeline_event(struct redis_line *line);         /* the connection has something */
void pipeline_fail(struct redis_line *line, enum redis_verdict verdict); /* everything in it */

/* Why Redis cannot serve at the moment, when `error` says so; NULL: it is the command's own. */
const char *redis_refusal(struct str error);
