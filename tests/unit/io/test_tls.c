/* SPDX-License-Identifier: MIT */
/* TLS towards servers: whom it trusts, what it resumes, and how a stream's end is told from its
 * being cut. Driven through io/connection, and for calls through io/upstream. */
#include "asker.h"
#include "authority.h"
#include <netdb.h>
#include <netinet/in.h>

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **list) {
    (void)name, (void)service, (void)hints;
    struct ip ip;
    static struct endpoint endpoint;
    static struct addrinfo info;
    ck_assert(ip_parse(STR("127.0.0.1"), &ip));
    endpoint_of_ip(&ip, 0, &endpoint);
    info = (struct addrinfo){
        .ai_family = AF_INET, .ai_addr = (void *)&endpoint, .ai_addrlen = endpoint.length};
    *list = &info;
    return 0;
}
void freeaddrinfo(struct addrinfo *list) { (void)list; }

/* ---- the stage */

#define DAY 86400L
#define GOOD \
    ((struct wanted_cert){"DNS:good.test,DNS:*.wild.test,IP:127.0.0.1", NULL, -DAY, DAY, false})

static struct loop *loop;
static struct tls_client *tls;
static struct identity authority, server;
static SSL_CTX *context;
static int listener;
static struct endpoint at;

static void open_between(struct identity made, int lowest, int highest) {
    char why[160];
    server = made;
    context = server_context(&server, lowest, highest);
    authority_install(&authority);
    tls = tls_client_new(why);
    ck_assert_msg(tls != NULL, "%s", why);
    loop = loop_new();
    listener = rig_listen(&at);
}
static void open_for(struct wanted_cert wanted) {
    authority = identity_new(NULL, (struct wanted_cert){NULL, NULL, -DAY, DAY, true});
    open_between(identity_new(&authority, wanted), TLS1_2_VERSION, TLS1_3_VERSION);
}
static void close_all(void) {
    tls_client_free(tls);
    loop_free(loop);
    close(listener);
    SSL_CTX_free(context);
    identity_free(&server);
    identity_free(&authority);
    authority_uninstall();
}

static void note(struct connection *c) { (void)c; }
static bool is_settled(const struct connection *c) {
    return c->state == CONNECTION_OPEN || c->state == CONNECTION_FAILED;
}

/* Connects under this name. The server's side; NULL when it did not come to a stream. */
static SSL *meet(struct connection *c, const char *name) {
    bool is_open;
    ck_assert_int_eq(connection_connect(c, loop, &at, tls, str_of(name), note), 0);
    SSL *ssl = server_accept(loop, context, listener, &is_open);
    RUN_UNTIL(loop, is_settled(c));
    if (is_open && c->state == CONNECTION_OPEN)
        return ssl;
    server_close(ssl, false);
    return NULL;
}
static ssize_t read_waiting(struct connection *c, char *to, size_t n) {
    ssize_t got = -EAGAIN;
    RUN_UNTIL(loop, (got = connection_read(c, to, n)) != -EAGAIN);
    return got;
}
static void expect_bytes(struct connection *c, struct str bytes) {
    char got[256];
    for (size_t i = 0; i < bytes.n;) {
        ssize_t n = read_waiting(c, got, bytes.n - i);
        ck_assert_int_gt(n, 0);
        ck_assert_mem_eq(got, bytes.at + i, (size_t)n);
        i += (size_t)n;
    }
}
static ssize_t write_text(struct connection *c, const char *text) {
    struct iovec piece = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    return connection_write(c, &piece, 1);
}

/* A server with this certificate, met under this name, is refused with this text. */
static void expect_refused(struct wanted_cert wanted, const char *name, const char *text) {
    struct connection c;
    open_for(wanted);
    ck_assert_ptr_null(meet(&c, name));
    ck_assert_int_eq(c.state, CONNECTION_FAILED);
    ck_assert_int_eq(c.failure, -EKEYREJECTED);
    ck_assert_str_eq(c.failure_text, text);
    connection_close(&c);
    close_all();
}

