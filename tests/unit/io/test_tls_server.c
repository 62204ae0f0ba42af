/* SPDX-License-Identifier: MIT */
/* TLS towards clients: what it is made of, which certificate it shows, what it resumes. Met by OpenSSL's own client, driven by the
 * same thread through io/connection. */
#include "authority.h"
#include "io/connection.h"
#include "io/tls_server.h"
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

/* Time that a test moves by hand. */
static int64_t travelled_ns;
int clock_gettime(clockid_t clock, struct timespec *now) {
    if (syscall(SYS_clock_gettime, clock, now) < 0)
        return -1;
    now->tv_sec += travelled_ns / NS_PER_S;
    return 0;
}

/* ---- the stage */

#define DAY      86400L
#define FOR(san) ((struct wanted_cert){(san), NULL, -DAY, 30 * DAY, false})

static char folder[32];
static char paths[16][64];
static struct tls_files entries[8];
static struct settings settings;
static struct identity authority;
static struct tls_server *server;
static struct loop *loop;
static SSL_CTX *context;
static char why[TLS_WHY_MAX];

static void write_pem(char path[64], const char *name, const struct identity *of, bool is_key) {
    snprintf(path, 64, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    chmod(path, 0600);
    ck_assert_int_eq(is_key ? PEM_write_PrivateKey(file, of->key, NULL, NULL, 0, NULL, NULL)
                            : PEM_write_X509(file, of->cert),
                     1);
    fclose(file);
}

/* One more entry of `tls`. */
static void add_entry(struct wanted_cert wanted) {
    struct identity made = identity_new(&authority, wanted);
    size_t i = settings.n_tls++;
    char name[16];
    snprintf(name, sizeof(name), "%zu.crt", i);
    write_pem(paths[2 * i], name, &made, false);
    snprintf(name, sizeof(name), "%zu.key", i);
    write_pem(paths[2 * i + 1], name, &made, true);
    entries[i] = (struct tls_files){str_of(paths[2 * i]), str_of(paths[2 * i + 1]), i + 3, 7};
    identity_free(&made);
}

static void setup(void) {
    snprintf(folder, sizeof(folder), "/tmp/jg-tls-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    authority = identity_new(NULL, (struct wanted_cert){NULL, NULL, -DAY, DAY, true});
    settings = (struct settings){.file = STR("f.yaml"), .tls = entries};
    loop = loop_new();
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
}
static void teardown(void) {
    tls_server_unref(server);
    SSL_CTX_free(context);
    identity_free(&authority);
    loop_free(loop);
    for (size_t i = 0; i < 2 * settings.n_tls; i++)
        unlink(paths[i]);
    rmdir(folder);
}

static void start(const struct tls_server *previous) {
    server = tls_server_new(&settings, previous, why);
    ck_assert_msg(server != NULL, "%s", why);
}

static void note(struct connection *c) { (void)c; }

/* Both ends of one connection. */
struct meeting {
    struct connection c;
    SSL *ssl;
};

static void meet_as(struct meeting *m, const char *name, SSL_SESSION *session) {
    struct endpoint at;
    int listener = rig_listen(&at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), result = 0;
    ck_assert(connect(fd, (const void *)&at.address, at.length) == 0 || errno == EINPROGRESS);
    *m = (struct meeting){.ssl = SSL_new(context)};
    SSL_set_fd(m->ssl, fd);
    if (name)
        SSL_set_tlsext_host_name(m->ssl, name);
    if (session)
        ck_assert_int_eq(SSL_set_session(m->ssl, session), 1);
    ck_assert_int_eq(connection_accept(&m->c, loop, rig_accept(loop, listener), server, note), 0);
    ck_assert_int_eq(m->c.state, CONNECTION_HANDSHAKING);
    ck_assert(!m->c.can_read && !m->c.can_write);
    RUN_UNTIL(loop, ({
                  ERR_clear_error();
                  result = SSL_connect(m->ssl);
                  (result == 1 || !would_block(m->ssl, result)) &&
                      m->c.state != CONNECTION_HANDSHAKING;
              }));
    close(listener);
}
static void part(struct meeting *m) {
    connection_close(&m->c);
    server_close(m->ssl, true);
}
/* Which entry is shown to whom asks for `name`. */
static void expect_entry(const char *name, size_t index) {
    struct meeting m;
    meet_as(&m, name, NULL);
    ck_assert_int_eq(m.c.state, CONNECTION_OPEN);
    X509 *shown = SSL_get1_peer_certificate(m.ssl);
    FILE *file = fopen(paths[2 * index], "r");
    X509 *expected = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    ck_assert_msg(X509_cmp(shown, expected) == 0, "%s is shown another one", name ? name : "-");
    X509_free(shown);
    X509_free(expected);
    part(&m);
}

/* Talks, so that tickets come; the session is the caller's. */
static SSL_SESSION *resume(SSL_SESSION *session, bool is_resumed) {
    struct meeting m;
    char byte;
    ssize_t n = 0;
    meet_as(&m, "good.test", session);
    ck_assert_int_eq(m.c.state, CONNECTION_OPEN);
    ck_assert_int_eq(tls_stream_was_resumed(m.c.tls), is_resumed);
    ck_assert_int_eq(SSL_session_reused(m.ssl), is_resumed);
    ck_assert_int_eq(connection_write(&m.c, &(struct iovec){"x", 1}, 1), 1);
    server_expect(loop, m.ssl, STR("x"));
    ck_assert_int_eq(SSL_write(m.ssl, "y", 1), 1);
    RUN_UNTIL(loop, (n = connection_read(&m.c, &byte, 1)) != -EAGAIN);
    ck_assert_int_eq(n, 1);
    SSL_SESSION_free(session);
    session = SSL_get1_session(m.ssl);
    part(&m);
    return session;
}

/* ---- certificates */

START_TEST(name_that_is_asked_for_chooses_the_certificate) {
    setup();
    add_entry(FOR("DNS:good.test"));
    add_entry(FOR("DNS:*.wild.test,DNS:two.test"));
    add_entry(FOR("DNS:exact.wild.test"));
    start(NULL);
    expect_entry("good.test", 0);
    expect_entry("GOOD.test", 0);
    expect_entry("a.wild.test", 1);
    expect_entry("two.test", 1);
    expect_entry("exact.wild.test", 2); /* before the wildcard that stands before it */
    expect_entry("a.b.wild.test", 0);
    expect_entry("wild.test", 0);
    expect_entry("other.test", 0);
    expect_entry(NULL, 0);
    teardown();
}
END_TEST

START_TEST(address_chooses_when_no_name_is_asked_for) {
    setup();
    add_entry(FOR("DNS:good.test"));
    add_entry(FOR("DNS:other.test,IP:127.0.0.1"));
    start(NULL);
    expect_entry(NULL, 1);
    expect_entry("good.test", 0);
    expect_entry("127.0.0.1", 1);
    expect_entry("127.0.0.2", 0);
    teardown();
}
END_TEST

START_TEST(what_cannot_serve_is_refused_with_place_and_file) {
    static const struct {
        size_t file;
        const char *content, *words;
    } rows[] = {
        {2, NULL, "1.crt cannot be read: No such file"},
        {3, NULL, "1.key cannot be read: No such file"},
        {2, "", "1.crt holds none: expected PEM, -----BEGIN CERTIFICATE-----"},
        {3, "", "1.key holds none: expected PEM, -----BEGIN PRIVATE KEY-----"},
        {3, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "1.key holds none"},
        {2, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "1.crt holds none"},
        {2, "/dev/zero", "1.crt cannot be read: neither a file nor a pipe"},
        {3, "/dev/zero", "1.key cannot be read: neither a file nor a pipe"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        setup();
        add_entry(FOR("DNS:good.test"));
        add_entry(FOR("DNS:other.test"));
        unlink(paths[rows[i].file]);
        if (rows[i].content && rows[i].content[0] == '/') {
            ck_assert_int_eq(symlink(rows[i].content, paths[rows[i].file]), 0);
        } else if (rows[i].content) {
            FILE *file = fopen(paths[rows[i].file], "w");
            fputs(rows[i].content, file);
            fclose(file);
        }
        server = tls_server_new(&settings, NULL, why);
        ck_assert_ptr_null(server);
        ck_assert_msg(str_starts(str_of(why), STR("f.yaml:4:7: tls: the ")), "%s", why);
        ck_assert_msg(strstr(why, rows[i].words) != NULL, "%s", why);
        teardown();
    }
}
END_TEST

START_TEST(key_of_another_certificate_is_refused) {
    setup();
    add_entry(FOR("DNS:good.test"));
    add_entry(FOR("DNS:other.test"));
    entries[0].key = entries[1].key;
    ck_assert_ptr_null(server = tls_server_new(&settings, NULL, why));
    ck_assert_msg(strstr(why, "1.key does not belong to the certificate") != NULL, "%s", why);
    teardown();
}
END_TEST

/* ---- findings */

static char found[8][TLS_WHY_MAX];
static size_t n_found;
static void collect(void *arg, const char *line) {
    (void)arg;
    snprintf(found[n_found++], TLS_WHY_MAX, "%s", line);
}

START_TEST(certificates_out_of_their_time_nameless_or_with_open_keys_are_findings) {
    setup();
    add_entry(FOR("DNS:good.test"));
    add_entry((struct wanted_cert){"DNS:old.test", NULL, -3 * DAY, -DAY, false});
    add_entry((struct wanted_cert){"DNS:young.test", NULL, DAY, 30 * DAY, false});
    add_entry((struct wanted_cert){"DNS:soon.test", NULL, -DAY, 6 * DAY, false});
    add_entry((struct wanted_cert){NULL, NULL, -DAY, 30 * DAY, false});
    chmod(paths[1], 0644);
    start(NULL);
    ck_assert_uint_eq(tls_server_lint(server, &settings, time(NULL), collect, NULL), 5);
    ck_assert_uint_eq(n_found, 5);
    const char *words[] = {"0.key can be read by everybody", "1.crt has expired",
                           "2.crt is not valid yet", "3.crt expires within 7 days",
                           "4.crt names nobody"};
    for (size_t i = 0; i < 5; i++) {
        char place[32];
        snprintf(place, sizeof(place), "f.yaml:%zu:7: tls: ", i + 3);
        ck_assert_msg(str_starts(str_of(found[i]), str_of(place)), "%s", found[i]);
        ck_assert_msg(strstr(found[i], words[i]) != NULL, "%s", found[i]);
    }
    expect_entry("old.test", 1); /* a finding stops nobody */
    teardown();
}
END_TEST

/* ---- protocols */

START_TEST(old_versions_are_refused) {
    struct meeting m;
    setup();
    add_entry(FOR("DNS:good.test"));
    start(NULL);
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    meet_as(&m, "good.test", NULL);
    ck_assert_int_eq(m.c.state, CONNECTION_FAILED);
    ck_assert_int_eq(m.c.failure, -EPROTO);
    ck_assert_str_eq(m.c.failure_text, "unsupported protocol");
    part(&m);
    teardown();
}
END_TEST

START_TEST(client_that_offers_only_http_2_gets_the_alert_of_rfc_7301) {
    struct meeting m;
    setup();
    add_entry(FOR("DNS:good.test"));
    start(NULL);
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3);
    meet_as(&m, "good.test", NULL);
    ck_assert_int_eq(m.c.state, CONNECTION_FAILED);
    ck_assert_int_eq(ERR_GET_REASON(ERR_peek_error()),
                     SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);
    part(&m);
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    meet_as(&m, "good.test", NULL);
    ck_assert_int_eq(m.c.state, CONNECTION_OPEN);
    part(&m);
    teardown();
}
END_TEST

START_TEST(client_cannot_renegotiate) {
    struct meeting m;
    char byte;
    setup();
    add_entry(FOR("DNS:good.test"));
    start(NULL);
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    meet_as(&m, "good.test", NULL);
    ck_assert_int_eq(SSL_renegotiate(m.ssl), 1);
    RUN_UNTIL(loop, ({
                  ERR_clear_error();
                  ssize_t n = m.c.can_read ? connection_read(&m.c, &byte, 1) : -EAGAIN;
                  ck_assert_int_eq(n, -EAGAIN);
                  int result = SSL_do_handshake(m.ssl);
                  ck_assert_int_ne(result, 1);
                  !would_block(m.ssl, result);
              }));
    part(&m);
    teardown();
}
END_TEST

/* ---- sessions */

START_TEST(session_is_resumed_also_by_a_server_that_was_made_of_the_first) {
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        setup();
        add_entry(FOR("DNS:good.test"));
        start(NULL);
        SSL_CTX_set_max_proto_version(context, version);
        SSL_SESSION *session = resume(NULL, false);
        session = resume(session, true);
        struct tls_server *old = server;
        start(old);
        tls_server_unref(old);
        session = resume(session, true);
        tls_server_unref(server);
        start(NULL); /* another process */
        session = resume(session, false);
        SSL_SESSION_free(session);
        teardown();
    }
}
END_TEST

/* As SSL_CTX_set_timeout of the server says; the client's own idea of it must not be in the way. */
START_TEST(key_of_a_ticket_turns_and_opens_for_as_long_again) {
    setup();
    add_entry(FOR("DNS:good.test"));
    start(NULL);
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION); /* whose resumption keeps the ticket */
    SSL_SESSION *session = resume(NULL, false);
    travelled_ns = 7201 * NS_PER_S;
    session = resume(session, true); /* by the last key, and renewed */
    travelled_ns += 7201 * NS_PER_S;
    session = resume(session, true);
    SSL_SESSION *old = SSL_SESSION_dup(session);
    travelled_ns += 2 * 7201 * NS_PER_S;
    session = resume(session, false);
    travelled_ns += 7201 * NS_PER_S;
    old = resume(old, false);
    SSL_SESSION_free(session);
    SSL_SESSION_free(old);
    travelled_ns = 0;
    teardown();
}
END_TEST

