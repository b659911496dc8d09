/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wavecut: consistent snapshots of a running MPI job.
 *
 * A program protects its state by name, restores it once, and passes a safe point in its main loop.
 * The library interposes on MPI (MPI standard 3.1, chapter 14: the profiling interface), takes a
 * consistent cut in the sense of Chandy and Lamport (ACM TOCS 3(1), 1985) while the program runs,
 * and writes state and messages in flight into one HDF5 file.
 *
 * Each call says who calls it:
 *   Collective  every rank of the communicator given to wavecut_init, in the same order
 *   Local       any rank, whenever it likes
 * Functions return WAVECUT_OK or the reason; outputs are set only on WAVECUT_OK. The text of the last
 * failure on this rank is wavecut_error_text(). No call is safe inside a signal handler.
 */
#ifndef WAVECUT_H
#define WAVECUT_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WAVECUT_VERSION_MAJOR 0
#define WAVECUT_VERSION_MINOR 1
#define WAVECUT_VERSION_PATCH 0

/* Longest name of a protected array, in bytes, without the terminating zero. */
#define WAVECUT_NAME_MAX 255

/* One list makes the codes, their names and their texts. */
#define WAVECUT_STATUS_LIST(X)                                                                  \
    X(OK, 0, "success")                                                                         \
    X(ERR_ARGUMENT, 1, "an argument is wrong")                                                  \
    X(ERR_ORDER, 2, "called too early, too late or twice")                                      \
    X(ERR_NAME, 3, "a name is malformed, unknown or taken")                                     \
    X(ERR_TYPE, 4, "this MPI datatype can't be stored")                                         \
    X(ERR_MISMATCH, 5, "the snapshot and the program don't fit")                                \
    X(ERR_NOT_FOUND, 6, "there is no such snapshot")                                            \
    X(ERR_DAMAGED, 7, "the snapshot is damaged")                                                \
    X(ERR_FINISHED, 8, "the run in this directory has finished")                                \
    X(ERR_IO, 9, "reading or writing failed")                                                   \
    X(ERR_MEMORY, 10, "out of memory")                                                          \
    X(ERR_SETTING, 11, "a setting is wrong")                                                    \
    X(ERR_MPI, 12, "an MPI call failed, or this is another MPI than the library was built for") \
    X(ERR_UNSUPPORTED, 13, "not supported by this version")                                     \
    X(ERR_PEER, 14, "another rank failed; its message says why")                                \
    X(ERR_CALLBACK, 15, "a callback of the program failed")

typedef enum wavecut_status {
#define WAVECUT_STATUS_CODE(name, value, text) WAVECUT_##name = (value),
    WAVECUT_STATUS_LIST(WAVECUT_STATUS_CODE)
#undef WAVECUT_STATUS_CODE
} wavecut_status;

/*
 * How messages before the cut are told from those after it.
 *   ALIGNED    every rank passes wavecut_safepoint equally often, and a message sent after safe point k is
 *              received after safe point k (iterations; the default). MPI's matching is never touched.
 *   IMMEDIATE  the protected state describes the rank fully at its safe points, which need not be aligned
 *              with those of other ranks (event loops, master/worker).
 */
typedef enum wavecut_cut_mode { WAVECUT_ALIGNED = 0, WAVECUT_IMMEDIATE = 1 } wavecut_cut_mode;

/* Static text of a status, and its name ("WAVECUT_ERR_IO"). Local. Never NULL. */
const char *wavecut_status_text(wavecut_status status);
const char *wavecut_status_name(wavecut_status status);

/* Text of this rank's last failure, owned by the library, valid until the next call. Local. Never NULL. */
const char *wavecut_error_text(void);

/*
 * Starts checkpointing for the ranks of `comm`. Collective over `comm`, after MPI_Init and once per process (a
 * second call on a congruent communicator is counted, and so is its wavecut_finalize).
 *   comm  in   intracommunicator; duplicated, the caller keeps his
 * Reads the settings on the first rank (environment WAVECUT_* and wavecut.conf in the directory, see the README) and
 * gives them to all, chooses the snapshot that the run begins from, and reads and verifies what this rank had, into
 * the memory for the next snapshot.
 * On failure the program runs on without checkpoints, and every other call returns WAVECUT_ERR_ORDER.
 * Errors: SETTING, IO (directory), FINISHED, MPI, UNSUPPORTED, ORDER.
 */
wavecut_status wavecut_init(MPI_Comm comm);

/*
 * Chooses the kind of cut. Collective, before wavecut_restore. Errors: ARGUMENT, ORDER.
 */
wavecut_status wavecut_cut(wavecut_cut_mode mode);

