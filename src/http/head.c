/* SPDX-License-Identifier: MIT */
/* The head, line by line:
 *
 *     bytes  GET /a HTTP/1.1\r\nHost: x\r\nAccept: te|
 *                                      ^       ^
 *                                line_at       scanned: all before it are good, it is where the next call goes on
 *
 * A line is looked at when its CR LF is there; then only offsets are kept, since the bytes may move. The scan stops at the
 * first byte that may not stand in a line, so CR is all that is left to tell from an error, and it stops at the limits,
 * so that the same byte ends it however the bytes were cut. */
#include "http/head.h"

#include "http/octets.h"
#include "http/target.h"
#include <assert.h>

enum { AT_START, AT_FIRST_LINE, AT_FIELDS, AT_END, UNDERSTOOD };

#define METHOD_BYTES_MAX 32

static const struct {
    const char *text;
    enum problem problem;
} verdicts[] = {
    [HEAD_DONE] = {"complete", PROBLEM_NONE},
    [HEAD_MORE] = {"incomplete", PROBLEM_NONE},
    [HEAD_BAD_LINE] = {"the first line is malformed", PROBLEM_BAD_REQUEST},
    [HEAD_BAD_FIELD] = {"a field line is malformed", PROBLEM_BAD_REQUEST},
    [HEAD_BAD_HOST] = {"Host is missing, doubled or malformed", PROBLEM_BAD_REQUEST},
    [HEAD_BAD_LENGTH] = {"Content-Length is not one number", PROBLEM_BAD_REQUEST},
    [HEAD_BAD_FRAMING] = {"the body's length is said in two ways", PROBLEM_BAD_REQUEST},
    [HEAD_UNKNOWN_CODING] = {"only the chunked transfer coding is known", PROBLEM_NOT_IMPLEMENTED},
    [HEAD_BAD_VERSION] = {"only HTTP/1.0 and HTTP/1.1 are spoken", PROBLEM_VERSION_NOT_SUPPORTED},
    [HEAD_BAD_EXPECTATION] = {"only 100-continue can be expected", PROBLEM_EXPECTATION_FAILED},
    [HEAD_TARGET_TOO_LONG] = {"the target is too long", PROBLEM_URI_TOO_LONG},
    [HEAD_TOO_LARGE] = {"the head is too large", PROBLEM_HEADERS_TOO_LARGE},
};

const char *head_verdict_text(enum head_verdict verdict) { return verdicts[verdict].text; }

enum problem head_verdict_problem(enum head_verdict verdict) { return verdicts[verdict].problem; }

void head_init(struct head *head, enum head_kind kind, const struct head_limits *limits) {
    assert(limits->n_fields <= HEAD_FIELDS_MAX);
    assert(limits->line_bytes <= INT32_MAX && limits->head_bytes <= INT32_MAX);
    memset(head, 0, offsetof(struct head, lines));
    head->kind = kind;
    head->limits = *limits;
}

/* ---- lines ---- */

static struct str at_span(const char *base, struct head_span span) {
    return (struct str){base + span.at, span.n};
}

/* A target that is too long has a status of its own; what does not even begin like a request has not. */
static enum head_verdict line_too_long(const struct head *head, struct str within) {
    bool by_head_bytes = within.n <= (size_t)head->line_at + head->limits.line_bytes;
    if (head->state == AT_FIELDS || head->kind == HEAD_ANSWER || by_head_bytes)
        return HEAD_TOO_LARGE;
    struct str line = str_skip(within, head->line_at);
    size_t method_n = octets_span(str_first(line, METHOD_BYTES_MAX + 1), OCTET_TOKEN);
    bool is_request = method_n > 0 && method_n < line.n && line.at[method_n] == ' ';
    return is_request ? HEAD_TARGET_TOO_LONG : HEAD_BAD_LINE;
}

/* Its CR LF must begin before this offset for the line to stay within both limits. */
static size_t line_bound(const struct head *head) {
    size_t of_head = head->limits.head_bytes > 0 ? head->limits.head_bytes - 1 : 0;
    size_t of_line = (size_t)head->line_at + head->limits.line_bytes + 1;
    return head->state != AT_FIELDS && of_line < of_head ? of_line : of_head;
}

