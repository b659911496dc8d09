/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include "mpi/layer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(begin, end) 0
#endif

enum { STACK_BYTES = 256 << 10 };

/* The variables of src/mpi: WC_PROCESS. */
extern char __start_sim_process[], __stop_sim_process[];

sim_rank *me;
wc_layer *sim_layer;

static struct {
    ucontext_t begin;
    bool begun;
    void *at[5];        /* where it goes on; cheaper than swapcontext, which asks the system */
    void *stack, *fake; /* fake: the sanitizer's */
    void (*body)(void);
} fibers[SIM_RANKS];
static void *scheduler[5];
static void *pristine;
static int loaded = -1;

static size_t process_bytes(void) {
    return (size_t)(__stop_sim_process - __start_sim_process);
}

static wc_layer *new_layer(void) {
    wc_layer *layer = sim_alloc(sizeof *layer);
    *layer = wc_layer_state;
    layer->posted_next = layer->posted;
    layer->posted_end = layer->posted + WC_POSTED;
    return layer;
}

void sim_load(int rank) {
    if (!pristine) {
        pristine = malloc(process_bytes());
        memcpy(pristine, __start_sim_process, process_bytes());
    }
    if (loaded == rank)
        return;
    if (loaded >= 0)
        memcpy(J.at[loaded].process, __start_sim_process, process_bytes());
    loaded = rank;
    if (rank < 0)
        return;
    if (!J.at[rank].process) {
        J.at[rank].process = sim_alloc(process_bytes());
        memcpy(J.at[rank].process, pristine, process_bytes());
        J.at[rank].layer = new_layer();
    }
    sim_layer = J.at[rank].layer;
    memcpy(__start_sim_process, J.at[rank].process, process_bytes());
}

void sim_fiber_reset(void) {
    loaded = -1;
    for (int i = 0; i < J.ranks; i++)
        J.at[i].process = NULL;
}

/* ---- switching ---- */

#ifdef __SANITIZE_ADDRESS__
static const void *scheduler_stack;
static size_t scheduler_bytes;
static void *scheduler_fake;
#define BEFORE_SWITCH(save, stack, bytes) __sanitizer_start_switch_fiber(save, stack, bytes)
#define AFTER_SWITCH(save, stack, bytes) __sanitizer_finish_switch_fiber(save, stack, bytes)
#else
#define BEFORE_SWITCH(save, stack, bytes) ((void)0)
#define AFTER_SWITCH(save, stack, bytes) ((void)0)
#endif

static void enter(void) {
    AFTER_SWITCH(NULL, &scheduler_stack, &scheduler_bytes);
    fibers[me->rank].body();
    me->ended = true;
    for (;;)
        sim_yield();
}

void sim_fiber_start(int rank, void (*body)(void)) {
    if (!fibers[rank].stack) {
        fibers[rank].stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        (void)VALGRIND_STACK_REGISTER(fibers[rank].stack, (char *)fibers[rank].stack + STACK_BYTES);
    }
    ucontext_t *c = &fibers[rank].begin;
    getcontext(c);
    c->uc_stack.ss_sp = fibers[rank].stack;
    c->uc_stack.ss_size = STACK_BYTES;
    c->uc_link = NULL;
    makecontext(c, enter, 0);
    fibers[rank].body = body;
    fibers[rank].begun = false;
    fibers[rank].fake = NULL;
}

/* A function of its own: the builtin can't jump within one. */
static _Noreturn __attribute__((noinline)) void jump(void **to) {
    __builtin_longjmp(to, 1);
}

static _Noreturn void go_on(int rank) {
    if (fibers[rank].begun)
        jump(fibers[rank].at);
    fibers[rank].begun = true;
    setcontext(&fibers[rank].begin);
    abort();
}

void sim_resume(int rank) {
    sim_load(rank);
    me = &J.at[rank];
    BEFORE_SWITCH(&scheduler_fake, fibers[rank].stack, STACK_BYTES);
    if (__builtin_setjmp(scheduler) == 0)
        go_on(rank);
    AFTER_SWITCH(scheduler_fake, NULL, NULL);
    me = NULL;
}

void sim_yield(void) {
    int rank = me->rank;
    BEFORE_SWITCH(&fibers[rank].fake, scheduler_stack, scheduler_bytes);
    if (__builtin_setjmp(fibers[rank].at) == 0)
        jump(scheduler);
    AFTER_SWITCH(fibers[rank].fake, &scheduler_stack, &scheduler_bytes);
}

void sim_preempt(void) {
    if (J.preempt && sim_choose(J.preempt) == 0)
        sim_yield();
}
