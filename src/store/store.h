/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store: one snapshot is one HDF5 file. No MPI here.
 *
 * Writing. Rank 0 makes the file and its datasets with HDF5 (wc_store_create,
 * wc_store_add_channels) and gets back file offsets; these are plain numbers, which the caller
 * hands to the other ranks. Every rank writes its own extents at their offsets with a wc_writer
 * (writer.h). Rank 0 publishes (wc_store_publish) when all are durable.
 *
 * Every function that can fail returns a wavecut-style status (status.h) and writes the text of the
 * error, naming the file, into `wc_error *`.
 */
#ifndef WC_STORE_STORE_H
#define WC_STORE_STORE_H

#include "block.h"
#include "box.h"
#include "type.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WC_STORE_NAME_BYTES 256 /* a protected name with its terminating zero */
#define WC_STORE_MAX_DIMS WC_BOX_DIMS
#define WC_STORE_PAGE 4096 /* where large data begin */
#define WC_STORE_REASON_BYTES 400

/* One protected name as the whole job sees it. */
typedef struct wc_array {
    char name[WC_STORE_NAME_BYTES];
    wc_type type;
    uint32_t ndims;  /* 0: local (ranks' elements one after the other); else a global array */
    uint64_t total;  /* elements of all ranks together */
    uint64_t blocks; /* of all ranks' parts together: wc_blocks of each */
    /* When ndims > 0: the global shape, and that of the chunks in which it is stored: the same if it is contiguous. Chunks
     * have a page at least, and not more than 2^32 - 1 bytes. */
    uint64_t shape[WC_STORE_MAX_DIMS], chunk[WC_STORE_MAX_DIMS];
} wc_array;

static inline bool wc_array_is_chunked(const wc_array *array) {
    bool chunked = false;
    for (uint32_t d = 0; d < array->ndims; d++)
        chunked = chunked || array->chunk[d] != array->shape[d];
    return chunked;
}

/* How many there are of a chunked one. */
static inline uint64_t wc_array_chunks(const wc_array *array) {
    uint64_t chunks = 1;
    for (uint32_t d = 0; d < array->ndims; d++)
        chunks *= (array->shape[d] - 1) / array->chunk[d] + 1;
    return chunks;
}

/* Where the parts of an array are in the file. */
typedef struct wc_array_place {
    uint64_t
        data; /* file offset of element 0 of /state/<name>, or of its first chunk; 0 when total is 0 */
    uint64_t index;  /* file offset of rank 0's row of /index/<name> (rows of wc_index_row, one per
                       rank) */
    uint64_t blocks; /* file offset of the first hash of /blocks/<name>; 0 when there are none */
} wc_array_place;

/* One row of /index/<name>. Its first wc_index_bytes are written as they are: little-endian, no padding. */
typedef struct wc_index_row {
    uint64_t first;    /* elements before this rank's first one in /state/<name> */
    uint64_t count;    /* elements of this rank */
    uint64_t checksum; /* of this rank's bytes, its part, in their order in memory: see block.h */
    uint64_t present; /* 1 if this rank protects the name, else 0 (a rank may protect 0 elements) */
    uint64_t blocks_first; /* blocks of the ranks before: where its hashes are in /blocks/<name> */
    uint64_t box[2 * WC_STORE_MAX_DIMS]; /* of a global array: offset[ndims], then shape[ndims] */
} wc_index_row;

static inline size_t wc_index_bytes(uint32_t ndims) {
    return offsetof(wc_index_row, box) + 2 * ndims * sizeof(uint64_t);
}

/* The box of a row of a global array, which may be nonsense: wc_box_check. */
wc_box wc_index_box(const wc_array *array, const wc_index_row *row);

/* The row of a box; without a checksum. */
wc_index_row wc_index_row_of(const wc_box *box);

#define WC_HOST_BYTES 64

/* One row of /ranks. No padding. Times are seconds since the epoch (record) or since the request.
 */
