/* SPDX-License-Identifier: MIT */
/* The reader asks for the log from its last entry on, that one included:
 *
 *      log  ... 17-0  [18-0]  19-0  20-0          the last one comes first: what follows is new
 *      log  ............................ 40-0     it does not: something was missed, the set is read whole
 *
 * A whole reading notes the log's end first and then walks the set, so that whatever happens meanwhile is met again in the log. */
#include "io/feed.h"

#include "base/log.h"
#include "denial_set.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_NS    (250 * NS_PER_MS)
#define TIMEOUT_NS (500 * NS_PER_MS)
#define PAGE       64
#define ID_MAX     48

/* A connection takes a moment at the start, which nobody needs to hear of. */
#define HURRIES  40
#define HURRY_NS (25 * NS_PER_MS)

struct subscriber {
    struct subscriber *next;
    struct feed *feed;
    struct loop *loop;
    void (*on_news)(void *arg, struct news *news);
    void *arg;
    bool is_owed, is_posted;
};

struct feed {
    struct feed_options options;
    struct feed_log words;
    pthread_t thread;
    bool is_running, has_lock;
    _Atomic int64_t read_ns; /* when the log was last read to its end; 0: never */
    _Atomic uint64_t n_keys; /* that were revoked */

    pthread_mutex_t lock; /* what follows */
    struct denial_set set;
    struct map *kept; /* without Redis: subject -> text */
    struct news *news;
    struct subscriber *subscribers;

    /* the reader's own */
    struct loop *loop;
    struct redis *redis;
    struct redis_call call;
    struct timer timer;
    char last[ID_MAX]; /* entry that was read; empty: the log was empty */
    bool has_read, is_away, is_full;
    unsigned n_hurried;      /* looks before the first one that succeeded */
    struct denial_set fresh; /* while a whole reading goes on */
    char cursor[ID_MAX];
};

static void lock(struct feed *feed) {
    int failure = pthread_mutex_lock(&feed->lock);
    assert(failure == 0);
}

static void unlock(struct feed *feed) {
    int failure = pthread_mutex_unlock(&feed->lock);
    assert(failure == 0);
}

/* ---- publication ---- */

static void deliver(void *arg) {
    struct subscriber *subscriber = arg;
    lock(subscriber->feed);
    subscriber->is_posted = false;
    struct news *news = news_ref(subscriber->feed->news);
    unlock(subscriber->feed);
    subscriber->on_news(subscriber->arg, news);
    news_unref(news);
}

/* Who could not be written to for want of memory is owed the mail until the next look. */
static void mail(struct feed *feed) {
    for (struct subscriber *s = feed->subscribers; s; s = s->next) {
        if (s->is_owed && !s->is_posted)
            s->is_posted = loop_post(s->loop, deliver, s) == 0;
        s->is_owed = s->is_owed && !s->is_posted;
    }
}

/* Takes `news`; the lock is held. */
static void show(struct feed *feed, struct news *news) {
    news_unref(feed->news);
    feed->news = news;
    for (struct subscriber *s = feed->subscribers; s; s = s->next)
        s->is_owed = true;
    mail(feed);
}

static int64_t wall_s(void) {
    struct now now = clock_now();
    return now_s(&now);
}

/* The denials as they were, or as the set has them now. */
static struct deny_list *list_of(struct feed *feed, bool has_changed) {
    return has_changed ? denial_set_list(&feed->set, wall_s()) : deny_list_ref(feed->news->denials);
}

static int show_changes(struct feed *feed, bool denials_changed, const struct news_change *changes,
                        size_t n) {
    struct deny_list *list = list_of(feed, denials_changed);
    struct news *news = list ? news_with(feed->news, list, changes, n) : NULL;
    deny_list_unref(list);
    if (!news)
        return -ENOMEM;
    show(feed, news);
    return 0;
}

int feed_enter(struct feed *feed, enum feed_event event, struct str of, int64_t until_s) {
    assert(!feed->redis);
    const struct news_change change = {event, of};
    int failure = 0;
    lock(feed);
    if (event == FEED_DENY)
        failure = denial_set_put(&feed->set, of, until_s, wall_s(), feed->options.n_denials);
    if (failure == 0)
        failure = show_changes(feed, event == FEED_DENY, &change, event != FEED_DENY);
    unlock(feed);
    return failure;
}