/* ---- whom it trusts */

START_TEST(server_with_a_good_certificate_is_met) {
    struct connection c;
    const unsigned char *alpn;
    unsigned n_alpn;
    open_for(GOOD);
    SSL *ssl = meet(&c, "good.test");
    ck_assert_ptr_nonnull(ssl);
    ck_assert_str_eq(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), "good.test");
    SSL_get0_alpn_selected(ssl, &alpn, &n_alpn);
    ck_assert_uint_eq(n_alpn, 8);
    ck_assert_int_eq(SSL_version(ssl), TLS1_3_VERSION);
    server_send(loop, ssl, STR("hello"));
    expect_bytes(&c, STR("hello"));
    ck_assert_int_eq(write_text(&c, "world"), 5);
    server_expect(loop, ssl, STR("world"));
    connection_close(&c);
    char byte;
    int n = 0;
    RUN_UNTIL(loop, (n = SSL_read(ssl, &byte, 1)) > 0 || !would_block(ssl, n));
    ck_assert_int_eq(SSL_get_error(ssl, n), SSL_ERROR_ZERO_RETURN); /* we say goodbye */
    server_close(ssl, true);
    close_all();
}
END_TEST

START_TEST(names_are_matched_as_certificates_write_them) {
    const char *good[] = {"good.test", "GOOD.test", "good.test.", "a.wild.test", "127.0.0.1"};
    const char *bad[] = {"other.test", "wild.test", "a.b.wild.test", "agood.test"};
    for (size_t i = 0; i < 5; i++) {
        struct connection c;
        open_for(GOOD);
        SSL *ssl = meet(&c, good[i]);
        ck_assert_msg(ssl != NULL, "%s: %s", good[i], c.failure_text);
        connection_close(&c);
        server_close(ssl, true);
        close_all();
    }
    for (size_t i = 0; i < 4; i++)
        expect_refused(GOOD, bad[i], "certificate verify failed: it is for another host name");
}
END_TEST

