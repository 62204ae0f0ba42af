/* SPDX-License-Identifier: MIT */
/* Names to addresses, off the loops. A question stays in one list until its answer was
 * delivered:
 *
 *   resolver_ask --> waiting --(thread: getaddrinfo)--> posted --(mail)--> on_done
 *        `------------- known already --------------------^                (loop's thread)
 *
 * Who has waited a while for a name whose addresses of old are kept gets those (RFC 8767): a name
 * service that hangs is as good as one that fails.
 *
 * The thread holds no question while it is away in getaddrinfo, only the name; when it is back,
 * all who wait for this name are answered. So a question can be cancelled at any time, and a
 * name is asked for once however many wait. */
#include "io/resolver.h"
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HOST_BYTES      254 /* a host name's 253 and a NUL */
#define KEEP_NS         (30 * NS_PER_S)
#define KEEP_FAILURE_NS (1 * NS_PER_S)
#define PATIENCE_NS     (250 * NS_PER_MS) /* with the name service, before the addresses of old do */
#define ANSWERS         64 /* names whose answers are kept; they come from the settings */

struct question {
    struct question *next, *previous;
    struct resolver *resolver;
    struct loop *loop;
    struct lookup *lookup; /* NULL: cancelled. Only touched on the loop's thread */
    bool is_posted;
    uint16_t port;
    char host[HOST_BYTES];
    struct resolved resolved;
};

struct answer {
    char host[HOST_BYTES];
    int64_t dies_ns; /* 0: free */
    struct resolved resolved;
};

struct resolver {
    pthread_t thread;
    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t asked;
    struct question *first, *last;
    struct answer answers[ANSWERS];
    size_t next_answer;
    bool is_away, is_stopped;
    int64_t left_ns; /* when it went away */
};

/* ---- answers that are kept; the lock is held */

static struct answer *find_answer(struct resolver *resolver, const char *host) {
    for (size_t i = 0; i < ANSWERS; i++)
        if (resolver->answers[i].dies_ns && strcmp(resolver->answers[i].host, host) == 0)
            return &resolver->answers[i];
    return NULL;
}

static const struct resolved *known(struct resolver *resolver, const char *host, int64_t now_ns) {
    const struct answer *answer = find_answer(resolver, host);
    return answer && answer->dies_ns > now_ns ? &answer->resolved : NULL;
}

/* Addresses that were good once, however long ago. */
static const struct resolved *known_once(struct resolver *resolver, const char *host) {
    const struct answer *answer = find_answer(resolver, host);
    return answer && answer->resolved.n > 0 ? &answer->resolved : NULL;
}

static const struct resolved *keep(struct resolver *resolver, const char *host,
                                   const struct resolved *resolved) {
    struct answer *answer = find_answer(resolver, host);
    int64_t now_ns = clock_now().mono_ns;
    if (!answer) {
        answer = &resolver->answers[resolver->next_answer];
        resolver->next_answer = (resolver->next_answer + 1) % ANSWERS;
        *answer = (struct answer){0};
        memcpy(answer->host, host, strlen(host) + 1);
    }
    answer->dies_ns = now_ns + (resolved->failure ? KEEP_FAILURE_NS : KEEP_NS);
    /* A name service that is away, or a process that cannot ask it (EMFILE), says nothing about the
     * name: the addresses of old are better than none. */
    if (resolved->failure == 0 || resolved->failure == -ENOENT || answer->resolved.n == 0)
        answer->resolved = *resolved;
    return &answer->resolved;
}

/* ---- questions; the lock is held */

static void enlist(struct resolver *resolver, struct question *question) {
    question->previous = resolver->last;
    *(resolver->last ? &resolver->last->next : &resolver->first) = question;
    resolver->last = question;
}

static void strike(struct question *question) {
    struct resolver *resolver = question->resolver;
    *(question->previous ? &question->previous->next : &resolver->first) = question->next;
    *(question->next ? &question->next->previous : &resolver->last) = question->previous;
}

static void set_port(struct resolved *resolved, uint16_t port) {
    for (size_t i = 0; i < resolved->n; i++) {
        struct sockaddr *address = (void *)&resolved->list[i].address;
        if (address->sa_family == AF_INET6)
            ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
        else
            ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    }
}