typedef struct wc_rank_row {
    uint32_t rank;
    uint32_t pid;
    uint64_t step;  /* safe points passed */
    uint64_t bytes; /* state bytes of this rank */
    double record_time;
    double arm_s, record_s, close_s,
        durable_s;  /* when each phase ended, seconds after the request was heard */
    double stall_s; /* how long the record kept the application */
    char host[WC_HOST_BYTES];
} wc_rank_row;

/* One row of /channels/counters: a channel that has carried messages. No padding. */
typedef struct wc_counter_row {
    uint64_t comm;        /* uid of a row of /communicators */
    uint32_t source;      /* job rank */
    uint32_t destination; /* job rank */
    uint64_t sent;
    uint64_t received;
    uint64_t in_flight;
} wc_counter_row;

/* One row of /channels/messages: a message in flight, in channel order per (comm, source,
 * destination). No padding. */
typedef struct wc_message_row {
    uint64_t comm; /* uid of a row of /communicators */
    uint32_t source;
    uint32_t destination;
    int32_t tag;
    uint32_t reserved; /* 0 */
    uint64_t sequence; /* position in its channel's state, from 0 */
    uint64_t bytes;
    uint64_t offset;   /* into /channels/payload */
    uint64_t checksum; /* of its bytes */
} wc_message_row;

/* One row of /communicators: a group of one. An intercommunicator has two rows with the same uid. No padding.
 * Members are job ranks: members_count of them from members_first on in /communicator_members. */
typedef struct wc_comm_row {
    uint64_t uid;
    uint64_t parent_uid;  /* what was made of ranks, not of a communicator: their account's */
    uint64_t ordinal;     /* which creation on the parent this was */
    int64_t colour;       /* of a split; tag of create_group; else 0 */
    uint64_t collectives; /* completed at the cut */
    uint64_t members_first;
    uint64_t members_count;
    char how
        [16]; /* "world", "self", "dup", "split", "create", "cart", "graph", "create_group", "intercomm",
                     "merge" */
} wc_comm_row;

/* One row of /trace/events. No padding. Without a peer: the rank itself; without a tag: -1. */
typedef struct wc_event_row {
    uint32_t rank;
    uint32_t kind; /* wc_event_kind */
    uint32_t peer; /* job rank */
    int32_t tag;
    uint64_t comm; /* uid; 0: none */
    uint64_t
        sequence; /* of a message in its stream, UINT64_MAX: not known; else the attempt's number */
    uint64_t bytes;
    double time; /* seconds since the epoch */
} wc_event_row;

typedef enum wc_event_kind {
    WC_EVENT_SEND = 1,
    WC_EVENT_RECEIVE,
    WC_EVENT_MARKER_SENT,
    WC_EVENT_MARKER_RECEIVED,
    WC_EVENT_RECORD,
    WC_EVENT_ARMED,
    WC_EVENT_CLOSED,
    WC_EVENT_KINDS
} wc_event_kind;

/* One row of /trace/index: where a rank's events are. No padding. */
typedef struct wc_event_index_row {
    uint64_t first, count;
    uint64_t dropped; /* older ones, which had no room */
} wc_event_index_row;

/* One row of /trace/streams: what a rank had counted at its record. No padding. */
typedef struct wc_stream_row {
    uint32_t rank;
    uint32_t kind; /* WC_EVENT_SEND or WC_EVENT_RECEIVE */
    uint32_t peer; /* job rank */
    int32_t tag;
    uint64_t comm; /* uid */
    uint64_t count;
} wc_stream_row;

