/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"

/* The classes of bytes that HTTP's grammar is made of, and how far a run of them reaches. */
enum octet_class {
    OCTET_TOKEN = 1,  /* RFC 9110 5.6.2 tchar */
    OCTET_VALUE = 2,  /* RFC 9110 5.5: HTAB, SP, visible ASCII, 0x80-0xff */
    OCTET_TARGET = 4, /* visible ASCII: 0x21-0x7e */
    OCTET_HOST = 8,   /* letters, digits, '-' and '_' */
    OCTET_ALNUM = 16,
    OCTET_B64 = 32, /* RFC 6750 2.1: what a bearer token is made of, with the '=' at its end */
};
extern const uint8_t octet_classes[256];

static inline bool octet_is(char byte, enum octet_class octet_class) {
    return (octet_classes[(unsigned char)byte] & octet_class) != 0;
}

/* 0..15, or -1. */
int hex_digit(char byte);

/* How many bytes at the front of `s` are of the class. */
size_t octets_span(struct str s, enum octet_class octet_class);
/* The same for OCTET_VALUE, OCTET_TARGET, OCTET_B64 and OCTET_TOKEN, 16 bytes at a time where the machine can. */
size_t value_span(struct str s);
size_t target_span(struct str s);
size_t b64_span(struct str s);
size_t token_span(struct str s);
