/* SPDX-License-Identifier: MIT */
/* HTTP messages on a connection; the peer is played by the same thread over a socket pair. */
#include "io/channel.h"

#include "base/stock.h"
#include "rig.h"
#include <signal.h>

struct end {
    struct loop *loop;
    struct channel channel;
    int peer;
};

static void note(struct connection *c) { (void)c; }

static void open_end(struct end *end) {
    int pair[2];
    end->loop = loop_new();
    ck_assert_ptr_nonnull(end->loop);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    channel_init(&end->channel, end->loop);
    ck_assert_int_eq(connection_accept(&end->channel.connection, end->loop, pair[0], NULL, note),
                     0);
    end->peer = pair[1];
}

static void close_end(struct end *end) {
    channel_fini(&end->channel);
    if (end->peer >= 0)
        close(end->peer);
    loop_free(end->loop);
}

static void say(struct end *end, const char *text) {
    rig_send(end->loop, end->peer, str_of(text));
    rig_settle(end->loop);
}

/* All of the body that can be had now. */
static enum channel_body drink(struct end *end, struct buffer *all) {
    struct str data;
    enum channel_body said;
    while ((said = channel_read_body(&end->channel, &data)) == CHANNEL_BODY_DATA) {
        ck_assert_uint_gt(data.n, 0);
        ck_assert_int_eq(buffer_append(all, data), 0);
        channel_consume_body(&end->channel, data.n);
    }
    return said;
}

#define EXPECT_BYTES(buffer, text) \
    ck_assert_msg(str_eq(buffer_bytes(buffer), STR(text)), "'" STR_FMT "'", \
                  STR_ARG(buffer_bytes(buffer)))

START_TEST(fill_reads_once_and_not_beyond_the_limit) {
    struct end end;
    open_end(&end);
    ck_assert_int_eq(channel_fill(&end.channel, 100), 0);
    ck_assert_ptr_null(end.channel.in.at);
    say(&end, "0123456789");
    ck_assert_int_eq(channel_fill(&end.channel, 4), 1);
    EXPECT_BYTES(&end.channel.in, "0123");
    ck_assert_int_eq(channel_fill(&end.channel, 4), 0);
    ck_assert_int_eq(channel_fill(&end.channel, 100), 1);
    EXPECT_BYTES(&end.channel.in, "0123456789");
    ck_assert_uint_eq(end.channel.n_read, 10);
    close_end(&end);
}
END_TEST

START_TEST(what_is_filled_takes_little_more_memory_than_it_has_bytes) {
    struct end end;
    open_end(&end);
    say(&end, "0123456789");
    ck_assert_int_eq(channel_fill(&end.channel, CHANNEL_READ_BYTES), 1);
    EXPECT_BYTES(&end.channel.in, "0123456789");
    ck_assert_uint_le(end.channel.in.size, loop_pieces(end.loop)->piece_bytes);
    say(&end, "abc");
    ck_assert_int_eq(channel_fill(&end.channel, CHANNEL_READ_BYTES), 1);
    EXPECT_BYTES(&end.channel.in, "0123456789abc");
    close_end(&end);
}
END_TEST

START_TEST(end_of_the_stream_is_said_once) {
    struct end end;
    open_end(&end);
    say(&end, "x");
    shutdown(end.peer, SHUT_WR);
    rig_settle(end.loop);
    ck_assert_int_eq(channel_fill(&end.channel, 100), 1);
    ck_assert(!end.channel.in_ended);
    ck_assert_int_eq(channel_fill(&end.channel, 100), 1);
    ck_assert(end.channel.in_ended);
    ck_assert_int_eq(channel_fill(&end.channel, 100), 0);
    ck_assert_int_eq(end.channel.broken, 0);
    close_end(&end);
}
END_TEST

