/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The collective clock: where immediate programs record, so that all members of each communicator
 * have completed the same collectives. Y. Xu and G. Cooperman, Enabling Practical Transparent
 * Checkpointing for MPI: A Topological Sort Approach, CLUSTER 2024, with one difference: nobody is
 * kept from going on, so targets lie in the future.
 *
 * Each communicator has a target. Its members tell their counts up a tree; the first one adds what
 * comes to pass until everybody knows, and tells the target down. A rank records at its first safe
 * point where each of its communicators has come to its target. Who will pass the target of one
 * on the way to another's raises it, and tells: ahead of time, if the program goes in circles.
 * Nothing depends on it but how often an attempt succeeds: A compares the counts of the records.
 */
#include "internal.h"

enum {
    FURTHEST = 4096, /* collectives that are looked ahead */
    ENOUGH = 4       /* to tell how often there are some */
};

static const double RARE = 1. / 128; /* collectives in the time in which a target becomes known */

static uint64_t count_of(const wc_comm *c) {
    return c->collectives + c->freed;
}

/* Those that may come again and again: not those that make communicators. */
static uint64_t regular_of(const wc_comm *c) {
    return c->collectives - c->creations;
}

static bool takes_part(const wc_comm *c) {
    return wc_comm_members(c) > 1 && !c->outside;
}

/* Is its target one for this rank? */
static bool counts_here(const wc_comm *c) {
    return takes_part(c) && !c->freed;
}

/* ---- the tree of a communicator ---- */

static int first_child(const wc_comm *c) {
    return wc_tree_first_child(wc_comm_member(c), wc_comm_members(c));
}

static int end_of_children(const wc_comm *c) {
    return wc_tree_end_of_children(wc_comm_member(c), wc_comm_members(c));
}

static void tell(wc_core *core, const wc_comm *c, int member, bool target, uint64_t value) {
    core->port.tell_clock(core->port.context, c, member, c->clock.attempt, target, value);
}

/* How long it takes until a target is known: as last time, or longer. */
static int64_t way_of(const wc_core *core, const wc_comm *c) {
    int64_t way = core->now - c->clock.begun_at, usual = core->clock_way - core->clock_way / 8;
    return way > usual ? way : usual;
}

static void set_target(wc_core *core, wc_comm *c, uint64_t value, int except) {
    if (!c->clock.known)
        core->clock_way = way_of(core, c);
    c->clock.known = true;
    c->clock.target = value;
    core->clock_changed = true;
    int parent = wc_tree_parent(wc_comm_member(c));
    if (parent >= 0 && parent != except)
        tell(core, c, parent, true, value);
    for (int child = first_child(c); child < end_of_children(c); child++)
        if (child != except)
            tell(core, c, child, true, value);
}

/* ---- what is to come ---- */

static size_t recent_of(const wc_core *core, size_t ago) {
    return (core->events - 1 - ago) % WC_RECENT;
}

/* After how many collectives the program did the same again, three times if there are so many; 0: not. */
static size_t period_of(const wc_core *core) {
    size_t n = core->events < WC_RECENT ? (size_t)core->events : WC_RECENT;
    for (size_t p = 1; p <= n / 2; p++) {
        size_t end = 3 * p < n ? 3 * p : n, i = 0;
        while (i + p < end && core->recent[recent_of(core, i)].comm &&
               core->recent[recent_of(core, i)].comm == core->recent[recent_of(core, i + p)].comm)
            i++;
        if (i + p == end)
            return p;
    }
    return 0;
}

static bool is_missing(const wc_comm *c) {
    return counts_here(c) && count_of(c) < c->clock.target;
}

static size_t missing(const wc_core *core) {
    size_t n = 0;
    for (const wc_comm *c = core->comms; c; c = c->next)
        n += is_missing(c);
    return n;
}

/* Goes on as the program went last time, to the first safe point where no target is missing. */
static bool look_ahead(wc_core *core) {
    size_t lacking = missing(core), period = lacking ? period_of(core) : 0;
    if (!period)
        return false;
    for (wc_comm *c = core->comms; c; c = c->next)
        c->clock.ahead = 0;
    bool safe = false;
    for (size_t k = 0; k < FURTHEST && (lacking || !safe); k++) {
        size_t at = recent_of(core, period - 1 - k % period);
        wc_comm *c = core->recent[at].comm;
        lacking -= counts_here(c) && count_of(c) + ++c->clock.ahead == c->clock.target;
        safe = core->recent[at].safe;
    }
    return !lacking && safe;
}

/* ---- in an attempt ---- */

static void begin(wc_core *core, wc_comm *c, uint64_t attempt) {
    if (c->clock.attempt >= attempt)
        return;
    bool many = regular_of(c) - c->clock.begun >= ENOUGH;
    c->clock = (wc_clock){.attempt = attempt,
                          .begun = regular_of(c),
                          .begun_at = core->now,
                          .before = many ? c->clock.begun : c->clock.before,
                          .before_at = many ? c->clock.begun_at : c->clock.before_at};
    if (core->clock_attempt < attempt)
        core->clock_attempt = attempt;
}