/*
 * Protects `count` elements of `type` at `address` under `name`: they are saved with each snapshot and filled by
 * wavecut_restore. Local: a name may exist on some ranks only and with another count on each; all ranks that
 * have it must give the same type. Protecting a name again gives its new address and count.
 *   name     in  [A-Za-z0-9_.-], '/' makes groups; at most WAVECUT_NAME_MAX bytes; copied
 *   address  in  the caller's memory; must stay valid until unprotected, protected again or finalized
 *   count    in  elements, not bytes; may be 0
 *   type     in  a predefined C or Fortran datatype (see the table in the README)
 * A failure leaves what was protected before. Errors: ARGUMENT, NAME, TYPE, MEMORY, ORDER.
 */
wavecut_status wavecut_protect(const char *name, void *address, size_t count, MPI_Datatype type);

/*
 * Like wavecut_protect, for this rank's part of one global array; in the file it is one dataset of the global shape. The
 * parts are boxes of any size, which together fill the global array, each element once: attempts are void as long as they
 * don't. In memory a part is contiguous, row-major (the last axis is the fastest), without ghost cells. It is written fastest
 * where it stands together in the file: parts along the first axis, and tiles of one shape in a grid, the last ones along an
 * axis perhaps smaller.
 *   ndims   in  1 to 8
 *   global  in  [ndims] shape of the whole array, elements; the same on every rank that has the name
 *   local   in  [ndims] shape of this rank's part; zeros are fine
 *   offset  in  [ndims] where this rank's part begins
 * The shapes are copied. Errors: as wavecut_protect; ARGUMENT also for a part that is not inside the global array.
 *
 * A run whose state is all in such arrays may go on with another number of ranks: see wavecut_restore.
 */
wavecut_status wavecut_protect_array(const char *name, void *address, MPI_Datatype type, int ndims,
                                     const size_t global[], const size_t local[],
                                     const size_t offset[]);

/* Where a save callback's bytes go. The library's; valid until the callback returns. */
typedef struct wavecut_sink wavecut_sink;

/*
 * Called by the library inside a record: at a safe point, or in a blocking receive that directly follows it. Writes
 * what is to be saved with wavecut_write, as often as it likes; nothing written is fine too. Returns 0; anything else
 * voids the attempt, with the name and the number as the reason, and the program goes on.
 */
typedef int wavecut_save_function(void *user, wavecut_sink *sink);

/*
 * Called by the library inside wavecut_restore after a restart, with the `count` bytes that the save callback of this
 * rank wrote, checked against their length and checksum. It is called once, or, if the snapshot could not be read to its end, again
 * with the bytes of an older one. `bytes` is the library's, aligned as by malloc, valid until
 * the callback returns. Returns 0; anything else fails wavecut_restore on all ranks.
 */
typedef int wavecut_load_function(void *user, const void *bytes, size_t count);

/*
 * Protects state that is no flat memory (lists, trees, hash tables) under `name`: `save` writes it as bytes into each
 * snapshot, as many as it has at that time, and `load` makes it again from them. In the file they are unsigned 8-bit
 * integers, with the same index as any array. Local; like wavecut_protect otherwise, and a name may be protected again
 * and unprotected like any other. What the bytes mean is the program's affair: without pointers, and of fixed widths if
 * another machine is to read them.
 *   name  in  as wavecut_protect
 *   save  in  must stay valid until unprotected, protected again or finalized
 *   load  in  likewise
 *   user  in  passed on to both as it is; may be NULL
 * A callback may call no function of this header but wavecut_write (in `save`) and the two that tell texts, no function
 * of MPI, and must not leave by longjmp or an exception. `save` changes nothing that is protected; what it takes is
 * time in which the program stands still. `load` is called before protected arrays are filled, in the order of the
 * names, so it must not read them.
 * A failure leaves what was protected before. Errors: ARGUMENT, NAME, MEMORY, ORDER.
 */
wavecut_status wavecut_protect_callback(const char *name, wavecut_save_function *save,
                                        wavecut_load_function *load, void *user);

/*
 * Appends `count` bytes to what this save callback has saved. Only inside of it, with its sink.
 *   bytes  in  the caller's, copied; may be NULL if count is 0
 * Errors: ORDER; MEMORY (WAVECUT_STAGING_MB, or there is none), and then the attempt is void whatever the callback
 * returns.
 */
wavecut_status wavecut_write(wavecut_sink *sink, const void *bytes, size_t count);

