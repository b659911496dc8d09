/* SPDX-License-Identifier: BSD-3-Clause */
#include "scale.h"

#include <stdio.h>
#include <string.h>

bool scale_machine_read(const char *path, scale_machine *machine) {
    json_error_t error;
    const char *comment, *collective;
    json_t *file = json_load_file(path, 0, &error);
    int bad =
        !file ||
        json_unpack_ex(file, &error, JSON_STRICT, "{s:s, s:F, s:F, s:F, s:F, s:F, s:F, s:s}",
                       "comment", &comment, "L_ns", &machine->latency, "o_ns", &machine->overhead,
                       "g_ns", &machine->gap, "G_ns_per_byte", &machine->gap_per_byte, "look_ns",
                       &machine->look, "tick_ns", &machine->tick, "collective", &collective);
    if (bad)
        fprintf(stderr, "%s: line %d: %s\n", path, error.line, error.text);
    else if (!(machine->tree = strcmp(collective, "tree") == 0) &&
             (bad = strcmp(collective, "dissemination") != 0))
        fprintf(stderr, "%s: collective is \"tree\" or \"dissemination\", not \"%s\"\n", path,
                collective);
    json_decref(file);
    return !bad;
}