START_TEST(address_is_met_without_sni_and_only_when_the_certificate_says_it) {
    struct connection c;
    open_for(GOOD);
    SSL *ssl = meet(&c, "127.0.0.1");
    ck_assert_ptr_nonnull(ssl);
    ck_assert_ptr_null(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    connection_close(&c);
    server_close(ssl, true);
    close_all();
    expect_refused(GOOD, "127.0.0.2", "certificate verify failed: it is for another address");
    expect_refused((struct wanted_cert){"DNS:127.0.0.1", NULL, -DAY, DAY, false}, "127.0.0.1",
                   "certificate verify failed: it is for another address");
}
END_TEST

START_TEST(common_name_alone_is_not_enough) {
    expect_refused((struct wanted_cert){"IP:127.0.0.1", NULL, -DAY, DAY, false}, "server",
                   "certificate verify failed: it is for another host name");
}
END_TEST

START_TEST(certificate_out_of_its_time_is_refused) {
    expect_refused((struct wanted_cert){"DNS:good.test", NULL, -3 * DAY, -DAY, false}, "good.test",
                   "certificate verify failed: certificate has expired");
    expect_refused((struct wanted_cert){"DNS:good.test", NULL, DAY, 3 * DAY, false}, "good.test",
                   "certificate verify failed: certificate is not yet valid");
}
END_TEST

START_TEST(certificate_for_clients_is_refused) {
    expect_refused((struct wanted_cert){"DNS:good.test", "clientAuth", -DAY, DAY, false},
                   "good.test", "certificate verify failed: it is not for servers");
}
END_TEST

START_TEST(certificate_that_nobody_trusted_signed_is_refused) {
    struct connection c;
    authority = identity_new(NULL, (struct wanted_cert){NULL, NULL, -DAY, DAY, true});
    open_between(identity_new(NULL, GOOD), TLS1_2_VERSION, TLS1_3_VERSION);
    ck_assert_ptr_null(meet(&c, "good.test"));
    ck_assert_str_eq(c.failure_text, "certificate verify failed: self-signed certificate");
    connection_close(&c);
    close_all();
    authority = identity_new(NULL, (struct wanted_cert){NULL, NULL, -DAY, DAY, true});
    struct identity impostor =
        identity_new(NULL, (struct wanted_cert){NULL, NULL, -DAY, DAY, true});
    open_between(identity_new(&impostor, GOOD), TLS1_2_VERSION, TLS1_3_VERSION);
    ck_assert_ptr_null(meet(&c, "good.test"));
    ck_assert_int_eq(c.failure, -EKEYREJECTED);
    connection_close(&c);
    close_all();
    identity_free(&impostor);
}
END_TEST

static char ca_file[] = "/tmp/jg-private-XXXXXX";

static void add_authority(const struct identity *identity) {
    FILE *file = fopen(ca_file, "a");
    ck_assert_int_eq(PEM_write_X509(file, identity->cert), 1);
    fclose(file);
}

static bool is_met_privately(void) {
    char why[160];
    struct connection c = {0};
    tls_client_free(tls);
    tls = tls_client_new_private(str_of(ca_file), why);
    ck_assert_msg(tls != NULL, "%s", why);
    SSL *ssl = meet(&c, "good.test");
    bool is_met = ssl != NULL;
    connection_close(&c);
    if (ssl)
        server_close(ssl, false);
    return is_met;
}

START_TEST(private_authorities_are_those_of_their_file_and_no_others) {
    open_for(GOOD); /* by an authority that the system trusts */
    struct identity other = identity_new(NULL, (struct wanted_cert){NULL, NULL, -DAY, DAY, true});
    close(mkstemp(ca_file));
    add_authority(&other);
    ck_assert(!is_met_privately());
    ck_assert_int_eq(truncate(ca_file, 0), 0);
    add_authority(&server); /* some certificate; all that are there count */
    add_authority(&authority);
    ck_assert(is_met_privately());
    unlink(ca_file);
    identity_free(&other);
    close_all();
}
END_TEST

START_TEST(file_that_holds_no_authority_is_refused) {
    static const char *const paths[][2] = {
        {"/nowhere/ca.pem", "/nowhere/ca.pem cannot be read: No such file"},
        {"/dev/zero", "/dev/zero cannot be read: neither a file nor a pipe"},
        {"/tmp", "/tmp cannot be read: Is a directory"},
    };
    char why[160];
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        ck_assert_ptr_null(tls_client_new_private(str_of(paths[i][0]), why));
        ck_assert_msg(strncmp(why, paths[i][1], strlen(paths[i][1])) == 0, "%s", why);
    }
    authority = identity_new(NULL, (struct wanted_cert){NULL, NULL, -DAY, DAY, true});
    close(mkstemp(ca_file));
    for (int i = 0; i < 2; i++) { /* empty; and one that is good before one that is not */
        ck_assert_ptr_null(tls_client_new_private(str_of(ca_file), why));
        ck_assert_msg(strstr(why, "no certificate could be read from /tmp/"), "%s", why);
        add_authority(&authority);
        FILE *file = fopen(ca_file, "a");
        fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", file);
        fclose(file);
    }
    unlink(ca_file);
    identity_free(&authority);
}
END_TEST

START_TEST(server_that_only_speaks_tls_1_1_is_refused) {
    struct connection c;
    authority = identity_new(NULL, (struct wanted_cert){NULL, NULL, -DAY, DAY, true});
    open_between(identity_new(&authority, GOOD), TLS1_VERSION, TLS1_1_VERSION);
    ck_assert_ptr_null(meet(&c, "good.test"));
    ck_assert_int_eq(c.state, CONNECTION_FAILED);
    connection_close(&c);
    close_all();
}
END_TEST

