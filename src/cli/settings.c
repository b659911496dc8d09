/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "output.h"
#include "table.h"

#include "settings/settings.h"

#include <stdio.h>
#include <stdlib.h>

static const struct argp_option list[] = {CLI_JSON, {0}};

static const struct argp argp = {
    .options = list,
    .parser = cli_parse_asked,
    .args_doc = "[DIR]",
    .doc = "Prints the settings that a job would have if it were started here and now with its "
           "snapshots in DIR, and where each comes from."
           "\v"
           "Settings come from the environment, else from the settings file, else they are what "
           "Wavecut has by default. The settings file is the one that WAVECUT_CONFIG names, else "
           "DIR/wavecut.conf. Its lines are like \"interval = 600\": the names are those of the "
           "environment without WAVECUT_, in small letters. What is wrong is told as the job would "
           "tell it.\n\n"
           "Default for DIR: WAVECUT_DIR, else " CLI_DEFAULT_DIR ".\n\n"
           "Exit status: 0 all is well; 2 a setting is wrong, or wrong usage; 3 there is no such "
           "settings file; 4 reading or writing failed."};

static const char *const sources[] = {[WC_FROM_DEFAULT] = "default",
                                      [WC_FROM_FILE] = "file",
                                      [WC_FROM_ENVIRONMENT] = "environment",
                                      [WC_FROM_CALLER] = "argument"};

static json_t *row_json(const wc_setting *setting, const wc_settings_found *found, size_t i) {
    char variable[WC_SETTING_NAME_BYTES];
    wc_setting_variable(setting, variable);
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:s}", "name", setting->name, "variable", variable,
        "takes", wc_setting_takes(setting), "default", setting->value, "meaning", setting->meaning,
        "only_environment", wc_setting_only_environment(setting), "value",
        cli_json_text(found->texts[i].text), "from", sources[found->texts[i].source]);
    if (found->texts[i].source == WC_FROM_FILE)
        json_object_set_new(row, "line", json_integer(found->texts[i].line));
    return row;
}

static void print_json(const wc_settings_found *found) {
    size_t count;
    const wc_setting *table = wc_settings_table(&count);
    json_t *rows = json_array(), *notes = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, row_json(&table[i], found, i));
    for (size_t i = 0; i < found->notes; i++)
        json_array_append_new(notes, cli_json_text(found->note[i]));
    cli_json_print(json_pack("{s:o, s:o, s:o, s:o}", "directory", cli_json_text(found->values.dir),
                             "file", found->file[0] ? cli_json_text(found->file) : json_null(),
                             "settings", rows, "notes", notes));
}

static void print_table(const wc_settings_found *found) {
    static const cli_column columns[] = {{"setting", false}, {"value", false}, {"from", false}};
    size_t count;
    const wc_setting *table = wc_settings_table(&count);
    cli_table *t = cli_table_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; t && i < count; i++) {
        char variable[WC_SETTING_NAME_BYTES], from[PATH_MAX + 32];
        const char *source = sources[found->texts[i].source];
        wc_setting_variable(&table[i], variable);
        if (found->texts[i].source == WC_FROM_FILE)
            snprintf(from, sizeof from, "%s, line %u", found->file, found->texts[i].line);
        else
            snprintf(from, sizeof from, "%s", source);
        cli_table_add(t, variable);
        cli_table_add(t, found->texts[i].text);
        cli_table_add_styled(t, from, found->texts[i].source ? CLI_PLAIN : CLI_DIM);
    }
    if (t)
        cli_table_print(t, 0);
}

static int run(int argc, char **argv) {
    cli_asked asked = {.most = 1};
    wc_settings_found found;
    wc_error error = {WC_OK, ""};
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    if (wc_settings_read(cli_first(&asked, NULL), wc_conf_parse, &found, &error) != WC_OK) {
        wc_settings_found_free(&found);
        return cli_fail("settings", &error);
    }
    if (asked.json)
        print_json(&found);
    else
        print_table(&found);
    for (size_t i = 0; i < found.notes && !asked.json; i++)
        fprintf(stderr, "wavecut settings: %s\n", found.note[i]);
    wc_settings_found_free(&found);
    return CLI_OK;
}

const cli_command cli_settings = {"settings", "print the settings in force, and where from", &argp,
                                  run};