/* ---- bytes */

START_TEST(bytes_before_and_after_a_goodbye_are_told_from_a_cut) {
    for (int says_so = 0; says_so < 2; says_so++) {
        struct meeting m;
        char got[16];
        ssize_t n = 0;
        setup();
        add_entry(FOR("DNS:good.test"));
        start(NULL);
        meet_as(&m, "good.test", NULL);
        ck_assert_int_eq(SSL_write(m.ssl, "last", 4), 4);
        ck_assert_int_eq(SSL_read(m.ssl, got, 1), -1); /* tickets; closing over them would reset */
        server_close(m.ssl, says_so);
        RUN_UNTIL(loop, (n = connection_read(&m.c, got, sizeof(got))) != -EAGAIN);
        ck_assert_int_eq(n, 4);
        RUN_UNTIL(loop, (n = connection_read(&m.c, got, sizeof(got))) != -EAGAIN);
        ck_assert_int_eq(n, says_so ? 0 : -EPROTO);
        connection_close(&m.c);
        teardown();
    }
}
END_TEST

START_TEST(plain_http_and_a_peer_that_leaves_are_told_apart) {
    static const struct {
        const char *bytes;
        int failure;
    } rows[] = {{"GET / HTTP/1.1\r\n\r\n", -EPROTOTYPE},
                {"CONNECT a:1 HTTP/1.1\r\n\r\n", -EPROTOTYPE},
                {"", -ECONNABORTED},
                {"\x16\x03\x01\x02", -ECONNABORTED},
                {"SSH-2.0-x\r\n", -EPROTO}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connection c;
        int pair[2];
        setup();
        add_entry(FOR("DNS:good.test"));
        start(NULL);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        ck_assert_int_eq(connection_accept(&c, loop, pair[0], server, note), 0);
        rig_send(loop, pair[1], str_of(rows[i].bytes));
        close(pair[1]);
        RUN_UNTIL(loop, c.state == CONNECTION_FAILED);
        ck_assert_int_eq(c.failure, rows[i].failure);
        connection_close(&c);
        teardown();
    }
}
END_TEST

