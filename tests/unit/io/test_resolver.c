/* SPDX-License-Identifier: MIT */
/* Names to addresses. getaddrinfo is the test's own here: it knows two names, counts, and can be
 * held up. */
#include "io/resolver.h"
#include "rig.h"
#include "travel.h"
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_held, is_inside;
static int n_asked, next_status;

static void fill(struct addrinfo *info, const char *address) {
    struct ip ip;
    struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
    ck_assert(ip_parse(str_of(address), &ip));
    endpoint_of_ip(&ip, 0, endpoint);
    info->ai_family = endpoint->address.ss_family;
    info->ai_addr = (void *)endpoint;
    info->ai_addrlen = endpoint->length;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **list) {
    (void)service, (void)hints;
    pthread_mutex_lock(&lock);
    n_asked++;
    is_inside = true;
    pthread_cond_broadcast(&changed);
    while (is_held)
        pthread_cond_wait(&changed, &lock);
    is_inside = false;
    int status = next_status;
    pthread_mutex_unlock(&lock);
    if (status)
        return status;
    if (strcmp(name, "two.example") != 0 && strcmp(name, "other.example") != 0)
        return EAI_NONAME;
    *list = calloc(1, sizeof(**list));
    fill(*list, "2001:db8::1");
    (*list)->ai_next = calloc(1, sizeof(**list));
    fill((*list)->ai_next, "192.0.2.1");
    return 0;
}

void freeaddrinfo(struct addrinfo *list) {
    for (struct addrinfo *next; list; list = next) {
        next = list->ai_next;
        free(list->ai_addr);
        free(list);
    }
}

static void set(bool held, int status) {
    pthread_mutex_lock(&lock);
    is_held = held;
    next_status = status;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}
static void wait_inside(void) {
    pthread_mutex_lock(&lock);
    while (!is_inside)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}
static int count_asked(void) {
    pthread_mutex_lock(&lock);
    int n = n_asked;
    pthread_mutex_unlock(&lock);
    return n;
}

struct asker {
    struct lookup lookup;
    struct resolved resolved;
    int n_calls;
};
static void note(struct lookup *lookup, const struct resolved *resolved) {
    struct asker *asker = CONTAINER_OF(lookup, struct asker, lookup);
    asker->resolved = *resolved;
    asker->n_calls++;
}

static struct loop *loop;
static struct resolver *resolver;
static void open_all(void) {
    n_asked = 0;
    set(false, 0);
    loop = loop_new();
    resolver = resolver_new();
    ck_assert(loop && resolver);
}
static void close_all(void) {
    loop_free(loop);
    resolver_free(resolver);
}
static void ask(struct asker *asker, const char *host) {
    ck_assert_int_eq(resolver_ask(resolver, loop, &asker->lookup, str_of(host), 443, note), 0);
    ck_assert_int_eq(asker->n_calls, 0); /* never from inside */
}
static void ask_and_wait(struct asker *asker, const char *host) {
    *asker = (struct asker){0};
    ask(asker, host);
    RUN_UNTIL(loop, asker->n_calls == 1);
}
static bool is_at(const struct asker *asker, size_t i, const char *expected) {
    char text[128];
    endpoint_text(&asker->resolved.list[i], text);
    return i < asker->resolved.n && strcmp(text, expected) == 0;
}

START_TEST(name_has_all_its_addresses_in_order_with_the_port) {
    open_all();
    struct asker a;
    ask_and_wait(&a, "two.example");
    ck_assert_int_eq(a.resolved.failure, 0);
    ck_assert_uint_eq(a.resolved.n, 2);
    ck_assert(is_at(&a, 0, "[2001:db8::1]:443"));
    ck_assert(is_at(&a, 1, "192.0.2.1:443"));
    close_all();
}
END_TEST

START_TEST(literal_address_is_not_asked_for) {
    open_all();
    struct asker a;
    ask_and_wait(&a, "192.0.2.7");
    ck_assert(is_at(&a, 0, "192.0.2.7:443"));
    ask_and_wait(&a, "::1");
    ck_assert(is_at(&a, 0, "[::1]:443"));
    ck_assert_int_eq(count_asked(), 0);
    close_all();
}
END_TEST

START_TEST(unknown_name_is_no_such_name) {
    open_all();
    struct asker a;
    ask_and_wait(&a, "nobody.example");
    ck_assert_int_eq(a.resolved.failure, -ENOENT);
    ck_assert_uint_eq(a.resolved.n, 0);
    close_all();
}
END_TEST

START_TEST(what_can_be_no_name_is_refused_without_asking) {
    open_all();
    struct asker a = {0};
    char host[300];
    memset(host, 'a', sizeof(host));
    ck_assert_int_eq(resolver_ask(resolver, loop, &a.lookup, (struct str){host, 300}, 1, note), 0);
    RUN_UNTIL(loop, a.n_calls == 1);
    ck_assert_int_eq(a.resolved.failure, -ENOENT);
    ask_and_wait(&a, "");
    ck_assert_int_eq(a.resolved.failure, -ENOENT);
    ck_assert_int_eq(count_asked(), 0);
    close_all();
}
END_TEST

START_TEST(name_service_that_is_away_is_told_apart_and_asked_again_later) {
    open_all();
    set(false, EAI_AGAIN);
    struct asker a;
    ask_and_wait(&a, "two.example");
    ck_assert_int_eq(a.resolved.failure, -EAGAIN);
    set(false, 0);
    ask_and_wait(&a, "two.example"); /* the failure is kept for a second */
    ck_assert_int_eq(a.resolved.failure, -EAGAIN);
    ck_assert_int_eq(count_asked(), 1);
    close_all();
}
END_TEST