/* HEAD_DONE: *line is the next one, without its CR LF. */
static enum head_verdict next_line(struct head *head, struct str bytes, struct head_span *line) {
    size_t bound = line_bound(head);
    struct str within = str_first(bytes, bound);
    if (head->scanned < within.n)
        head->scanned += (uint32_t)value_span(str_skip(within, head->scanned));
    if (head->scanned >= bound)
        return line_too_long(head, within);
    if (head->scanned == bytes.n)
        return HEAD_MORE;
    enum head_verdict malformed = head->state == AT_FIELDS ? HEAD_BAD_FIELD : HEAD_BAD_LINE;
    if (bytes.at[head->scanned] != '\r')
        return malformed;
    if (head->scanned + 1 == bytes.n)
        return HEAD_MORE;
    if (bytes.at[head->scanned + 1] != '\n')
        return malformed;
    *line = (struct head_span){head->line_at, head->scanned - head->line_at};
    return HEAD_DONE;
}

static bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

/* "HTTP/" DIGIT "." DIGIT, nothing less or more (RFC 9112 2.3). */
static enum head_verdict version_read(struct head *head, struct str s) {
    if (s.n != 8 || memcmp(s.at, "HTTP/", 5) != 0 || !is_digit(s.at[5]) || s.at[6] != '.' ||
        !is_digit(s.at[7]))
        return HEAD_BAD_LINE;
    if (s.at[5] != '1' || s.at[7] > '1')
        return HEAD_BAD_VERSION;
    head->minor = s.at[7] - '0';
    return HEAD_DONE;
}

/* method SP request-target SP HTTP-version, with single spaces (RFC 9112 3). */
static enum head_verdict request_line(struct head *head, const char *base, struct head_span line) {
    struct str rest = at_span(base, line);
    size_t method_n = octets_span(rest, OCTET_TOKEN);
    if (method_n == 0 || method_n > METHOD_BYTES_MAX || method_n == rest.n ||
        rest.at[method_n] != ' ')
        return HEAD_BAD_LINE;
    rest = str_skip(rest, method_n + 1);
    size_t target_n = target_span(rest);
    if (target_n == 0 || target_n == rest.n || rest.at[target_n] != ' ')
        return HEAD_BAD_LINE;
    head->words[0] = (struct head_span){line.at, (uint32_t)method_n};
    head->words[1] = (struct head_span){line.at + (uint32_t)method_n + 1, (uint32_t)target_n};
    return version_read(head, str_skip(rest, target_n + 1));
}

/* HTTP-version SP status-code SP [reason] (RFC 9112 4). Many servers that send no reason leave its space out too. */
static enum head_verdict status_line(struct head *head, const char *base, struct head_span line) {
    struct str s = at_span(base, line);
    enum head_verdict verdict = version_read(head, str_first(s, 8));
    if (verdict != HEAD_DONE)
        return verdict;
    if (s.n < 12 || s.at[8] != ' ' || (s.n > 12 && s.at[12] != ' '))
        return HEAD_BAD_LINE;
    if (!is_digit(s.at[9]) || !is_digit(s.at[10]) || !is_digit(s.at[11]) || s.at[9] == '0')
        return HEAD_BAD_LINE;
    head->status = (s.at[9] - '0') * 100 + (s.at[10] - '0') * 10 + (s.at[11] - '0');
    uint32_t reason_at = line.n > 13 ? 13 : line.n;
    head->words[0] = (struct head_span){line.at + reason_at, line.n - reason_at};
    return HEAD_DONE;
}

static bool is_blank(char byte) { return byte == ' ' || byte == '\t'; }

/* field-name ":" OWS field-value OWS (RFC 9112 5). A name cannot begin with white space, so a folded line is none. */
static enum head_verdict field_line(struct head *head, struct str bytes, struct head_span line) {
    if (head->n_lines == head->limits.n_fields)
        return HEAD_TOO_LARGE;
    struct str s = at_span(bytes.at, line);
    size_t name_n = token_span(str_skip(bytes, line.at)); /* ends within the line: CR is no token */
    if (name_n == 0 || name_n == s.n || s.at[name_n] != ':')
        return HEAD_BAD_FIELD;
    size_t from = name_n + 1, to = s.n;
    while (from < to && is_blank(s.at[from]))
        from++;
    while (to > from && is_blank(s.at[to - 1]))
        to--;
    struct head_line *kept = &head->lines[head->n_lines++];
    kept->name = (struct head_span){line.at, (uint32_t)name_n};
    kept->value = (struct head_span){line.at + (uint32_t)from, (uint32_t)(to - from)};
    return HEAD_DONE;
}

