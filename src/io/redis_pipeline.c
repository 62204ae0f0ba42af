/* SPDX-License-Identifier: MIT */
/* What was sent and what comes back: Redis answers in the order in which it was asked. */
#include "redis_line.h"

#include "base/pen.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define READ_BYTES (16 * 1024)

static int64_t now_ns(const struct redis_line *line) {
    return loop_now(line->rules->loop)->mono_ns;
}

/* ---- what Redis says when it cannot */

/* clang-format off */
static const struct { struct str code; const char *reason; } refusals[] = {
    {STR("LOADING "),     "it is loading its data"},
    {STR("READONLY "),    "it is a replica that takes no writes"},
    {STR("OOM "),         "its memory is full"},
    {STR("BUSY "),        "a script keeps it busy"},
    {STR("MISCONF "),     "it cannot save its data and takes no writes"},
    {STR("MASTERDOWN "),  "it has lost its master"},
    {STR("NOREPLICAS "),  "it has too few replicas and takes no writes"},
    {STR("CLUSTERDOWN "), "the Cluster is down"},
    {STR("MOVED "),       "it sends us to another node: a Cluster is redis+cluster://"},
    {STR("ASK "),         "it sends us to another node: a Cluster is redis+cluster://"},
    {STR("NOAUTH "),      "it wants a password"},
    {STR("WRONGPASS "),   "user or password are wrong"},
    {STR("NOPERM "),      "the user may not do what is needed"},
    {STR("ERR max number of clients"),        "it has too many clients"},
    {STR("ERR invalid password"),             "user or password are wrong"},
    {STR("ERR Client sent AUTH, but no"),     "it has no password, but the URL does"},
    {STR("ERR AUTH <password> called without"), "it has no password, but the URL does"},
};
/* clang-format on */

const char *redis_refusal(struct str error) {
    /* Before Redis 7 a script's error is told with where it happened: "... @user_script:3: -OOM ..." */
    if (str_starts(error, STR("ERR Error running script")))
        for (size_t i = 0; i + 3 < error.n; i++)
            if (memcmp(error.at + i, ": -", 3) == 0)
                return redis_refusal(str_skip(error, i + 3));
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (str_starts(error, refusals[i].code))
            return refusals[i].reason;
    return NULL;
}

/* ---- out */

static void flush(struct redis_line *line) {
    while (buffer_length(&line->out) > 0 && line->connection.can_write) {
        struct str bytes = buffer_bytes(&line->out);
        struct iovec piece = {(void *)(uintptr_t)bytes.at, bytes.n};
        ssize_t sent = connection_write(&line->connection, &piece, 1);
        if (sent == -EAGAIN)
            return;
        if (sent < 0) {
            line_trouble(line, REDIS_LOST, "the connection broke");
            return;
        }
        buffer_consume(&line->out, (size_t)sent);
    }
}

static void depart(struct deferred *deferred);
/* What is asked in one turn goes at its end. */
static void depart_later(struct redis_line *line) {
    loop_defer(line->rules->loop, &line->departure, depart);
}

static size_t expect(struct redis_line *line, enum expected_kind kind,
                     struct redis_command *command) {
    assert(line->n_expected < LINE_PIPELINE);
    size_t place = (line->first + line->n_expected++) % LINE_PIPELINE;
    line->pipeline[place] = (struct expected){.kind = kind, .command = command};
    return place;
}

static int ask(struct redis_line *line, enum expected_kind kind, const struct str *arguments,
               size_t n) {
    TRY(redis_encode(&line->out, arguments, n));
    expect(line, kind, NULL);
    depart_later(line);
    return 0;
}
#define ASK(line, kind, ...) \
    ask((line), (kind), (const struct str[]){__VA_ARGS__}, \
        sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))

int pipeline_probe(struct redis_line *line) {
    TRY(ASK(line, EXPECT_LIFE, line->rules->is_sentinel ? STR("PING") : STR("TIME")));
    line->n_probes++;
    return 0;
}

int pipeline_greet(struct redis_line *line) {
    const struct line_rules *rules = line->rules;
    enum expected_kind login = rules->is_sentinel ? EXPECT_ANYTHING : EXPECT_OK;
    char db[12];
    snprintf(db, sizeof(db), "%u", (unsigned)rules->db);
    if (rules->user.n > 0)
        TRY(ASK(line, login, STR("AUTH"), rules->user, rules->password));
    else if (rules->password.n > 0)
        TRY(ASK(line, login, STR("AUTH"), rules->password));
    if (rules->db != 0)
        TRY(ASK(line, EXPECT_OK, STR("SELECT"), str_of(db)));
    if (rules->must_be_master)
        TRY(ASK(line, EXPECT_MASTER, STR("ROLE")));
    return pipeline_probe(line);
}

