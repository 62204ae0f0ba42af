/* SPDX-License-Identifier: MIT */
/* Keys of our own: how they look, and the record behind one. */
#include "auth/api_key.h"

#include "base/base64url.h"
#include "base/hash.h"
#include "base/pen.h"
#include "signature.h"
#include <assert.h>
#include <errno.h>

#define SECRET_BYTES 32
#define SECRET_TEXT  43 /* of them, in base64url */
#define CHECK_BYTES  3
#define CHECK_TEXT   4

static_assert(sizeof(API_KEY_PREFIX) - 1 + SECRET_TEXT + CHECK_TEXT == API_KEY_BYTES, "its parts");

/* ---- the text ---- */

static bool write_check(const unsigned char secret[SECRET_BYTES], char out[CHECK_TEXT + 4]) {
    unsigned char digest[32];
    if (!sha256((struct str){(const char *)secret, SECRET_BYTES}, digest))
        return false;
    size_t n = base64url_encode((struct str){(const char *)digest, CHECK_BYTES}, out);
    assert(n == CHECK_TEXT);
    return true;
}

bool api_key_new(char text[API_KEY_BYTES + 1]) {
    unsigned char secret[SECRET_BYTES];
    char encoded[BASE64URL_ENCODED_MAX(SECRET_BYTES)], check[CHECK_TEXT + 4];
    random_bytes(secret, sizeof(secret));
    size_t n = base64url_encode((struct str){(const char *)secret, sizeof(secret)}, encoded);
    assert(n == SECRET_TEXT);
    bool done = write_check(secret, check);
    char *at = text;
    memcpy(at, API_KEY_PREFIX, sizeof(API_KEY_PREFIX) - 1);
    at += sizeof(API_KEY_PREFIX) - 1;
    memcpy(at, encoded, SECRET_TEXT);
    memcpy(at + SECRET_TEXT, check, CHECK_TEXT);
    text[API_KEY_BYTES] = '\0';
    bytes_wipe(secret, sizeof(secret));
    bytes_wipe(encoded, sizeof(encoded));
    return done;
}

bool api_key_is_well_formed(struct str text) {
    unsigned char secret[BASE64URL_DECODED_MAX(SECRET_TEXT)];
    char check[CHECK_TEXT + 4];
    size_t n;
    if (text.n != API_KEY_BYTES || !str_starts(text, STR(API_KEY_PREFIX)))
        return false;
    struct str encoded = str_skip(text, sizeof(API_KEY_PREFIX) - 1);
    bool is_good = base64url_decode(str_first(encoded, SECRET_TEXT), secret, &n) &&
                   n == SECRET_BYTES && write_check(secret, check) &&
                   str_eq(str_skip(encoded, SECRET_TEXT), (struct str){check, CHECK_TEXT});
    bytes_wipe(secret, sizeof(secret));
    return is_good;
}

bool api_key_id(struct str text, char id[API_KEY_ID_BYTES + 1]) {
    unsigned char digest[API_KEY_ID_BYTES / 2];
    bool done = sha256(text, digest);
    *pen_hex(id, digest, sizeof(digest)) = '\0';
    return done;
}

/* ---- the record ---- */

bool api_key_scope_is_good(struct str scope) {
    for (size_t i = 0; i < scope.n; i++) {
        char c = scope.at[i];
        if (c < 0x21 || c > 0x7e || c == '"' || c == '\\')
            return false;
    }
    return scope.n > 0;
}

static int put_text(struct buffer *out, const char *name, struct str value) {
    if (value.n == 0)
        return 0;
    TRY(buffer_printf(out, ",\"%s\":", name));
    return put_json_string(out, value);
}

static int put_scopes(struct buffer *out, const struct api_key_record *record) {
    for (size_t i = 0; i < record->n_scopes; i++) {
        TRY(buffer_append(out, i ? STR(",") : STR(",\"scopes\":[")));
        TRY(put_json_string(out, record->scopes[i]));
    }
    return record->n_scopes ? buffer_append(out, STR("]")) : 0;
}

int api_key_record_write(const struct api_key_record *record, struct buffer *out) {
    assert(record->subject.n > 0 && record->n_scopes <= API_KEY_SCOPES_MAX);
    TRY(buffer_append(out, STR("{\"subject\":")));
    TRY(put_json_string(out, record->subject));
    TRY(put_text(out, "plan", record->plan));
    TRY(put_text(out, "name", record->name));
    TRY(put_scopes(out, record));
    TRY(buffer_printf(out, ",\"created\":%lld", (long long)record->created_s));
    if (record->expires_s)
        TRY(buffer_printf(out, ",\"expires\":%lld", (long long)record->expires_s));
    return buffer_append_byte(out, '}');
}