START_TEST(peer_that_speaks_no_tls_or_leaves_is_told_apart_from_a_bad_certificate) {
    for (int speaks = 0; speaks < 2; speaks++) {
        struct connection c;
        open_for(GOOD);
        ck_assert_int_eq(connection_connect(&c, loop, &at, tls, STR("good.test"), note), 0);
        int peer = rig_accept(loop, listener);
        char hello[2048];
        RUN_UNTIL(loop, recv(peer, hello, sizeof(hello), MSG_DONTWAIT) > 0);
        if (speaks)
            rig_send(loop, peer, STR("HTTP/1.1 400 Bad Request\r\n\r\n"));
        close(peer);
        RUN_UNTIL(loop, is_settled(&c));
        ck_assert_int_eq(c.state, CONNECTION_FAILED);
        ck_assert_int_eq(c.failure, speaks ? -EPROTO : -ECONNABORTED);
        ck_assert_str_eq(c.failure_text,
                         speaks ? "wrong version number" : "closed during the TLS handshake");
        connection_close(&c);
        close_all();
    }
}
END_TEST

START_TEST(what_can_be_no_server_name_is_refused) {
    struct connection c;
    char name[300];
    memset(name, 'a', sizeof(name));
    open_for(GOOD);
    ck_assert_int_lt(connection_connect(&c, loop, &at, tls, STR_NONE, note), 0);
    ck_assert_int_lt(connection_connect(&c, loop, &at, tls, (struct str){name, 254}, note), 0);
    ck_assert_int_lt(connection_connect(&c, loop, &at, tls, (struct str){"good\0.test", 10}, note),
                     0);
    close_all();
}
END_TEST

/* ---- ends */

START_TEST(end_that_was_said_is_an_end_and_a_cut_is_broken) {
    for (int says_so = 0; says_so < 2; says_so++) {
        struct connection c;
        char got[16];
        open_for(GOOD);
        SSL *ssl = meet(&c, "good.test");
        server_send(loop, ssl, STR("last"));
        server_close(ssl, says_so);
        expect_bytes(&c, STR("last"));
        ck_assert_int_eq(read_waiting(&c, got, sizeof(got)), says_so ? 0 : -EPROTO);
        ck_assert(c.peer_left);
        connection_close(&c);
        close_all();
    }
}
END_TEST

START_TEST(stream_is_quiet_with_tickets_on_the_way_and_not_with_bytes_or_an_end) {
    struct connection c;
    char byte;
    open_for(GOOD);
    SSL *ssl = meet(&c, "good.test");
    ck_assert(connection_is_quiet(&c)); /* the server has sent two tickets */
    ck_assert(!c.can_read);
    server_send(loop, ssl, STR("x"));
    ck_assert(!connection_is_quiet(&c));
    ck_assert_int_eq(connection_read(&c, &byte, 1), 1);
    ck_assert(connection_is_quiet(&c));
    server_close(ssl, true);
    ck_assert(!connection_is_quiet(&c));
    connection_close(&c);
    close_all();
}
END_TEST

