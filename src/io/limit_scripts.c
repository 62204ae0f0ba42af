/* SPDX-License-Identifier: MIT */
/* The scripts do sums of whole numbers, which Lua's doubles hold exactly up to 2^53: times are
 * microseconds since 1970 (2^51 in 2041), a hundred years of debt on top of them fit; n calls of a
 * lease take n * (call_us + call_parts / count) us, with n up to 10^6 and parts below 10^9. What they
 * do with leases is limit/lease.c's lease_return and lease_take, in this order. */
#include "limit_scripts.h"

#include "base/pen.h"
#include <assert.h>

#define NUMBERS_MAX 16 /* of a key */
_Static_assert(3 + NUMBERS_MAX * (2 + PEN_U64_MAX) <= LIMIT_WORDS_MAX, "all words fit");

/* What `lend` and `settle` know of a key. `words` are numbers, named in the order of their coming. `value` is A:B, and while something is lent
 * A:B:EPOCH:LENT:BEFORE. */
#define READ \
    "local function read(key, words, names)\n" \
    "  local k, i = {}, 1\n" \
    "  for word in string.gmatch(words, '%-?%d+') do\n" \
    "    k[names[i]] = tonumber(word)\n" \
    "    i = i + 1\n" \
    "  end\n" \
    "  local a, b, ledger = string.match(redis.call('GET', key) or '', '^(%d+):(%d+)(.*)$')\n" \
    "  k.a, k.b = tonumber(a or 0), tonumber(b or 0)\n" \
    "  k.ledger = string.match(ledger or '', '^:%d+:%d+:%d+$') or ''\n" \
    "  if names[1] == 'rate' then\n" \
    "    if k.a < now then k.a, k.b = now, 0 end\n" \
    "  elseif k.a * 1000000 <= now then\n" \
    "    k.a, k.b = k.end_s, 0\n" \
    "    if k.a * 1000000 <= now then k.a = k.next_end_s end\n" \
    "  end\n" \
    "  return k\n" \
    "end\n" \
    "local function write(key, is_rate, a, b, ledger, ledger_ms)\n" \
    "  local ttl_ms = is_rate and math.floor((a - now) / 1000) + 2\n" \
    "                 or a * 1000 - math.floor(now / 1000) + 1\n" \
    "  if ledger ~= '' then ttl_ms = math.max(ttl_ms, ledger_ms) end\n" \
    "  redis.call('SET', key, string.format('%.0f:%.0f', a, b) .. ledger, 'PX', " \
    "string.format('%.0f', ttl_ms))\n" \
    "end\n"

/* ARGV[2]: whether to count. Then of each key one of
 *
 *   'r'  shadow, what a call costs, the rate's count, that cost in us and parts (x, y), and what there is room for (z, w)
 *   'q'  shadow, what a call costs, the limit, the ends of this window and of the next (x, y)
 *
 * Answers { now, allowed, and of each key what was found (A - now or A, B) }. Redis runs one script at a time,
 * so its time is everybody's: no tables of names, no closures. What is lent stays. */
static const char take_body[] =
    "local call, match, format, floor = redis.call, string.match, string.format, math.floor\n"
    "local answer, n = {now, 1}, #KEYS\n"
    "local as, bs, ledgers, is_rate, fits = {}, {}, {}, {}, {}\n"
    "for i = 1, n do\n"
    "  local kind, shadow, cost, most, x, y, z, w =\n"
    "      match(ARGV[i + 2], '^(%l) (%d) (%d+) (%d+) (%d+) (%d+) ?(%d*) ?(%-?%d*)$')\n"
    "  local a, b, ledger = match(call('GET', KEYS[i]) or '', '^(%d+):(%d+)(.*)$')\n"
    "  a, b, cost, most = (a or 0) + 0, (b or 0) + 0, cost + 0, most + 0\n"
    "  is_rate[i] = kind == 'r'\n"
    "  if is_rate[i] then\n"
    "    if a < now then a, b = now, 0 end\n"
    "    answer[2 * i + 1], answer[2 * i + 2] = a - now, b\n"
    "    a, b = a + x, b + y\n"
    "    if b >= most then a, b = a + 1, b - most end\n"
    "    z = z + now\n"
    "    fits[i] = cost == 0 or a < z or (a == z and b <= w + 0)\n"
    "  else\n"
    "    if a * 1000000 <= now then\n"
    "      a, b = x + 0, 0\n"
    "      if a * 1000000 <= now then a = y + 0 end\n"
    "    end\n"
    "    answer[2 * i + 1], answer[2 * i + 2] = a, b\n"
    "    b = b + cost\n"
    "    fits[i] = cost == 0 or b <= most\n"
    "  end\n"
    "  if not fits[i] and shadow == '0' then answer[2] = 0 end\n"
    "  fits[i] = fits[i] and cost > 0\n"
    "  as[i], bs[i], ledgers[i] = a, b, ledger or ''\n"
    "end\n"
    "if answer[2] == 0 or ARGV[2] ~= '1' then return answer end\n"
    "for i = 1, n do\n"
    "  if fits[i] then\n"
    "    local ttl_ms = is_rate[i] and floor((as[i] - now) / 1000) + 2 or as[i] * 1000 - floor(now "
    "/ 1000) + 1\n"
    "    local ledger = ledgers[i]\n"
    "    if ledger ~= '' then\n"
    "      if match(ledger, '^:%d+:%d+:%d+$') then ttl_ms = math.max(ttl_ms, 20000) else ledger = "
    "'' end\n"
    "    end\n"
    "    call('SET', KEYS[i], format('%.0f:%.0f%s', as[i], bs[i], ledger), 'PX', format('%.0f', "
    "ttl_ms))\n"
    "  end\n"
    "end\n"
    "return answer\n";

