/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* One line a request. Never tokens, keys, query strings. */
void access_log_write(const struct exchange *x);
