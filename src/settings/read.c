/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

/* Of builds for tests; read by store/fault.c. */
static const char FAULT[] = WC_SETTING_PREFIX "FAULT";

static void __attribute__((format(printf, 2, 3)))
note(wc_settings_found *found, const char *format, ...) {
    if (found->notes == WC_SETTING_NOTES)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(found->note[found->notes++], sizeof *found->note, format, arguments);
    va_end(arguments);
}

static bool keep_text(wc_settings_found *found, size_t i, const char *text,
                      wc_setting_source source, unsigned line) {
    found->texts[i].source = source;
    found->texts[i].line = line;
    return (size_t)snprintf(found->texts[i].text, sizeof found->texts[i].text, "%s", text) <
           sizeof found->texts[i].text;
}

/* ---- environment ---- */

static bool is_variable(const char *entry, size_t length) {
    size_t count;
    const wc_setting *table = wc_settings_table(&count);
    char name[WC_SETTING_NAME_BYTES];
    for (size_t i = 0; i < count; i++) {
        wc_setting_variable(&table[i], name);
        if (strlen(name) == length && strncmp(name, entry, length) == 0)
            return true;
    }
    return strlen(FAULT) == length && strncmp(FAULT, entry, length) == 0;
}

/* A misspelt setting that is passed over would leave a job without checkpoints. What only begins like one may be another
 * program's, or of another version. */
static wc_status check_names(wc_settings_found *found, wc_error *error) {
    for (char **e = environ; e && *e; e++) { /* NULL after clearenv() */
        char name[WC_SETTING_NAME_BYTES], meant[WC_SETTING_NAME_BYTES];
        size_t length = strcspn(*e, "="), count;
        if (strncmp(*e, WC_SETTING_PREFIX, strlen(WC_SETTING_PREFIX)) != 0 ||
            is_variable(*e, length))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)length, *e);
        int near = wc_setting_near(name);
        if (near >= 0) {
            wc_setting_variable(&wc_settings_table(&count)[near], meant);
            return wc_error_set(error, WC_ERR_SETTING, "%s is not a setting: do you mean %s?", name,
                                meant);
        }
        note(found, "%s is not a setting, and is passed over (`wavecut settings` lists them)",
             name);
    }
    return WC_OK;
}

static wc_status take_environment(wc_settings_found *found, wc_error *error) {
    size_t count;
    const wc_setting *table = wc_settings_table(&count);
    for (size_t i = 0; i < count; i++) {
        char name[WC_SETTING_NAME_BYTES];
        wc_setting_variable(&table[i], name);
        const char *text = getenv(name);
        if (text && (!keep_text(found, i, text, WC_FROM_ENVIRONMENT, 0) ||
                     !wc_setting_parse(i, text, &found->values)))
            return wc_error_set(error, WC_ERR_SETTING, "%s=\"%.200s\" is wrong: it takes %s", name,
                                text, wc_setting_takes(&table[i]));
    }
    return check_names(found, error);
}

/* ---- file ---- */

/* What the file's reader says of a name that isn't in the list it was given. */
static void say_unknown(const char *name, char *text, size_t size) {
    size_t count;
    int near = wc_setting_near(name);
    if (near >= 0)
        snprintf(text, size, "there is no setting \"%.60s\": do you mean \"%s\"?", name,
                 wc_settings_table(&count)[near].name);
    else
        snprintf(text, size,
                 "there is no setting \"%.60s\" (`wavecut settings` lists those that there are)",
                 name);
}

static wc_status take_value(wc_settings_found *found, size_t i, const wc_conf_value *value,
                            wc_error *error) {
    size_t count;
    const wc_setting *s = &wc_settings_table(&count)[i];
    char name[WC_SETTING_NAME_BYTES];
    wc_setting_variable(s, name);
    if (wc_setting_only_environment(s))
        return wc_error_set(error, WC_ERR_SETTING,
                            "%.300s, line %u: \"%s\" can't be set in a file: set %s in the "
                            "environment",
                            found->file, value->line, s->name, name);
    if (found->texts[i].source > WC_FROM_FILE)
        return WC_OK;
    if (!keep_text(found, i, value->text, WC_FROM_FILE, value->line) ||
        !wc_setting_parse(i, value->text, &found->values))
        return wc_error_set(error, WC_ERR_SETTING,
                            "%.300s, line %u: %s = \"%.100s\" is wrong: it takes %s", found->file,
                            value->line, s->name, value->text, wc_setting_takes(s));
    return WC_OK;
}

static wc_status take_text(wc_settings_found *found, const char *text, wc_conf_parser *parse,
                           wc_error *error) {
    size_t count;
    const wc_setting *table = wc_settings_table(&count);
    const char **names = calloc(count, sizeof *names);
    wc_conf_value *values = calloc(count, sizeof *values);
    wc_status status = WC_OK;
    if (!names || !values) {
        status = wc_error_set(error, WC_ERR_MEMORY, "no memory for the settings");
    } else {
        for (size_t i = 0; i < count; i++)
            names[i] = table[i].name;
        status = parse(found->file, text, names, count, say_unknown, values, error);
    }
    for (size_t i = 0; i < count && status == WC_OK; i++)
        if (values[i].text)
            status = take_value(found, i, &values[i], error);
    for (size_t i = 0; values && i < count; i++)
        free(values[i].text);
    free(values);
    free(names);
    return status;
}

static wc_status take_file(wc_settings_found *found, wc_conf_parser *parse, wc_error *error) {
    const char *named = getenv(WC_SETTING_PREFIX "CONFIG");
    char *text = NULL;
    bool passed_over = false;
    wc_status status;
    if (named) {
        snprintf(found->file, sizeof found->file, "%s", named);
        status = wc_conf_read(named, &text, error);
    } else {
        snprintf(found->file, sizeof found->file, "%.*s/" WC_CONF_NAME,
                 (int)(sizeof found->file - sizeof "/" WC_CONF_NAME), found->values.dir);
        status = wc_conf_read_in(found->values.dir, &text, &passed_over, error);
    }
    if (passed_over)
        note(found,
             "%.80s is passed over: it belongs to another user, who does not own the directory "
             "either (WAVECUT_CONFIG takes it nevertheless)",
             found->file);
    if (status == WC_OK && text)
        status = take_text(found, text, parse, error);
    if (status == WC_OK && !text)
        found->file[0] = '\0';
    free(text);
    return status;
}

wc_status wc_settings_read(const char *dir, wc_conf_parser *parse, wc_settings_found *found,
                           wc_error *error) {
    size_t count;
    const wc_setting *table = wc_settings_table(&count);
    *found = (wc_settings_found){.texts = calloc(count, sizeof *found->texts)};
    if (!found->texts)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for the settings");
    for (size_t i = 0; i < count; i++) {
        keep_text(found, i, table[i].value, WC_FROM_DEFAULT, 0);
        wc_setting_parse(i, table[i].value, &found->values);
    }
    size_t place = (size_t)wc_setting_find("dir");
    if (take_environment(found, error) != WC_OK)
        return error->status;
    if (dir && (!keep_text(found, place, dir, WC_FROM_CALLER, 0) ||
                !wc_setting_parse(place, dir, &found->values)))
        return wc_error_set(error, WC_ERR_SETTING, "\"%.200s\" is no name of a directory", dir);
    return take_file(found, parse, error);
}

void wc_settings_found_free(wc_settings_found *found) {
    free(found->texts);
    found->texts = NULL;
}
