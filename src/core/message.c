/* SPDX-License-Identifier: BSD-3-Clause */
#include "message.h"

#include <assert.h>
#include <stdlib.h>

wc_message *wc_message_new(wc_comm *comm, int source, int tag, uint64_t bytes) {
    wc_message *m = wc_core_alloc(sizeof *m);
    *m = (wc_message){.comm = comm, .source = source, .tag = tag, .bytes = bytes, .holders = 1};
    return m;
}

wc_message *wc_message_hold(wc_message *m) {
    m->holders++;
    return m;
}

void wc_message_drop(wc_message *m) {
    if (!m || --m->holders)
        return;
    assert(!m->handle && !m->arriving);
    free(m->data);
    free(m);
}

void wc_messages_add(wc_messages *list, wc_message *m) {
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 16;
        list->at = wc_core_grow(list->at, list->room * sizeof *list->at);
    }
    list->at[list->count++] = wc_message_hold(m);
}

void wc_messages_clear(wc_messages *list) {
    for (size_t i = 0; i < list->count; i++)
        wc_message_drop(list->at[i]);
    free(list->at);
    *list = (wc_messages){0};
}