START_TEST(body_of_a_length_ends_and_leaves_what_follows) {
    struct end end;
    struct buffer all = {0};
    open_end(&end);
    channel_start_reading(&end.channel, FRAMING_LENGTH, 5);
    ck_assert_int_eq(drink(&end, &all), CHANNEL_BODY_WAIT);
    ck_assert_ptr_null(end.channel.in.at); /* waiting costs no memory */
    say(&end, "he");
    ck_assert_int_eq(drink(&end, &all), CHANNEL_BODY_WAIT);
    say(&end, "lloGET /");
    ck_assert_int_eq(drink(&end, &all), CHANNEL_BODY_END);
    ck_assert_int_eq(drink(&end, &all), CHANNEL_BODY_END);
    EXPECT_BYTES(&all, "hello");
    EXPECT_BYTES(&end.channel.in, "GET /");
    ck_assert_uint_eq(end.channel.bytes_received, 5);
    buffer_release(&all);
    close_end(&end);
}
END_TEST

START_TEST(data_is_lent_until_it_is_consumed) {
    struct end end;
    struct str data;
    open_end(&end);
    channel_start_reading(&end.channel, FRAMING_CHUNKED, 0);
    say(&end, "5\r\nhello\r\n0\r\n\r\n");
    ck_assert_int_eq(channel_read_body(&end.channel, &data), CHANNEL_BODY_DATA);
    ck_assert(str_eq(data, STR("hello")));
    channel_consume_body(&end.channel, 2);
    ck_assert_int_eq(channel_read_body(&end.channel, &data), CHANNEL_BODY_DATA);
    ck_assert(str_eq(data, STR("llo")));
    ck_assert_uint_eq(end.channel.bytes_received, 2);
    channel_consume_body(&end.channel, 3);
    ck_assert_int_eq(channel_read_body(&end.channel, &data), CHANNEL_BODY_END);
    close_end(&end);
}
END_TEST

START_TEST(chunked_body_is_the_same_however_it_is_cut) {
    static const char wire[] = "3;a=b\r\nabc\r\n0a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext";
    for (size_t cut = 1; cut < sizeof(wire) - 1; cut++) {
        struct end end;
        struct buffer all = {0};
        open_end(&end);
        channel_start_reading(&end.channel, FRAMING_CHUNKED, 0);
        rig_send(end.loop, end.peer, (struct str){wire, cut});
        rig_settle(end.loop);
        enum channel_body said = drink(&end, &all);
        ck_assert_int_eq(said, cut < sizeof(wire) - 5 ? CHANNEL_BODY_WAIT : CHANNEL_BODY_END);
        rig_send(end.loop, end.peer, (struct str){wire + cut, sizeof(wire) - 1 - cut});
        rig_settle(end.loop);
        ck_assert_int_eq(drink(&end, &all), CHANNEL_BODY_END);
        EXPECT_BYTES(&all, "abc0123456789");
        ck_assert_int_le(channel_fill(&end.channel, 100), 1);
        EXPECT_BYTES(&end.channel.in, "next");
        buffer_release(&all);
        close_end(&end);
    }
}
END_TEST

START_TEST(malformed_chunks_are_bad_and_stay_so) {
    struct end end;
    struct buffer all = {0};
    open_end(&end);
    channel_start_reading(&end.channel, FRAMING_CHUNKED, 0);
    say(&end, "1\r\naXX");
    ck_assert_int_eq(drink(&end, &all), CHANNEL_BODY_BAD);
    ck_assert_int_eq(drink(&end, &all), CHANNEL_BODY_BAD);
    EXPECT_BYTES(&all, "a");
    buffer_release(&all);
    close_end(&end);
}
END_TEST