/* The state moves on only behind a good line, so that a head that failed fails again. */
static enum head_verdict line_read(struct head *head, struct str bytes, struct head_span line) {
    if (head->state == AT_FIELDS && line.n > 0)
        return field_line(head, bytes, line);
    if (head->state == AT_FIELDS) {
        head->state = AT_END;
        return HEAD_DONE;
    }
    if (head->state == AT_START && line.n == 0 && head->kind == HEAD_REQUEST) {
        head->state = AT_FIRST_LINE;
        return HEAD_DONE;
    }
    bool asks = head->kind == HEAD_REQUEST;
    enum head_verdict verdict =
        asks ? request_line(head, bytes.at, line) : status_line(head, bytes.at, line);
    if (verdict == HEAD_DONE)
        head->state = AT_FIELDS;
    return verdict;
}

/* ---- meaning ---- */

/* Of the first field with an id that is there. */
static struct str value_of(const struct head *head, enum field_id id) {
    const struct field *field = fields_find(head->fields, id);
    assert(field);
    return field->value;
}

static bool is_there(const struct head *head, enum field_id id) {
    return !(head->fields.absent >> id & 1);
}

static bool is_doubled(uint64_t doubled, enum field_id id) { return doubled >> id & 1; }

static void point_words(struct head *head, const char *base) {
    if (head->kind == HEAD_REQUEST) {
        head->method = at_span(base, head->words[0]);
        head->target = at_span(base, head->words[1]);
    } else {
        head->reason = at_span(base, head->words[0]);
    }
}

static void point_fields(struct head *head, const char *base) {
    for (uint32_t i = 0; i < head->n_lines; i++) {
        head->store[i].name = at_span(base, head->lines[i].name);
        head->store[i].value = at_span(base, head->lines[i].value);
    }
    head->fields.list = head->store;
    head->fields.n = head->n_lines;
}

/* Looks every name up. Bits, by id, of those that there are more than one of. */
static uint64_t name_fields(struct head *head) {
    uint64_t present = 0, doubled = 0;
    for (uint32_t i = 0; i < head->n_lines; i++) {
        struct field *field = &head->store[i];
        field->id = field_id_of(field->name);
        doubled |= present & UINT64_C(1) << field->id;
        present |= UINT64_C(1) << field->id;
    }
    head->fields.absent = ~present;
    return doubled;
}

/* RFC 9112 3.2: a server MUST respond with 400 to any HTTP/1.1 request that lacks a Host, has more than one, or an
 * invalid one. */
static enum head_verdict host_read(struct head *head, uint64_t doubled) {
    head->host = STR("");
    if (!is_there(head, FIELD_HOST))
        return head->minor == 0 ? HEAD_DONE : HEAD_BAD_HOST;
    struct str host = value_of(head, FIELD_HOST);
    if (is_doubled(doubled, FIELD_HOST) || !host_is_valid(host))
        return HEAD_BAD_HOST;
    head->host = host;
    return HEAD_DONE;
}

/* One run of digits. A leading zero is refused: it is octal to some. */
static enum head_verdict length_read(struct head *head, uint64_t doubled) {
    struct str digits = value_of(head, FIELD_CONTENT_LENGTH);
    if (is_doubled(doubled, FIELD_CONTENT_LENGTH) || !str_to_u64(digits, &head->body_bytes))
        return HEAD_BAD_LENGTH;
    if (head->body_bytes > INT64_MAX || (digits.at[0] == '0' && digits.n > 1))
        return HEAD_BAD_LENGTH;
    head->framing = FRAMING_LENGTH;
    return HEAD_DONE;
}