START_TEST(megabytes_go_both_ways_through_full_sockets) {
    struct connection c;
    static char sent[3 * 1024 * 1024], got[sizeof(sent)];
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 7 + i / 65536);
    open_for(GOOD);
    SSL *ssl = meet(&c, "good.test");
    size_t out = 0, in = 0, back = 0, returned = 0;
    /* The server echoes; what the client could not write is offered again, from another place in
     * memory at times. */
    RUN_UNTIL(loop, ({
                  if (out < sizeof(sent) && c.can_write) {
                      struct iovec pieces[2] = {
                          {.iov_base = sent + out, .iov_len = (sizeof(sent) - out + 1) / 2}};
                      pieces[1] = (struct iovec){.iov_base = sent + out + pieces[0].iov_len,
                                                 .iov_len = sizeof(sent) - out - pieces[0].iov_len};
                      ssize_t n = connection_write(&c, pieces, pieces[1].iov_len ? 2 : 1);
                      out += n > 0 ? (size_t)n : 0;
                  }
                  int n = in < sizeof(got) ? SSL_read(ssl, got + in, (int)(sizeof(got) - in)) : 0;
                  in += n > 0 ? (size_t)n : 0;
                  n = back < in
                          ? SSL_write(ssl, got + back, (int)(in - back < 10000 ? in - back : 10000))
                          : 0;
                  back += n > 0 ? (size_t)n : 0;
                  static char echo[50000];
                  ssize_t r = c.can_read ? connection_read(&c, echo, sizeof(echo)) : 0;
                  if (r > 0)
                      ck_assert_mem_eq(echo, sent + returned, (size_t)r);
                  returned += r > 0 ? (size_t)r : 0;
                  returned == sizeof(sent);
              }));
    connection_close(&c);
    server_close(ssl, true);
    close_all();
}
END_TEST

/* ---- sessions */

START_TEST(newest_session_of_a_name_is_resumed_and_of_another_name_not) {
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct connection c;
        authority = identity_new(NULL, (struct wanted_cert){NULL, NULL, -DAY, DAY, true});
        open_between(identity_new(&authority, GOOD), version, version);
        const struct {
            const char *name;
            bool resumes;
        } visits[] = {{"good.test", false},
                      {"good.test", true},
                      {"good.test", true},
                      {"a.wild.test", false},
                      {"127.0.0.1", false}};
        for (size_t i = 0; i < 5; i++) {
            SSL *ssl = meet(&c, visits[i].name);
            ck_assert_ptr_nonnull(ssl);
            server_send(loop, ssl, STR("x"));
            expect_bytes(&c, STR("x")); /* and the tickets before it */
            ck_assert_int_eq(tls_stream_was_resumed(c.tls), visits[i].resumes);
            ck_assert_int_eq(SSL_session_reused(ssl), visits[i].resumes);
            connection_close(&c);
            server_close(ssl, true);
        }
        close_all();
    }
}
END_TEST

START_TEST(many_names_do_not_grow_without_bound_nor_mix_up_sessions) {
    struct connection c;
    open_for(GOOD);
    for (int i = 0; i < 80; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%d.wild.test", i % 40);
        SSL *ssl = meet(&c, name);
        ck_assert_ptr_nonnull(ssl);
        ck_assert(!tls_stream_was_resumed(c.tls)); /* 40 names take turns over 32 places */
        server_send(loop, ssl, STR("x"));
        expect_bytes(&c, STR("x"));
        connection_close(&c);
        server_close(ssl, true);
    }
    close_all();
}
END_TEST

/* ---- calls over TLS */

static struct resolver *resolver;
static struct upstream_pool *pool;
static struct asker asker;
static struct origin origin;
static const struct upstream_request get = {.head = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
                                            .framing = FRAMING_NONE,
                                            .is_idempotent = true,
                                            .connect_ns = 5 * NS_PER_S,
                                            .first_byte_ns = 20 * NS_PER_S,
                                            .idle_ns = 10 * NS_PER_S};

static void open_pool(struct wanted_cert wanted) {
    open_for(wanted);
    struct upstream_limits limits = UPSTREAM_LIMITS_DEFAULT;
    resolver = resolver_new();
    pool = upstream_pool_new(loop, resolver, tls, &limits, &asker_events);
    ck_assert(resolver && pool);
    origin = (struct origin){.is_tls = true, .host = STR("good.test"), .port = rig_port(&at)};
    asker = (struct asker){0};
}
static void close_pool(void) {
    if (asker.call)
        asker_finish(&asker);
    upstream_pool_free(pool);
    rig_settle(loop);
    close_all();
    resolver_free(resolver);
}
static void start_get(void) {
    ck_assert_ptr_nonnull(asker.call = upstream_start(pool, &origin, &get, &asker));
}

