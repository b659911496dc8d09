/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The settings file: lines "name = value", in the format of libConfuse. Who may have written it is
 * decided here, what may stand in it by its reader (settings/).
 */
#ifndef WC_STORE_CONF_H
#define WC_STORE_CONF_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>

#define WC_CONF_NAME "wavecut.conf"

typedef struct wc_conf_value {
    char *text; /* malloc'd; NULL: not in the file */
    unsigned line;
} wc_conf_value;

/* Writes what is to be said of a name that isn't in the list into text[size]. */
typedef void wc_conf_unknown(const char *name, char *text, size_t size);

/*
 * Finds the values of names[count] in `text`, which is a whole file. Not for several threads at once.
 *   path    in   what it is called in errors
 *   values  out  [count] zeroed by the caller, and his to free, also after an error
 * Errors: SETTING, with path and line; MEMORY. Needs libConfuse: it is in the module, see module.h.
 */
typedef wc_status wc_conf_parser(const char *path, const char *text, const char *const *names,
                                 size_t count, wc_conf_unknown *unknown, wc_conf_value *values,
                                 wc_error *error);
wc_conf_parser wc_conf_parse;

/* The text of the file at `path`, which the user has named. malloc'd. Errors: NOT_FOUND, IO, SETTING, MEMORY. */
wc_status wc_conf_read(const char *path, char **text, wc_error *error);

/*
 * The same for DIR/wavecut.conf, which counts only if it belongs to this user or to the directory's
 * owner, as a request does.
 *   text         out  malloc'd; NULL: there is none (or no directory), or it doesn't count
 *   passed_over  out  true: it doesn't count
 */
wc_status wc_conf_read_in(const char *dir, char **text, bool *passed_over, wc_error *error);

#endif
