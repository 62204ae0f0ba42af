/* SPDX-License-Identifier: MIT */
/* A fleet in virtual time: many gateways share the allowances of many subjects by leases (limit/lease.h), with the very functions that decide in
 * earnest. The shared side loses everything (kill), cannot be reached by half of the gateways (partition: they go on by limit/share.h),
 * and its clock steps. Prints admitted against allowed, questions for each 1,000 requests, and what was lent and died unspent.
 *
 *     fleet [GATEWAYS [SUBJECTS [SECONDS]]]      default: 100 100000 600 */
#include "limit/denial.h"
#include "limit/lease.h"
#include "limit/share.h"

#include <stdio.h>
#include <stdlib.h>

#define WALL_NS    (INT64_C(1700000000) * NS_PER_S)
#define REQUESTS_S 3000
#define PLACES \
    (1 << 20) /* what gateways remember: (gateway, subject), forgetting whoever collides */

static const struct limit_policy policy = {.kind = LIMIT_RATE, .rate = {60 * NS_PER_S, 6000, 1000}};

/* A third of the requests each: subjects at a tenth of their limit, at five times their limit, and those who come now and then. */
enum crowd { BUSY, OVER, RARE, CROWD_COUNT };
#define BUSY_SUBJECTS 100
#define OVER_SUBJECTS 2

struct place {
    size_t gateway, subject;
    struct lease lease;
    struct denial denial;
    union limit_counter seen;
};

struct fleet {
    size_t n_gateways, n_subjects;
    struct lease_shared *shared;
    struct place *places;
    int64_t *admitted, *asked_since; /* of each subject: admitted; when it was first asked for */
    int64_t n_requests[CROWD_COUNT], n_questions[CROWD_COUNT];
    int64_t n_admitted, n_lent, n_stranded, n_alone;
    uint64_t random;
};

static uint64_t draw(struct fleet *f, uint64_t n) { /* xorshift64 */
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random % n;
}

static struct place *place_of(struct fleet *f, size_t gateway, size_t subject) {
    uint64_t hash = (gateway * f->n_subjects + subject) * UINT64_C(0x9e3779b97f4a7c15);
    struct place *place = &f->places[hash >> 44];
    if (place->gateway != gateway || place->subject != subject) {
        f->n_stranded += place->lease.left;
        *place = (struct place){.gateway = gateway, .subject = subject};
    }
    return place;
}

static bool ask(struct fleet *f, struct place *p, const struct limit_charge *charge,
                const struct now *local, const struct now *shared_now) {
    struct lease_shared *shared = &f->shared[p->subject];
    int64_t wanted = lease_wanted(&p->lease, local->mono_ns);
    if (local->mono_ns >= p->lease.dies_ns)
        f->n_stranded += p->lease.left;
    const struct lease_rest rest = lease_end(&p->lease);
    lease_return(shared, charge, &rest, shared_now);
    const struct lease_grant grant = lease_take(shared, charge, wanted, shared_now);
    lease_hold(&p->lease, &grant, wanted, local->mono_ns);
    f->n_lent += grant.lent;
    p->seen = shared->counter;
    if (!grant.state.allowed)
        denial_remember(&p->denial, charge->cost, denial_wait_ns(&policy, grant.state.wait_ns), 0,
                        local->mono_ns);
    return grant.state.allowed;
}

static bool decide(struct fleet *f, struct place *p, bool is_away, const struct now *local,
                   const struct now *shared_now, int64_t *n_questions) {
    const struct limit_charge charge = {.policy = &policy, .cost = 1};
    if (lease_spend(&p->lease, 1, local->mono_ns))
        return true;
    if (is_away) {
        struct share share;
        share_of(&share, &charge, (int64_t)f->n_gateways);
        f->n_alone++;
        return limit_counter_take(&p->seen, &share.charge, local).allowed;
    }
    if (denial_look(&p->denial, 1, 0, local->mono_ns) == DENIAL_STANDS)
        return false;
    ++*n_questions;
    return ask(f, p, &charge, local, shared_now);
}

