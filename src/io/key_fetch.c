/* SPDX-License-Identifier: MIT */
/* libcurl's one door. A multi handle drives the one easy handle, because a wait in curl_multi_poll can be ended from another
 * thread at once; curl_easy_perform looks up about once a second only. */
#include "io/key_fetch.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_MS_MAX   3000L
#define SLOW_BYTES_PER_S 64L
#define SLOW_S           5L
#define WAIT_MS          1000

struct key_fetcher {
    CURLM *multi;
    atomic_bool is_cancelled;
};

/* What the write callback fills. */
struct intake {
    struct buffer *body;
    bool is_too_large, is_out_of_memory;
};

static size_t on_body(char *data, size_t size, size_t n, void *arg) {
    struct intake *intake = arg;
    struct str bytes = {data, size * n};
    intake->is_too_large = buffer_length(intake->body) + bytes.n > KEY_DOCUMENT_BYTES_MAX;
    if (!intake->is_too_large)
        intake->is_out_of_memory = buffer_append(intake->body, bytes) < 0;
    return intake->is_too_large || intake->is_out_of_memory ? 0 : bytes.n;
}

struct key_fetcher *key_fetcher_new(void) {
    struct key_fetcher *fetcher = calloc(1, sizeof(*fetcher));
    if (!fetcher)
        return NULL;
    atomic_init(&fetcher->is_cancelled, false);
    bool has_library = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    fetcher->multi = has_library ? curl_multi_init() : NULL;
    if (!fetcher->multi) {
        if (has_library)
            curl_global_cleanup();
        free(fetcher);
        return NULL;
    }
    return fetcher;
}

void key_fetcher_free(struct key_fetcher *fetcher) {
    if (!fetcher)
        return;
    curl_multi_cleanup(fetcher->multi);
    curl_global_cleanup();
    free(fetcher);
}

void key_fetcher_cancel(struct key_fetcher *fetcher) {
    atomic_store(&fetcher->is_cancelled, true);
    curl_multi_wakeup(fetcher->multi);
}

bool key_fetcher_is_cancelled(const struct key_fetcher *fetcher) {
    return atomic_load(&fetcher->is_cancelled);
}

void key_answer_fini(struct key_answer *answer) { buffer_release(&answer->body); }

/* ---- the request -------------------------------------------------------------------------------------------------- */

/* libcurl itself does not look at these; OpenSSL on the request's way does. */
static void set_trust(CURL *easy) {
    const char *file = getenv("SSL_CERT_FILE"), *directory = getenv("SSL_CERT_DIR");
    if (file && *file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, file);
    if (directory && *directory)
        curl_easy_setopt(easy, CURLOPT_CAPATH, directory);
}

static void set_bounds(CURL *easy, int64_t timeout_ms) {
    assert(timeout_ms > 0);
    long total_ms = timeout_ms < INT32_MAX ? (long)timeout_ms : INT32_MAX;
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, total_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     total_ms < CONNECT_MS_MAX ? total_ms : CONNECT_MS_MAX);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES_PER_S);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, SLOW_S);
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, (long)KEY_DOCUMENT_BYTES_MAX);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* One fetch in ten minutes keeps no connection, so none is found dead and silently asked again. */
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Do not wait for a name service that hangs. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}

/* False when memory is out, or the URL is none. */
static bool set_request(CURL *easy, const char *url, const struct curl_slist *fields,
                        struct intake *intake, char *error) {
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, intake);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "jotgate/" JG_VERSION) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
}

static bool put_field(struct curl_slist **fields, const char *line) {
    struct curl_slist *longer = curl_slist_append(*fields, line);
    if (!longer)
        return false;
    *fields = longer;
    return true;
}

static bool put_fields(struct curl_slist **fields, const char *etag) {
    char line[256];
    if (!put_field(fields, "Accept: application/json"))
        return false;
    if (!*etag)
        return true;
    snprintf(line, sizeof(line), "If-None-Match: %s", etag);
    return put_field(fields, line);
}

/* ---- the answer --------------------------------------------------------------------------------------------------- */

static struct str field(CURL *easy, const char *name) {
    struct curl_header *header;
    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK
               ? str_of(header->value)
               : STR_NONE;
}

/* RFC 9111 5.2.2; -1 when it says nothing of its age. */
static int64_t max_age_of(struct str control) {
    struct str part;
    int64_t max_age_s = -1;
    uint64_t number;
    while (str_split(&control, ',', &part)) {
        part = str_trim(part);
        if (str_eq_nocase(part, STR("no-store")) || str_eq_nocase(part, STR("no-cache")))
            return 0;
        if (str_starts_nocase(part, STR("max-age=")) && str_to_u64(str_skip(part, 8), &number))
            max_age_s = number < INT32_MAX ? (int64_t)number : INT32_MAX;
    }
    return max_age_s;
}

static int64_t fresh_of(CURL *easy) {
    int64_t max_age_s = max_age_of(field(easy, "Cache-Control"));
    uint64_t age_s = 0;
    if (max_age_s < 0 || !str_to_u64(str_trim(field(easy, "Age")), &age_s))
        return max_age_s;
    return age_s < (uint64_t)max_age_s ? max_age_s - (int64_t)age_s : 0;
}

static void read_answer(CURL *easy, struct key_answer *answer) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    answer->status = (int)status;
    answer->fresh_s = fresh_of(easy);
    struct str etag = field(easy, "ETag");
    if (etag.n < sizeof(answer->etag))
        snprintf(answer->etag, sizeof(answer->etag), STR_FMT, STR_ARG(etag));
}

static void say_why(CURLcode code, const struct intake *intake, const char *error, char why[160]) {
    if (intake->is_too_large || code == CURLE_FILESIZE_EXCEEDED)
        snprintf(why, 160, "the answer is larger than 1 MiB");
    else if (intake->is_out_of_memory)
        snprintf(why, 160, "out of memory");
    else
        snprintf(why, 160, "%s", *error ? error : curl_easy_strerror(code));
}

/* Until the transfer is over or somebody wants us to stop. */
static CURLcode drive(struct key_fetcher *fetcher, CURL *easy) {
    int n_running = 1, n_left;
    if (curl_multi_add_handle(fetcher->multi, easy) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    while (n_running > 0 && !key_fetcher_is_cancelled(fetcher))
        if (curl_multi_perform(fetcher->multi, &n_running) != CURLM_OK ||
            (n_running > 0 && curl_multi_poll(fetcher->multi, NULL, 0, WAIT_MS, NULL) != CURLM_OK))
            break;
    const CURLMsg *message = curl_multi_info_read(fetcher->multi, &n_left);
    if (message && message->msg == CURLMSG_DONE)
        code = message->data.result;
    curl_multi_remove_handle(fetcher->multi, easy);
    return code;
}

void key_fetcher_get(struct key_fetcher *fetcher, const char *url, const char *etag,
                     int64_t timeout_ms, struct key_answer *answer) {
    *answer = (struct key_answer){.fresh_s = -1};
    struct intake intake = {.body = &answer->body};
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *fields = NULL;
    CURL *easy = curl_easy_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (easy && put_fields(&fields, etag)) {
        set_bounds(easy, timeout_ms);
        set_trust(easy);
        if (set_request(easy, url, fields, &intake, error))
            code = drive(fetcher, easy);
    }
    if (code == CURLE_OK) {
        read_answer(easy, answer);
    } else {
        say_why(code, &intake, error, answer->why);
        buffer_release(&answer->body);
    }
    curl_slist_free_all(fields);
    curl_easy_cleanup(easy);
}
