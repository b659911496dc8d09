/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_RESTART_ATTEMPT_H
#define TESTS_RESTART_ATTEMPT_H

#include <stdbool.h>

/* Asks for snapshots, all ranks together passing safe points and nothing else, so that the state is the same at each of them,
 * until there is one (true) or one is void with these words; NULL: only the former. */
bool restart_attempt(const char *words);

#endif