/*
 * Protects an array of requests under `name`: what is outstanding in it at a safe point is part of the snapshot, and
 * wavecut_restore fills the array again. So a program may post the receives of its next step early, and may leave sends
 * for later.
 *   name      in  as wavecut_protect
 *   requests  in  [count] the caller's; must stay valid until unprotected, protected again or finalized. At each safe
 *                 point every element is MPI_REQUEST_NULL, a persistent request, or a request of a receive or send that
 *                 is outstanding
 *   count     in  elements; may be 0
 * After a restart
 *   - a receive that was outstanding is outstanding again: same buffer, count, datatype, source, tag and communicator,
 *     posted in the order of before. It gets what it would have got: first what was in flight to it at the snapshot;
 *   - so is a persistent receive that was active: the program has made the same one again (MPI_Recv_init) and put it
 *     into the element before wavecut_restore, which starts it;
 *   - a send is MPI_REQUEST_NULL, or inactive if it is persistent: its message has been received, or is in the snapshot
 *     as in flight;
 *   - the same is a receive from MPI_PROC_NULL, and one that MPI_Request_get_status has called complete; waiting for
 *     it gives an empty status.
 * Persistent requests that are inactive need no protection. The buffers of active ones are the program's affair.
 * Where another receive is posted again must be known in another process, which has other addresses. So its whole buffer lies
 * inside one array that is protected by wavecut_protect or wavecut_protect_array, and is kept as a place in it. (If the
 * program itself had to post them, it would have to know which of them had been completed at the snapshot.) Hence
 * receives are begun after wavecut_restore, and only if it was a fresh start:
 *
 *     wavecut_protect("ghosts", ghosts, n, MPI_DOUBLE);
 *     wavecut_protect_requests("requests", requests, 4);    all four MPI_REQUEST_NULL, so far
 *     wavecut_restore(&restarted);
 *     if (!restarted)
 *         post_receives(requests);
 *
 * Datatypes of such receives: those of wavecut_protect, MPI_PACKED, and what is made of them by MPI_Type_contiguous,
 * _vector, _create_hvector, _create_resized, _create_subarray, _create_indexed_block and _dup, 127 characters in all in
 * the file's notation (src/store/FORMAT.md); they are made again by the library. The communicators of these receives are
 * made again by the program, as for messages in flight.
 * These void an attempt, with the name and number of the request: a receive whose buffer is in no protected array or
 * whose datatype can't be saved; one that was cancelled; a send that has not been received, if this rank has used
 * synchronous sends. So does any request that is outstanding and not protected, and each that is a nonblocking
 * collective's or a file's.
 * Local. A failure leaves what was protected before. Errors: ARGUMENT, NAME, MEMORY, ORDER. wavecut_restore returns
 * MISMATCH if a receive has no place any more or an active persistent one is not made again, and ORDER if an element is
 * neither MPI_REQUEST_NULL nor an inactive persistent request at a restart.
 */
wavecut_status wavecut_protect_requests(const char *name, MPI_Request requests[], int count);

/* What a program says about the use of a protected array. */
typedef enum wavecut_hint_kind { WAVECUT_NO_HINT = 0, WAVECUT_STABLE = 1 } wavecut_hint_kind;

/*
 * Says how the array that is protected under `name` is used. Local, at any time; it holds until it is said otherwise or
 * the name is unprotected, and stays when the name is protected again.
 *   STABLE   from each safe point to the next one nothing is written into the array that is protected under the name at the first of
 *            them, neither by the program nor by MPI. So it is in programs with two buffers that change places:
 *
 *                wavecut_hint("u", WAVECUT_STABLE);
 *                for (; step < steps; step++) {
 *                    wavecut_safepoint();
 *                    update(u_new, u);                              reads u, writes u_new
 *                    swap(&u, &u_new);
 *                    wavecut_protect("u", u, n, MPI_DOUBLE);        what is stable now is the other one
 *                }
 *
 *            A record doesn't copy such an array. It is written straight from the program's memory, and what is not written when the
 *            name gets another address or count, is unprotected, or at the next safe point, is copied then, before that call
 *            returns. In an immediate program a record inside the blocking receive after a safe point counts as one at it.
 *   NO_HINT  nothing is known: it is copied in the record. So it is from the start.
 * Written straight is what lies in the file and in memory at the same place modulo 4096 bytes. That is so for memory of wavecut_alloc
 * when the parts of all ranks have a multiple of 4096 bytes; what lies otherwise is copied by the writer's thread. Arrays of long
 * double are copied in the record all the same, and so is one that a protected receive which is outstanding there may write into.
 * An array that is written in spite of the hint may be saved as it was at no time, with checksums that fit. (A snapshot can't tell.)
 * Errors: ARGUMENT (no such hint, or callbacks or requests), NAME (not protected), ORDER.
 */
wavecut_status wavecut_hint(const char *name, wavecut_hint_kind hint);

/*
 * Memory for arrays: of zeros, at the beginning of a page, and on huge pages (2 MiB) where the system has some, which makes
 * copies of it faster. Local, at any time. The pages are taken when they are written first, so near the thread that does.
 *   bytes   in
 *   memory  out  for wavecut_free; never NULL
 * Errors: MEMORY, ARGUMENT (`memory` is NULL).
 */
