/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "output.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

static const struct argp_option list[] = {CLI_JSON, {0}};

static const struct argp argp = {
    .options = list,
    .parser = cli_parse_asked,
    .args_doc = "[DIR]",
    .doc = "Asks the run whose snapshots are in DIR for another one."
           "\v"
           "The run takes it as soon as it can; this command doesn't wait. The request is a file "
           "in DIR, so it works from any machine that sees DIR. Default: WAVECUT_DIR, "
           "else " CLI_DEFAULT_DIR ".\n\n" CLI_EXIT_CODES};

static int run(int argc, char **argv) {
    cli_asked asked = {.most = 1};
    wc_error error = {WC_OK, ""};
    uint64_t finished = 0;
    argp_parse(&argp, argc, argv, 0, NULL, &asked);
    const char *where = cli_first(&asked, cli_default_dir());
    if (wc_store_read_finished(where, &finished, &error) != WC_OK)
        return cli_fail("request", &error);
    if (finished) {
        wc_error_set(&error, WC_ERR_NOT_FOUND, "the run in %.400s has finished", where);
        return cli_fail("request", &error);
    }
    if (wc_store_put_request(where, &error) != WC_OK)
        return cli_fail("request", &error);
    char *dir = cli_escape(where);
    if (asked.json)
        cli_json_print(json_pack("{s:o, s:b}", "directory", cli_json_text(where), "requested", 1));
    else
        printf("asked for a snapshot in %s\n", dir ? dir : "?");
    free(dir);
    return CLI_OK;
}

const cli_command cli_request = {"request", "ask the run in DIR for a snapshot", &argp, run};
