/* SPDX-License-Identifier: BSD-3-Clause */
/* replay DIR...: all files of these directories through the harness, without a fuzzer. Ends with 0 if there was no finding, and
 * not more than 1 GiB of memory was taken (which a sanitizer takes for itself). */
#include "harness.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MOST_BYTES = 1 << 20 };
#ifdef __SANITIZE_ADDRESS__
enum { MOST_MEMORY_KIB = INT_MAX };
#else
enum { MOST_MEMORY_KIB = 1 << 20 };
#endif

/* For LeakSanitizer: an H5Fopen that fails leaves something behind (1.10). */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

static void replay(const char *path) {
    static uint8_t data[MOST_BYTES];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(2);
    }
    size_t size = fread(data, 1, sizeof data, f);
    fclose(f);
    fprintf(stderr, "%s, %zu bytes\n", path, size); /* the last one that is named is the finding */
    uint8_t *own = malloc(size + 1);                /* so that what reads past the end is seen */
    if (!own)
        exit(2);
    memcpy(own, data, size);
    LLVMFuzzerTestOneInput(own, size);
    free(own);
}

static size_t replay_all(const char *dir) {
    struct dirent **entries;
    size_t files = 0;
    int n = scandir(dir, &entries, NULL, alphasort);
    if (n < 0) {
        perror(dir);
        exit(2);
    }
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            replay(path);
            files++;
        }
        free(entries[i]);
    }
    free(entries);
    return files;
}

int main(int argc, char **argv) {
    size_t files = 0;
    for (int i = 1; i < argc; i++)
        files += replay_all(argv[i]);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    fprintf(stderr, "%zu files, %ld MiB of memory at most\n", files, used.ru_maxrss >> 10);
    if (used.ru_maxrss > MOST_MEMORY_KIB)
        return 1;
    return files ? 0 : 2;
}