/* On the loop's thread. */
static void deliver(void *arg) {
    struct question *question = arg;
    pthread_mutex_lock(&question->resolver->lock);
    strike(question);
    pthread_mutex_unlock(&question->resolver->lock);
    struct lookup *lookup = question->lookup;
    if (lookup) {
        lookup->pending = NULL;
        loop_timer_clear(question->loop, &lookup->patience);
        lookup->on_done(lookup, &question->resolved);
    }
    free(question);
}

static int post(struct question *question, const struct resolved *resolved) {
    question->resolved = *resolved;
    set_port(&question->resolved, question->port);
    TRY(loop_post(question->loop, deliver, question));
    question->is_posted = true;
    return 0;
}

/* ---- the thread */

static int failure_of(int status) {
    switch (status) {
    case EAI_AGAIN:
    case EAI_FAIL:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno ? -errno : -EAGAIN;
    default:
        return -ENOENT;
    }
}

static struct resolved ask_system(const char *host) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    struct resolved resolved = {0};
    errno = 0;
    int status = getaddrinfo(host, NULL, &hints, &list);
    if (status != 0)
        return (struct resolved){.failure = failure_of(status)};
    for (const struct addrinfo *each = list; each && resolved.n < RESOLVER_ENDPOINTS_MAX;
         each = each->ai_next) {
        struct endpoint *endpoint = &resolved.list[resolved.n];
        if (each->ai_family != AF_INET && each->ai_family != AF_INET6)
            continue;
        memcpy(&endpoint->address, each->ai_addr, each->ai_addrlen);
        endpoint->length = each->ai_addrlen;
        resolved.n++;
    }
    freeaddrinfo(list);
    if (resolved.n == 0)
        resolved.failure = -ENOENT;
    return resolved;
}

static struct question *first_waiting(struct resolver *resolver) {
    struct question *question = resolver->first;
    while (question && question->is_posted)
        question = question->next;
    return question;
}

static void answer_all(struct resolver *resolver, const char *host,
                       const struct resolved *resolved) {
    for (struct question *question = resolver->first; question; question = question->next)
        if (!question->is_posted && strcmp(question->host, host) == 0 &&
            post(question, resolved) < 0)
            return; /* no memory: they stay waiting, and the thread comes by again */
}

static void free_resolver(struct resolver *resolver) {
    for (struct question *question = resolver->first, *next; question; question = next) {
        next = question->next;
        free(question);
    }
    pthread_cond_destroy(&resolver->asked);
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

static void *run(void *arg) {
    struct resolver *resolver = arg;
    char host[HOST_BYTES];
    pthread_mutex_lock(&resolver->lock);
    while (!resolver->is_stopped) {
        const struct question *question = first_waiting(resolver);
        if (!question) {
            pthread_cond_wait(&resolver->asked, &resolver->lock);
            continue;
        }
        memcpy(host, question->host, sizeof(host));
        resolver->is_away = true;
        resolver->left_ns = clock_now().mono_ns;
        pthread_mutex_unlock(&resolver->lock);
        struct resolved resolved = ask_system(host);
        pthread_mutex_lock(&resolver->lock);
        resolver->is_away = false;
        if (resolver->is_stopped) {
            /* It could not wait for us: what is left is ours. */
            pthread_mutex_unlock(&resolver->lock);
            free_resolver(resolver);
            return NULL;
        }
        answer_all(resolver, host, keep(resolver, host, &resolved));
    }
    pthread_mutex_unlock(&resolver->lock);
    return NULL;
}

/* ---- life */

struct resolver *resolver_new(void) {
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver)
        return NULL;
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->asked, NULL);
    int failure = pthread_create(&resolver->thread, NULL, run, resolver);
    if (failure) {
        free_resolver(resolver);
        errno = failure;
        return NULL;
    }
    return resolver;
}

