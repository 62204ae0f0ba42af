/* SPDX-License-Identifier: MIT */
#pragma once
#include "settings/settings.h"

/* What is wrong with settings, kept until all of them were read, so that one run tells all, in the file's order. */
#define FAULTS_MAX 20
struct fault {
    size_t line, column;
    char text[1024]; /* with its place */
};
struct faults {
    size_t n; /* also those that are not kept */
    struct fault first[FAULTS_MAX];
};

/* By line, then column, then as they came; line 0 (the environment) before all. A text that is there already says nothing new. Of more
 * than FAULTS_MAX those that come last in the file are only counted. */
void faults_add(struct faults *faults, size_t line, size_t column, const char *text);
/* `file` begins the line that says how many were not kept. */
void faults_tell(const struct faults *faults, const char *file, settings_report *report, void *arg);