/* What is known when the file is made. Strings are the caller's. */
typedef struct wc_snapshot_head {
    uint64_t id;
    uint64_t parent_id; /* snapshot the run was restarted from; 0: none */
    uint64_t run_id;    /* random, one per run (kept over restarts) */
    uint32_t ranks;
    uint32_t immediate; /* 0 aligned, 1 immediate */
    double time;        /* seconds since the epoch, UTC */
    uint32_t initiator; /* job rank that asked first */
    const char *mpi_library;
    const char *program; /* arguments joined by blanks */
    const char *version; /* Wavecut's */
    uint64_t
        stripe; /* bytes; state of so many and more begins at a multiple. Not in the file; 0: at a page */
} wc_snapshot_head;

typedef struct wc_channel_sizes {
    uint64_t counters, messages, payload_bytes, communicators, members;
    uint64_t events, streams, traced; /* traced: ranks with a trace; 0: there is none, else all */
} wc_channel_sizes;

typedef struct wc_channel_place { /* file offsets of the first element; 0 where the size is 0 */
    uint64_t counters, messages, payload, communicators, members;
    uint64_t events, event_index, streams;
} wc_channel_place;

/* ---- writing: rank 0 only ---- */

typedef struct wc_store_file wc_store_file;

/*
 * Makes DIR/wavecut-<id>.h5.partial with head, ranks and arrays, all space taken (posix_fallocate).
 * Checks that each dataset has its space where it is needed, inside the file. places      out
 * [narrays] ranks_place out file offset of rank 0's row of /ranks
 */
wc_status wc_store_create(const char *dir, const wc_snapshot_head *head, const wc_array *arrays,
                          size_t narrays, wc_array_place *places, uint64_t *ranks_place,
                          wc_store_file **file, wc_error *error);

/* Adds the datasets of channels and of the trace, whose sizes are known only after the close. */
wc_status wc_store_add_channels(wc_store_file *file, const wc_channel_sizes *sizes,
                                wc_channel_place *place, wc_error *error);

/*
 * All ranks have said durable: attribute `complete`, metadata hash, fsync, rename from .partial,
 * fsync of the directory. Frees `file` in any case; after an error the .partial is gone and no
 * snapshot has been removed.
 */
wc_status wc_store_publish(wc_store_file *file, wc_error *error);

/* Gives the snapshot up: closes and removes the .partial. Frees `file`. */
void wc_store_abandon(wc_store_file *file);

/* Path of the .partial file, for the writers of all ranks. Owned by `file`. */
const char *wc_store_path(const wc_store_file *file);

/* Removes all but the newest `keep` snapshots (0 keeps all), and stale .partial files; only what it
 * recognises. */
wc_status wc_store_prune(const char *dir, uint64_t keep, wc_error *error);

/*
 * The unfinished files of this user in DIR. *writing: number of one that somebody is writing, as far as locks tell; 0: nobody is.
 * *stale: those that are not, and not newer than snapshot `newest`; malloc'd, the caller's. Errors: NOT_FOUND, IO, MEMORY.
 */
wc_status wc_store_partials(const char *dir, uint64_t newest, uint64_t *writing, uint64_t **stale,
                            size_t *count, wc_error *error);

/* Removes one snapshot, or unfinished file. Errors: NOT_FOUND (the directory), IO (also: it is another user's, or being written). */
wc_status wc_store_remove(const char *dir, uint64_t id, bool partial, wc_error *error);

/* ---- directory ---- */

/* Makes DIR (and parents) if missing and checks that it can be read. */
wc_status wc_store_prepare_dir(const char *dir, wc_error *error);

/* Can snapshots be written to it, as things are? */
wc_status wc_store_may_write(const char *dir, wc_error *error);

/* Ids of the snapshots in DIR, newest first. *ids is malloc'd; the caller frees. No snapshots is
 * not an error. */
wc_status wc_store_list(const char *dir, uint64_t **ids, size_t *count, wc_error *error);

/* Does it belong to this user, to the directory's owner, or to root? Others may have a right to write to the directory, but don't
 * decide what a job restores unasked. */
bool wc_store_is_trusted(const char *dir, uint64_t id);

