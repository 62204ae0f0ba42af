/* SPDX-License-Identifier: MIT */
/* Reads the command line and hands over. */
#include "cli/cli.h"

int main(int argc, char **argv) { return cli_main(argc, argv); }