/* The addresses are known, and their time is over. */
static void open_all_late(void) {
    struct asker a;
    open_all();
    ask_and_wait(&a, "two.example");
    travel(31 * NS_PER_S);
    rig_turn(loop);
}

START_TEST(addresses_of_old_live_on_while_the_name_service_fails_or_cannot_be_asked) {
    static const int statuses[] = {EAI_AGAIN, EAI_MEMORY, EAI_SYSTEM};
    for (size_t i = 0; i < 3; i++) {
        open_all_late();
        set(false, statuses[i]);
        struct asker a;
        ask_and_wait(&a, "two.example");
        ck_assert_uint_eq(a.resolved.n, 2);
        ck_assert_int_eq(count_asked(), 2);
        close_all();
    }
    open_all_late();
    set(false, EAI_NONAME); /* that is an answer */
    struct asker a;
    ask_and_wait(&a, "two.example");
    ck_assert_int_eq(a.resolved.failure, -ENOENT);
    close_all();
}
END_TEST

START_TEST(addresses_of_old_do_while_the_name_service_hangs) {
    struct asker first = {0}, next = {0}, unknown = {0}, left = {0};
    open_all_late();
    set(true, 0);
    ask(&first, "two.example");
    ask(&left, "two.example");
    wait_inside();
    rig_settle(loop);
    ck_assert_int_eq(first.n_calls, 0);
    travel(150 * NS_PER_MS);
    rig_settle(loop);
    ck_assert_int_eq(first.n_calls, 0); /* it may come yet */
    resolver_cancel(&left.lookup);
    travel(150 * NS_PER_MS);
    RUN_UNTIL(loop, first.n_calls == 1);
    ck_assert(is_at(&first, 1, "192.0.2.1:443"));
    ask(&next, "two.example"); /* nobody waits twice for one that is stuck */
    ask(&unknown, "other.example");
    rig_settle(loop);
    ck_assert(next.n_calls == 1 && is_at(&next, 1, "192.0.2.1:443"));
    travel(10 * NS_PER_S);
    rig_settle(loop);
    ck_assert_int_eq(unknown.n_calls + left.n_calls, 0);
    set(false, 0);
    RUN_UNTIL(loop, unknown.n_calls == 1);
    ask_and_wait(&next, "two.example");
    ck_assert_int_eq(count_asked(), 3);
    ck_assert_int_eq(first.n_calls, 1);
    close_all();
}
END_TEST

START_TEST(answer_is_kept_also_for_another_port) {
    open_all();
    struct asker a, b = {0};
    ask_and_wait(&a, "two.example");
    ck_assert_int_eq(resolver_ask(resolver, loop, &b.lookup, STR("two.example"), 80, note), 0);
    RUN_UNTIL(loop, b.n_calls == 1);
    ck_assert(is_at(&b, 1, "192.0.2.1:80"));
    ck_assert_int_eq(count_asked(), 1);
    close_all();
}
END_TEST

START_TEST(many_who_wait_for_one_name_cost_one_question) {
    open_all();
    set(true, 0);
    struct asker list[50] = {0};
    for (int i = 0; i < 50; i++)
        ask(&list[i], "two.example");
    wait_inside();
    set(false, 0);
    for (int i = 0; i < 50; i++)
        RUN_UNTIL(loop, list[i].n_calls == 1 && list[i].resolved.n == 2);
    ck_assert_int_eq(count_asked(), 1);
    close_all();
}
END_TEST

START_TEST(cancelled_lookup_hears_nothing_and_the_others_do) {
    open_all();
    set(true, 0);
    struct asker gone = {0}, stays = {0}, known_gone = {0};
    ask(&gone, "two.example");
    ask(&stays, "two.example");
    wait_inside();
    resolver_cancel(&gone.lookup);
    resolver_cancel(&gone.lookup);
    set(false, 0);
    RUN_UNTIL(loop, stays.n_calls == 1);
    ask(&known_gone, "two.example"); /* its mail is on its way */
    resolver_cancel(&known_gone.lookup);
    rig_settle(loop);
    ck_assert_int_eq(gone.n_calls + known_gone.n_calls, 0);
    close_all();
}
END_TEST

START_TEST(ending_does_not_wait_for_the_name_service) {
    open_all();
    set(true, 0);
    struct asker a = {0}, b = {0};
    ask(&a, "two.example");
    ask(&b, "other.example");
    wait_inside();
    resolver_cancel(&a.lookup);
    close_all();
    set(false, 0);
    ck_assert_int_eq(a.n_calls + b.n_calls, 0);
}
END_TEST

START_TEST(mail_that_no_loop_reads_any_more_is_freed_with_the_resolver) {
    open_all();
    struct asker a = {0};
    ask(&a, "192.0.2.1");
    resolver_cancel(&a.lookup);
    close_all();
    ck_assert_int_eq(a.n_calls, 0);
}
END_TEST

RIG_MAIN("io/resolver", name_has_all_its_addresses_in_order_with_the_port,
         literal_address_is_not_asked_for, unknown_name_is_no_such_name,
         what_can_be_no_name_is_refused_without_asking,
         name_service_that_is_away_is_told_apart_and_asked_again_later,
         addresses_of_old_live_on_while_the_name_service_fails_or_cannot_be_asked,
         addresses_of_old_do_while_the_name_service_hangs, answer_is_kept_also_for_another_port,
         many_who_wait_for_one_name_cost_one_question,
         cancelled_lookup_hears_nothing_and_the_others_do,
         ending_does_not_wait_for_the_name_service,
         mail_that_no_loop_reads_any_more_is_freed_with_the_resolver)
