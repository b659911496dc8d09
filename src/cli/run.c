/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "runjob.h"
#include "runlog.h"
#include "runoptions.h"
#include "runstate.h"
#include "text.h"

#include "settings/settings.h"
#include "store/claim.h"
#include "store/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often the clock and the directory are looked at; how long a job may take to end when it is told to; the longest wait
 * before a restart. */
static const double TICK_S = 0.5, GRACE_S = 20, LONGEST_BACKOFF_S = 300;
/* The last snapshot is awaited until so long before the end. */
static const double RESERVE_S = 10;

typedef struct run {
    run_options o;
    char dir[PATH_MAX];
    char restart[PATH_MAX]; /* the setting, for the first start */
    uint64_t above;         /* snapshots up to this number are of an earlier run */
    double end;             /* of the walltime, s since the epoch; 0: none */
    run_job job;
    double teller_before;                 /* the job: run_state_step */
    run_state first, last;                /* before the first start; at the last failure */
    long starts, failures, idle_failures; /* idle: since the newest snapshot */

    int stopped_by;      /* the signal that ends all; 0: none */
    double last_until;   /* the last snapshot is awaited until then; 0: it isn't asked for */
    uint64_t last_above; /* and has a number above this */
    double kill_at;      /* 0: the job has not been told to end */
    bool last_taken;
    run_state seen;  /* of the watched job */
    double moved_at; /* when something was seen of it */
} run;

/* ---- start ---- */

static void say_start(const run *r) {
    char from[200] = "from the beginning";
    if (r->last.id)
        snprintf(from, sizeof from, "from %s (step %llu, %s old)", r->last.file,
                 (unsigned long long)r->last.step, cli_duration(run_now() - r->last.time).text);
    else if (strcmp(r->restart, "auto") != 0 && strcmp(r->restart, "never") != 0)
        snprintf(from, sizeof from, "from %.180s", r->restart);
    run_log("start %ld in %s, %s: %s", r->starts, r->dir, from, r->o.command[0]);
}

/* Afresh, or from a named file, only until there is a snapshot of this run. */
static wc_status start_job(run *r, wc_error *error) {
    setenv("WAVECUT_RESTART", r->last.id ? "auto" : r->restart, true);
    setenv("WAVECUT_DIR", r->dir, true);
    r->starts++;
    r->kill_at = 0;
    r->teller_before = run_state_teller(r->dir);
    r->seen = r->last;
    say_start(r);
    wc_status status = run_job_start(&r->job, r->o.command, error);
    r->moved_at = r->job.started;
    return status;
}

/* ---- while it runs ---- */

static void end_job(run *r, const char *why) {
    if (r->kill_at || !r->job.pid)
        return;
    run_log("%s; the job is told to end", why);
    r->kill_at = run_now() + GRACE_S;
    run_job_signal(&r->job, SIGTERM);
}

static void ask_for_snapshot(const run *r) {
    wc_error error;
    if (wc_store_put_request(r->dir, &error) != WC_OK)
        run_log("no snapshot can be asked for: %s", error.text);
}

static void ask_for_last(run *r, const char *why) {
    if (r->last_until)
        return;
    double now = run_now();
    r->last_until = (r->end ? r->end : now + r->o.margin_s) - fmin(RESERVE_S, r->o.margin_s / 4);
    r->last_above = run_state_newest(r->dir);
    run_log("%s: a last snapshot is asked for and awaited for %s at most, then the job is ended",
            why, cli_duration(r->last_until - now).text);
    ask_for_snapshot(r);
}

static void take_signal(run *r, int signal, bool from_terminal) {
    char why[100];
    snprintf(why, sizeof why, "signal %d (%s)", signal, strsignal(signal));
    switch (signal) {
    case SIGUSR1:
        ask_for_last(r, why);
        return;
    case SIGUSR2:
        run_log("%s: a snapshot is asked for, the job goes on", why);
        ask_for_snapshot(r);
        return;
    default:
        if (!r->stopped_by) /* schedulers send it to all there are */
            run_log("%s: passed on to the job, which is not started again", why);
        r->stopped_by = signal;
        if (!r->kill_at)
            r->kill_at = run_now() + GRACE_S;
        if (!from_terminal)
            run_job_signal(&r->job, signal);
    }
}

static void watch_last(run *r, double now) {
    uint64_t newest = run_state_newest(r->dir);
    if (newest > r->last_above) {
        r->last_taken = true;
        end_job(r, "the last snapshot is there");
    } else if (now >= r->last_until) {
        end_job(r, "no last snapshot in time");
    }
}

/* Does anything happen? */
static void watch_moves(run *r, double now) {
    wc_error error;
    run_state state = r->seen;
    uint64_t finished = 0;
    state.id = run_state_newest(r->dir);
    state.furthest = run_state_step(r->dir, r->teller_before);
    if (state.id != r->seen.id || state.furthest != r->seen.furthest)
        r->moved_at = now;
    r->seen = state;
    if (now - r->moved_at < r->o.patience_s || r->kill_at)
        return;
    wc_store_read_finished(r->dir, &finished, &error);
    char why[100];
    snprintf(why, sizeof why, "%s for %s",
             finished ? "finished, but still there" : "no snapshot and no step",
             cli_duration(r->o.patience_s).text);
    end_job(r, why);
}

