/* SPDX-License-Identifier: MIT */
/* What an operator reads. Everything here is a copy of something that others keep. */
#include "server/admin.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "io/service.h"
#include <stdio.h>
#include <unistd.h>

static const char page[] =
    "<!doctype html><meta charset=utf-8><title>jotgate</title>"
    "<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:56rem;padding:0 "
    "1rem;color:#222}"
    "h1{font-size:1.3rem}table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}"
    "td,th{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid "
    "#ddd;vertical-align:top}"
    "pre{background:#f6f6f6;padding:1rem;overflow:auto}</style>"
    "<h1>jotgate <small id=v></small></h1><p id=r></p><h2>Keys</h2><table id=k></table>"
    "<h2>Counters</h2><pre id=m></pre><script>"
    "const t=(i,s)=>document.getElementById(i).textContent=s;"
    "async function show(){try{const s=await(await fetch('status')).json();t('v',s.version);"
    "t('r',(s.ready?'ready':'not ready')+(s.why?': '+s.why:'')+(s.draining?', draining':'')+', up "
    "'+s.uptime_seconds+' s, '+s.workers+' workers');"
    "const k=document.getElementById('k');k.replaceChildren();for(const i of s.issuers){const "
    "r=k.insertRow();"
    "for(const x of[i.name,i.issuer,i.state,i.keys+' keys','age '+i.age_seconds+' "
    "s',i.error])r.insertCell().textContent=x}"
    "t('m',(await(await fetch('metrics')).text()).split('\\n').filter(l=>l&&l[0]!='#'&&!/ "
    "0$/.test(l)&&!/_bucket/.test(l)).join('\\n'))"
    "}catch(e){t('r','no answer: '+e)}}show();setInterval(show,2000)</script>";

/* ---- what a reload changes ---- */

/* As of one moment: other settings may come while an answer is written. */
struct loaded {
    struct metrics *metrics;
    int64_t wall_s;
    uint64_t n_reloads, n_refusals;
    char refusal[256];
};

static void loaded_fini(struct loaded *loaded) { metrics_unref(loaded->metrics); }

void admin_note_settings(struct admin *admin, struct metrics *metrics) {
    struct now now = clock_now();
    pthread_mutex_lock(&admin->lock);
    struct metrics *before = admin->metrics;
    admin->metrics = metrics_ref(metrics);
    admin->n_reloads += before != NULL;
    admin->loaded_wall_s = now_s(&now);
    admin->refusal[0] = '\0';
    pthread_mutex_unlock(&admin->lock);
    metrics_unref(before);
}

void admin_note_refusal(struct admin *admin, const char *why) {
    pthread_mutex_lock(&admin->lock);
    admin->n_refusals++;
    snprintf(admin->refusal, sizeof(admin->refusal), "%s", why);
    pthread_mutex_unlock(&admin->lock);
}

void admin_fini(struct admin *admin) { metrics_unref(admin->metrics); }

/* ---- parts of answers ---- */

/* A worker that has not moved for so long tells what it told before. */
#define PATIENCE_NS (NS_PER_S / 2)

static void call_workers(const struct admin *admin) {
    if (admin->roll)
        (void)roll_call(admin->roll, PATIENCE_NS);
}

static const char *state_name(enum keys_state state) {
    switch (state) {
    case KEYS_NEVER:
        return "never loaded";
    case KEYS_FRESH:
        return "fresh";
    case KEYS_STALE:
        return "stale";
    }
    return "";
}

static int put_issuer(struct buffer *out, struct str name, const struct key_status *status) {
    TRY(buffer_append(out, STR("{\"name\":")));
    TRY(put_json_string(out, name));
    TRY(buffer_append(out, STR(",\"issuer\":")));
    TRY(put_json_string(out, str_of(status->issuer)));
    TRY(buffer_printf(out,
                      ",\"state\":\"%s\",\"keys\":%zu,\"secret\":%s,\"age_seconds\":%lld,"
                      "\"fetches\":%llu,\"failures\":%llu,\"error\":",
                      state_name(status->state), status->n_keys,
                      status->has_secret ? "true" : "false", (long long)status->age_s,
                      (unsigned long long)status->n_fetches,
                      (unsigned long long)status->n_failures));
    TRY(put_json_string(out, str_of(status->error)));
    return buffer_append_byte(out, '}');
}