START_TEST(body_that_ends_too_early_is_cut) {
    static const struct {
        enum framing framing;
        uint64_t body_bytes;
        const char *wire;
        enum channel_body expected;
    } cases[] = {
        {FRAMING_LENGTH, 5, "hell", CHANNEL_BODY_CUT},
        {FRAMING_LENGTH, 5, "hello", CHANNEL_BODY_END},
        {FRAMING_LENGTH, 5, "", CHANNEL_BODY_CUT},
        {FRAMING_CHUNKED, 0, "4\r\nhell\r\n0\r\n", CHANNEL_BODY_CUT},
        {FRAMING_CHUNKED, 0, "4\r\nhell\r\n", CHANNEL_BODY_CUT},
        {FRAMING_CHUNKED, 0, "4\r\nhell\r\n0\r\n\r\n", CHANNEL_BODY_END},
        {FRAMING_UNTIL_CLOSE, 0, "hello", CHANNEL_BODY_END},
        {FRAMING_UNTIL_CLOSE, 0, "", CHANNEL_BODY_END},
        {FRAMING_NONE, 0, "", CHANNEL_BODY_END},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct end end;
        struct buffer all = {0};
        open_end(&end);
        channel_start_reading(&end.channel, cases[i].framing, cases[i].body_bytes);
        say(&end, cases[i].wire);
        shutdown(end.peer, SHUT_WR);
        rig_settle(end.loop);
        ck_assert_int_eq(drink(&end, &all), cases[i].expected);
        buffer_release(&all);
        close_end(&end);
    }
}
END_TEST

START_TEST(body_that_is_cut_is_known_ahead_without_being_used_up) {
    static const struct {
        enum framing framing;
        const char *bytes;
        bool leaves, is_cut;
    } rows[] = {
        {FRAMING_LENGTH, "half", true, true},
        {FRAMING_LENGTH, "half", false, false}, /* the rest may come */
        {FRAMING_LENGTH, "the whole", true, false},
        {FRAMING_CHUNKED, "4\r\nhalf\r\n", true, true},
        {FRAMING_CHUNKED, "4\r\nhalf\r\nzz", true, true},
        {FRAMING_CHUNKED, "4\r\nhalf\r\n0\r\n\r\n", true, false},
        {FRAMING_UNTIL_CLOSE, "all of it", true, false},
        {FRAMING_NONE, "", true, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct end end;
        struct str data;
        open_end(&end);
        channel_start_reading(&end.channel, rows[i].framing, 9);
        say(&end, rows[i].bytes);
        if (rows[i].leaves)
            shutdown(end.peer, SHUT_WR);
        rig_settle(end.loop);
        ck_assert_msg(channel_body_is_cut(&end.channel) == rows[i].is_cut, "row %zu", i);
        if (rows[i].bytes[0])
            ck_assert_int_eq(channel_read_body(&end.channel, &data), CHANNEL_BODY_DATA);
        close_end(&end);
    }
}
END_TEST

START_TEST(body_until_close_that_is_reset_is_cut) {
    struct end end;
    struct buffer all = {0};
    struct endpoint at;
    end.loop = loop_new();
    int listener = rig_listen(&at);
    end.peer = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(end.peer, (struct sockaddr *)&at.address, at.length), 0);
    channel_init(&end.channel, end.loop);
    ck_assert_int_eq(connection_accept(&end.channel.connection, end.loop,
                                       rig_accept(end.loop, listener), NULL, note),
                     0);
    channel_start_reading(&end.channel, FRAMING_UNTIL_CLOSE, 0);
    say(&end, "hello");
    ck_assert_int_eq(drink(&end, &all), CHANNEL_BODY_WAIT);
    rig_reset(end.peer);
    end.peer = -1;
    RUN_UNTIL(end.loop, end.channel.connection.peer_left);
    ck_assert_int_eq(drink(&end, &all), CHANNEL_BODY_CUT);
    ck_assert_int_eq(end.channel.broken, -ECONNRESET);
    ck_assert_int_eq(channel_flush(&end.channel), -ECONNRESET);
    buffer_release(&all);
    close(listener);
    close_end(&end);
}
END_TEST

static void write_all(struct end *end, const char *text) {
    ck_assert_int_eq(channel_write_body(&end->channel, str_of(text)), (ssize_t)strlen(text));
}

