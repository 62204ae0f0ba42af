/* SPDX-License-Identifier: MIT */
#pragma once

/* A thread that dies takes the process down (a fatal signal does): this makes it say so, in one line on stderr with the thread's
 * name, before the signal takes its course (core file, exit by signal). Handlers that somebody else has set (sanitizers) stay. */
void crash_speak(void);
/* Names the calling thread, for that line and for `top -H`; at most 15 bytes count. */
void crash_name_thread(const char *name);
