/* SPDX-License-Identifier: BSD-3-Clause */
#include "hand.h"

#include "mpi/layer.h"

enum { TURNS = 30000 };

static void turn(int rank) {
    J.now += J.turn_ns;
    sim_resume(rank);
}

void let(int rank, void (*command)(void *), void *argument) {
    sim_rank *r = &J.at[rank];
    r->command = command;
    r->argument = argument;
    for (int i = 0; i < 100 && r->command; i++)
        turn(rank);
    assert_null(r->command);
}

void begin(int rank, void (*command)(void *)) {
    J.at[rank].command = command;
    for (int i = 0; i < 20; i++)
        turn(rank);
    assert_non_null(J.at[rank].command);
}

void let_all(void (*command)(void *)) {
    for (int i = 0; i < J.ranks; i++)
        J.at[i].command = command;
    for (int i = 0; i < TURNS; i++) {
        sim_network_deliver_besides(MPI_COMM_WORLD);
        if (J.at[i % J.ranks].command)
            turn(i % J.ranks);
    }
    for (int i = 0; i < J.ranks; i++)
        assert_null(J.at[i].command);
}

/* ---- attempts ---- */

static void ask(void *unused) {
    (void)unused;
    wc_core_request(&L.core);
    wc_layer_update();
}

void request(int rank) {
    let(rank, ask, NULL);
}

static void come_to_safepoint(void *unused) {
    (void)unused;
    sim_safepoint();
}

void pass_safepoint(int rank) {
    let(rank, come_to_safepoint, NULL);
}

void pass_safepoints(void) {
    for (int i = 0; i < J.ranks; i++)
        pass_safepoint(i);
}

static void progress(void *unused) {
    (void)unused;
    wc_layer_progress();
}

void progress_all(void) {
    for (int i = 0; i < 20; i++) {
        sim_network_deliver_besides(MPI_COMM_WORLD);
        for (int rank = 0; rank < J.ranks; rank++)
            let(rank, progress, NULL);
    }
}

bool recorded(int rank) {
    sim_load(rank);
    return L.core.state >= WC_STATE_RECORDED;
}

static bool busy(int rank) {
    sim_load(rank);
    return wc_core_busy(&L.core);
}

void finish_attempts(void) {
    for (int i = 0; i < TURNS; i++) {
        while (sim_network_deliver())
            ;
        pass_safepoints();
        bool any = !sim_network_empty();
        for (int rank = 0; rank < J.ranks; rank++)
            any = any || busy(rank);
        if (!any)
            return;
    }
    fail_msg("an attempt does not end");
}

unsigned voids(void) {
    unsigned n = 0;
    for (int i = 0; i < 64; i++)
        n += J.voids[i];
    return n;
}

wc_reason void_reason(void) {
    wc_reason found = WC_REASON_NONE;
    for (int i = 0; i < 64; i++)
        if (J.voids[i])
            found = (wc_reason)i;
    return found;
}

/* ---- messages ---- */

static void receive_any(void *unused) {
    (void)unused;
    sim_slot slot;
    sim_slot_set(&slot, 0, MPI_ANY_SOURCE, MPI_ANY_TAG);
    sim_slot_receive(&slot);
}

typedef struct named {
    int to;
    uint32_t token;
} named;

static void send_named(void *argument) {
    const named *n = argument;
    sim_send(0, n->to, 0, n->token, 0);
}

void receive(int rank) {
    let(rank, receive_any, NULL);
}

void send(int from, int to, uint32_t token) {
    let(from, send_named, &(named){to, token});
}

void deliver(int from, int to) {
    sim_network_deliver_on(MPI_COMM_WORLD, from, to);
}

void pass(int from, int to, uint32_t token) {
    send(from, to, token);
    deliver(from, to);
    receive(to);
}