START_TEST(call_over_tls_is_answered_and_its_line_kept) {
    bool is_open;
    open_pool(GOOD);
    start_get();
    SSL *ssl = server_accept(loop, context, listener, &is_open);
    ck_assert(is_open);
    for (int i = 0; i < 3; i++) {
        if (i)
            start_get();
        server_expect(loop, ssl, get.head);
        server_send(loop, ssl, STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        RUN_UNTIL(loop, asker_is_done(&asker));
        ck_assert(asker_got(&asker, "ok"));
        asker_finish(&asker);
        rig_settle(loop);
        ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 1);
    }
    server_close(ssl, true);
    RUN_UNTIL(loop, upstream_pool_stats(pool).n_idle == 0);
    close_pool();
}
END_TEST

START_TEST(body_until_close_needs_its_close_notify) {
    for (int says_so = 0; says_so < 2; says_so++) {
        bool is_open;
        open_pool(GOOD);
        start_get();
        SSL *ssl = server_accept(loop, context, listener, &is_open);
        server_expect(loop, ssl, get.head);
        server_send(loop, ssl, STR("HTTP/1.1 200 OK\r\n\r\nall of it?"));
        server_close(ssl, says_so);
        RUN_UNTIL(loop, asker_is_done(&asker));
        ck_assert(asker_got(&asker, "all of it?"));
        ck_assert_int_eq(asker.state, says_so ? UPSTREAM_BODY_END : UPSTREAM_BODY_BROKEN);
        if (!says_so)
            ck_assert_str_eq(upstream_reason(asker.call),
                             "TLS stream cut within the answer's body");
        close_pool();
    }
}
END_TEST

START_TEST(call_to_a_server_with_a_bad_certificate_is_unreachable_and_says_why) {
    bool is_open;
    open_pool((struct wanted_cert){"DNS:other.test", NULL, -DAY, DAY, false});
    start_get();
    SSL *ssl = server_accept(loop, context, listener, &is_open);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.failure, UPSTREAM_UNREACHABLE);
    ck_assert_str_eq(asker.reason, "certificate verify failed: it is for another host name");
    server_close(ssl, false);
    close_pool();
}
END_TEST

START_TEST(handshake_that_does_not_go_on_ends_at_the_connect_deadline) {
    open_pool(GOOD);
    start_get();
    int peer = rig_accept(loop, listener);
    rig_settle(loop);
    travel(get.connect_ns + 100 * NS_PER_MS);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.failure, UPSTREAM_UNREACHABLE);
    ck_assert_str_eq(asker.reason, "no connection in time");
    close(peer);
    close_pool();
}
END_TEST

RIG_MAIN("io/tls", server_with_a_good_certificate_is_met,
         names_are_matched_as_certificates_write_them,
         address_is_met_without_sni_and_only_when_the_certificate_says_it,
         common_name_alone_is_not_enough, certificate_out_of_its_time_is_refused,
         certificate_for_clients_is_refused, certificate_that_nobody_trusted_signed_is_refused,
         server_that_only_speaks_tls_1_1_is_refused,
         peer_that_speaks_no_tls_or_leaves_is_told_apart_from_a_bad_certificate,
         what_can_be_no_server_name_is_refused, end_that_was_said_is_an_end_and_a_cut_is_broken,
         stream_is_quiet_with_tickets_on_the_way_and_not_with_bytes_or_an_end,
         megabytes_go_both_ways_through_full_sockets,
         newest_session_of_a_name_is_resumed_and_of_another_name_not,
         many_names_do_not_grow_without_bound_nor_mix_up_sessions,
         call_over_tls_is_answered_and_its_line_kept, body_until_close_needs_its_close_notify,
         call_to_a_server_with_a_bad_certificate_is_unreachable_and_says_why,
         handshake_that_does_not_go_on_ends_at_the_connect_deadline,
         private_authorities_are_those_of_their_file_and_no_others,
         file_that_holds_no_authority_is_refused)