/* RFC 9112 6.3. Both lengths, or a coding on HTTP/1.0, "ought to be handled as an error". */
static enum head_verdict framing_read(struct head *head, uint64_t doubled) {
    bool has_coding = is_there(head, FIELD_TRANSFER_ENCODING);
    bool has_length = is_there(head, FIELD_CONTENT_LENGTH);
    head->framing = head->kind == HEAD_REQUEST ? FRAMING_NONE : FRAMING_UNTIL_CLOSE;
    head->body_bytes = 0;
    if (is_doubled(doubled, FIELD_TRANSFER_ENCODING) ||
        (has_coding && (has_length || head->minor == 0)))
        return HEAD_BAD_FRAMING;
    if (has_length)
        return length_read(head, doubled);
    if (!has_coding)
        return HEAD_DONE;
    if (!str_eq_nocase(value_of(head, FIELD_TRANSFER_ENCODING), STR("chunked")))
        return HEAD_UNKNOWN_CODING;
    head->framing = FRAMING_CHUNKED;
    return HEAD_DONE;
}

/* RFC 9112 9.3. */
static enum head_verdict connection_read(struct head *head) {
    bool close = false, keep_alive = false;
    unsigned n_names = 0;
    for (size_t i = 0; is_there(head, FIELD_CONNECTION) && i < head->fields.n; i++) {
        if (head->fields.list[i].id != FIELD_CONNECTION)
            continue;
        struct str list = head->fields.list[i].value, name;
        while (str_split(&list, ',', &name)) {
            if (++n_names > HEAD_CONNECTION_NAMES_MAX)
                return HEAD_TOO_LARGE;
            close = close || str_eq_nocase(str_trim(name), STR("close"));
            keep_alive = keep_alive || str_eq_nocase(str_trim(name), STR("keep-alive"));
        }
    }
    head->keep_alive = !close && (head->minor == 1 || keep_alive);
    return HEAD_DONE;
}

/* RFC 9110 10.1.1: ignored on HTTP/1.0; anything but 100-continue may be refused. */
static enum head_verdict expectation_read(struct head *head, uint64_t doubled) {
    head->expects_continue = false;
    if (!is_there(head, FIELD_EXPECT) || head->minor == 0)
        return HEAD_DONE;
    if (is_doubled(doubled, FIELD_EXPECT) ||
        !str_eq_nocase(value_of(head, FIELD_EXPECT), STR("100-continue")))
        return HEAD_BAD_EXPECTATION;
    bool has_body = head->framing == FRAMING_CHUNKED ||
                    (head->framing == FRAMING_LENGTH && head->body_bytes > 0);
    head->expects_continue = has_body;
    return HEAD_DONE;
}

static enum head_verdict meaning_read(struct head *head, const char *base) {
    bool asks = head->kind == HEAD_REQUEST;
    point_words(head, base);
    point_fields(head, base);
    uint64_t doubled = name_fields(head);
    head->head_bytes = head->line_at;
    enum head_verdict verdict = asks ? host_read(head, doubled) : HEAD_DONE;
    if (verdict == HEAD_DONE)
        verdict = framing_read(head, doubled);
    if (verdict == HEAD_DONE)
        verdict = connection_read(head);
    if (verdict == HEAD_DONE && asks)
        verdict = expectation_read(head, doubled);
    if (verdict == HEAD_DONE)
        head->state = UNDERSTOOD;
    return verdict;
}

/* The same bytes, elsewhere. */
static enum head_verdict move_to(struct head *head, const char *base) {
    point_words(head, base);
    point_fields(head, base);
    const struct field *host = fields_find(head->fields, FIELD_HOST);
    if (head->kind == HEAD_REQUEST && host)
        head->host = host->value;
    return HEAD_DONE;
}

enum head_verdict head_parse(struct head *head, struct str bytes) {
    assert(bytes.n >= head->scanned);
    if (head->state == UNDERSTOOD)
        return move_to(head, bytes.at);
    while (head->state != AT_END) {
        struct head_span line;
        enum head_verdict verdict = next_line(head, bytes, &line);
        if (verdict != HEAD_DONE)
            return verdict;
        verdict = line_read(head, bytes, line);
        if (verdict != HEAD_DONE)
            return verdict;
        head->line_at = head->scanned += 2;
    }
    return meaning_read(head, bytes.at);
}

enum framing head_answer_framing(const struct head *answer, bool answers_head_request) {
    assert(answer->kind == HEAD_ANSWER);
    bool has_none = answers_head_request || answer->status < 200 || answer->status == 204 ||
                    answer->status == 304;
    return has_none ? FRAMING_NONE : answer->framing;
}