static void tick(run *r) {
    double now = run_now();
    if (r->end && now >= r->end - r->o.margin_s && !r->kill_at)
        ask_for_last(r, "the walltime ends");
    if (r->last_until && !r->kill_at)
        watch_last(r, now);
    if (r->o.patience_s > 0)
        watch_moves(r, now);
    if (r->kill_at && now >= r->kill_at) {
        run_log("the job has not ended for %.0f s: killed", GRACE_S);
        run_job_signal(&r->job, SIGKILL);
        r->kill_at = now + GRACE_S;
    }
}

static void watch(run *r) {
    while (!run_job_ended(&r->job)) {
        bool from_terminal;
        int signal = run_job_wait(TICK_S, &from_terminal);
        if (signal && signal != SIGCHLD)
            take_signal(r, signal, from_terminal);
        tick(r);
    }
    run_job_clear();
}

/* ---- after it has ended ---- */

/* Whoever starts the same again goes on from there; but only if this wasn't in vain, or it would go round for ever. */
static int give_up(const run *r, const run_state *now) {
    bool further = now->id != r->first.id && now->step > r->first.step;
    if (now->id)
        run_log("to go on from %s (step %llu), run the same command again%s", now->file,
                (unsigned long long)now->step,
                further ? "" : "; but nothing was gained since it was started the last time");
    else
        run_log("there is no snapshot to go on from");
    return further ? CLI_UNFINISHED : CLI_DAMAGED;
}

/* False: a signal, or the end of the time, has come before. */
static bool wait_before_restart(run *r, double seconds) {
    double until = run_now() + seconds;
    while (run_now() < until && !r->stopped_by && !r->last_until) {
        bool from_terminal;
        int signal = run_job_wait(fmin(TICK_S, fmax(until - run_now(), 0)), &from_terminal);
        if (signal == SIGUSR1)
            r->last_until = until; /* there is nothing to wait for */
        else if (signal && signal != SIGCHLD && signal != SIGUSR2)
            r->stopped_by = signal;
    }
    return !r->stopped_by && !r->last_until;
}

static double backoff(const run *r) {
    double wait = r->o.backoff_s * ldexp(1, (int)fmin((double)r->idle_failures, 30));
    return fmin(wait, fmax(LONGEST_BACKOFF_S, r->o.backoff_s));
}

/* -1: start it again; else the exit code. */
static int judge_failure(run *r, const run_state *now, const char *how) {
    bool newer = now->id > r->last.id, further = run_state_is_beyond(now, &r->last);
    double wait;
    char newest[150] = "no snapshot yet";
    if (now->id)
        snprintf(newest, sizeof newest, "newest snapshot: %s (step %llu, %s old)", now->file,
                 (unsigned long long)now->step, cli_duration(run_now() - now->time).text);
    run_log("the job has failed after %s: %s; %s", cli_duration(run_now() - r->job.started).text,
            how, newest);
    r->failures++;
    r->idle_failures = newer ? 0 : r->idle_failures;
    wait = backoff(r);
    r->idle_failures++;
    bool in_vain = r->failures > 1 && !further;
    uint64_t furthest = r->last.furthest;
    r->last = *now;
    r->last.furthest = now->furthest > furthest ? now->furthest : furthest;
    if (in_vain) {
        run_log("not started again: two failures without a newer snapshot or a further step "
                "between them");
        return give_up(r, now);
    }
    if (r->failures > r->o.restarts) {
        run_log("not started again: %ld failures", r->failures);
        return give_up(r, now);
    }
    if (r->end && run_now() + wait >= r->end - r->o.margin_s) {
        run_log("not started again: the walltime ends in %s",
                cli_duration(r->end - run_now()).text);
        return give_up(r, now);
    }
    run_log("it is started again in %s (restart %ld of %ld)", cli_duration(wait).text, r->failures,
            r->o.restarts);
    if (wait_before_restart(r, wait))
        return -1;
    if (!r->stopped_by)
        return give_up(r, now);
    run_log("signal %d (%s): not started again", r->stopped_by, strsignal(r->stopped_by));
    return 128 + r->stopped_by;
}