START_TEST(body_is_written_in_its_framing) {
    struct end end;
    open_end(&end);
    channel_start_writing(&end.channel, FRAMING_CHUNKED, 0);
    write_all(&end, "hello");
    ck_assert_int_eq(channel_write_body(&end.channel, STR_NONE), 0); /* and not the last chunk */
    write_all(&end, "0123456789abcdef");
    ck_assert_int_eq(channel_end_body(&end.channel), 0);
    ck_assert_uint_eq(end.channel.bytes_sent, 21);
    ck_assert_int_eq(channel_flush(&end.channel), 1);
    ck_assert_ptr_null(end.channel.out.at);
    channel_start_writing(&end.channel, FRAMING_LENGTH, 3);
    write_all(&end, "ab");
    write_all(&end, "c");
    ck_assert_int_eq(channel_end_body(&end.channel), 0);
    channel_start_writing(&end.channel, FRAMING_NONE, 0);
    ck_assert_int_eq(channel_end_body(&end.channel), 0);
    channel_start_writing(&end.channel, FRAMING_UNTIL_CLOSE, 0);
    write_all(&end, "d");
    ck_assert_int_eq(channel_end_body(&end.channel), 0);
    ck_assert_int_eq(channel_flush(&end.channel), 1);
    rig_expect(end.loop, end.peer, STR("5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\nabcd"));
    close_end(&end);
}
END_TEST

START_TEST(more_than_out_may_hold_is_not_taken) {
    static char big[CHANNEL_OUT_BYTES + 1000];
    struct end end;
    open_end(&end);
    channel_start_writing(&end.channel, FRAMING_LENGTH, sizeof(big));
    end.channel.connection.can_write = false;
    ck_assert_int_eq(channel_write_body(&end.channel, (struct str){big, sizeof(big)}),
                     CHANNEL_OUT_BYTES);
    ck_assert_int_eq(channel_write_body(&end.channel, (struct str){big, 1000}), 0);
    end.channel.connection.can_write = true;
    ck_assert_int_eq(channel_flush(&end.channel), 1);
    ck_assert_int_eq(channel_write_body(&end.channel, (struct str){big, 1000}), 1000);
    ck_assert_int_eq(channel_end_body(&end.channel), 0);
    close_end(&end);
}
END_TEST

START_TEST(a_large_piece_goes_straight_behind_what_waits) {
    static char piece[CHANNEL_STRAIGHT_BYTES];
    struct end end;
    open_end(&end);
    memset(piece, 'p', sizeof(piece));
    channel_start_writing(&end.channel, FRAMING_UNTIL_CLOSE, 0);
    write_all(&end, "first");
    ck_assert_int_eq(channel_write_body(&end.channel, (struct str){piece, sizeof(piece) - 1}),
                     sizeof(piece) - 1);
    ck_assert_uint_eq(buffer_length(&end.channel.out), 5 + sizeof(piece) - 1); /* not large */
    ck_assert_int_eq(channel_flush(&end.channel), 1);
    write_all(&end, "then");
    ck_assert_int_eq(channel_write_body(&end.channel, (struct str){piece, sizeof(piece)}),
                     sizeof(piece));
    ck_assert_uint_eq(buffer_length(&end.channel.out), 0);
    write_all(&end, "last");
    ck_assert_int_eq(channel_flush(&end.channel), 1);

    static char expected[2 * sizeof(piece) + 12];
    memset(expected, 'p', sizeof(expected));
    memcpy(expected, "first", 5);
    memcpy(expected + 5 + sizeof(piece) - 1, "then", 4);
    memcpy(expected + sizeof(expected) - 4, "last", 4);
    rig_expect(end.loop, end.peer, (struct str){expected, sizeof(expected)});
    close_end(&end);
}
END_TEST