/* A subject keeps to a few gateways, as connections do. */
static void request(struct fleet *f, bool is_parted, const struct now *local,
                    const struct now *shared_now) {
    enum crowd crowd = (enum crowd)draw(f, CROWD_COUNT);
    size_t subject = crowd == BUSY   ? draw(f, BUSY_SUBJECTS)
                     : crowd == OVER ? BUSY_SUBJECTS + draw(f, OVER_SUBJECTS)
                                     : draw(f, f->n_subjects);
    size_t gateway = (subject * 7 + draw(f, 4)) % f->n_gateways;
    struct place *place = place_of(f, gateway, subject);
    bool is_away = is_parted && gateway % 2 == 0;
    f->n_requests[crowd]++;
    if (f->asked_since[subject] == 0)
        f->asked_since[subject] = local->mono_ns;
    if (decide(f, place, is_away, local, shared_now, &f->n_questions[crowd])) {
        f->admitted[subject]++;
        f->n_admitted++;
    }
}

/* The worst subject: admitted in percent of burst + rate * T. */
static double worst_percent(const struct fleet *f, int64_t end_ns) {
    double worst = 0;
    for (size_t s = 0; s < f->n_subjects; s++) {
        double t = (double)(end_ns - f->asked_since[s]) / (double)policy.rate.period_ns;
        double allowed = (double)policy.rate.burst + (double)policy.rate.count * t;
        double percent = 100.0 * (double)f->admitted[s] / allowed;
        if (f->asked_since[s] && percent > worst)
            worst = percent;
    }
    return worst;
}

static double per_1000(const struct fleet *f, enum crowd crowd) {
    return 1000.0 * (double)f->n_questions[crowd] / (double)f->n_requests[crowd];
}

enum trouble { NONE, KILL, PARTITION, STEP };
static const char *const names[] = {"all is well", "killed, data lost",
                                    "half parted 1/3 of the time", "clock +-5 s each minute"};

static int run(enum trouble trouble, size_t n_gateways, size_t n_subjects, int64_t seconds) {
    struct fleet f = {
        .n_gateways = n_gateways, .n_subjects = n_subjects, .random = 88172645463325252};
    f.shared = calloc(n_subjects, sizeof(*f.shared));
    f.places = calloc(PLACES, sizeof(*f.places));
    f.admitted = calloc(n_subjects, sizeof(*f.admitted));
    f.asked_since = calloc(n_subjects, sizeof(*f.asked_since));
    if (!f.shared || !f.places || !f.admitted || !f.asked_since)
        return EXIT_FAILURE;
    int64_t ns = NS_PER_S, n = seconds * REQUESTS_S;
    for (int64_t i = 0; i < n; i++, ns += NS_PER_S / REQUESTS_S) {
        int64_t step_ns = trouble == STEP ? (ns / (30 * NS_PER_S) % 2) * 5 * NS_PER_S : 0;
        const struct now local = {ns, WALL_NS + ns},
                         shared_now = {ns + step_ns, WALL_NS + ns + step_ns};
        if (trouble == KILL && i == n / 2)
            for (size_t s = 0; s < n_subjects; s++)
                f.shared[s] = (struct lease_shared){0};
        request(&f, trouble == PARTITION && i / (n / 6) % 3 == 1, &local, &shared_now);
    }
    printf("%-28s %9lld %8.1f %% %8.0f %8.0f %8.0f %11.1f %% %11.1f %%\n", names[trouble],
           (long long)f.n_admitted, worst_percent(&f, ns), per_1000(&f, BUSY), per_1000(&f, OVER),
           per_1000(&f, RARE), f.n_lent ? 100.0 * (double)f.n_stranded / (double)f.n_lent : 0.0,
           100.0 * (double)f.n_alone / (double)n);
    free(f.shared);
    free(f.places);
    free(f.admitted);
    free(f.asked_since);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    size_t n_gateways = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
    size_t n_subjects = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000;
    int64_t seconds = argc > 3 ? strtol(argv[3], NULL, 10) : 600;
    if (n_gateways < 1 || n_subjects < BUSY_SUBJECTS + OVER_SUBJECTS || seconds < 6)
        return EXIT_FAILURE;
    printf("%-28s %9s %10s %26s %13s %13s\n%-28s %9s %10s %8s %8s %8s %13s\n", "", "admitted",
           "worst, of", "questions per 1,000", "stranded, of", "decided", "", "", "its limit",
           "at 10 %", "at 500 %", "rare", "what was lent");
    int status = EXIT_SUCCESS;
    for (int trouble = NONE; trouble <= STEP && status == EXIT_SUCCESS; trouble++)
        status = run((enum trouble)trouble, n_gateways, n_subjects, seconds);
    return status;
}
