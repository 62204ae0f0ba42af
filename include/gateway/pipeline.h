/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* The story of a request; see src/gateway/pipeline.c. Called when a request has come, and again when what it waited for is there. */
void pipeline_advance(struct exchange *x);
