/* SPDX-License-Identifier: BSD-3-Clause */
/* Everything else that comes from outside; the first byte says what the rest is. */
#include "harness.h"

#include "output.h"
#include "progressread.h"
#include "settings/settings.h"
#include "state/region.h"
#include "store/claim.h"
#include "store/directory.h"
#include "store/fault.h"
#include "store/waits.h"
#include "text.h"
#include "waitread.h"
#include "waittext.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RANKS = 3 };

static void finding(const char *what, const char *text) {
    fprintf(stderr, "%s: %s\n", what, text);
    abort();
}

static void expect_error(wc_status status, const wc_error *error) {
    if (status != WC_OK && (status != error->status || !error->text[0]))
        finding("an error without a reason", error->text);
}

/* A directory for this process, on a file system in memory. */
static const char *directory(void) {
    static char dir[64];
    if (!dir[0]) {
        char waits[80];
        strcpy(dir, "/dev/shm/wavecut-fuzz-XXXXXX");
        if (!mkdtemp(dir))
            finding("no directory", dir);
        snprintf(waits, sizeof waits, "%s/waits", dir);
        mkdir(waits, 0700);
    }
    return dir;
}

static void put_file(const char *name, const char *text, size_t size) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size)
        finding("can't be written", path);
    close(fd);
}

static void finished(const char *text, size_t size) {
    uint64_t run = 0;
    wc_error error = {WC_OK, ""};
    put_file("finished", text, size);
    wc_status status = wc_store_read_finished(directory(), &run, &error);
    expect_error(status, &error);
    if (status == WC_OK && !run)
        finding("a mark without a run", text);
}

static void asked(const char *text, size_t size) {
    put_file("waits/ask", text, size);
    wc_waits_asked(directory());
}

static void told(const char *text, size_t size) {
    progress p;
    wc_error error = {WC_OK, ""};
    put_file("progress.json", text, size);
    wc_status status = progress_read(directory(), &p, &error);
    expect_error(status, &error);
    if (status == WC_OK && (p.reasons < 0 || p.reasons > PROGRESS_REASONS || p.time != p.time))
        finding("progress that makes no sense", text);
}

static void locked(const char *text, size_t size) {
    wc_claim claim;
    wc_error error = {WC_OK, ""};
    put_file("run.lock", text, size);
    expect_error(wc_claim_look(directory(), &claim, &error), &error);
    if (claim.pid)
        finding("an owner without a lock", text);
}

static void read_settings(const char *text) {
    wc_settings_found found;
    wc_error error = {WC_OK, ""};
    wc_status status = wc_settings_read(NULL, wc_conf_parse, &found, &error);
    const wc_settings *got = &found.values;
    expect_error(status, &error);
    if (status == WC_OK && (got->keep < 0 || got->voids < 1 || !(got->timeout_s >= 0) ||
                            (!(got->interval_s >= 0) && got->interval_s != WC_INTERVAL_AUTO) ||
                            !(got->overhead_percent >= 0) || got->staging_mb < 0 || !got->dir[0]))
        finding("a setting that makes no sense", text);
    wc_settings_found_free(&found);
}

/* NAME=VALUE, lines. */
static void settings(char *text) {
    wc_error error = {WC_OK, ""};
    char *rest = text, *line;
    clearenv();
    while ((line = strsep(&rest, "\n"))) {
        char name[64];
        char *value = strchr(line, '=');
        if (!value || value == line)
            continue;
        *value++ = '\0';
        snprintf(name, sizeof name, "WAVECUT_%.40s", line);
        setenv(name, value, 1);
    }
    read_settings(text);
    expect_error(wc_fault_check(&error), &error);
    clearenv();
}

static void settings_file(const char *text, size_t size) {
    clearenv();
    put_file("wavecut.conf", text, size);
    setenv("WAVECUT_DIR", directory(), 1);
    read_settings(text);
    clearenv();
}

static void name(const char *text) {
    uint64_t id;
    bool partial;
    char again[WC_FILE_NAME_BYTES];
    wc_error error = {WC_OK, ""};
    expect_error(wc_region_check_name(text, &error), &error);
    if (wc_file_parse(text, &id, &partial)) {
        wc_file_name(id, partial, again);
        if (strcmp(again, text) != 0)
            finding("two names for one number", text);
    }
}

static void terminal(const char *text) {
    char *escaped = cli_escape(text);
    for (const char *c = escaped; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            finding("not escaped", escaped);
    if (escaped)
        cli_width(escaped);
    free(escaped);
    json_t *value = cli_json_text(text);
    if (!json_is_string(value))
        finding("no JSON of it", text);
    json_decref(value);
}

/* What was printed, which goes to a file in memory; it is emptied. */
static void judge_output(void) {
    static char said[1 << 16];
    ssize_t n;
    fflush(stdout);
    for (off_t at = 0; (n = pread(STDOUT_FILENO, said, sizeof said, at)) > 0; at += n)
        for (ssize_t i = 0; i < n; i++)
            if (((unsigned char)said[i] < ' ' && said[i] != '\n') || said[i] == 0x7f)
                finding("printed as it is", "an answer");
    rewind(stdout);
    if (ftruncate(STDOUT_FILENO, 0) < 0)
        finding("can't be emptied", "standard output");
}

/* Answers of the ranks, twice, each ended by a zero. */
static void answers(const char *text, size_t size) {
    json_t *parsed[2 * RANKS] = {NULL};
    wait_job job;
    wc_error error = {WC_OK, ""};
    for (int i = 0; i < 2 * RANKS && size; i++) {
        size_t length = strnlen(text, size);
        parsed[i] = json_loadb(text, length, 0, NULL);
        length += length < size;
        text += length;
        size -= length;
    }
    wc_status status = wait_understand(RANKS, parsed, parsed + RANKS, &job, &error);
    expect_error(status, &error);
    if (status == WC_OK) {
        wait_report report = wait_report_new(&job);
        wait_report_print(&report);
        judge_output();
        json_t *value = wait_report_json(&report, "directory");
        if (!value)
            finding("no JSON of it", "waits");
        json_decref(value);
        wait_report_free(&report);
        wait_job_free(&job);
    }
    for (int i = 0; i < 2 * RANKS; i++)
        json_decref(parsed[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    static int output = -1;
    if (output < 0) {
        output = memfd_create("output", MFD_CLOEXEC);
        if (dup2(output, STDOUT_FILENO) < 0)
            finding("can't be replaced", "standard output");
    }
    char *text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, --size);
    text[size] = '\0';
    switch (*data) {
    case 'f':
        finished(text, size);
        break;
    case 'a':
        asked(text, size);
        break;
    case 'p':
        told(text, size);
        break;
    case 'l':
        locked(text, size);
        break;
    case 's':
        settings(text);
        break;
    case 'c':
        settings_file(text, size);
        break;
    case 'n':
        name(text);
        break;
    case 't':
        terminal(text);
        break;
    default:
        answers(text, size);
    }
    free(text);
    return 0;
}
