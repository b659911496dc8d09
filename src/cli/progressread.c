/* SPDX-License-Identifier: BSD-3-Clause */
#include "progressread.h"

#include "store/progress.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What is missing, or of another kind, is 0 and "". */
static double number(const json_t *o, const char *name) {
    double value = json_number_value(json_object_get(o, name));
    return isfinite(value) && fabs(value) < 1e15 ? value : 0;
}

static uint64_t count(const json_t *o, const char *name) {
    json_int_t value = json_integer_value(json_object_get(o, name));
    return value > 0 ? (uint64_t)value : 0;
}

static void text(const json_t *o, const char *name, char *to, size_t size) {
    const char *value = json_string_value(json_object_get(o, name));
    snprintf(to, size, "%s", value ? value : "");
}

static void understand_attempt(const json_t *o, progress *p) {
    p->attempt = json_is_object(o);
    text(o, "phase", p->phase, sizeof p->phase);
    p->phase_s = number(o, "seconds");
    p->write_s = number(o, "write_seconds");
    p->bytes = count(o, "bytes");
    p->written = count(o, "written");
}

static void understand_reasons(const json_t *list, progress *p) {
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < PROGRESS_REASONS; i++) {
        const json_t *o = json_array_get(list, i);
        p->given_up[i].seconds_ago = number(o, "seconds_ago");
        text(o, "reason", p->given_up[i].text, sizeof p->given_up[i].text);
        p->reasons++;
    }
}

static void understand(const json_t *o, progress *p) {
    char run[20];
    *p = (progress){0};
    text(o, "state", p->state, sizeof p->state);
    text(o, "host", p->host, sizeof p->host);
    text(o, "run", run, sizeof run);
    p->run_id = strtoull(run, NULL, 16);
    p->pid = (long)count(o, "pid");
    p->ranks = (int)count(o, "ranks");
    p->started = number(o, "started");
    p->time = number(o, "time");
    p->heard = number(o, "heard");
    p->step = count(o, "step");
    p->first_step = count(o, "first_step");
    p->restarted_from = count(o, "restarted_from");
    p->next = number(o, "next");
    p->interval_s = number(o, "interval_seconds");
    text(o, "interval_reason", p->interval_reason, sizeof p->interval_reason);
    understand_attempt(json_object_get(o, "attempt"), p);
    p->last_snapshot = count(o, "last_snapshot");
    p->last_time = number(o, "last_time");
    p->commit_s = number(o, "commit_seconds");
    p->stall_s = number(o, "stall_seconds");
    p->committed = count(o, "committed");
    p->voided = count(o, "voided");
    p->failed = count(o, "failed");
    understand_reasons(json_object_get(o, "given_up"), p);
}

wc_status progress_understand(const char *told, progress *p, wc_error *error) {
    json_error_t where;
    json_t *o = json_loads(told, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(o) || json_integer_value(json_object_get(o, "progress")) != 1) {
        json_decref(o);
        return wc_error_set(error, WC_ERR_DAMAGED,
                            "what the job tells of itself (progress.json) makes no sense%s%.200s",
                            o ? "" : ": ", o ? "" : where.text);
    }
    understand(o, p);
    json_decref(o);
    return WC_OK;
}

wc_status progress_read(const char *dir, progress *p, wc_error *error) {
    char *told;
    wc_status status = wc_progress_get(dir, &told, error);
    if (status != WC_OK)
        return status;
    status = progress_understand(told, p, error);
    free(told);
    return status;
}