START_TEST(stream_keeps_what_it_was_made_of) {
    struct meeting m;
    setup();
    add_entry(FOR("DNS:good.test"));
    start(NULL);
    meet_as(&m, "good.test", NULL);
    tls_server_unref(server);
    server = NULL;
    ck_assert_int_eq(connection_write(&m.c, &(struct iovec){"x", 1}, 1), 1);
    server_expect(loop, m.ssl, STR("x"));
    part(&m);
    teardown();
}
END_TEST

/* ---- pins */

/* A client of ours that knows these files meets the server; how that ended for it. */
static int meet_pinned(const struct tls_files *files, size_t n) {
    struct connection here, there;
    struct endpoint at;
    char refusal[160];
    int listener = rig_listen(&at);
    struct tls_client *tls = tls_client_new_pinned(files, n, refusal);
    ck_assert_msg(tls != NULL, "%s", refusal);
    ck_assert_int_eq(connection_connect(&here, loop, &at, tls, STR("localhost"), note), 0);
    ck_assert_int_eq(connection_accept(&there, loop, rig_accept(loop, listener), server, note), 0);
    RUN_UNTIL(loop, here.state == CONNECTION_OPEN || here.state == CONNECTION_FAILED);
    int failure = here.state == CONNECTION_OPEN ? 0 : here.failure;
    if (failure < 0)
        ck_assert_str_eq(here.failure_text,
                         "certificate verify failed: it has another key than the settings' tls");
    connection_close(&here);
    connection_close(&there);
    tls_client_free(tls);
    close(listener);
    return failure;
}

