/* SPDX-License-Identifier: MIT */
#pragma once
#include "settings/settings.h"

/* Values as the file would say them: what settings_print is made of. */
int put_text(struct buffer *out, struct str s) MUST_USE;  /* quoted where it must be */
int put_secret(struct buffer *out) MUST_USE;              /* "***", whatever its length */
int put_url(struct buffer *out, struct str url) MUST_USE; /* its query masked */
/* Its user and password masked */
int put_login_url(struct buffer *out, struct str url) MUST_USE;
int put_duration(struct buffer *out, int64_t ns) MUST_USE; /* "10m" */
int put_size(struct buffer *out, uint64_t bytes) MUST_USE; /* "64KiB" */
int put_amount(struct buffer *out, const struct limit_policy *policy)
    MUST_USE; /* rate: 600/minute, burst: 200; or quota: 5000/day, timezone: UTC */
int put_list(struct buffer *out, const struct str *list, size_t n) MUST_USE;
int put_networks(struct buffer *out, const struct cidr *list, size_t n) MUST_USE;
int put_claim(struct buffer *out, const struct settings *s, size_t path) MUST_USE; /* its path */
int put_rules(struct buffer *out, const struct settings *s, const struct claim_rule *rules,
              size_t n) MUST_USE;

/* The route table as comments: path, methods, access, upstream, limits, and what else is unusual. */
int print_routes(const struct settings *s, struct buffer *out) MUST_USE;
const char *apikey_mode_name(enum apikey_mode mode);