/* Has it what the end of a snapshot looks like? Whole or damaged, it was committed as one: its name alone doesn't say that. */
bool wc_store_is_snapshot(const char *dir, uint64_t id);

/* DIR/wavecut-<id>.h5 into `path`. */
void wc_store_snapshot_path(const char *dir, uint64_t id, char *path, size_t size);

/* The durable mark that a run has finished (DIR/finished: text, run id and time). */
wc_status wc_store_mark_finished(const char *dir, uint64_t run_id, wc_error *error);
/* *run_id = 0 when there is no mark. */
wc_status wc_store_read_finished(const char *dir, uint64_t *run_id, wc_error *error);
wc_status wc_store_clear_finished(const char *dir, wc_error *error);

/* Request file (DIR/request): made by `wavecut request`, taken by rank 0. Counts only if it belongs
 * to this user or to the directory's owner. */
wc_status wc_store_put_request(const char *dir, wc_error *error);
bool wc_store_take_request(const char *dir);

/* ---- reading: any rank, and the command line ---- */

typedef struct wc_reader wc_reader;

/* Opens a committed snapshot read-only, checks the metadata hash before HDF5 sees the file, and
 * reads the head. */
wc_status wc_reader_open(const char *path, wc_reader **reader, wc_error *error);
void wc_reader_close(wc_reader *reader);

const wc_snapshot_head *wc_reader_head(const wc_reader *reader);
size_t wc_reader_arrays(const wc_reader *reader, const wc_array **arrays);

/* Row of one rank. present = 0 if the rank does not have the array. */
wc_status wc_reader_index(wc_reader *reader, size_t array, uint32_t rank, wc_index_row *row,
                          wc_error *error);

/* Reads and verifies rank's elements of an array into `to` (row.count elements). With to == NULL
 * only verifies. */
wc_status wc_reader_extent(wc_reader *reader, size_t array, uint32_t rank, void *to,
                           wc_error *error);

/* File offset of the first byte of a part. It is read fastest to an address that agrees with it modulo WC_STORE_PAGE. 0: it has none,
 * or the row is nonsense. */
uint64_t wc_reader_place(const wc_reader *reader, size_t array, const wc_index_row *row);

/*
 * Reads and verifies the elements of a global array that are in `part`, of the same global shape, wherever the ranks that wrote them
 * had them, into `to`; with to == NULL only verifies. What is verified are whole blocks of these ranks' parts: where a row of `part`
 * is much shorter than theirs, many more bytes are read than it has. Errors: ARGUMENT, IO, DAMAGED, MEMORY.
 */
wc_status wc_reader_part(wc_reader *reader, size_t array, const wc_box *part, void *to,
                         wc_error *error);

wc_status wc_reader_ranks(wc_reader *reader, wc_rank_row **rows, size_t *count, wc_error *error);
wc_status wc_reader_counters(wc_reader *reader, wc_counter_row **rows, size_t *count,
                             wc_error *error);
wc_status wc_reader_messages(wc_reader *reader, wc_message_row **rows, size_t *count,
                             wc_error *error);
wc_status wc_reader_communicators(wc_reader *reader, wc_comm_row **rows, size_t *count,
                                  wc_error *error);
/* What the rows of communicators point to: job ranks. */
wc_status wc_reader_members(wc_reader *reader, uint32_t **members, size_t *count, wc_error *error);
/* Reads and verifies one message's bytes into `to` (row->bytes bytes); with to == NULL only
 * verifies. */
wc_status wc_reader_payload(wc_reader *reader, const wc_message_row *row, void *to,
                            wc_error *error);

/* How many there are of each. */
void wc_reader_sizes(const wc_reader *reader, wc_channel_sizes *sizes);

/* `count` rows from row `first` on, where the table doesn't fit the memory. Errors: those of the calls for all, ARGUMENT (there
 * are not so many). */