static struct str decimal(char *room, uint64_t value) {
    return (struct str){room, (size_t)(pen_u64(room, value) - room)};
}

/* EVALSHA and what goes with it; the deadline in the server's own time. Our clock ran on between
 * what TIME said and when we heard it, so what we take for its clock is behind it, and the script
 * ends with our patience or before. */
static int encode_script(struct redis_line *line, const struct redis_command *command) {
    struct str all[REDIS_ARGUMENTS_MAX];
    const struct redis_script *script = command->script;
    char n_keys[PEN_U64_MAX], deadline[PEN_U64_MAX];
    size_t n = 0;
    int64_t deadline_us = command->due_ns / 1000 + line->clock_us;
    all[n++] = command->sends_source ? STR("EVAL") : STR("EVALSHA");
    all[n++] = str_of(command->sends_source ? script->source : script->sha1);
    all[n++] = decimal(n_keys, command->n_keys);
    for (size_t i = 0; i < command->n_keys; i++)
        all[n++] = command->arguments[i];
    all[n++] = decimal(deadline, deadline_us > 0 ? (uint64_t)deadline_us : 0);
    for (size_t i = command->n_keys; i < command->n; i++)
        all[n++] = command->arguments[i];
    return redis_encode(&line->out, all, n);
}

/* ---- packets (redis_line.h) */

static size_t places_of(const struct redis_command *command) { return command->is_asking ? 2 : 1; }

static void start_waiting(struct redis_line *line, struct redis_command *command) {
    command->line = line;
    command->is_waiting = true;
    command->ahead = line->last_waiting;
    command->behind = NULL;
    *(command->ahead ? &command->ahead->behind : &line->first_waiting) = command;
    line->last_waiting = command;
    line->n_waiting += places_of(command);
    line->waiting_bytes += command->bytes;
}

static void end_waiting(struct redis_command *command) {
    struct redis_line *line = command->line;
    *(command->ahead ? &command->ahead->behind : &line->first_waiting) = command->behind;
    *(command->behind ? &command->behind->ahead : &line->last_waiting) = command->ahead;
    line->n_waiting -= places_of(command);
    line->waiting_bytes -= command->bytes;
    command->is_waiting = false;
}

static int encode(struct redis_line *line, struct redis_command *command) {
    if (command->is_asking)
        TRY(ASK(line, EXPECT_OK, STR("ASKING")));
    TRY(command->script ? encode_script(line, command)
                        : redis_encode(&line->out, command->arguments, command->n));
    command->place = expect(line, EXPECT_REPLY, command);
    return 0;
}

static int pack(struct redis_line *line) {
    assert(line->state == LINE_UP);
    while (line->first_waiting) {
        struct redis_command *command = line->first_waiting;
        TRY(encode(line, command));
        end_waiting(command);
    }
    size_t last = (line->first + line->n_expected - 1) % LINE_PIPELINE;
    line->pipeline[last].ends_packet = true;
    line->n_packets++;
    return 0;
}

static void depart(struct deferred *deferred) {
    struct redis_line *line = CONTAINER_OF(deferred, struct redis_line, departure);
    if (line->first_waiting && line->n_packets < LINE_PACKETS && pack(line) < 0)
        line_trouble(line, REDIS_LOST, "out of memory");
    else
        flush(line);
}

/* ---- calls */

static void end_unsent(struct redis_command *command, enum redis_verdict verdict) {
    struct redis_line *line = command->line;
    end_waiting(command);
    loop_timer_clear(line->rules->loop, &command->deadline);
    command->line = NULL;
    line->rules->on_end(line, command, verdict, NULL);
}

void pipeline_turn_away(struct redis_line *line) {
    while (line->first_waiting)
        end_unsent(line->first_waiting, REDIS_AWAY);
}

static void on_late(struct timer *timer) {
    struct redis_command *command = CONTAINER_OF(timer, struct redis_command, deadline);
    struct redis_line *line = command->line;
    if (command->is_waiting) {
        end_unsent(command, REDIS_OVERLOADED);
        return;
    }
    struct expected *expected = &line->pipeline[command->place];
    expected->command = NULL; /* should the line fail now, it has ended already */
    command->line = NULL;
    if (line->state == LINE_UP)
        line_fall_silent(line);
    if (line->state == LINE_SILENT && command->call && command->call->on_heard) {
        expected->command = command;
        command->line = line;
    }
    line->rules->on_end(line, command, REDIS_LATE, NULL);
}

int pipeline_send(struct redis_line *line, struct redis_command *command) {
    assert(line->state == LINE_UP);
    assert(!command->line);
    if (line->n_expected + line->n_waiting + 2 > LINE_CALLS_MAX ||
        buffer_length(&line->out) + line->waiting_bytes > LINE_OUT_MAX)
        return -EBUSY;
    start_waiting(line, command);
    loop_timer_set(line->rules->loop, &command->deadline, command->due_ns, on_late);
    depart_later(line);
    return 0;
}

