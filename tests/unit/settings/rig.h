/* SPDX-License-Identifier: MIT */
#pragma once
#include "settings/settings.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Settings from a text, in an environment where nothing of ours is set; what was reported, line by line. */
struct rig {
    struct settings *settings;
    char said[16384];
    size_t n_lines;
};

static struct rig rig;

static void rig_report(void *arg, const char *line) {
    struct rig *r = arg;
    size_t used = strlen(r->said);
    ck_assert_uint_lt(used + strlen(line) + 2, sizeof(r->said));
    snprintf(r->said + used, sizeof(r->said) - used, "%s\n", line);
    r->n_lines++;
}

static void rig_forget(void) {
    settings_unref(rig.settings);
    rig = (struct rig){0};
}

static void rig_setup(void) {
    static const char *const names[] = {
        "SUPABASE_URL",
        "SUPABASE_JWT_ISSUER",
        "SUPABASE_JWT_SECRET",
        "SUPABASE_PUBLISHABLE_KEY",
        "SUPABASE_ANON_KEY",
        "SUPABASE_SECRET_KEY",
        "SUPABASE_SERVICE_ROLE_KEY",
        "SUPABASE_SIGNING_KEY",
        "SUPABASE_REGION",
        "LIMIT_PER_USER",
        "LIMIT_PER_IP",
        "LIMITS",
        "REDIS_URL",
        "JOTGATE_ADMIN_TOKEN",
        "PORT",
        "FLY_APP_NAME",
        "FLY_REGION",
        "FLY_MACHINE_ID",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char file[64];
        snprintf(file, sizeof(file), "%s_FILE", names[i]);
        unsetenv(names[i]);
        unsetenv(file);
    }
    rig_forget();
}

static void rig_teardown(void) { rig_forget(); }

/* What the environment alone says. */
__attribute__((unused)) static int rig_environment(void) {
    rig_forget();
    return settings_load(&rig.settings, NULL, rig_report, &rig);
}

/* What a file named "f.yaml" says; without a project. */
__attribute__((unused)) static int rig_read(const char *text) {
    rig_forget();
    return settings_parse(&rig.settings, str_of(text), "f.yaml", rig_report, &rig);
}

/* The same with a project in line 1; the text begins in line 2. */
__attribute__((unused)) static int rig_read_project(const char *text) {
    char whole[8192];
    int n =
        snprintf(whole, sizeof(whole), "supabase: { url: \"https://abc.supabase.co\" }\n%s", text);
    ck_assert_int_lt(n, (int)sizeof(whole));
    return rig_read(whole);
}

/* Settings that must be good. */
__attribute__((unused)) static const struct settings *good(const char *text) {
    int failure = rig_read_project(text);
    ck_assert_msg(failure == 0, "%s\n%s", text, rig.said);
    ck_assert_ptr_nonnull(rig.settings);
    return rig.settings;
}

/* Settings that must be refused, with a line that begins so and has these words. */
__attribute__((unused)) static void check_said(const char *text, const char *place,
                                               const char *words) {
    const char *line = rig.said;
    while (line && *line && strncmp(line, place, strlen(place)) != 0)
        line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
    ck_assert_msg(line && *line, "%s\nshould say '%s...', said:\n%s", text, place, rig.said);
    const char *end = strchr(line, '\n');
    const char *found = strstr(line, words);
    ck_assert_msg(found && found < end, "%s\nshould say '%s... %s', said:\n%s", text, place, words,
                  rig.said);
}

__attribute__((unused)) static void refused(const char *text, const char *place,
                                            const char *words) {
    int failure = rig_read_project(text);
    ck_assert_msg(failure == -EINVAL, "taken: %s", text);
    ck_assert_ptr_null(rig.settings);
    check_said(text, place, words);
}

__attribute__((unused)) static bool is(struct str s, const char *text) {
    return str_eq(s, str_of(text));
}
