/* SPDX-License-Identifier: MIT */
#include "faults.h"

#include <stdio.h>
#include <string.h>

static size_t n_kept(const struct faults *faults) {
    return faults->n < FAULTS_MAX ? faults->n : FAULTS_MAX;
}

static bool is_before(const struct fault *fault, size_t line, size_t column) {
    return fault->line != line ? fault->line < line : fault->column <= column;
}

void faults_add(struct faults *faults, size_t line, size_t column, const char *text) {
    size_t kept = n_kept(faults), at = kept;
    for (size_t i = 0; i < kept; i++)
        if (strcmp(faults->first[i].text, text) == 0)
            return;
    while (at > 0 && !is_before(&faults->first[at - 1], line, column))
        at--;
    faults->n++;
    if (at == FAULTS_MAX)
        return;
    size_t behind = (kept < FAULTS_MAX ? kept : FAULTS_MAX - 1) - at;
    struct fault *fault = &faults->first[at];
    memmove(fault + 1, fault, behind * sizeof(*fault));
    fault->line = line;
    fault->column = column;
    snprintf(fault->text, sizeof(fault->text), "%s", text);
}

void faults_tell(const struct faults *faults, const char *file, settings_report *report,
                 void *arg) {
    char more[512];
    if (!report)
        return;
    for (size_t i = 0; i < n_kept(faults); i++)
        report(arg, faults->first[i].text);
    if (faults->n <= FAULTS_MAX)
        return;
    snprintf(more, sizeof(more), "%s: and %zu more", file, faults->n - FAULTS_MAX);
    report(arg, more);
}