static int put_limits(struct buffer *out, const struct admin *admin) {
    struct memory_limits_stats stats = memory_limits_stats(admin->limits);
    TRY(buffer_printf(out, ",\"limits\":{\"bytes\":%zu,\"shared\":%llu", stats.total_bytes,
                      (unsigned long long)stats.n_shared));
    for (int key = 0; key < LIMIT_KEY_COUNT; key++)
        TRY(buffer_printf(out, ",\"%s\":%zu", limit_key_name((enum limit_key)key),
                          stats.n_counters[key]));
    return buffer_append_byte(out, '}');
}

static struct loaded look_at_loaded(struct admin *admin) {
    pthread_mutex_lock(&admin->lock);
    struct loaded loaded = {metrics_ref(admin->metrics), admin->loaded_wall_s, admin->n_reloads,
                            admin->n_refusals, ""};
    memcpy(loaded.refusal, admin->refusal, sizeof(loaded.refusal));
    pthread_mutex_unlock(&admin->lock);
    return loaded;
}

static int put_loaded(struct buffer *out, struct admin *admin) {
    CLEANUP(loaded_fini) struct loaded loaded = look_at_loaded(admin);
    char time[25];
    clock_rfc3339(loaded.wall_s * NS_PER_S, time);
    TRY(buffer_printf(
        out, ",\"settings\":{\"loaded\":\"%s\",\"reloads\":%llu,\"refused\":%llu,\"error\":", time,
        (unsigned long long)loaded.n_reloads, (unsigned long long)loaded.n_refusals));
    TRY(put_json_string(out, str_of(loaded.refusal)));
    return buffer_append_byte(out, '}');
}

/* ---- how it stands ---- */

static bool is_redis_well(const struct redis_sight *sight) {
    return sight->n_servers > 0 && sight->n_up == sight->n_servers;
}

static void since_text(const struct redis_sight *sight, char time[25]) {
    struct now now = clock_now();
    clock_rfc3339(now.wall_ns - (now.mono_ns - sight->away_since_ns), time);
}

static int put_redis(struct buffer *out, const struct admin *admin) {
    static const char *const modes[] = {[REDIS_LEASED] = "leased", [REDIS_EXACT] = "exact"};
    static const char *const failures[] = {
        [REDIS_SHARE] = "share", [REDIS_OPEN] = "open", [REDIS_CLOSED] = "closed"};
    if (!admin->sights)
        return 0;
    struct redis_sight sight = redis_sights_worst(admin->sights);
    TRY(buffer_printf(out,
                      ",\"redis\":{\"state\":\"%s\",\"servers\":%zu,\"up\":%zu,\"mode\":\"%s\","
                      "\"on_failure\":\"%s\"",
                      is_redis_well(&sight) ? "up" : "away", sight.n_servers, sight.n_up,
                      modes[admin->redis->mode], failures[admin->redis->on_failure]));
    if (sight.away_since_ns > 0) {
        char time[25];
        since_text(&sight, time);
        TRY(buffer_printf(out, ",\"since\":\"%s\",\"server\":", time));
        TRY(put_json_string(out, str_of(sight.server)));
        TRY(buffer_append(out, STR(",\"reason\":")));
        TRY(put_json_string(out, str_of(sight.reason)));
    }
    return buffer_append_byte(out, '}');
}

static int add_redis_trouble(struct buffer *why, const struct admin *admin) {
    if (!admin->sights)
        return 0;
    struct redis_sight sight = redis_sights_worst(admin->sights);
    if (is_redis_well(&sight))
        return 0;
    TRY(buffer_append(why, buffer_length(why) > 0 ? STR("; ") : STR("")));
    if (sight.away_since_ns == 0)
        return buffer_append(why, STR("Redis is not connected yet"));
    char time[25];
    since_text(&sight, time);
    return buffer_printf(why, "Redis is away since %s: %s: %s", time, sight.server, sight.reason);
}

/* Ready or not, and in `why` what is missing, or not as it should be. */
static int look_whether_ready(const struct admin *admin, bool *is_ready, struct buffer *why) {
    char keys[256];
    *is_ready = key_source_is_ready(admin->keys, keys) && !atomic_load(&admin->is_draining);
    if (atomic_load(&admin->is_draining))
        return buffer_append(why, STR("draining"));
    TRY(buffer_append(why, str_of(keys)));
    return add_redis_trouble(why, admin);
}

