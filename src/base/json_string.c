/* SPDX-License-Identifier: MIT */
/* Bytes that stand for themselves are most of any string, and are looked at eight at a time: every line of the log is. */
#include "base/json_string.h"

#include "base/pen.h"

/* How many bytes the UTF-8 character at s.at has; 0 when it is none (RFC 3629 4: no overlong forms, no surrogates,
 * nothing beyond U+10FFFF). */
static size_t utf8_length(struct str s) {
    const unsigned char *at = (const unsigned char *)s.at;
    unsigned char first = at[0], lowest = 0x80, highest = 0xbf;
    size_t n = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (n == 0 || n > s.n || first > 0xf4)
        return 0;
    if (first == 0xe0)
        lowest = 0xa0;
    if (first == 0xed)
        highest = 0x9f;
    if (first == 0xf0)
        lowest = 0x90;
    if (first == 0xf4)
        highest = 0x8f;
    for (size_t i = 1; i < n; i++) {
        if (at[i] < lowest || at[i] > highest)
            return 0;
        lowest = 0x80;
        highest = 0xbf;
    }
    return n;
}

bool json_is_utf8(struct str s) {
    size_t length;
    while (s.n > 0 && (length = utf8_length(s)) > 0)
        s = str_skip(s, length);
    return s.n == 0;
}

/* Bytes that stand for themselves; a table, because every line of the log is looked at with it. */
static const bool PLAIN[256] = {
    [' ' ... '!'] = true,
    ['#' ... '['] = true,
    [']' ... '~'] = true,
};

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Has none of eight bytes, each below 0x80, the value 0? (Mycroft's test) */
static uint64_t zero_among(uint64_t bytes) { return (bytes - EACH_BYTE(1)) & ~bytes; }

static bool eight_are_plain(const char *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    uint64_t special = bytes | (bytes - EACH_BYTE(' ')) | zero_among(bytes ^ EACH_BYTE('"')) |
                       zero_among(bytes ^ EACH_BYTE('\\')) | zero_among(bytes ^ EACH_BYTE(0x7f));
    return !(special & EACH_BYTE(0x80));
}

static size_t plain_span(struct str s) {
    size_t n = 0;
    while (s.n - n >= 8 && eight_are_plain(s.at + n))
        n += 8;
    while (n < s.n && PLAIN[(unsigned char)s.at[n]])
        n++;
    return n;
}

static char *write_escape(char *at, unsigned code) {
    static const char HEX[] = "0123456789abcdef";
    static const char SHORT[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(SHORT); i += 2)
        if (code == (unsigned char)SHORT[i])
            return pen_str(at, (struct str){(char[]){'\\', SHORT[i + 1]}, 2});
    char text[] = {'\\', 'u', '0', '0', HEX[code >> 4 & 15], HEX[code & 15]};
    return pen_str(at, (struct str){text, sizeof(text)});
}

/* One character that cannot stand for itself; *length receives its bytes. */
static char *write_special(char *at, struct str s, size_t *length) {
    *length = utf8_length(s);
    if (*length == 0) {
        *length = 1;
        return pen_str(at, STR("\xef\xbf\xbd"));
    }
    if (*length == 1)
        return write_escape(at, (unsigned char)s.at[0]);
    /* U+0080 to U+009F are controls too, and some terminals obey them. */
    if (s.at[0] == '\xc2' && (unsigned char)s.at[1] < 0xa0)
        return write_escape(at, (unsigned char)s.at[1]);
    return pen_str(at, str_first(s, *length));
}

char *json_string_write(char *at, struct str s) {
    at = pen_byte(at, '"');
    while (s.n > 0) {
        size_t length = plain_span(s);
        at = pen_str(at, str_first(s, length));
        s = str_skip(s, length);
        if (s.n == 0)
            break;
        at = write_special(at, s, &length);
        s = str_skip(s, length);
    }
    return pen_byte(at, '"');
}

int put_json_string(struct buffer *out, struct str s) {
    char *room;
    TRY(buffer_reserve(out, JSON_STRING_MAX(s.n), &room));
    buffer_commit(out, (size_t)(json_string_write(room, s) - room));
    return 0;
}
