/* SPDX-License-Identifier: BSD-3-Clause */
#include "traffic.h"

#include <wavecut.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

traffic T;

static _Atomic uint64_t went[TRAFFIC_WAYS];

enum { INTER = TRAFFIC_COMMS - 1 };

uint64_t traffic_hash(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t h = a * UINT64_C(0x9E3779B97F4A7C15) ^ b * UINT64_C(0xD6E8FEB86659FD93) ^
                 (c + 1) * UINT64_C(0xA24BAED4963EE407);
    h = (h ^ h >> 31) * UINT64_C(0xBF58476D1CE4E5B9);
    h = (h ^ h >> 27) * UINT64_C(0x94D049BB133111EB);
    return h ^ h >> 31;
}

uint32_t traffic_bytes(uint64_t hash) {
    static const uint32_t sizes[] = {0, 8, 300, 4000, 4200, 20000, 66000, 99000};
    uint32_t size = sizes[hash % 16 < 8 ? hash % 4 : hash % 8];
    return (uint32_t)sizeof(traffic_head) + size % (TRAFFIC_BYTES - (uint32_t)sizeof(traffic_head));
}

unsigned traffic_share(uint64_t seed, traffic_way way) {
    return (unsigned)(traffic_hash(seed + 23, way, 0) % 4);
}

void traffic_went(traffic_way way) {
    went[way]++;
}

void traffic_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "traffic: rank %d: ", T.rank);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    MPI_Abort(MPI_COMM_WORLD, 1); /* the others may wait for what this rank has missed */
}

int traffic_peer(int comm, int world) {
    if (comm != INTER)
        return world;
    return world % 2 == T.rank % 2 ? -1 : world / 2;
}

static void protect(const char *name, void *address, size_t count, MPI_Datatype type) {
    if (wavecut_protect(name, address, count, type) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
}

/* Five ways in which communicators are made; the ranks are numbered as in the world, but on the last one. */
void traffic_open(void) {
    MPI_Comm_rank(MPI_COMM_WORLD, &T.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &T.ranks);
    if (T.ranks > TRAFFIC_RANKS)
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Group group;
    MPI_Comm half;
    T.comms[0] = MPI_COMM_WORLD;
    MPI_Comm_dup(MPI_COMM_WORLD, &T.comms[1]);
    MPI_Comm_split(MPI_COMM_WORLD, 7, T.rank, &T.comms[2]);
    MPI_Comm_group(MPI_COMM_WORLD, &group);
    MPI_Comm_create(T.comms[1], group, &T.comms[3]);
    MPI_Group_free(&group);
    MPI_Comm_split(MPI_COMM_WORLD, T.rank % 2, T.rank, &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - T.rank % 2, 0, &T.comms[INTER]);
    MPI_Comm_free(&half);
    protect("sent", T.sent, sizeof T.sent / sizeof(uint64_t), MPI_UINT64_T);
    protect("got", T.got, sizeof T.got, MPI_UINT8_T);
}

static unsigned char pattern(const traffic_head *head, uint32_t i) {
    return (unsigned char)(head->sequence * 31 + head->source * 7 + head->comm * 3 + i * 13 +
                           (i >> 8));
}

int traffic_compose(unsigned char *buffer, int comm, int destination, int tag, uint32_t token,
                    uint32_t hops, uint32_t bytes) {
    traffic_head head = {.comm = (uint32_t)comm,
                         .source = (uint32_t)T.rank,
                         .destination = (uint32_t)destination,
                         .tag = (uint32_t)tag,
                         .sequence = T.sent[comm][destination]++,
                         .bytes = bytes,
                         .token = token,
                         .hops = hops};
    if (head.sequence >= TRAFFIC_MESSAGES)
        MPI_Abort(MPI_COMM_WORLD, 1);
    memcpy(buffer, &head, sizeof head);
    for (uint32_t i = sizeof head; i < bytes; i++)
        buffer[i] = pattern(&head, i);
    return (int)bytes;
}

static bool is_intact(const unsigned char *buffer, int comm, const MPI_Status *status,
                      const traffic_head *head) {
    int bytes;
    MPI_Get_count(status, MPI_BYTE, &bytes);
    if (bytes < (int)sizeof *head || (uint32_t)bytes != head->bytes ||
        head->comm != (uint32_t)comm || head->destination != (uint32_t)T.rank ||
        head->source >= (uint32_t)T.ranks ||
        traffic_peer(comm, (int)head->source) != status->MPI_SOURCE ||
        head->tag != (uint32_t)status->MPI_TAG || head->sequence >= TRAFFIC_MESSAGES)
        return false;
    for (uint32_t i = sizeof *head; i < head->bytes; i++)
        if (buffer[i] != pattern(head, i))
            return false;
    return true;
}

void traffic_receive(const unsigned char *buffer, int comm, const MPI_Status *status) {
    traffic_head head;
    memcpy(&head, buffer, sizeof head);
    if (!is_intact(buffer, comm, status, &head))
        traffic_fail("a message from %d with tag %d is not what was sent", status->MPI_SOURCE,
                     status->MPI_TAG);
    uint8_t *byte = &T.got[comm][head.source][head.sequence / 8],
            bit = (uint8_t)(1 << head.sequence % 8);
    if (*byte & bit)
        traffic_fail("message %llu from %u on communicator %d came twice",
                     (unsigned long long)head.sequence, head.source, comm);
    *byte |= bit;
}

void traffic_request(void) {
    wavecut_info info;
    if (wavecut_status_get(&info) == WAVECUT_OK && !info.in_progress)
        wavecut_request();
}

static void tell_ways(void) {
    uint64_t mine[TRAFFIC_WAYS], all[TRAFFIC_WAYS];
    for (int way = 0; way < TRAFFIC_WAYS; way++)
        mine[way] = went[way];
    MPI_Reduce(mine, all, TRAFFIC_WAYS, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    if (T.rank == 0)
        printf("traffic: %llu sent persistent, %llu got persistent, %llu got matched\n",
               (unsigned long long)all[TRAFFIC_SENT_PERSISTENT],
               (unsigned long long)all[TRAFFIC_GOT_PERSISTENT],
               (unsigned long long)all[TRAFFIC_GOT_MATCHED]);
}

void traffic_close(void) {
    tell_ways();
    for (int c = 0; c < TRAFFIC_COMMS; c++) {
        uint64_t expected[TRAFFIC_RANKS];
        MPI_Alltoall(T.sent[c], 1, MPI_UINT64_T, expected, 1, MPI_UINT64_T, MPI_COMM_WORLD);
        for (int s = 0; s < T.ranks; s++) {
            uint64_t got = 0;
            for (int i = 0; i < TRAFFIC_MESSAGES / 8; i++)
                got += (uint64_t)__builtin_popcount(T.got[c][s][i]);
            if (got != expected[s])
                traffic_fail("%llu of %llu messages from %d on communicator %d",
                             (unsigned long long)got, (unsigned long long)expected[s], s, c);
        }
    }
}
