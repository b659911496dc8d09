/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf.h"

#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- comments ---- */

/* Behind a string that begins here, quotes and all. */
static char *skip_string(char *c) {
    char quote = *c++;
    while (*c && *c != quote)
        c += c[0] == '\\' && c[1] ? 2 : 1;
    return *c ? c + 1 : c;
}

/* Where a comment ends that begins here; NULL: none does, or it has no end, which the parser is to say. */
static char *end_of_comment(char *c) {
    if (*c == '#' || (c[0] == '/' && c[1] == '/'))
        return c + strcspn(c, "\n");
    char *end = c[0] == '/' && c[1] == '*' ? strstr(c + 2, "*/") : NULL;
    return end ? end + 2 : NULL;
}

/* Blanks in their places: libConfuse 3.3 miscounts the lines of comments, up to two for each. */
static void hide_comments(char *c) {
    while (*c) {
        char *end = end_of_comment(c);
        if (end) {
            for (; c < end; c++)
                *c = *c == '\n' ? '\n' : ' ';
        } else {
            c = *c == '"' || *c == '\'' ? skip_string(c) : c + 1;
        }
    }
}

/* ---- the parser ---- */

/* libConfuse's callbacks have no argument for their user; its lexer has variables of its own, too. */
static struct {
    const char *path, *text;
    const char *const *names;
    size_t count;
    wc_conf_unknown *unknown;
    wc_conf_value *values;
    wc_error *error;
} P;

static int find(const char *name) {
    for (size_t i = 0; i < P.count; i++)
        if (strcmp(P.names[i], name) == 0)
            return (int)i;
    return -1;
}

/* The first word of a line, if it is not a name of the list. */
static bool unknown_name(int line, char name[64]) {
    const char *c = P.text;
    for (; line > 1 && c; line--)
        if ((c = strchr(c, '\n')))
            c++;
    if (!c)
        return false;
    c += strspn(c, " \t\r");
    size_t length = strcspn(c, " \t\r\n=+\"'(){},#");
    snprintf(name, 64, "%.*s", (int)length, c);
    return length > 0 && find(name) < 0;
}

/* The first one is what is wrong. Its text may be in the user's language, so names are looked for in the file. */
static void keep_error(cfg_t *cfg, const char *format, va_list arguments) {
    char text[256], name[64];
    if (P.error->status != WC_OK)
        return;
    vsnprintf(text, sizeof text, format, arguments);
    if (unknown_name(cfg->line, name))
        P.unknown(name, text, sizeof text);
    wc_error_set(P.error, WC_ERR_SETTING, "%.200s, line %d: %s", P.path, cfg->line, text);
}

static int keep_value(cfg_t *cfg, cfg_opt_t *option) {
    int i = find(cfg_opt_name(option));
    const char *text = cfg_opt_getnstr(option, 0);
    if (i < 0 || !text)
        return -1;
    if (P.values[i].text) {
        cfg_error(cfg, "\"%s\" was set in line %u already", P.names[i], P.values[i].line);
        return -1;
    }
    P.values[i] = (wc_conf_value){.text = strdup(text), .line = (unsigned)cfg->line};
    return P.values[i].text ? 0 : -1;
}

static bool parse(void) {
    const cfg_opt_t end = CFG_END();
    cfg_opt_t *options = calloc(P.count + 1, sizeof *options);
    bool done = false;
    if (!options)
        return false;
    for (size_t i = 0; i < P.count; i++) {
        const cfg_opt_t option = CFG_STR(P.names[i], NULL, CFGF_NONE);
        options[i] = option;
    }
    options[P.count] = end;
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    if (cfg) {
        cfg_set_error_function(cfg, keep_error);
        for (size_t i = 0; i < P.count; i++)
            cfg_set_validate_func(cfg, P.names[i], keep_value);
        done = cfg_parse_buf(cfg, P.text) == CFG_SUCCESS;
        cfg_free(cfg);
    }
    free(options);
    return done;
}

wc_status wc_conf_parse(const char *path, const char *text, const char *const *names, size_t count,
                        wc_conf_unknown *unknown, wc_conf_value *values, wc_error *error) {
    wc_error found = {WC_OK, ""};
    char *plain = strdup(text);
    if (!plain)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for the settings in %s", path);
    hide_comments(plain);
    P.path = path;
    P.text = plain;
    P.names = names;
    P.count = count;
    P.unknown = unknown;
    P.values = values;
    P.error = &found;
    bool done = parse();
    free(plain);
    if (done)
        return WC_OK;
    if (found.status == WC_OK)
        wc_error_set(&found, WC_ERR_MEMORY, "no memory for the settings in %s", path);
    return wc_error_set(error, found.status, "%s", found.text);
}
