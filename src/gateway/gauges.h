/* SPDX-License-Identifier: MIT */
#pragma once
struct gateway;

/* Copies what is to be seen of this worker into its metrics, now and every second (gateway->gauge_timer). */
void gauges_start(struct gateway *gateway);