void resolver_free(struct resolver *resolver) {
    if (!resolver)
        return;
    pthread_mutex_lock(&resolver->lock);
    resolver->is_stopped = true;
    bool is_away = resolver->is_away;
    pthread_t thread = resolver->thread;
    /* getaddrinfo can take many seconds, and nobody should wait for it in order to end. */
    if (is_away)
        pthread_detach(thread);
    pthread_cond_signal(&resolver->asked);
    pthread_mutex_unlock(&resolver->lock);
    if (is_away)
        return;
    pthread_join(thread, NULL);
    free_resolver(resolver);
}

/* ---- asking */

static struct question *new_question(struct resolver *resolver, struct loop *loop, struct str host,
                                     uint16_t port) {
    struct question *question = calloc(1, sizeof(*question));
    if (!question)
        return NULL;
    question->resolver = resolver;
    question->loop = loop;
    question->port = port;
    if (host.n)
        memcpy(question->host, host.at, host.n);
    return question;
}

/* Does `host` answer itself: an address, or what can be no name? */
static bool is_plain(struct str host, struct resolved *resolved) {
    struct ip ip;
    *resolved = (struct resolved){.n = 1};
    if (ip_parse(host, &ip))
        endpoint_of_ip(&ip, 0, &resolved->list[0]);
    else if (host.n == 0 || host.n >= HOST_BYTES || memchr(host.at, 0, host.n))
        *resolved = (struct resolved){.failure = -ENOENT};
    else
        return false;
    return true;
}

static void on_impatient(struct timer *timer) {
    struct lookup *lookup = CONTAINER_OF(timer, struct lookup, patience);
    struct question *question = lookup->pending;
    struct resolver *resolver = question->resolver;
    pthread_mutex_lock(&resolver->lock);
    const struct resolved *old = known_once(resolver, question->host);
    int failure = old && !question->is_posted ? post(question, old) : 0;
    pthread_mutex_unlock(&resolver->lock);
    if (failure < 0)
        loop_timer_set(question->loop, timer, loop_now(question->loop)->mono_ns + PATIENCE_NS,
                       on_impatient);
}

/* What can be said at once; NULL: nothing, or the thread is asked first. */
static const struct resolved *find(struct resolver *resolver, const char *host, int64_t now_ns) {
    const struct resolved *fresh = known(resolver, host, now_ns);
    bool is_stuck = resolver->is_away && now_ns - resolver->left_ns > PATIENCE_NS;
    return fresh || !is_stuck ? fresh : known_once(resolver, host);
}

int resolver_ask(struct resolver *resolver, struct loop *loop, struct lookup *lookup,
                 struct str host, uint16_t port,
                 void (*on_done)(struct lookup *, const struct resolved *)) {
    assert(lookup->pending == NULL);
    assert(on_done != NULL);
    struct resolved plain;
    bool is_answered = is_plain(host, &plain);
    struct question *question = new_question(resolver, loop, str_first(host, HOST_BYTES - 1), port);
    if (!question)
        return -ENOMEM;
    pthread_mutex_lock(&resolver->lock);
    const struct resolved *answer =
        is_answered ? &plain : find(resolver, question->host, loop_now(loop)->mono_ns);
    int failure = answer ? post(question, answer) : 0;
    if (failure == 0) {
        enlist(resolver, question);
        question->lookup = lookup;
        *lookup = (struct lookup){.on_done = on_done, .pending = question};
        if (!answer)
            pthread_cond_signal(&resolver->asked);
        if (!answer && known_once(resolver, question->host))
            loop_timer_set(loop, &lookup->patience, loop_now(loop)->mono_ns + PATIENCE_NS,
                           on_impatient);
    }
    pthread_mutex_unlock(&resolver->lock);
    if (failure < 0)
        free(question);
    return failure;
}

void resolver_cancel(struct lookup *lookup) {
    struct question *question = lookup->pending;
    if (!question)
        return;
    lookup->pending = NULL;
    loop_timer_clear(question->loop, &lookup->patience);
    question->lookup = NULL;
    struct resolver *resolver = question->resolver;
    pthread_mutex_lock(&resolver->lock);
    bool is_posted = question->is_posted; /* then its mail will find it */
    if (!is_posted)
        strike(question);
    pthread_mutex_unlock(&resolver->lock);
    if (!is_posted)
        free(question);
}