START_TEST(a_piece_for_a_peer_that_is_gone_is_told_at_the_flush) {
    static char piece[CHANNEL_STRAIGHT_BYTES];
    struct end end;
    open_end(&end);
    close(end.peer);
    end.peer = -1;
    channel_start_writing(&end.channel, FRAMING_UNTIL_CLOSE, 0);
    ck_assert_int_eq(channel_write_body(&end.channel, (struct str){piece, sizeof(piece)}),
                     sizeof(piece));
    ck_assert_int_eq(channel_flush(&end.channel), -EPIPE);
    ck_assert_int_eq(channel_flush(&end.channel), -EPIPE);
    close_end(&end);
}
END_TEST

START_TEST(full_socket_keeps_what_did_not_fit) {
    static char big[CHANNEL_OUT_BYTES], got[CHANNEL_OUT_BYTES];
    struct end end;
    size_t n_written = 0, n_got = 0;
    int flushed;
    open_end(&end);
    channel_start_writing(&end.channel, FRAMING_UNTIL_CLOSE, 0);
    do {
        ck_assert_int_eq(channel_write_body(&end.channel, (struct str){big, sizeof(big)}),
                         sizeof(big));
        n_written += sizeof(big);
    } while ((flushed = channel_flush(&end.channel)) == 1);
    ck_assert_int_eq(flushed, 0);
    ck_assert(!end.channel.connection.can_write);
    while (n_got < n_written) {
        ssize_t n = recv(end.peer, got, sizeof(got), MSG_DONTWAIT);
        n_got += n > 0 ? (size_t)n : 0;
        rig_turn(end.loop);
        ck_assert_int_ge(channel_flush(&end.channel), 0);
    }
    ck_assert_int_eq(channel_flush(&end.channel), 1);
    close_end(&end);
}
END_TEST

START_TEST(writing_to_a_peer_that_left_breaks) {
    struct end end;
    open_end(&end);
    close(end.peer);
    end.peer = -1;
    channel_start_writing(&end.channel, FRAMING_UNTIL_CLOSE, 0);
    write_all(&end, "x");
    ck_assert_int_eq(channel_flush(&end.channel), -EPIPE);
    ck_assert_int_eq(channel_flush(&end.channel), -EPIPE);
    close_end(&end);
}
END_TEST

START_TEST(more_than_the_declared_length_is_a_bug) {
    struct end end;
    open_end(&end);
    channel_start_writing(&end.channel, FRAMING_LENGTH, 3);
    ssize_t taken = channel_write_body(&end.channel, STR("abcd"));
    ck_abort_msg("taken: %zd", taken);
}
END_TEST

START_TEST(less_than_the_declared_length_is_a_bug) {
    struct end end;
    open_end(&end);
    channel_start_writing(&end.channel, FRAMING_LENGTH, 3);
    write_all(&end, "ab");
    int ended = channel_end_body(&end.channel);
    ck_abort_msg("ended: %d", ended);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        fill_reads_once_and_not_beyond_the_limit,
        what_is_filled_takes_little_more_memory_than_it_has_bytes,
        end_of_the_stream_is_said_once,
        body_of_a_length_ends_and_leaves_what_follows,
        data_is_lent_until_it_is_consumed,
        chunked_body_is_the_same_however_it_is_cut,
        malformed_chunks_are_bad_and_stay_so,
        body_that_ends_too_early_is_cut,
        body_that_is_cut_is_known_ahead_without_being_used_up,
        body_until_close_that_is_reset_is_cut,
        body_is_written_in_its_framing,
        more_than_out_may_hold_is_not_taken,
        a_large_piece_goes_straight_behind_what_waits,
        a_piece_for_a_peer_that_is_gone_is_told_at_the_flush,
        full_socket_keeps_what_did_not_fit,
        writing_to_a_peer_that_left_breaks,
    };
    Suite *suite = suite_create("channel");
    TCase *tcase = tcase_create("channel"), *bugs = tcase_create("bugs");
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_add_test_raise_signal(bugs, more_than_the_declared_length_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(bugs, less_than_the_declared_length_is_a_bug, SIGABRT);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, bugs);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
