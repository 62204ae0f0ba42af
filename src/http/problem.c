/* SPDX-License-Identifier: MIT */
/* What the gateway itself answers. Each Supabase client looks for the code and the message under names of its own; one body
 * has them all. */
#include "http/problem.h"

#include "base/json.h"
#include <assert.h>

static const struct problem_row rows[PROBLEM_COUNT] = {
#define X(id, name, code, status, error, title) [PROBLEM_##id] = {name, code, status, error, title},
    PROBLEMS(X)
#undef X
};

const struct problem_row *problem_row(enum problem problem) {
    assert(problem > PROBLEM_NONE && problem < PROBLEM_COUNT);
    return &rows[problem];
}

/* clang-format off */
/* IANA, "Hypertext Transfer Protocol (HTTP) Status Code Registry" */
#define PHRASES(X) \
    X(100, "Continue") X(101, "Switching Protocols") X(102, "Processing") X(103, "Early Hints") \
    X(200, "OK") X(201, "Created") X(202, "Accepted") X(203, "Non-Authoritative Information") X(204, "No Content") \
    X(205, "Reset Content") X(206, "Partial Content") X(207, "Multi-Status") X(208, "Already Reported") X(226, "IM Used") \
    X(300, "Multiple Choices") X(301, "Moved Permanently") X(302, "Found") X(303, "See Other") X(304, "Not Modified") \
    X(305, "Use Proxy") X(307, "Temporary Redirect") X(308, "Permanent Redirect") \
    X(400, "Bad Request") X(401, "Unauthorized") X(402, "Payment Required") X(403, "Forbidden") X(404, "Not Found") \
    X(405, "Method Not Allowed") X(406, "Not Acceptable") X(407, "Proxy Authentication Required") \
    X(408, "Request Timeout") X(409, "Conflict") X(410, "Gone") X(411, "Length Required") X(412, "Precondition Failed") \
    X(413, "Content Too Large") X(414, "URI Too Long") X(415, "Unsupported Media Type") X(416, "Range Not Satisfiable") \
    X(417, "Expectation Failed") X(421, "Misdirected Request") X(422, "Unprocessable Content") X(423, "Locked") \
    X(424, "Failed Dependency") X(425, "Too Early") X(426, "Upgrade Required") X(428, "Precondition Required") \
    X(429, "Too Many Requests") X(431, "Request Header Fields Too Large") X(451, "Unavailable For Legal Reasons") \
    X(500, "Internal Server Error") X(501, "Not Implemented") X(502, "Bad Gateway") X(503, "Service Unavailable") \
    X(504, "Gateway Timeout") X(505, "HTTP Version Not Supported") X(506, "Variant Also Negotiates") \
    X(507, "Insufficient Storage") X(508, "Loop Detected") X(511, "Network Authentication Required")
/* clang-format on */

const char *status_phrase(int status) {
    switch (status) {
#define X(number, phrase) \
    case number: \
        return phrase;
        PHRASES(X)
#undef X
    default:
        return "Unknown";
    }
}

/* ,"name":"text", or null for empty text. */
static int put_member(struct buffer *out, const char *name, struct str text) {
    TRY(buffer_append(out, STR(",\"")));
    TRY(buffer_append(out, str_of(name)));
    TRY(buffer_append(out, STR("\":")));
    return text.n > 0 ? put_json_string(out, text) : buffer_append(out, STR("null"));
}

/* RFC 9457 4.2.1 about:blank, save where draft-ietf-httpapi-ratelimit-headers has registered a type. */
static struct str type_of(struct str code) {
    if (str_eq(code, STR("quota_exceeded")))
        return STR("https://iana.org/assignments/http-problem-types#quota-exceeded");
    return STR("about:blank");
}

int problem_body(struct buffer *out, const struct problem_text *text) {
    const struct problem_row *row = problem_row(text->problem);
    struct str code = text->code.n > 0 ? text->code : str_of(row->code);
    struct str message = text->message.n > 0 ? text->message : str_of(row->title);
    TRY(buffer_append(out, STR("{\"code\":")));
    TRY(put_json_string(out, code));
    TRY(put_member(out, "message", message));
    TRY(put_member(out, "hint", text->hint));
    TRY(put_member(out, "details", text->details));
    TRY(put_member(out, "type", type_of(code)));
    TRY(put_member(out, "title", str_of(row->title)));
    TRY(buffer_append(out, STR(",\"status\":")));
    TRY(buffer_append_u64(out, (uint64_t)row->status));
    TRY(put_member(out, "detail", message));
    if (text->for_auth) {
        TRY(put_member(out, "msg", message));
        TRY(put_member(out, "error_code", code));
        TRY(put_member(out, "error", code));
    }
    return buffer_append_byte(out, '}');
}
