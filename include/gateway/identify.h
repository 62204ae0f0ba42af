/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Tells the caller apart as `access` asks: x->credentials, x->caller. May be called again when new keys have come. */
void identify_caller(struct exchange *x, enum access access);
