/* SPDX-License-Identifier: MIT */
#include "crash.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Only what signal-safety(7) lists, and prctl, which is a bare system call. */
static void on_crash(int number) {
    char line[96] = "jotgate: fatal signal ", name[16] = "?";
    size_t n = strlen(line);
    line[n++] = (char)('0' + number / 10);
    line[n++] = (char)('0' + number % 10);
    prctl(PR_GET_NAME, name);
    memcpy(line + n, " in thread ", 11);
    n += 11;
    memcpy(line + n, name, strnlen(name, sizeof(name)));
    n += strnlen(name, sizeof(name));
    line[n++] = '\n';
    (void)!write(STDERR_FILENO, line, n);
    raise(number); /* SA_RESETHAND: it comes when we return, and does what it does by default */
}

void crash_speak(void) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction ours = {.sa_handler = on_crash, .sa_flags = SA_RESETHAND}, before;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(numbers[i], &ours, NULL);
}

void crash_name_thread(const char *name) { prctl(PR_SET_NAME, name); }
