/* SPDX-License-Identifier: BSD-3-Clause */
/* Elements of a snapshot's types: for people, for JSON, for numpy, and how far two of them are apart. */
#ifndef WC_CLI_ELEMENT_H
#define WC_CLI_ELEMENT_H

#include "output.h"
#include "store/type.h"

#include <stdio.h>

/* False: there is no type of this name, or none of one value. */
bool cli_type_named(const char *name, wc_type *type);

void cli_element_print(FILE *to, wc_type type, const void *element);
json_t *cli_json_large(uint64_t n); /* as a real where integers end */
json_t *cli_element_json(wc_type type, const void *element);

/* numpy's name of the type, as it stands in the head of a .npy file. */
const char *cli_element_numpy(wc_type type);

/* How two rows of elements of one type differ; begin with {0}. */
typedef struct cli_difference {
    uint64_t elements;
    uint64_t changed;    /* in whose bytes they differ */
    uint64_t not_finite; /* of these: with a difference that is no finite number */
    long double largest; /* |a - b|, of the finite ones */
    uint64_t largest_at; /* which element, from 0; of the first one */
    double relative;     /* the largest |a - b| / max(|a|, |b|) */
} cli_difference;

/* Does a difference have a size? Not that of bool, bytes and requests. */
bool cli_type_is_number(wc_type type);
bool cli_type_is_integer(wc_type type);

void cli_difference_add(cli_difference *d, wc_type type, const void *a, const void *b,
                        size_t count);

#endif