int feed_keep(struct feed *feed, struct str subject, struct str text, size_t n_most) {
    char *copy = text.n > 0 ? str_dup(text) : NULL, *before = NULL;
    int failure = text.n > 0 && !copy ? -ENOMEM : 0;
    lock(feed);
    if (failure == 0 && copy && !map_get(feed->kept, subject) && map_count(feed->kept) >= n_most)
        failure = -ENOSPC;
    if (failure == 0) {
        before = copy ? map_get(feed->kept, subject) : map_remove(feed->kept, subject);
        failure = copy ? map_put(feed->kept, subject, copy) : 0;
    }
    unlock(feed);
    free(failure < 0 ? copy : before);
    return failure;
}

struct str feed_kept(struct feed *feed, struct str subject, struct arena *arena) {
    lock(feed);
    const char *text = map_get(feed->kept, subject);
    struct str copy = text ? arena_copy(arena, str_of(text)) : STR_NONE;
    unlock(feed);
    return copy;
}

/* ---- the reader ---- */

static void look(struct timer *timer);

static void look_in(struct feed *feed, int64_t ns) {
    loop_timer_set(feed->loop, &feed->timer, loop_now(feed->loop)->mono_ns + ns, look);
}

static void give_up(struct feed *feed, const char *what) {
    denial_set_fini(&feed->fresh);
    if (!feed->has_read && feed->n_hurried < HURRIES) {
        feed->n_hurried++;
        look_in(feed, HURRY_NS);
        return;
    }
    if (!feed->is_away)
        log_warn("the feed is not read: what was last known of denials and subjects holds",
                 F_TEXT("verdict", what));
    feed->is_away = true;
    look_in(feed, LOOK_NS);
}

static void note_read(struct feed *feed) {
    if (feed->is_away)
        log_info("the feed is read again");
    feed->is_away = false;
    atomic_store_explicit(&feed->read_ns, loop_now(feed->loop)->mono_ns, memory_order_relaxed);
}

static void ask(struct feed *feed, struct str key, const struct str *arguments, size_t n,
                redis_on_done *on_done) {
    if (redis_call(feed->redis, &feed->call, key, arguments, n, on_done) < 0)
        give_up(feed, "memory");
}

static bool is_list(enum redis_verdict verdict, const struct redis_reply *reply) {
    return verdict == REDIS_ANSWERED && reply->kind == REPLY_ARRAY;
}

static bool note_last(struct feed *feed, const struct redis_reply *entry) {
    struct feed_entry read;
    (void)!feed_entry_read(entry, &read);
    if (read.id.n == 0 || read.id.n >= ID_MAX)
        return false;
    snprintf(feed->last, ID_MAX, STR_FMT, STR_ARG(read.id));
    return true;
}

static void tell_full(struct feed *feed, int failure) {
    if (failure == -ENOSPC && !feed->is_full)
        log_error("more denials than deny_list.max: those beyond it are not enforced",
                  F_INT("max", feed->options.n_denials));
    feed->is_full = failure == -ENOSPC;
}

/* ---- reading all of it ---- */

static void read_set(struct feed *feed);

/* Another process may write members while we walk: one that comes twice is the same. */
static int keep_members(struct feed *feed, const struct redis_reply *list) {
    int64_t now = wall_s();
    for (size_t i = 0; i + 1 < list->n; i += 2) {
        uint64_t until_s;
        struct str score = list->list[i + 1].text;
        if (!str_to_u64(score, &until_s) || until_s > INT64_MAX)
            continue;
        int failure = denial_set_put(&feed->fresh, list->list[i].text, (int64_t)until_s, now,
                                     feed->options.n_denials);
        if (failure == -ENOMEM)
            return failure;
        if (failure < 0)
            tell_full(feed, failure);
    }
    return 0;
}

static int take_fresh(struct feed *feed) {
    struct deny_list *list = denial_set_list(&feed->fresh, wall_s());
    if (!list)
        return -ENOMEM;
    lock(feed);
    struct news *news = news_anew(feed->news, list);
    if (news) {
        denial_set_fini(&feed->set);
        feed->set = feed->fresh;
        feed->fresh = (struct denial_set){0};
        show(feed, news);
    }
    unlock(feed);
    deny_list_unref(list);
    return news ? 0 : -ENOMEM;
}