static struct expected take_first(struct redis_line *line) {
    struct expected first = line->pipeline[line->first];
    line->first = (line->first + 1) % LINE_PIPELINE;
    line->n_expected--;
    if (first.kind == EXPECT_LIFE)
        line->n_probes--;
    if (first.ends_packet)
        line->n_packets--;
    if (first.command) {
        loop_timer_clear(line->rules->loop, &first.command->deadline);
        first.command->line = NULL;
    }
    return first;
}

void pipeline_fail(struct redis_line *line, enum redis_verdict verdict) {
    assert(line->state == LINE_DOWN); /* so nothing is added meanwhile */
    while (line->n_expected > 0) {
        struct expected first = take_first(line);
        if (first.command)
            line->rules->on_end(line, first.command, verdict, NULL);
    }
    pipeline_turn_away(line);
}

/* ---- in */

static bool is_status(const struct redis_reply *reply, struct str text) {
    return reply->kind == REPLY_STATUS && str_eq(reply->text, text);
}

static void refuse(struct redis_line *line, const struct redis_reply *reply,
                   const char *otherwise) {
    const char *reason = reply->kind == REPLY_ERROR ? redis_refusal(reply->text) : NULL;
    line_trouble(line, REDIS_LOST, reason ? reason : otherwise);
}

static bool read_clock(struct redis_line *line, const struct redis_reply *reply) {
    uint64_t s, us;
    if (reply->kind != REPLY_ARRAY || reply->n != 2 || !str_to_u64(reply->list[0].text, &s) ||
        !str_to_u64(reply->list[1].text, &us) || s > INT64_MAX / 2000000 || us >= 1000000)
        return false;
    line->clock_us = (int64_t)(s * 1000000 + us) - now_ns(line) / 1000;
    return true;
}

/* True: a script was answered. */
static bool take_reply(struct redis_line *line, const struct redis_reply *reply) {
    if (line->n_expected == 0) {
        line_trouble(line, REDIS_NONSENSE, "a reply that nobody asked for");
        return false;
    }
    struct expected first = take_first(line);
    bool has_run = first.command && first.command->script && reply->kind != REPLY_ERROR;
    switch (first.kind) {
    case EXPECT_REPLY:
        if (first.command)
            line->rules->on_end(line, first.command, REDIS_ANSWERED, reply);
        break;
    case EXPECT_ANYTHING:
        break;
    case EXPECT_OK:
        if (!is_status(reply, STR("OK")))
            refuse(line, reply, "it refuses the greeting");
        break;
    case EXPECT_MASTER:
        if (reply->kind != REPLY_ARRAY || reply->n < 1 ||
            !str_eq(reply->list[0].text, STR("master")))
            refuse(line, reply, "it is not the master");
        break;
    case EXPECT_LIFE:
        if (line->rules->is_sentinel ? is_status(reply, STR("PONG")) : read_clock(line, reply))
            line_come_to_life(line);
        else
            refuse(line, reply, "it does not answer a probe as Redis does");
        break;
    }
    return has_run;
}

static bool is_talking(const struct redis_line *line) {
    return line->state == LINE_GREETING || line->state == LINE_UP || line->state == LINE_SILENT;
}

static void take_replies(struct redis_line *line) {
    const struct redis_reply *reply;
    bool has_run = false;
    while (is_talking(line)) {
        switch (redis_decode(line->decoder, &reply)) {
        case REDIS_DECODED:
            has_run |= take_reply(line, reply);
            break;
        case REDIS_DECODED_MORE:
            if (has_run)
                line_serves(line);
            return;
        case REDIS_DECODED_BAD:
            line_trouble(line, REDIS_NONSENSE, "what it says is not Redis' protocol");
            return;
        case REDIS_DECODED_HUGE:
            line_trouble(line, REDIS_NONSENSE, "a reply is larger than agreed");
            return;
        }
    }
}

static void read_all(struct redis_line *line) {
    char bytes[READ_BYTES];
    while (is_talking(line) && line->connection.can_read) {
        ssize_t n = connection_read(&line->connection, bytes, sizeof(bytes));
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            line_trouble(line, REDIS_LOST,
                         n == 0 ? "it closed the connection" : "the connection broke");
            return;
        }
        if (redis_decoder_feed(line->decoder, (struct str){bytes, (size_t)n}) < 0) {
            line_trouble(line, REDIS_LOST, "out of memory");
            return;
        }
        take_replies(line);
    }
}

void pipeline_event(struct redis_line *line) {
    if (!is_talking(line))
        return;
    if (line->connection.state == CONNECTION_FAILED) {
        line_trouble(line, REDIS_LOST, line->connection.failure_text);
        return;
    }
    read_all(line);
    if (is_talking(line))
        depart_later(line);
}
