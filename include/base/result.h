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

/* Pass a failure (a negative errno) up to the caller. */
#define TRY(expression) \
    do { \
        int try_result = (expression); \
        if (try_result < 0) \
            return try_result; \
    } while (0)