wc_status wc_reader_ranks_at(wc_reader *reader, uint64_t first, size_t count, wc_rank_row *rows,
                             wc_error *error);
wc_status wc_reader_counters_at(wc_reader *reader, uint64_t first, size_t count,
                                wc_counter_row *rows, wc_error *error);
wc_status wc_reader_messages_at(wc_reader *reader, uint64_t first, size_t count,
                                wc_message_row *rows, wc_error *error);

/* Bytes of the state and of the messages: what a verification reads. */
uint64_t wc_reader_bytes(const wc_reader *reader);

/* `watch` is told of bytes that have been read and checked, while it goes on: by wc_reader_extent, wc_reader_payload and
 * wc_reader_verify, in the caller's thread. NULL: nobody is. */
typedef void (*wc_reader_watcher)(void *context, uint64_t bytes);
void wc_reader_watch(wc_reader *reader, wc_reader_watcher watch, void *context);

/*
 * Can a job of `ranks` ranks, other than those that the snapshot was taken with, restart from it? Rank `rank` of that job looks at its
 * share; if all of them do, all is looked at. Errors: MISMATCH (no; the text is the reason alone), DAMAGED, IO, MEMORY.
 */
wc_status wc_reader_check_move(wc_reader *reader, uint32_t rank, uint32_t ranks, wc_error *error);

/* A trace is optional: without one there are no rows, and the counts are 0. */
wc_status wc_reader_event_index(wc_reader *reader, wc_event_index_row **rows, size_t *count,
                                wc_error *error);
wc_status wc_reader_streams(wc_reader *reader, wc_stream_row **rows, size_t *count,
                            wc_error *error);
wc_status wc_reader_events_at(wc_reader *reader, uint64_t first, size_t count, wc_event_row *rows,
                              wc_error *error);

/* ---- consistency ---- */

typedef enum wc_witness_kind {
    WC_WITNESS_NONE,
    WC_WITNESS_ORPHAN, /* received before its receiver's record, sent after its sender's */
    WC_WITNESS_TWICE,  /* received and in flight */
    WC_WITNESS_LOST    /* sent, and neither */
} wc_witness_kind;

/* What shows that a cut is none. */
typedef struct wc_witness {
    wc_witness_kind kind;
    uint64_t comm;
    uint32_t source, destination;           /* job ranks */
    uint64_t source_step, destination_step; /* of their records */
    int32_t tag;                            /* -1: of all tags of the channel */
    bool named;                             /* a message is known, from a trace: */
    uint64_t sequence, bytes;
    uint64_t sent, received, in_flight; /* else how many there are */
    char text[WC_STORE_REASON_BYTES];
} wc_witness;

typedef struct wc_consistency {
    uint64_t findings;  /* 0: it is a consistent cut, as far as the file tells */
    wc_witness witness; /* the first of them */
    uint64_t events;    /* in the trace; 0: there is none */
    bool traced;        /* it goes back to each rank's record: the vector clocks have been judged */
} wc_consistency;

/* Consistent in the sense of Definition 1.2: by the channels' counters and, where there is a trace, by its streams and events. An
 * inconsistent one is no error. Errors: DAMAGED (what is read doesn't fit its hashes, or itself), IO, MEMORY. */
wc_status wc_reader_consistency(wc_reader *reader, wc_consistency *result, wc_error *error);

/* What verification found. */
typedef struct wc_verdict {
    uint64_t extents, messages, bytes; /* checked */
    uint64_t failures;
    char first_failure[WC_STORE_REASON_BYTES];
    wc_consistency consistency; /* judged if `judged`: not where tables are damaged */
    bool judged;
} wc_verdict;

/* Checks every extent, every message, every counter row (sent = received + in flight, in flight =
 * number of messages) and every reference of a message to a communicator. Returns OK with failures
 * > 0 for a damaged one. */
wc_status wc_reader_verify(wc_reader *reader, wc_verdict *verdict, wc_error *error);

#endif
