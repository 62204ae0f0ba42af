/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes with a length. No NUL is promised, any byte may occur. The empty string has n == 0 (`at` may be NULL). */
struct str {
    const char *at;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   ((int)(s).n), ((s).at ? (s).at : "")

static inline struct str str_of(const char *text) {
    return (struct str){text, text ? strlen(text) : 0};
}
static inline bool str_eq(struct str a, struct str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0);
}
/* Without its first n bytes; n <= s.n. */
static inline struct str str_skip(struct str s, size_t n) {
    return n ? (struct str){s.at + n, s.n - n} : s;
}
/* Its first n bytes, or all when it has fewer. */
static inline struct str str_first(struct str s, size_t n) {
    return (struct str){s.at, n < s.n ? n : s.n};
}

/* ASCII case only; no locale. */
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* -1, 0, 1 by bytes, then by length. */
int str_compare(struct str a, struct str b);
/* Index of `byte`, or s.n. */
size_t str_index(struct str s, char byte);
bool str_contains(struct str s, struct str needle);
/* Without the spaces and tabs at both ends (RFC 9110 5.6.3 OWS). */
struct str str_trim(struct str s);
/* Take what stands before the first `separator` from *rest (both move on); false when *rest is used up (at == NULL).
 * "a,,b" gives "a", "", "b"; "" gives "" once. */
bool str_split(struct str *rest, char separator, struct str *part);

/* Digits only, no sign, no space, no overflow; false otherwise. */
bool str_to_u64(struct str s, uint64_t *value) MUST_USE;

/* Equal? Takes the same time for every content of the same length. For secrets. */
bool str_eq_secret(struct str a, struct str b);
/* Overwrite with zeros in a way that the compiler keeps. */
void bytes_wipe(void *at, size_t n);

/* A NUL-terminated copy on the heap; the caller frees. NULL when memory is out. */
char *str_dup(struct str s) MUST_USE;