/* The same with leases; each key's words are numbers in the order of `rates` and `quotas`.
 *
 * Answers the same, and after what was found of a key what was lent, in which epoch. */
static const char lend_body[] = READ
    "local rates = {'rate', 'shadow', 'cost', 'wanted', 'share', 'left', 'gone', 'gone_epoch',\n"
    "  'count', 'add_us', 'add_parts', 'room_us', 'room_parts', 'call_us', 'call_parts',\n"
    "  'near_us', 'near_parts'}\n"
    "local quotas = {'quota', 'shadow', 'cost', 'wanted', 'share', 'left', 'gone', 'gone_epoch',\n"
    "  'limit', 'end_s', 'next_end_s', 'near', 'left_end_s'}\n"
    "local found, answer = {}, {now, 1}\n"
    "\n"
    "local function time_of(k, calls)\n"
    "  local parts = calls * k.call_parts\n"
    "  local more = math.floor(parts / k.count)\n"
    "  return calls * k.call_us + more, parts - more * k.count\n"
    "end\n"
    "local function add(k, us, parts)\n"
    "  local a, b = k.a + us, k.b + parts\n"
    "  if b < 0 then return a - 1, b + k.count end\n"
    "  if b >= k.count then return a + 1, b - k.count end\n"
    "  return a, b\n"
    "end\n"
    "\n"
    "local function read_ledger(k)\n"
    "  local epoch, lent, before = string.match(k.ledger, '^:(%d+):(%d+):(%d+)$')\n"
    "  k.epoch, k.lent = tonumber(epoch or 0), tonumber(lent or 0)\n"
    "  k.before = tonumber(before or 0)\n"
    "  local epoch_now = math.floor(now / 10000000)\n"
    "  if epoch_now > k.epoch then\n"
    "    k.before = epoch_now == k.epoch + 1 and k.lent or 0\n"
    "    k.epoch, k.lent = epoch_now, 0\n"
    "  end\n"
    "end\n"
    "local function give_back(k)\n"
    "  local known = 0\n"
    "  if k.gone_epoch == k.epoch then\n"
    "    known = k.lent\n"
    "    k.lent = math.max(0, k.lent - k.gone)\n"
    "  elseif k.gone_epoch + 1 == k.epoch then\n"
    "    known = k.before\n"
    "    k.before = math.max(0, k.before - k.gone)\n"
    "  end\n"
    "  local back = math.min(k.left, known)\n"
    "  if k.rate then\n"
    "    local us, parts = time_of(k, back)\n"
    "    k.a, k.b = add(k, -us, -parts)\n"
    "    if k.a < now then k.a, k.b = now, 0 end\n"
    "  elseif k.left_end_s * 1000000 > now then\n"
    "    k.b = math.max(0, k.b - back)\n"
    "  end\n"
    "end\n"
    "local function fits(k)\n"
    "  if k.cost == 0 then return true end\n"
    "  if not k.rate then return k.b + k.cost <= k.limit end\n"
    "  local a, b = add(k, k.add_us, k.add_parts)\n"
    "  return a - now < k.room_us or (a - now == k.room_us and b <= k.room_parts)\n"
    "end\n"
    "local function lendable(k)\n"
    "  local most = math.min(k.wanted, math.floor((k.share - k.lent - k.before + 1) / 2))\n"
    "  if k.quota then return math.max(0, math.min(most, k.limit - k.near - k.b)) end\n"
    "  local us, parts = now + k.near_us - k.a, k.near_parts - k.b\n"
    "  if parts < 0 then us, parts = us - 1, parts + k.count end\n"
    "  if us < 0 or most <= 0 then return 0 end\n"
    "  local function may(calls)\n"
    "    local u, p = time_of(k, calls)\n"
    "    return u < us or (u == us and p <= parts)\n"
    "  end\n"
    "  if may(most) then return most end\n"
    "  local n = math.min(most, math.floor(us / (k.call_us + k.call_parts / k.count)))\n"
    "  while n > 0 and not may(n) do n = n - 1 end\n"
    "  while n < most and may(n + 1) do n = n + 1 end\n"
    "  return n\n"
    "end\n"
    "\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local words = ARGV[i + 2]\n"
    "  local k = read(key, words, string.sub(words, 1, 1) == 'r' and rates or quotas)\n"
    "  read_ledger(k)\n"
    "  if k.gone > 0 then give_back(k) end\n"
    "  answer[4 * i - 1] = k.rate and k.a - now or k.a\n"
    "  answer[4 * i] = k.b\n"
    "  k.fits = fits(k)\n"
    "  if not k.fits and k.shadow == 0 then answer[2] = 0 end\n"
    "  found[i] = k\n"
    "end\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local k, lent = found[i], 0\n"
    "  local takes = k.fits and answer[2] == 1 and ARGV[2] == '1'\n"
    "  if takes then\n"
    "    if k.rate then k.a, k.b = add(k, k.add_us, k.add_parts) else k.b = k.b + k.cost end\n"
    "    lent = lendable(k)\n"
    "    if k.rate then k.a, k.b = add(k, time_of(k, lent)) else k.b = k.b + lent end\n"
    "    k.lent = k.lent + lent\n"
    "  end\n"
    "  answer[4 * i + 1], answer[4 * i + 2] = lent, k.epoch\n"
    "  if k.gone > 0 or (takes and k.cost + lent > 0) then\n"
    "    local ledger = ''\n"
    "    if k.lent + k.before > 0 then\n"
    "      ledger = string.format(':%.0f:%.0f:%.0f', k.epoch, k.lent, k.before)\n"
    "    end\n"
    "    write(key, k.rate, k.a, k.b, ledger, (k.epoch + 2) * 10000 - math.floor(now / 1000) + 1)\n"
    "  end\n"
    "end\n"
    "return answer\n";