static void on_set(struct redis_call *call, enum redis_verdict verdict,
                   const struct redis_reply *reply) {
    struct feed *feed = CONTAINER_OF(call, struct feed, call);
    if (!is_list(verdict, reply) || reply->n != 2 || reply->list[1].kind != REPLY_ARRAY ||
        reply->list[0].text.n >= ID_MAX) {
        give_up(feed, redis_verdict_name(verdict));
        return;
    }
    snprintf(feed->cursor, ID_MAX, STR_FMT, STR_ARG(reply->list[0].text));
    bool is_last = strcmp(feed->cursor, "0") == 0;
    if (keep_members(feed, &reply->list[1]) < 0 || (is_last && take_fresh(feed) < 0)) {
        give_up(feed, "memory");
        return;
    }
    if (!is_last) {
        read_set(feed);
        return;
    }
    feed->has_read = true;
    note_read(feed);
    log_info("the feed was read whole", F_INT("denials", deny_list_count(feed->news->denials)));
    look_in(feed, 0);
}

static void read_set(struct feed *feed) {
    const struct str key = str_of(feed->words.deny_key);
    const struct str arguments[] = {STR("ZSCAN"), key, str_of(feed->cursor), STR("COUNT"),
                                    STR("64")};
    ask(feed, key, arguments, 5, on_set);
}

static void on_end(struct redis_call *call, enum redis_verdict verdict,
                   const struct redis_reply *reply) {
    struct feed *feed = CONTAINER_OF(call, struct feed, call);
    feed->last[0] = '\0';
    if (!is_list(verdict, reply) || (reply->n > 0 && !note_last(feed, &reply->list[0])) ||
        denial_set_init(&feed->fresh) < 0) {
        give_up(feed, redis_verdict_name(verdict));
        return;
    }
    snprintf(feed->cursor, ID_MAX, "0");
    read_set(feed);
}

static void read_whole(struct feed *feed) {
    const struct str key = str_of(feed->words.log_key);
    const struct str arguments[] = {STR("XREVRANGE"), key,          STR("+"),
                                    STR("-"),         STR("COUNT"), STR("1")};
    feed->has_read = false;
    denial_set_fini(&feed->fresh);
    ask(feed, key, arguments, 6, on_end);
}

/* ---- reading on ---- */

/* The lock is held. */
static int apply(struct feed *feed, const struct redis_reply *entries, size_t n) {
    struct news_change changes[PAGE];
    size_t n_changes = 0;
    bool denials_changed = false;
    for (size_t i = 0; i < n; i++) {
        struct feed_entry entry;
        if (!feed_entry_read(&entries[i], &entry))
            continue; /* a newer gateway's word */
        if (entry.event == FEED_APIKEY)
            atomic_fetch_add_explicit(&feed->n_keys, 1, memory_order_relaxed);
        if (entry.event != FEED_DENY) {
            changes[n_changes++] = (struct news_change){entry.event, entry.of};
            continue;
        }
        int failure =
            denial_set_put(&feed->set, entry.of, entry.until_s, wall_s(), feed->options.n_denials);
        if (failure == -ENOMEM)
            return failure;
        tell_full(feed, failure);
        denials_changed = true;
    }
    return n > 0 ? show_changes(feed, denials_changed, changes, n_changes) : 0;
}

static bool continues(const struct feed *feed, const struct redis_reply *reply) {
    if (!feed->last[0])
        return reply->n <= PAGE; /* of an empty log that much may have come */
    return reply->n > 0 && reply->list[0].kind == REPLY_ARRAY && reply->list[0].n > 0 &&
           str_eq(reply->list[0].list[0].text, str_of(feed->last));
}

static void on_log(struct redis_call *call, enum redis_verdict verdict,
                   const struct redis_reply *reply) {
    struct feed *feed = CONTAINER_OF(call, struct feed, call);
    if (!is_list(verdict, reply)) {
        give_up(feed, redis_verdict_name(verdict));
        return;
    }
    if (!continues(feed, reply)) {
        log_info("the feed has gone on without us: it is read whole");
        read_whole(feed);
        return;
    }
    bool was_empty = !feed->last[0];
    size_t n_old = was_empty ? 0 : 1, n_new = reply->n - n_old;
    lock(feed);
    mail(feed);
    int failure = apply(feed, reply->list + n_old, n_new);
    unlock(feed);
    if (failure < 0 || (n_new > 0 && !note_last(feed, &reply->list[reply->n - 1]))) {
        give_up(feed, failure < 0 ? "memory" : "nonsense");
        return;
    }
    if (was_empty && n_new > 0) { /* others may have come before them, and nothing tells */
        read_whole(feed);
        return;
    }
    if (n_new < PAGE)
        note_read(feed);
    look_in(feed, n_new < PAGE ? LOOK_NS : 0);
}