/* A second certificate for the first one's key, or the first one's with a key of its own. */
static void renew(struct tls_files *files, char path[64], struct wanted_cert wanted,
                  bool keeps_key) {
    struct identity made = identity_new(&authority, wanted);
    FILE *file = fopen(paths[1], "r");
    EVP_PKEY *old = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    if (keeps_key) {
        X509_set_pubkey(made.cert, old);
        ck_assert_int_gt(X509_sign(made.cert, authority.key, EVP_sha256()), 0);
    }
    write_pem(path, "renewed.crt", &made, false);
    *files = (struct tls_files){.certificate = str_of(path), .key = STR("/nowhere")};
    EVP_PKEY_free(old);
    identity_free(&made);
}

START_TEST(own_server_is_known_by_the_key_of_any_of_its_certificates) {
    setup();
    add_entry((struct wanted_cert){"DNS:old.test", NULL, -2 * DAY, -DAY, false});
    add_entry(FOR("DNS:localhost"));
    start(NULL);
    ck_assert_int_eq(meet_pinned(entries, 2), 0);
    ck_assert_int_eq(meet_pinned(entries + 1, 1), 0);         /* which it shows */
    ck_assert_int_eq(meet_pinned(entries, 1), -EKEYREJECTED); /* which it does not */
    teardown();
}
END_TEST

