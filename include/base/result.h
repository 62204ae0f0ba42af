/* SPDX-License-Identifier: MIT */
#pragma once
/* How functions speak about errors: three voices.
 *
 *   bug      a broken precondition: assert(), on in release too
 *   failure  the machine did not do its part: a negative errno, MUST_USE, passed up with TRY()
 *   verdict  what the world is like (expired, over limit, no route): the module's own enum, switched without default
 */
#define MUST_USE                  __attribute__((warn_unused_result))
#define PRINTF(text_index, first) __attribute__((format(printf, text_index, first)))

/* Out of the way of what every request does: the compiler lays such code apart, and the caches hold more of the rest. */
#define COLD           __attribute__((cold))
#define UNLIKELY(said) __builtin_expect(!!(said), 0)

/* Pass a failure (a negative errno) up to the caller. */
#define TRY(expression) \
    do { \
        int try_result = (expression); \
        if (UNLIKELY(try_result < 0)) \
            return try_result; \
    } while (0)