static const char settle_body[] =
    READ "local rates = {'rate', 'sign', 'count', 'add_us', 'add_parts'}\n"
         "local quotas = {'quota', 'change', 'end_s', 'next_end_s', 'taken_end_s'}\n"
         "for i, key in ipairs(KEYS) do\n"
         "  local words = ARGV[i + 2]\n"
         "  local k = read(key, words, string.sub(words, 1, 1) == 'r' and rates or quotas)\n"
         "  local a, b = k.a, k.b\n"
         "  if k.rate then\n"
         "    a, b = a + k.sign * k.add_us, b + k.sign * k.add_parts\n"
         "    if b < 0 then a, b = a - 1, b + k.count end\n"
         "    if b >= k.count then a, b = a + 1, b - k.count end\n"
         "    if a < now then a, b = now, 0 end\n"
         "    a = math.min(a, now + 6311520000000000)\n"
         "  elseif k.change > 0 or k.taken_end_s * 1000000 > now then\n"
         "    b = math.max(0, b + k.change)\n"
         "  end\n"
         "  write(key, k.rate, a, b, k.ledger, 20000)\n"
         "end\n"
         "return 1\n";

int limit_scripts_init(struct limit_scripts *scripts) {
    *scripts = (struct limit_scripts){0};
    TRY(redis_script_init(&scripts->take, take_body));
    TRY(redis_script_init(&scripts->lend, lend_body));
    return redis_script_init(&scripts->settle, settle_body);
}

void limit_scripts_fini(struct limit_scripts *scripts) {
    redis_script_fini(&scripts->take);
    redis_script_fini(&scripts->lend);
    redis_script_fini(&scripts->settle);
}

void telling_begin(struct telling *t, bool counts) {
    t->n_keys = 0;
    t->arguments[0] = counts ? STR("1") : STR("0");
}

static char *pen_i64(char *at, int64_t value) {
    uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;
    return pen_u64(value < 0 ? pen_byte(at, '-') : at, size);
}