/* An absent member leaves the default; one of another type is a failure. */
static int read_text(const struct node *root, const char *name, struct str *out,
                     struct arena *arena) {
    const struct node *node = node_member(root, name);
    struct str text = node_string(node);
    if (node_kind(node) == NODE_ABSENT)
        return 0;
    if (!text.at)
        return -EINVAL;
    *out = arena_copy(arena, text);
    return out->at ? 0 : -ENOMEM;
}

static int read_time(const struct node *root, const char *name, int64_t *out) {
    const struct node *node = node_member(root, name);
    if (node_kind(node) == NODE_ABSENT)
        return 0;
    return node_int(node, out) && *out >= 0 ? 0 : -EINVAL;
}

static int read_scopes(const struct node *root, struct api_key_record *record,
                       struct arena *arena) {
    const struct node *list = node_member(root, "scopes");
    size_t n = node_count(list);
    if (node_kind(list) == NODE_ABSENT)
        return 0;
    if (node_kind(list) != NODE_ARRAY || n > API_KEY_SCOPES_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        struct str scope = node_string(node_at(list, i));
        if (!api_key_scope_is_good(scope))
            return -EINVAL;
        record->scopes[i] = arena_copy(arena, scope);
        if (!record->scopes[i].at)
            return -ENOMEM;
    }
    record->n_scopes = n;
    return 0;
}

static int read_members(struct api_key_record *record, const struct node *root,
                        struct arena *arena) {
    if (node_kind(root) != NODE_OBJECT)
        return -EINVAL;
    TRY(read_text(root, "subject", &record->subject, arena));
    TRY(read_text(root, "plan", &record->plan, arena));
    TRY(read_text(root, "name", &record->name, arena));
    TRY(read_time(root, "created", &record->created_s));
    TRY(read_time(root, "expires", &record->expires_s));
    TRY(read_scopes(root, record, arena));
    return record->subject.n > 0 ? 0 : -EINVAL;
}

int api_key_record_read(struct api_key_record *record, struct str json, struct arena *arena) {
    *record = (struct api_key_record){0};
    struct doc *doc = doc_parse(json, NULL);
    if (!doc)
        return -EINVAL;
    int failure = read_members(record, doc_root(doc), arena);
    doc_free(doc);
    return failure;
}

bool api_key_record_is_expired(const struct api_key_record *record, int64_t now_s) {
    return record->expires_s > 0 && now_s >= record->expires_s;
}

/* ---- the record as a user's claims ---- */

static int put_claims(const struct api_key_record *record, struct buffer *out) {
    TRY(buffer_append(out, STR("\"sub\":")));
    TRY(put_json_string(out, record->subject));
    TRY(buffer_append(out, STR(",\"role\":\"authenticated\"")));
    for (size_t i = 0; i < record->n_scopes; i++) {
        TRY(buffer_append(out, i ? STR(" ") : STR(",\"scope\":\"")));
        TRY(buffer_append(out, record->scopes[i])); /* needs no escapes: api_key_scope_is_good */
    }
    if (record->n_scopes)
        TRY(buffer_append_byte(out, '"'));
    if (record->plan.n == 0)
        return 0;
    TRY(buffer_append(out, STR(",\"app_metadata\":{\"plan\":")));
    TRY(put_json_string(out, record->plan));
    return buffer_append_byte(out, '}');
}

static int write_claims(const struct api_key_record *record, struct buffer *out) {
    TRY(buffer_printf(out, "{\"iat\":%lld,", (long long)record->created_s));
    TRY(put_claims(record, out));
    return buffer_append_byte(out, '}');
}

int api_key_claims(const struct api_key_record *record, const struct claim_paths *paths,
                   struct claims **out) {
    struct buffer json = {0};
    const char *why;
    int failure = write_claims(record, &json);
    struct doc *doc = failure == 0 ? doc_parse(buffer_bytes(&json), NULL) : NULL;
    buffer_release(&json);
    if (!doc)
        return failure < 0 ? failure : -EINVAL;
    failure = claims_new(out, doc_root(doc), paths, &why);
    doc_free(doc);
    return failure;
}

int api_key_payload(const struct api_key_record *record, struct str issuer, int64_t now_s,
                    int64_t ttl_s, struct buffer *out) {
    TRY(buffer_append(out, STR("{\"iss\":")));
    TRY(put_json_string(out, issuer));
    TRY(buffer_printf(out, ",\"aud\":\"authenticated\",\"iat\":%lld,\"exp\":%lld,",
                      (long long)now_s, (long long)(now_s + ttl_s)));
    TRY(put_claims(record, out));
    return buffer_append_byte(out, '}');
}
