/* SPDX-License-Identifier: MIT */
/* Borrowed bytes: comparing, cutting and reading them. Nothing here looks for a NUL. */
#include "base/str.h"

#include <assert.h>
#include <stdlib.h>

static unsigned char lower(char c) {
    unsigned char byte = (unsigned char)c;
    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte | 0x20) : byte;
}

bool str_eq_nocase(struct str a, struct str b) {
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (a.at[i] != b.at[i] && lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix) {
    return s.n >= prefix.n && str_eq(str_first(s, prefix.n), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix) {
    return s.n >= prefix.n && str_eq_nocase(str_first(s, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix) {
    return s.n >= suffix.n && str_eq(str_skip(s, s.n - suffix.n), suffix);
}

int str_compare(struct str a, struct str b) {
    size_t common = a.n < b.n ? a.n : b.n;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    if (order != 0)
        return order < 0 ? -1 : 1;
    return (a.n > b.n) - (a.n < b.n);
}

size_t str_index(struct str s, char byte) {
    const char *found = s.n ? memchr(s.at, byte, s.n) : NULL;
    return found ? (size_t)(found - s.at) : s.n;
}

bool str_contains(struct str s, struct str needle) {
    if (needle.n == 0)
        return true;
    return s.n >= needle.n && memmem(s.at, s.n, needle.at, needle.n) != NULL;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

struct str str_trim(struct str s) {
    while (s.n > 0 && is_blank(s.at[0]))
        s = str_skip(s, 1);
    while (s.n > 0 && is_blank(s.at[s.n - 1]))
        s.n--;
    return s;
}

bool str_split(struct str *rest, char separator, struct str *part) {
    if (!rest->at)
        return false;
    size_t end = str_index(*rest, separator);
    *part = str_first(*rest, end);
    *rest = end < rest->n ? str_skip(*rest, end + 1) : STR_NONE;
    return true;
}

bool str_to_u64(struct str s, uint64_t *value) {
    uint64_t sum = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        if (__builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(s.at[i] - '0'), &sum))
            return false;
    }
    *value = sum;
    return true;
}

bool str_eq_secret(struct str a, struct str b) {
    if (a.n != b.n)
        return false;
    unsigned char differs = 0;
    for (size_t i = 0; i < a.n; i++) {
        differs |= (unsigned char)(a.at[i] ^ b.at[i]);
        /* Or the compiler may leave the loop at the first difference. */
        __asm__ volatile("" : "+r"(differs));
    }
    return differs == 0;
}

void bytes_wipe(void *at, size_t n) {
    assert(at || n == 0);
    if (n > 0)
        explicit_bzero(at, n);
}

char *str_dup(struct str s) {
    if (s.n == SIZE_MAX)
        return NULL;
    char *copy = malloc(s.n + 1);
    if (!copy)
        return NULL;
    if (s.n > 0)
        memcpy(copy, s.at, s.n);
    copy[s.n] = '\0';
    return copy;
}