/* Collectives that will come to pass while a target goes down the tree, and while it is raised: as
 * many as while the counts came up, twice, or what was usual since the last attempt. Where they are
 * rare nobody waits for one. */
static double expected(const wc_core *core, const wc_comm *c) {
    double way = (double)way_of(core, c);
    double since = (double)(core->now - c->clock.before_at);
    double number = (double)(regular_of(c) - c->clock.before); /* few say nothing */
    double usual = number >= ENOUGH ? number * way / (since > way ? since : way + 1) : 0;
    double lately = (double)(regular_of(c) - c->clock.begun);
    return usual > lately ? usual : lately;
}

/* Where all ranks meet often enough, they record after they have met: no message from behind one
 * record can be needed before another one then. */
static const wc_comm *meeting_of_all(const wc_core *core) {
    const wc_comm *c = core->comms;
    while (c && !(counts_here(c) && wc_comm_members(c) == core->config.ranks &&
                  expected(core, c) > RARE))
        c = c->next;
    return c;
}

static uint64_t to_come(const wc_core *core, const wc_comm *c) {
    const wc_comm *all = meeting_of_all(core);
    double n = all && all != c ? 0 : expected(core, c);
    return n > RARE ? (uint64_t)(2 * n) + 2 : 0;
}

static void tell_count(wc_core *core, wc_comm *c) {
    if (c->clock.told || c->clock.children < end_of_children(c) - first_child(c))
        return;
    c->clock.told = true;
    uint64_t count = count_of(c), most = c->clock.most > count ? c->clock.most : count;
    if (wc_comm_member(c) == 0)
        set_target(core, c, most + to_come(core, c), -1);
    else
        tell(core, c, wc_tree_parent(wc_comm_member(c)), false, most);
}

static void raise_targets(wc_core *core) {
    bool foreseen = core->clock_changed && look_ahead(core);
    core->clock_changed = false;
    for (wc_comm *c = core->comms; c; c = c->next) {
        uint64_t count = count_of(c) + (foreseen ? c->clock.ahead : 0);
        if (counts_here(c) && count > c->clock.target)
            set_target(core, c, count, -1);
    }
}

static bool all_known(const wc_core *core) {
    for (const wc_comm *c = core->comms; c; c = c->next)
        if (counts_here(c) && !(c->clock.attempt == core->attempt && c->clock.known))
            return false;
    return true;
}

void wc_clock_progress(wc_core *core) {
    if (!core->clock_needed && core->clock_attempt < core->attempt)
        return;
    for (wc_comm *c = core->comms; c; c = c->next) {
        if (!takes_part(c))
            continue;
        begin(core, c, core->attempt);
        if (c->clock.attempt == core->attempt) /* else this one is over elsewhere */
            tell_count(core, c);
    }
    if (core->state <= WC_STATE_AGREED && all_known(core))
        raise_targets(core);
}

/* Collectives that were expected don't come. */
bool wc_clock_has_stopped(wc_core *core) {
    int64_t limit = 1000000 + 2 * (int64_t)(core->clock_way / RARE),
            most = core->config.timeout_ns / 16;
    bool stopped = false;
    limit = limit < most ? limit : most;
    for (wc_comm *c = core->comms; c; c = c->next) {
        if (c->clock.seen != count_of(c)) {
            c->clock.seen = count_of(c);
            c->clock.moved_at = core->now;
        }
        stopped = stopped || (is_missing(c) && core->now - c->clock.moved_at > limit &&
                              core->now - core->entered_at > limit);
    }
    return stopped;
}

void wc_clock_begin(wc_core *core) {
    core->events_before = core->events;
    for (wc_comm *c = core->comms; c; c = c->next)
        c->clock = (wc_clock){.begun = regular_of(c),
                              .begun_at = core->now,
                              .before = regular_of(c),
                              .before_at = core->now};
}

bool wc_clock_has_come(const wc_core *core) {
    return !core->clock_needed || (all_known(core) && !missing(core));
}

void wc_core_clock(wc_core *core, wc_comm *c, int member, uint64_t attempt, bool target,
                   uint64_t value) {
    if (attempt <= core->finished || attempt < c->clock.attempt)
        return;
    begin(core, c, attempt);
    if (target) {
        if (!c->clock.known || value > c->clock.target)
            set_target(core, c, value, member);
        return;
    }
    c->clock.children++;
    if (c->clock.most < value)
        c->clock.most = value;
}

void wc_clock_forget(wc_core *core, const wc_comm *comm) {
    for (size_t i = 0; i < WC_RECENT; i++)
        if (core->recent[i].comm == comm)
            core->recent[i].comm = NULL;
}