static void tell_words(struct telling *t, struct str first, const int64_t *numbers, size_t n) {
    char *words = t->words[t->n_keys], *at = words;
    assert(n <= NUMBERS_MAX);
    at = pen_str(at, first);
    for (size_t i = 0; i < n; i++)
        at = pen_i64(pen_byte(at, ' '), numbers[i]);
    t->arguments[1 + t->n_keys] = (struct str){words, (size_t)(at - words)};
    t->keys[t->n_keys] = str_of(t->names[t->n_keys]);
    t->n_keys++;
}

/* A 0 is what the name of the kind stands for: in Lua it is true. */
static void tell(struct telling *t, enum limit_kind kind, const int64_t *numbers, size_t n) {
    tell_words(t, kind == LIMIT_RATE ? STR("r 0") : STR("q 0"), numbers, n);
}

static int64_t cost_of(const struct limit_charge *charge) {
    return charge->cost < REDIS_COUNTER_MAX / 4 ? charge->cost : REDIS_COUNTER_MAX / 4;
}

/* What a call of a rate takes and what there is room for. */
static void tell_time(const struct bucket_rule *rate, int64_t cost, int64_t out[4]) {
    redis_counter_time(rate, cost, &out[0], &out[1]);
    redis_counter_time(rate, rate->burst, &out[2], &out[3]);
    if (cost > rate->burst) /* never, also where both are as long as can be told */
        out[2] = 0, out[3] = -1;
}

void tell_taking(struct telling *t, const struct limit_charge *charge, int64_t now_us) {
    const struct limit_policy *policy = charge->policy;
    int64_t numbers[7] = {policy->is_shadow, cost_of(charge)};
    if (policy->kind == LIMIT_QUOTA) {
        numbers[2] = policy->quota.limit;
        redis_counter_windows(charge, now_us, &numbers[3]);
        tell_words(t, STR("q"), numbers, 5);
        return;
    }
    numbers[2] = policy->rate.count;
    tell_time(&policy->rate, numbers[1], &numbers[3]);
    tell_words(t, STR("r"), numbers, 7);
}

void tell_lending(struct telling *t, const struct limit_charge *charge,
                  const struct lease_wish *wish, int64_t now_us) {
    const struct limit_policy *policy = charge->policy;
    const struct lease_rest *rest = &wish->rest;
    int64_t cost = cost_of(charge);
    int64_t capacity = limit_capacity(policy), near = capacity * LEASE_NEAR_PERCENT / 100;
    int64_t numbers[NUMBERS_MAX] = {
        policy->is_shadow, cost,       wish->wanted, capacity * LEASE_SHARE_PERCENT / 100,
        rest->left,        rest->lent, rest->epoch,  0};
    int64_t *own = &numbers[7];
    if (policy->kind == LIMIT_QUOTA) {
        own[0] = policy->quota.limit;
        redis_counter_windows(charge, now_us, &own[1]);
        own[3] = near;
        own[4] = rest->end_s;
        tell(t, LIMIT_QUOTA, numbers, 12);
        return;
    }
    own[0] = policy->rate.count;
    tell_time(&policy->rate, cost, &own[1]);
    redis_counter_time(&policy->rate, 1, &own[5], &own[6]);
    redis_counter_time(&policy->rate, capacity - near, &own[7], &own[8]);
    tell(t, LIMIT_RATE, numbers, 16);
}

void tell_return(struct telling *t, enum limit_kind kind, const struct bucket_rule *rate,
                 const struct lease_rest *rest) {
    int64_t numbers[NUMBERS_MAX] = {0, 0, 0, 0, rest->left, rest->lent, rest->epoch, 0};
    int64_t *own = &numbers[7];
    if (kind == LIMIT_RATE) {
        own[0] = rate->count;
        redis_counter_time(rate, 1, &own[5], &own[6]);
    } else {
        own[1] = own[2] = own[4] = rest->end_s;
    }
    tell(t, kind, numbers, kind == LIMIT_RATE ? 16 : 12);
}

void tell_settling(struct telling *t, const struct limit_charge *charge, int64_t change,
                   int64_t taken_end_s, int64_t now_us) {
    int64_t amount = change < 0 ? -change : change;
    int64_t numbers[4] = {0};
    if (charge->policy->kind == LIMIT_RATE) {
        numbers[0] = change < 0 ? -1 : 1;
        numbers[1] = charge->policy->rate.count;
        redis_counter_time(&charge->policy->rate, amount, &numbers[2], &numbers[3]);
    } else {
        numbers[0] = change;
        redis_counter_windows(charge, now_us, &numbers[1]);
        numbers[3] = taken_end_s;
    }
    tell(t, charge->policy->kind, numbers, 4);
}
