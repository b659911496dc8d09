/* SPDX-License-Identifier: BSD-3-Clause */
/* seal FILE: a snapshot that was changed by hand gets the trailer that fits it, with all hashes. */
#include "surgery.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
    struct stat s;
    anatomy a;
    FILE *f = argc == 2 && stat(argv[1], &s) == 0 ? fopen(argv[1], "r+b") : NULL;
    if (!f) {
        fprintf(stderr, "usage: seal FILE\n");
        return 2;
    }
    size_t size = (size_t)s.st_size, sealed = 0;
    unsigned char *bytes = malloc(size);
    if (bytes && fread(bytes, 1, size, f) == size && anatomy_read(bytes, size, &a)) {
        sealed = surgery_trailer(bytes, size, &a);
        anatomy_free(&a);
    }
    rewind(f);
    bool done = sealed == size && fwrite(bytes, 1, size, f) == size;
    done = fclose(f) == 0 && done;
    free(bytes);
    return !done;
}
