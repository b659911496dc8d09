/* SPDX-License-Identifier: BSD-3-Clause */
/* What libFuzzer calls, and replay.c: each harness is a program of its own with these two. A finding ends the process. */
#ifndef WC_TESTS_FUZZ_HARNESS_H
#define WC_TESTS_FUZZ_HARNESS_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);

/* libFuzzer's own. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);

#endif
