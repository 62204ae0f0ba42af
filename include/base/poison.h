/* SPDX-License-Identifier: MIT */
#pragma once
/* Memory that is nobody's at the moment, for AddressSanitizer; nothing without it. */
#if defined(__SANITIZE_ADDRESS__)
#define JG_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define JG_HAS_ASAN 1
#endif
#endif

#ifdef JG_HAS_ASAN
#include <sanitizer/asan_interface.h>
#define JG_POISON(at, n)   ASAN_POISON_MEMORY_REGION((at), (n))
#define JG_UNPOISON(at, n) ASAN_UNPOISON_MEMORY_REGION((at), (n))
#else
#define JG_POISON(at, n)   ((void)(at), (void)(n))
#define JG_UNPOISON(at, n) ((void)(at), (void)(n))
#endif
