/* SPDX-License-Identifier: BSD-3-Clause */
/* seed DIR: writes the snapshot there with which fuzzing begins. */
#include "small.h"

#include <stdio.h>

int main(int argc, char **argv) {
    wc_error error = {WC_OK, "usage: seed DIR"};
    if (argc == 2 && small_write(argv[1], &error) == WC_OK)
        return 0;
    fprintf(stderr, "%s\n", error.text);
    return 1;
}
