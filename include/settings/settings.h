/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/access.h"
#include "limit/policy.h"
#include "route/route_table.h"
#include "settings/redis_url.h"

/* What the operator wants, read once, immutable and reference-counted (atomic). Everything in it lives in its own memory and dies with
 * the last reference. Names, defaults and units are interface.md's; config/jotgate.yaml documents each. */

/* http://host:port/base, https://..., or unix:/path. */
struct origin {
    bool is_tls;
    struct str host;        /* name or address without brackets; the path of a unix socket */
    uint16_t port;          /* 0: unix socket */
    struct str host_header; /* "abc.supabase.co", with the port unless it is the scheme's own */
    struct str base_path;   /* of the URL, without a slash at the end; often empty */
};

enum apikey_mode { APIKEY_KEEP, APIKEY_FILL, APIKEY_REPLACE };
enum credential { CREDENTIAL_CALLER, CREDENTIAL_SERVICE, CREDENTIAL_USER };
enum limits_mode { LIMITS_ENFORCE, LIMITS_SHADOW, LIMITS_OFF };
enum limit_for { LIMIT_FOR_ANONYMOUS, LIMIT_FOR_EVERYONE };

/* One entry of `tls`: PEM files, and where the entry stands. */
struct tls_files {
    struct str certificate, key; /* end with a NUL */
    size_t line, column;
};

/* One entry of `limits`. */
struct named_limit {
    struct str name;
    struct limit_policy policy;
    enum limit_for
        applies_to; /* anonymous: callers without a verified subject, and is_anonymous users */
    const struct cidr *except; /* clients that it never meets */
    size_t n_except;
};

/* plans.tiers: tier -> group -> policies. */
struct tier_group {
    struct str name; /* "default", "ai" */
    const struct limit_policy *policies;
    size_t n_policies;
};
struct tier {
    struct str name;
    const struct tier_group *groups;
    size_t n_groups;
};
struct plans {
    bool has_claim;
    size_t claim_path;   /* where the token names its tier */
    bool keyed_by_claim; /* plans.key: claim:PATH; else by subject */
    size_t key_path;
    const struct tier *tiers;
    size_t n_tiers;
    size_t default_tier;
    size_t anonymous_tier; /* SIZE_MAX: none (then only named limits meet anonymous callers) */
};

/* What a subscription's status costs its holder. */
struct payment {
    bool has_claim; /* else no status counts */
    size_t claim_path;
    const struct str *downgrade; /* these get the default tier */
    size_t n_downgrade;
    const struct str *refuse; /* these get 402 */
    size_t n_refuse;
};

/* An entry of a route's `limits`. */
struct route_limit {
    bool is_plan;     /* "plan" or "plan.GROUP" */
    struct str group; /* "default" for "plan" */
    size_t named;     /* index into settings.limits otherwise */
};

struct route {
    struct str label; /* the path as written: metrics' and log's route */
    bool is_builtin;
    bool is_denied; /* answers as if it were not there */
    enum access access;
    const struct claim_rule *require;
    size_t n_require;
    const struct origin *upstream; /* never NULL */
    struct str strip;              /* prefix taken off the raw path before forwarding; or empty */
    uint64_t max_body_bytes;       /* UINT64_MAX: none */
    enum apikey_mode apikey;
    enum credential credential;
    const struct route_limit *limits;
    size_t n_limits;
    int64_t cost;             /* or what is reserved, where the answer tells */
    struct str settle_header; /* names the field that says what a call cost; empty: `cost` is it */
    bool ignores_payment;
    int64_t connect_ns, first_byte_ns, idle_ns;
    const struct token_place *token_from; /* beside Authorization */
    size_t n_token_from;
    bool
        refresh_ceiling; /* grant_type=refresh_token meets settings.refresh_limit instead, answered 503 */
    bool is_supabase; /* forwarded to supabase.url: apikey filled, X-Forwarded-Prefix, ... */
    struct str
        service; /* "rest", "auth", "functions", "storage", "realtime", "graphql" or empty: the shape of errors */
};

/* How the client's address is found. */
enum trust_kind { TRUST_PEER, TRUST_FLY, TRUST_HEADER, TRUST_FORWARDED_FOR };
struct trust {
    enum trust_kind kind;
    struct str header;       /* TRUST_HEADER, lower case */
    const struct cidr *from; /* TRUST_HEADER: peers that may say so; else the peer counts */
    size_t n_from;
    size_t hops; /* TRUST_FORWARDED_FOR: the N-th from the right */
};

/* Where an issuer's keys come from; the issuer_rule of the same index says how tokens are checked. */
struct issuer_source {
    struct str jwks_url, jwks_file, discovery_url; /* one of them, or none (secret only) */
    bool is_auto;
    struct str issuer_text; /* what `issuer` says, for people: "a, b"; empty: auto */
    struct str auto_issuer_url, auto_issuer_default;
    struct str hs256_secret; /* empty: none */
};

struct http_limits {
    uint32_t max_request_line, max_head, max_fields;
    int64_t head_timeout_ns, body_timeout_ns, idle_timeout_ns, write_timeout_ns;
    int64_t request_timeout_ns; /* 0: none */
    uint64_t min_body_rate;     /* bytes a second; 0: any */
    uint32_t max_connections,
        max_connections_per_ip; /* of the process; the first divided among the workers */
    uint32_t max_requests, max_requests_per_ip; /* under way, likewise; 0: no limit */
};