static void look(struct timer *timer) {
    struct feed *feed = CONTAINER_OF(timer, struct feed, timer);
    const struct str key = str_of(feed->words.log_key);
    const struct str arguments[] = {
        STR("XRANGE"), key,          feed->last[0] ? str_of(feed->last) : STR("-"),
        STR("+"),      STR("COUNT"), STR("65")};
    _Static_assert(PAGE == 64, "the last one that was read, and as many more");
    if (feed->has_read)
        ask(feed, key, arguments, 6, on_log);
    else
        read_whole(feed);
}

static void *control(void *arg) {
    struct feed *feed = arg;
    look(&feed->timer);
    loop_run(feed->loop);
    return NULL;
}

/* ---- life ---- */

static int start_reader(struct feed *feed, struct resolver *resolver, char why[160]) {
    if (!feed->options.target)
        return 0;
    feed->loop = loop_new();
    if (feed->loop)
        feed->redis = redis_new(feed->loop, resolver, feed->options.target, TIMEOUT_NS, why);
    return feed->redis ? 0 : -ENOMEM;
}

struct feed *feed_new(struct resolver *resolver, const struct feed_options *options,
                      char why[160]) {
    struct feed *feed = calloc(1, sizeof(*feed));
    snprintf(why, 160, "the feed: out of memory");
    if (!feed)
        return NULL;
    feed->options = *options;
    feed->has_lock = pthread_mutex_init(&feed->lock, NULL) == 0;
    feed->news = news_new();
    feed->kept = map_new();
    if (feed->has_lock && feed->news && feed->kept && denial_set_init(&feed->set) == 0 &&
        feed_log_init(&feed->words, options->prefix) == 0 && start_reader(feed, resolver, why) == 0)
        return feed;
    feed_free(feed);
    return NULL;
}

int feed_subscribe(struct feed *feed, struct loop *loop,
                   void (*on_news)(void *arg, struct news *news), void *arg) {
    assert(!feed->is_running);
    struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
    if (!subscriber)
        return -ENOMEM;
    lock(feed);
    *subscriber = (struct subscriber){feed->subscribers, feed, loop, on_news, arg, .is_owed = true};
    feed->subscribers = subscriber;
    mail(feed);
    bool is_done = subscriber->is_posted;
    unlock(feed);
    return is_done ? 0 : -ENOMEM;
}

int feed_start(struct feed *feed) {
    /* The thread must take no signal: they are the main thread's. */
    sigset_t all, before;
    assert(!feed->is_running);
    if (!feed->redis)
        return 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&feed->thread, NULL, control, feed);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    feed->is_running = failure == 0;
    return -failure;
}

void feed_stop(struct feed *feed) {
    if (!feed->is_running)
        return;
    loop_stop(feed->loop);
    pthread_join(feed->thread, NULL);
    feed->is_running = false;
}

static void free_kept(struct map *kept) {
    struct str subject;
    void *text;
    for (size_t cursor = 0; kept && map_next(kept, &cursor, &subject, &text);)
        free(text);
    map_free(kept);
}

void feed_free(struct feed *feed) {
    if (!feed)
        return;
    feed_stop(feed);
    redis_free(feed->redis);
    if (feed->loop)
        loop_timer_clear(feed->loop, &feed->timer);
    loop_free(feed->loop);
    while (feed->subscribers) {
        struct subscriber *gone = feed->subscribers;
        feed->subscribers = gone->next;
        free(gone);
    }
    free_kept(feed->kept);
    denial_set_fini(&feed->set);
    denial_set_fini(&feed->fresh);
    feed_log_fini(&feed->words);
    news_unref(feed->news);
    if (feed->has_lock)
        pthread_mutex_destroy(&feed->lock);
    free(feed);
}

/* ---- asked from any thread ---- */

bool feed_is_shared(const struct feed *feed) { return feed->redis; }
const struct feed_log *feed_words(const struct feed *feed) { return &feed->words; }
size_t feed_most_denials(const struct feed *feed) { return feed->options.n_denials; }

struct news *feed_news(struct feed *feed) {
    lock(feed);
    struct news *news = news_ref(feed->news);
    unlock(feed);
    return news;
}

uint64_t feed_revoked_keys(struct feed *feed) {
    return atomic_load_explicit(&feed->n_keys, memory_order_relaxed);
}

int64_t feed_age_ns(struct feed *feed, int64_t mono_ns) {
    int64_t read_ns = atomic_load_explicit(&feed->read_ns, memory_order_relaxed);
    if (!feed->redis)
        return 0;
    return read_ns == 0 ? -1 : mono_ns > read_ns ? mono_ns - read_ns : 0;
}
