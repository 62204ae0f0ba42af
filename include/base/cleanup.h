/* SPDX-License-Identifier: MIT */
#pragma once
#include <stdlib.h>
#include <unistd.h>

/* Scope is a lifetime: CLEANUP(x_freep) calls x_freep(&variable) when the variable goes out of scope. */
#define CLEANUP(function) __attribute__((cleanup(function)))

/* Define x_freep(struct x **) for CLEANUP from x_free(struct x *), which takes NULL. */
#define CLEANUP_FUNCTION(type, free_function) \
    __attribute__((unused)) static inline void free_function##p( \
        type **pointer) { /* NOLINT(bugprone-macro-parentheses): a type */ \
        free_function(*pointer); \
    }

__attribute__((unused)) static inline void cleanup_free(void *pointer) { free(*(void **)pointer); }

__attribute__((unused)) static inline void cleanup_close(int *fd) {
    if (*fd >= 0)
        close(*fd);
}