START_TEST(stranger_with_a_good_certificate_is_not_our_server) {
    struct tls_files other;
    char path[64];
    setup();
    add_entry(FOR("DNS:localhost,IP:127.0.0.1"));
    renew(&other, path, FOR("DNS:localhost,IP:127.0.0.1"), false);
    start(NULL);
    authority_install(&authority);
    ck_assert_int_eq(meet_pinned(&other, 1), -EKEYREJECTED);
    ck_assert_int_eq(meet_pinned(entries, 1), 0);
    authority_uninstall();
    unlink(path);
    teardown();
}
END_TEST

START_TEST(renewed_certificate_of_the_same_key_is_known) {
    struct tls_files renewed;
    char path[64];
    setup();
    add_entry(FOR("DNS:good.test"));
    renew(&renewed, path, FOR("DNS:good.test"), true);
    start(NULL);
    ck_assert_int_eq(meet_pinned(&renewed, 1), 0);
    unlink(path);
    teardown();
}
END_TEST

START_TEST(pins_that_cannot_be_read_are_told) {
    char refusal[160];
    setup();
    add_entry(FOR("DNS:good.test"));
    entries[1] = (struct tls_files){.certificate = STR("/nowhere/a.crt"), .key = STR("/nowhere")};
    ck_assert_ptr_null(tls_client_new_pinned(entries, 2, refusal));
    ck_assert_str_eq(refusal,
                     "the certificate /nowhere/a.crt cannot be read: No such file or directory");
    entries[1].certificate = entries[0].key;
    ck_assert_ptr_null(tls_client_new_pinned(entries, 2, refusal));
    ck_assert_ptr_nonnull(strstr(refusal, "BEGIN CERTIFICATE"));
    teardown();
}
END_TEST

RIG_MAIN("io/tls_server", name_that_is_asked_for_chooses_the_certificate,
         address_chooses_when_no_name_is_asked_for,
         what_cannot_serve_is_refused_with_place_and_file, key_of_another_certificate_is_refused,
         certificates_out_of_their_time_nameless_or_with_open_keys_are_findings,
         old_versions_are_refused, client_that_offers_only_http_2_gets_the_alert_of_rfc_7301,
         client_cannot_renegotiate, session_is_resumed_also_by_a_server_that_was_made_of_the_first,
         key_of_a_ticket_turns_and_opens_for_as_long_again,
         bytes_before_and_after_a_goodbye_are_told_from_a_cut,
         plain_http_and_a_peer_that_leaves_are_told_apart, stream_keeps_what_it_was_made_of,
         own_server_is_known_by_the_key_of_any_of_its_certificates,
         stranger_with_a_good_certificate_is_not_our_server,
         renewed_certificate_of_the_same_key_is_known, pins_that_cannot_be_read_are_told)