/* ---- answers ---- */

static int put_status(struct buffer *out, struct admin *admin) {
    bool is_ready, is_draining = atomic_load(&admin->is_draining);
    CLEANUP(buffer_release) struct buffer why = {0};
    call_workers(admin);
    TRY(look_whether_ready(admin, &is_ready, &why));
    struct now now = clock_now();
    TRY(buffer_printf(
        out,
        "{\"version\":\"%s\",\"pid\":%d,\"uptime_seconds\":%lld,\"workers\":%zu,"
        "\"draining\":%s,\"ready\":%s,\"why\":",
        JG_VERSION, (int)getpid(), (long long)((now.mono_ns - admin->started_mono_ns) / NS_PER_S),
        admin->n_workers, is_draining ? "true" : "false", is_ready ? "true" : "false"));
    TRY(put_json_string(out, buffer_bytes(&why)));
    TRY(buffer_append(out, STR(",\"issuers\":[")));
    struct key_status status;
    for (size_t i = 0; key_source_status(admin->keys, i, &status); i++) {
        TRY(buffer_append(out, i ? STR(",") : STR("")));
        TRY(put_issuer(out, str_of(status.name), &status));
    }
    TRY(buffer_append_byte(out, ']'));
    TRY(put_redis(out, admin));
    TRY(put_limits(out, admin));
    TRY(put_loaded(out, admin));
    return buffer_append(out, STR("}\n"));
}

static int answer_ready(struct buffer *out, const struct admin *admin, int *status) {
    bool is_ready;
    CLEANUP(buffer_release) struct buffer why = {0};
    call_workers(admin);
    TRY(look_whether_ready(admin, &is_ready, &why));
    *status = is_ready ? 200 : 503;
    TRY(buffer_printf(out, "{\"ready\":%s,\"why\":", is_ready ? "true" : "false"));
    TRY(put_json_string(out, buffer_bytes(&why)));
    return buffer_append(out, STR("}\n"));
}

static int put_key_metrics(struct buffer *out, const struct admin *admin) {
    /* clang-format off */
    static const struct { const char *name, *type, *help; } rows[] = {
        {"jotgate_keys", "gauge", "Usable published keys, by issuer."},
        {"jotgate_keys_age_seconds", "gauge", "Since the last good fetch; -1: never."},
        {"jotgate_key_fetches_total", "counter", "Fetches of key sets."},
        {"jotgate_key_fetch_failures_total", "counter", "Fetches that failed."},
    };
    /* clang-format on */
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        TRY(buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[r].name, rows[r].help,
                          rows[r].name, rows[r].type));
        struct key_status status;
        for (size_t i = 0; key_source_status(admin->keys, i, &status); i++) {
            const int64_t values[] = {(int64_t)status.n_keys, status.age_s,
                                      (int64_t)status.n_fetches, (int64_t)status.n_failures};
            TRY(buffer_printf(out, "%s{issuer=", rows[r].name));
            TRY(put_json_string(out, str_of(status.name)));
            TRY(buffer_printf(out, "} %lld\n", (long long)values[r]));
        }
    }
    return 0;
}

static int put_feed_metrics(struct buffer *out, const struct admin *admin) {
    if (!admin->feed)
        return 0;
    int64_t age_ns = feed_age_ns(admin->feed, clock_now().mono_ns);
    struct news *news = feed_news(admin->feed);
    size_t n_denials = deny_list_count(news->denials);
    news_unref(news);
    return buffer_printf(
        out,
        "# HELP jotgate_feed_age_seconds Since the log of denials and changes in Redis was last "
        "read; 0: no Redis; -1: never.\n# TYPE jotgate_feed_age_seconds gauge\n"
        "jotgate_feed_age_seconds %.3f\n# HELP jotgate_denials Entries of the deny-list.\n"
        "# TYPE jotgate_denials gauge\njotgate_denials %zu\n"
        "# HELP jotgate_api_keys_revoked_total API keys that another process or the command line "
        "said it revoked.\n# TYPE jotgate_api_keys_revoked_total counter\n"
        "jotgate_api_keys_revoked_total %llu\n",
        age_ns < 0 ? -1.0 : (double)age_ns / (double)NS_PER_S, n_denials,
        (unsigned long long)feed_revoked_keys(admin->feed));
}