static int judge(run *r) {
    wc_error error = {WC_OK, ""};
    uint64_t finished = 0;
    run_state now;
    char how[160];
    run_job_how(&r->job, how, sizeof how);
    if (wc_store_read_finished(r->dir, &finished, &error) != WC_OK ||
        run_state_read(r->dir, r->above, r->teller_before, &now, &error) != WC_OK) {
        run_log("the job has ended (%s), but what became of it can't be read: %s", how, error.text);
        return cli_exit_code(error.status);
    }
    if (finished) {
        run_log("the job has finished, %s after its last start (%s)",
                cli_duration(run_now() - r->job.started).text, how);
        return CLI_OK;
    }
    if (r->stopped_by || r->last_until)
        wc_history_stop(r->dir, &error); /* it was ended, it hasn't failed */
    if (r->stopped_by) {
        run_log("the job was ended by signal %d (%s)", r->stopped_by, strsignal(r->stopped_by));
        return 128 + r->stopped_by;
    }
    if (r->last_until) {
        run_log("the job has ended for lack of time, %s a last snapshot",
                r->last_taken ? "with" : "without");
        return give_up(r, &now);
    }
    if (WIFEXITED(r->job.status) && WEXITSTATUS(r->job.status) == 0)
        snprintf(how, sizeof how, "exit status 0, but wavecut_finalize was not called");
    return judge_failure(r, &now, how);
}

static int run_until_done(run *r) {
    int code = -1;
    while (code < 0) {
        wc_error error = {WC_OK, ""};
        if (start_job(r, &error) != WC_OK) {
            run_log("%s", error.text);
            return cli_exit_code(error.status);
        }
        watch(r);
        code = judge(r);
    }
    return code;
}

/* ---- before ---- */

static void find_end(run *r) {
    const char *slurm = getenv("SLURM_JOB_END_TIME");
    double now = run_now();
    if (r->o.walltime_s > 0)
        r->end = now + r->o.walltime_s;
    else if (slurm)
        r->end = strtod(slurm, NULL);
    if (r->end > 0)
        run_log("the walltime ends in %s, a last snapshot is asked for %s before",
                cli_duration(r->end - now).text, cli_duration(r->o.margin_s).text);
}

/* As the job will read them: what is wrong with them is told at once. */
static wc_status read_settings(run *r, wc_error *error) {
    wc_settings_found found;
    wc_status status = wc_settings_read(r->o.dir, wc_conf_parse, &found, error);
    if (status == WC_OK) {
        memcpy(r->dir, found.values.dir, sizeof r->dir);
        memcpy(r->restart, found.values.restart_file, sizeof r->restart);
    }
    wc_settings_found_free(&found);
    return status;
}

static wc_status open_directory(run *r, wc_error *error) {
    char path[PATH_MAX];
    if (wc_store_prepare_dir(r->dir, error) != WC_OK)
        return error->status;
    if (!realpath(r->dir, path))
        return wc_error_set(error, WC_ERR_IO, "%.400s: %m", r->dir);
    memcpy(r->dir, path, sizeof path);
    return WC_OK;
}

/* -1: the job is to be started; else the exit code. */
static int look_before(run *r, wc_error *error) {
    uint64_t finished = 0;
    r->teller_before = run_state_teller(r->dir);
    bool afresh = strcmp(r->restart, "auto") != 0;
    if (wc_store_read_finished(r->dir, &finished, error) != WC_OK)
        return cli_fail("run", error);
    if (finished && !afresh) {
        run_log("the job in %s has finished before: nothing to do (WAVECUT_RESTART=never starts "
                "afresh, or another directory)",
                r->dir);
        return CLI_OK;
    }
    if (afresh) { /* what was there tells nothing of the run that begins */
        r->above = run_state_newest(r->dir);
        if (finished && wc_store_clear_finished(r->dir, error) != WC_OK)
            return cli_fail("run", error);
    }
    if (run_state_read(r->dir, r->above, r->teller_before, &r->first, error) != WC_OK)
        return cli_fail("run", error);
    r->last = r->first;
    return -1;
}

static int run_claimed(run *r) {
    wc_error error = {WC_OK, ""};
    run_log_open(r->dir);
    int code = look_before(r, &error);
    if (code >= 0)
        return code;
    find_end(r);
    run_job_prepare(&r->job);
    return run_until_done(r);
}

static int refuse(const run *r, const wc_claim *claim) {
    wc_error error;
    if (claim->pid)
        wc_error_set(&error, WC_ERR_IO,
                     "%.200s belongs to a `wavecut run` on host %s, pid %ld, since %s UTC: end "
                     "that, or take another directory",
                     r->dir, claim->host, claim->pid, cli_utc(claim->since).text);
    else
        wc_error_set(&error, WC_ERR_IO, "%.200s belongs to another `wavecut run`", r->dir);
    cli_fail("run", &error);
    return CLI_TAKEN;
}

static int run_command(int argc, char **argv) {
    run r = {.o = run_options_parse(argc, argv)};
    wc_error error = {WC_OK, ""};
    wc_claim claim;
    if (read_settings(&r, &error) != WC_OK || open_directory(&r, &error) != WC_OK ||
        wc_claim_take(r.dir, &claim, &error) != WC_OK)
        return cli_fail("run", &error);
    if (claim.fd < 0)
        return refuse(&r, &claim);
    int code = run_claimed(&r);
    wc_claim_give_back(&claim);
    return code;
}

const cli_command cli_run = {"run", "run a job, again and again, until it has finished", &run_argp,
                             run_command};