enum redis_mode { REDIS_LEASED, REDIS_EXACT };
enum redis_on_failure { REDIS_SHARE, REDIS_OPEN, REDIS_CLOSED };
struct redis_settings {
    struct str url; /* empty: none */
    struct redis_target target;
    struct str prefix; /* of every key */
    int mode;          /* enum redis_mode */
    int on_failure;    /* enum redis_on_failure */
    int64_t timeout_ns;
    size_t expected_machines;
};

struct settings {
    struct str file;             /* "" when from the environment alone */
    bool is_from_text;           /* by settings_parse: there is nothing that could be read again */
    struct str listen, admin;    /* "[::]:8080", "127.0.0.1:9091"; admin may be empty: none */
    const struct tls_files *tls; /* of the public listener; none: it speaks plain HTTP */
    size_t n_tls;
    size_t n_workers; /* 0: auto */
    int64_t drain_delay_ns, drain_timeout_ns;
    struct http_limits http;
    uint32_t upstream_max_idle, upstream_max_open, upstream_max_queue; /* of each worker */
    int64_t upstream_idle_ns, upstream_queue_ns;
    uint32_t upstream_eject_failures; /* 0: never */
    int64_t upstream_eject_ns;
    struct {
        uint32_t max_per_ip, max_per_subject; /* open at once, of the process; 0: any number */
    } websockets;
    bool close_streams_at_expiry; /* event streams and WebSockets of a token */
    size_t token_cache_entries;
    size_t token_cache_bytes;
    size_t api_key_entries; /* remembered by each worker */
    int64_t api_key_max_stale_ns;
    uint32_t check_share; /* percent: of a worker's time, for tokens that are not in the cache */
    size_t check_queue;
    size_t limit_buckets;
    struct {
        size_t most;    /* denials that stand at once */
        int64_t keep_s; /* how long one stands that does not say; no token lives longer */
    } deny_list;
    size_t most_records;       /* of subjects, in memory */
    int log_level, log_format; /* enum log_level, enum log_format */

    struct str supabase_url, supabase_region;
    struct origin supabase;
    enum apikey_mode apikey_default;
    struct project_keys project;
    struct str signing_key; /* for `credential: user`: signer_new_for takes it; empty: none */

    struct claim_paths claim_paths;
    struct token_rules tokens;           /* issuers */
    const struct issuer_source *sources; /* tokens.n_issuers of them */
    int64_t jwks_refresh_s, jwks_max_stale_s, jwks_cooldown_s, jwks_timeout_ms;
    struct access_rules access;

    enum limits_mode limits_mode;
    const struct zone *zones; /* that quotas name, by `next` */
    struct plans plans;
    struct payment payment;
    const struct named_limit *limits;
    size_t n_limits;
    struct limit_policy
        auth_failures; /* tokens that were checked and bad, per ip; default 600/minute, burst 300 */
    struct named_limit refresh_limit; /* default 1800/minute, burst 600, per ip, for everyone */
    const struct limit_policy *const *
        policies; /* every policy of plans, limits and the refresh limit; policies[i]->index == i */
    size_t n_policies;

    struct redis_settings redis;
    struct trust trust;
    struct str admin_token;         /* JOTGATE_ADMIN_TOKEN; empty: no writes */
    const struct str *cors_origins; /* exact; "*" alone: all */
    size_t n_cors_origins;
    bool cors_allows_all;

    const struct route *routes; /* n of them, same index as paths */
    const struct route_path *paths;
    size_t n_routes;
    struct route_table *table;
};

/* Reads `file` (NULL: environment alone). Every error and finding goes to `report` as one line "file:line:column: message" or
 * "env:NAME: message" (constant memory for the call only), errors in the file's order, the environment's before them: all that are no mere
 * consequences of others, but at most 20, and then a line that says how many more there are. *out has one reference. Blocks, for seconds where a file is a pipe that nobody
 * writes (base/file.h). -EINVAL: errors were reported; -ENOMEM. */
typedef void settings_report(void *arg, const char *line);
int settings_load(struct settings **out, const char *file, settings_report *report,
                  void *arg) MUST_USE;
/* The same from a text that is called `name` in messages (the demo's own settings, tests). */
int settings_parse(struct settings **out, struct str text, const char *name,
                   settings_report *report, void *arg) MUST_USE;
/* Has `text` the form of a listening address: ADDRESS:PORT, [ADDRESS]:PORT, :PORT or unix:/path? */
bool settings_address_is_good(struct str text);
struct settings *settings_ref(struct settings *settings);
void settings_unref(struct settings *settings); /* takes NULL; wipes secrets */

/* Things that are allowed but are probably not meant: unreachable routes, a user route without limits, ... Returns how many. */
size_t settings_lint(const struct settings *settings, settings_report *report, void *arg);
/* The effective settings as YAML with secrets masked, and the route table as comments. */
int settings_print(const struct settings *settings, struct buffer *out) MUST_USE;