static int put_limit_metrics(struct buffer *out, const struct admin *admin) {
    struct memory_limits_stats stats = memory_limits_stats(admin->limits);
    TRY(buffer_append(out, STR("# HELP jotgate_limit_buckets Counters held in memory, by key "
                               "kind.\n# TYPE jotgate_limit_buckets gauge\n")));
    for (int key = 0; key < LIMIT_KEY_COUNT; key++)
        TRY(buffer_printf(out, "jotgate_limit_buckets{key=\"%s\"} %zu\n",
                          limit_key_name((enum limit_key)key), stats.n_counters[key]));
    return buffer_printf(
        out,
        "# HELP jotgate_limit_shared_total Calls that met a shared counter because the table was "
        "full.\n"
        "# TYPE jotgate_limit_shared_total counter\njotgate_limit_shared_total %llu\n"
        "# HELP jotgate_log_dropped_total Log lines dropped because stdout was too slow or "
        "failed.\n"
        "# TYPE jotgate_log_dropped_total counter\njotgate_log_dropped_total %llu\n"
        "# HELP jotgate_info The build.\n# TYPE jotgate_info gauge\njotgate_info{version=\"%s\"} "
        "1\n",
        (unsigned long long)stats.n_shared, (unsigned long long)log_dropped(), JG_VERSION);
}

static int put_reload_metrics(struct buffer *out, const struct loaded *loaded) {
    return buffer_printf(
        out,
        "# HELP jotgate_reloads_total Times that the settings were read again.\n"
        "# TYPE jotgate_reloads_total counter\n"
        "jotgate_reloads_total{result=\"ok\"} %llu\njotgate_reloads_total{result=\"failed\"} %llu\n"
        "# HELP jotgate_settings_loaded_timestamp_seconds When the settings in force were read.\n"
        "# TYPE jotgate_settings_loaded_timestamp_seconds gauge\n"
        "jotgate_settings_loaded_timestamp_seconds %lld\n",
        (unsigned long long)loaded->n_reloads, (unsigned long long)loaded->n_refusals,
        (long long)loaded->wall_s);
}

static int write_metrics(struct buffer *out, struct admin *admin) {
    call_workers(admin);
    CLEANUP(loaded_fini) struct loaded loaded = look_at_loaded(admin);
    TRY(metrics_render(loaded.metrics, out));
    TRY(put_reload_metrics(out, &loaded));
    TRY(put_key_metrics(out, admin));
    TRY(put_feed_metrics(out, admin));
    return put_limit_metrics(out, admin);
}

static int answer_get(struct admin *admin, struct str path, struct service_answer *answer) {
    if (str_eq(path, STR("/healthz")))
        return buffer_append(&answer->body, STR("{\"status\":\"ok\"}\n"));
    if (str_eq(path, STR("/readyz")))
        return answer_ready(&answer->body, admin, &answer->status);
    if (str_eq(path, STR("/status")))
        return put_status(&answer->body, admin);
    if (str_eq(path, STR("/metrics"))) {
        answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
        return write_metrics(&answer->body, admin);
    }
    if (str_eq(path, STR("/"))) {
        answer->content_type = "text/html; charset=utf-8";
        return buffer_append(&answer->body, STR(page));
    }
    answer->status = 404;
    return buffer_append(
        &answer->body,
        STR("{\"message\":\"here are /healthz, /readyz, /metrics, /status and /\"}\n"));
}

void admin_handle(void *arg, const struct service_request *request, struct service_answer *answer) {
    struct admin *admin = arg;
    int failure;
    if (str_eq(request->method, STR("GET")) || str_eq(request->method, STR("HEAD"))) {
        failure = answer_get(admin, request->path, answer);
    } else {
        answer->status = 405;
        service_answer_field(answer, "Allow", "GET, HEAD");
        failure =
            buffer_append(&answer->body, STR("{\"message\":\"this listener is for reading\"}\n"));
    }
    if (failure < 0) {
        buffer_clear(&answer->body);
        answer->status = 500;
    }
}
