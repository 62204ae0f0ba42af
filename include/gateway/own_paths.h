/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* /_jotgate/ on the public listener: reserved in every spelling, never forwarded. */
bool own_paths_match(const struct exchange *x);
/* The access that the path asks for. */
enum access own_paths_access(const struct exchange *x);
/* Answers: health, usage, or a problem. The caller has been told apart already. */
bool own_paths_answer(struct exchange *x) MUST_USE;