wavecut_status wavecut_alloc(size_t bytes, void **memory);

/*
 * Gives memory of wavecut_alloc back. Local, at any time. NULL is fine.
 * A failure leaves it as it is. Errors: ARGUMENT (it is not from wavecut_alloc), ORDER (something in it is protected).
 */
wavecut_status wavecut_free(void *memory);

/* Ends the protection of `name`. Local. Errors: NAME (not protected), ORDER. */
wavecut_status wavecut_unprotect(const char *name);

/*
 * Tells what the snapshot that wavecut_restore will load holds under `name` for this rank, so that the program can
 * allocate before it protects. Local, between wavecut_init and wavecut_restore. When the snapshot was taken with another
 * number of ranks: what rank 0 had, and NOT_FOUND for global arrays, whose parts are the program's to choose.
 *   count  out  elements; may be NULL
 *   type   out  a predefined datatype, MPI_DATATYPE_NULL for requests; may be NULL
 * Errors: NOT_FOUND (fresh start, or no such name for this rank), ORDER.
 */
wavecut_status wavecut_stored(const char *name, size_t *count, MPI_Datatype *type);

/*
 * Begins the run: fills the protected memory and the channels from the snapshot chosen by WAVECUT_RESTART, or does
 * nothing on a fresh start. Collective, once, when everything is protected and before the first safe point.
 *   restarted  out  1 after a restart, 0 on a fresh start; may be NULL
 * With as many ranks as the snapshot has, each rank gets what it had, and its part of a global array must be the same
 * again. Another number of ranks is possible if no message is in flight in the snapshot and each name in it is either
 *   - a global array: each rank gets the part that it protects now, wherever it was; or
 *   - local (arrays and callbacks), with the same bytes on every rank of then, such as a step: every rank of now gets them.
 *     Requests can't be outstanding.
 * Otherwise it is refused: MISMATCH, and the text says which name or how many messages.
 * Nothing of the program changes before all ranks have read and verified what is theirs. Where a rank can't, all go on from the
 * newest snapshot before that they can read. All ranks return the same status. On failure no protected array has been changed, but
 * where WAVECUT_STAGING_MB is less than the state and a snapshot that was whole in wavecut_init is not any more; load callbacks may
 * have run.
 * Errors: MISMATCH (the text lists what differs), DAMAGED, IO, MEMORY, CALLBACK, ORDER, PEER.
 */
wavecut_status wavecut_restore(int *restarted);

/*
 * A safe point: the protected memory describes this rank fully, and no request is outstanding (active, if it is
 * persistent) but protected ones
 * (wavecut_protect_requests). A snapshot that is
 * due records this rank here; otherwise the call costs a few instructions. Local (aligned programs pass it
 * equally often on every rank). Errors: ORDER.
 * A program of several threads calls it on one thread at a time (which one doesn't matter), while no other thread changes what
 * is protected or is inside a call of MPI: outside of parallel regions. With MPI_THREAD_MULTIPLE this is checked: if a thread is
 * inside one, the attempt is void and names the call. In an immediate program the rank may also be recorded in the blocking
 * receive that directly follows on the same thread, unless another thread has called MPI since.
 */
wavecut_status wavecut_safepoint(void);

/* Asks for a snapshot as soon as possible. Local: any rank. Errors: ORDER. */
wavecut_status wavecut_request(void);

/* What the library has done so far, on this rank. */
typedef struct wavecut_info {
    int restarted;           /* 1 if this run began from a snapshot */
    int in_progress;         /* 1 while an attempt is under way */
    uint64_t last_snapshot;  /* number of the newest committed snapshot; 0: none */
    uint64_t committed;      /* snapshots committed by this process's run */
    uint64_t voided;         /* attempts given up */
    uint64_t failed;         /* attempts lost to the disk */
    uint64_t restored_messages; /* messages in flight that this rank got back at the restart */
    double stall_s;          /* seconds that the last record kept this rank from working */
    double commit_s;         /* seconds from the request to the commit of the last snapshot */
    char last_reason[256];   /* why the last attempt was void or failed; "" if none was */
} wavecut_info;

/* Fills `info` (the caller's). Local. Errors: ARGUMENT, ORDER. */
wavecut_status wavecut_status_get(wavecut_info *info);

/*
 * Ends checkpointing: completes the snapshot under way or gives it up, and leaves the durable mark that this run is
 * finished. Collective, before MPI_Finalize. Errors: ORDER, IO (the mark could not be written).
 */
wavecut_status wavecut_finalize(void);

#ifdef __cplusplus
}
#endif
#endif
