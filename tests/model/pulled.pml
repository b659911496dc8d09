/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The immediate (pulled) cut, section 5 of the protocol, over a model of MPI's matching. README.md says what is
 * modelled and what is left out; ./check runs it.
 *
 * Set by -D: N ranks, R receives at once, Qsd messages from rank s to rank d, ATTEMPTS, and the features
 *   RDV      sends may be blocking ones that end when they are received (two ranks only)
 *   NB       number of barriers of the application, 0 or 1
 *   ALONE    it is a call that blocks inside MPI for others than these ranks: no barrier between them
 *   OPEN     receives may be open at a record (they are protected); without: such a record is void
 *   RESTART  the job may die at a commit and go on from the cut
 *   ONETAG   no second tag
 *   COUNTERS a cut in which the counters disagree is void
 * and the sabotages NO_ARM, NO_LAZY, NO_DROP, OLDEST_FIRST, NO_MARKER_RECEIVES, SOFT_BARRIER, NO_B, EARLY_HELD,
 * REPOST_REVERSED, NO_CLOCK, NO_ORDER_VOID, NO_HELD_VOID, NO_TAG_VOID.
 */
#ifndef N
#define N 2
#endif
#ifndef R
#define R 2
#endif
#ifndef NB
#define NB 0
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 1
#endif
#ifndef C
#define C 8 /* room in queues; asserted */
#endif
#ifndef Q01
#define Q01 0
#endif
#ifndef Q10
#define Q10 0
#endif
#ifndef Q02
#define Q02 0
#endif
#ifndef Q20
#define Q20 0
#endif
#ifndef Q12
#define Q12 0
#endif
#ifndef Q21
#define Q21 0
#endif
#define Q(s, d) ((s) == 0 -> ((d) == 1 -> Q01 : Q02) : ((s) == 1 -> ((d) == 0 -> Q10 : Q12) : ((d) == 0 -> Q20 : Q21)))
#define TO(r) ((r) == 0 -> Q10 + Q20 : ((r) == 1 -> Q01 + Q21 : Q02 + Q12))
#define FROM(r) ((r) == 0 -> Q01 + Q02 : ((r) == 1 -> Q10 + Q12 : Q20 + Q21))
#define ALL ((1 << N) - 1)

/* A message in a byte: tag, number on its channel, source, "its sender waits", and a flag whose meaning is the list's. */
#define MARK 3
#define ANY 2
#define TAG(m) ((m) & 3)
#define SEQ(m) (((m) >> 2) & 3)
#define SRC(m) (((m) >> 4) & 3)
#define RENDEZVOUS 64
#define FLAG 128 /* in the stash and in receives: held; in the cut: tentative */
#define MSG(s, q, t) ((t) | ((q) << 2) | ((s) << 4))
#define FITS(w, m) ((w) == ANY || (w) == TAG(m)) /* sources are always ANY_SOURCE */

#ifdef NO_ARM
#define ALWAYS 1
#else
#define ALWAYS 0
#endif

/* ---- the network and MPI ---- */
chan net[N * N] = [C] of { byte }; /* s * N + d: in order */
byte uq[N * C], nu[N];             /* unexpected queue, in order of arrival */
/* The application's receives in posting order. */
byte W[N * R], S[N * R], M[N * R], n[N];
#define NAT 1   /* posted to MPI */
#define SOFT 2  /* in the software queue */
#define BOUND 3 /* has got a held message */
#define FULL 4  /* has got its message from the library */
#define NFULL 5 /* has got it from MPI */
#define FRESH 6 /* has got it from MPI after this rank's record, around a barrier */
#define WAITS(r, i) (S[(r) * R + (i)] == NAT || S[(r) * R + (i)] == SOFT)
byte mr[N]; /* receives for markers that are posted */
byte mm[N]; /* sources whose markers have met those */

/* ---- the application ---- */
#define RUN 0
#define RECV 1  /* in a blocking receive: the last one of the list */
#define WAIT 2  /* in Waitany */
#define SENDN 3 /* in a blocking send, inside MPI */
#define SENDP 4 /* in a blocking send, pulling */
#define BARR 5
#define DONE 6
byte mode[N];
byte sent[N * N], tags[N * N]; /* s * N + d: how many, and the tag of each, a bit each */
byte mat[N * N], got[N * N];   /* r * N + s: has a receive; handed over */
byte nto[N], nm[N], ng[N];     /* sent to, matched by, handed over at a rank */
byte nsent[N];
bit bar[N]; /* barrier passed */
byte barin; /* entered by */
#define PEND(r) (nto[r] - nm[r])

/* ---- the protocol ---- */
#define IDLE 0
#define AGREEING 1
#define AGREED 2
#define RECORDED 3
#define CLOSING 4
#define INB 5
#define COMMITTING 6
byte st[N];
byte sub[N]; /* receives are being taken back: 1 to arm, 2 after a barrier */
bit armed[N], outside[N], recordable[N], vd[N], written[N];
byte fin[N], req;
byte closed[N], used[N], marked[N], mout[N];
byte stash[N * C], ns[N], held[N];
#ifdef REPOST_REVERSED
bit reversed[N];
#endif

/* Reductions: entered, left, void, by phase and parity of the attempt. */
#define P_AGREE 0
#define P_A 1
#define P_B 2
#define P_COMMIT 3
byte en[8], lv[8];
bit pv[8];
byte clock[2]; /* barriers passed at the records, a bit for each number */
#define PH(r, ph) ((ph) * 2 + (fin[r] & 1))
#define COMPLETE(r, ph) (en[PH(r, ph)] == ALL)

/* ---- the cut of the attempt under way ---- */
byte csent[N * N], cgot[N * N], cl[N * C], nc[N];
bit cbar[N];
#ifdef RESTART
byte cw[N * R], cn[N], cmode[N]; /* the receives that are open at the record: the program starts them again */
byte planned[N * N]; /* messages whose tags are decided */
bit restarted;
#endif

hidden byte i, j, k, a, b, x, y, z;

/* ---- lists ---- */

/* Loops end with a skip: a d_step must not end with a loop. A macro: names of arrays can't be passed to an inline. */
#define remove(list, r_, room, at, count) \
    k = at; \
    do \
    :: k + 1 < count -> list[(r_) * room + k] = list[(r_) * room + k + 1]; k++ \
    :: else -> break \
    od; \
    list[(r_) * room + k] = 0

inline wake(m) { /* its send is over */
    if
    :: (m) & RENDEZVOUS -> mode[SRC(m)] = RUN
    :: else
    fi
}

inline add_cut(r_, m) {
    assert(nc[r_] < C);
    cl[(r_) * C + nc[r_]] = (m);
    nc[r_]++
}

/* ---- matching ---- */

/* Receive `at` of rank r_ takes m: the rules of MPI, as the application sees them. */
inline took(r_, at, m) {
    printf("rank %d: receive %d, pattern %d, takes message %d of rank %d, tag %d\n", r_, at, W[(r_) * R + at], SEQ(m), SRC(m), TAG(m));
    assert(TAG(m) != MARK); /* a marker was received by the application */
    assert(!(mat[(r_) * N + SRC(m)] >> SEQ(m) & 1)); /* twice */
    k = 0;
    do /* no older receive waits for it */
    :: k < at -> assert(!(WAITS(r_, k) && FITS(W[(r_) * R + k], m))); k++
    :: else -> break
    od;
    k = 0;
    do /* nor an older message for the receive */
    :: k < SEQ(m) ->
        assert((mat[(r_) * N + SRC(m)] >> k & 1) || !FITS(W[(r_) * R + at], tags[SRC(m) * N + (r_)] >> k & 1));
        k++
    :: else -> break
    od;
    mat[(r_) * N + SRC(m)] = mat[(r_) * N + SRC(m)] | (1 << SEQ(m));
    nm[r_]++;
    wake(m)
}

inline take_natively(r_, at, m) {
    took(r_, at, m);
    M[(r_) * R + at] = (m) & ~RENDEZVOUS;
    S[(r_) * R + at] = ((armed[r_] || ALWAYS) && st[r_] >= RECORDED && st[r_] < COMMITTING -> FRESH : NFULL)
}

/* A message arrives: the oldest posted receive that fits gets it. */
inline arrive(r_, m) {
    printf("rank %d: message %d of rank %d, tag %d, arrives in MPI\n", r_, SEQ(m), SRC(m), TAG(m));
    if
    :: TAG(m) == MARK && mr[r_] > 0 ->
        mr[r_]--;
        mm[r_] = mm[r_] | (1 << SRC(m));
        mout[SRC(m)]--
    :: else ->
        j = 0;
#ifdef REPOST_REVERSED
        if
        :: reversed[r_] ->
            j = n[r_];
            do
            :: j > 0 && !(S[(r_) * R + j - 1] == NAT && FITS(W[(r_) * R + j - 1], m)) -> j--
            :: else -> break
            od;
            if
            :: j == 0 -> j = n[r_]
            :: else -> j--
            fi
        :: else ->
#endif
        do
        :: j < n[r_] && !(S[(r_) * R + j] == NAT && FITS(W[(r_) * R + j], m)) -> j++
        :: else -> break
        od;
#ifdef REPOST_REVERSED
        fi;
#endif
        if
        :: j < n[r_] -> take_natively(r_, j, m)
        :: else -> assert(nu[r_] < C); uq[(r_) * C + nu[r_]] = (m); nu[r_]++
        fi
    fi
}

/* Receive `at` is posted to MPI: it looks into the unexpected queue. */
inline post(r_, at) {
    S[(r_) * R + at] = NAT;
    j = 0;
    do
    :: j < nu[r_] && !FITS(W[(r_) * R + at], uq[(r_) * C + j]) -> j++
    :: else -> break
    od;
    if
    :: j < nu[r_] ->
        y = uq[(r_) * C + j];
        remove(uq, r_, C, j, nu[r_]);
        nu[r_]--;
        take_natively(r_, at, y)
    :: else
    fi
}

inline post_soft(r_) {
    i = 0;
    do
    :: i < n[r_] ->
        if
        :: S[(r_) * R + i] == SOFT -> post(r_, i)
        :: else
        fi;
        i++
    :: else -> break
    od;
    skip
}

/* ---- pulling ---- */

inline pulled(r_, m) {
    printf("rank %d pulls message %d of rank %d, tag %d\n", r_, SEQ(m), SRC(m), TAG(m));
    if
    :: TAG(m) == MARK -> closed[r_] = closed[r_] | (1 << SRC(m)); mout[SRC(m)]--
    :: else ->
        z = 0; /* in the cut */
        x = (m);
        if
        :: st[r_] < RECORDED && (closed[r_] >> SRC(m) & 1) ->
#ifndef EARLY_HELD
            x = x | FLAG;
            held[r_]++
#endif
            skip
        :: st[r_] >= RECORDED && !vd[r_] && !(closed[r_] >> SRC(m) & 1) ->
            add_cut(r_, ((m) & ~RENDEZVOUS) | FLAG);
            z = 1
        :: else
        fi;
        j = 0;
        do
        :: j < n[r_] && !(S[(r_) * R + j] == SOFT && FITS(W[(r_) * R + j], m)) -> j++
        :: else -> break
        od;
        if
        :: j < n[r_] ->
            took(r_, j, m); /* a held one goes into the library's memory: its sender goes on */
            recordable[r_] = 0;
            M[(r_) * R + j] = (m) & ~RENDEZVOUS;
            S[(r_) * R + j] = (x & FLAG -> BOUND : FULL)
        :: else ->
            if
            :: z -> wake(m); x = x & ~RENDEZVOUS
            :: else
            fi;
            assert(ns[r_] < C);
            stash[(r_) * C + ns[r_]] = x;
            ns[r_]++
        fi
    fi
}

/* A receive begins; `w` is its pattern. */
inline receive(r_, w) {
    printf("rank %d starts receive %d, pattern %d, mode %d\n", r_, n[r_], w, mode[r_]);
    W[(r_) * R + n[r_]] = w;
    n[r_]++;
    j = 0; /* the stash first */
    do
    :: j < ns[r_] && !FITS(w, stash[(r_) * C + j]) -> j++
    :: else -> break
    od;
    if
    :: j < ns[r_] ->
        y = stash[(r_) * C + j];
        remove(stash, r_, C, j, ns[r_]);
        ns[r_]--;
        took(r_, n[r_] - 1, y);
        recordable[r_] = 0;
        M[(r_) * R + n[r_] - 1] = y & ~(RENDEZVOUS | FLAG);
        S[(r_) * R + n[r_] - 1] = (y & FLAG -> BOUND : FULL)
    :: else ->
        if
        :: armed[r_] -> S[(r_) * R + n[r_] - 1] = SOFT
        :: else -> post(r_, n[r_] - 1)
        fi
    fi
}

inline hand_over(r_, at) {
    y = M[(r_) * R + at];
    printf("rank %d gets message %d of rank %d from receive %d\n", r_, SEQ(y), SRC(y), at);
    got[(r_) * N + SRC(y)] = got[(r_) * N + SRC(y)] | (1 << SEQ(y));
    ng[r_]++;
#ifdef NO_ARM
    if
    :: S[(r_) * R + at] == FRESH && !vd[r_] && !(closed[r_] >> SRC(y) & 1) -> add_cut(r_, y | FLAG)
    :: else
    fi;
#endif
    recordable[r_] = 0;
    remove(W, r_, R, at, n[r_]);
    remove(S, r_, R, at, n[r_]);
    remove(M, r_, R, at, n[r_]);
    n[r_]--;
    mode[r_] = RUN
}

/* ---- the frame ---- */

inline enter(r_, ph) {
    en[PH(r_, ph)] = en[PH(r_, ph)] | (1 << r_);
    pv[PH(r_, ph)] = pv[PH(r_, ph)] | vd[r_]
}

inline leave(r_, ph) {
    lv[PH(r_, ph)] = lv[PH(r_, ph)] | (1 << r_);
    if
    :: lv[PH(r_, ph)] == ALL ->
        en[PH(r_, ph)] = 0;
        lv[PH(r_, ph)] = 0;
        pv[PH(r_, ph)] = 0;
        if
        :: ph == P_A -> clock[fin[r_] & 1] = 0
        :: else
        fi
    :: else
    fi
}

inline release_held(r_) {
    j = 0;
    do
    :: j < ns[r_] -> stash[(r_) * C + j] = stash[(r_) * C + j] & ~FLAG; j++
    :: else -> break
    od;
    j = 0;
    do
    :: j < n[r_] ->
        if
        :: S[(r_) * R + j] == BOUND -> S[(r_) * R + j] = FULL
        :: else
        fi;
        j++
    :: else -> break
    od;
    held[r_] = 0
}

inline send_marker(r_, d) {
    assert(nfull(net[(r_) * N + d]));
    net[(r_) * N + d] ! MSG(r_, 0, MARK);
    marked[r_] = marked[r_] | (1 << d);
    mout[r_]++
}

inline record(r_) {
    printf("rank %d records, void %d, mode %d\n", r_, vd[r_], mode[r_]);
    st[r_] = RECORDED;
    recordable[r_] = 0;
#ifndef OPEN
    if /* a receive that the program would have to find open after a restart */
    :: n[r_] > 1 || (n[r_] == 1 && mode[r_] != RECV) -> vd[r_] = 1
    :: else
    fi;
#endif
    if
    :: !vd[r_] ->
        cbar[r_] = bar[r_];
#ifdef RESTART
        cn[r_] = n[r_];
        cmode[r_] = mode[r_];
        j = 0;
        do
        :: j < n[r_] -> cw[(r_) * R + j] = W[(r_) * R + j]; j++
        :: else -> break
        od;
#endif
        j = 0;
        do
        :: j < N -> csent[(r_) * N + j] = sent[(r_) * N + j]; cgot[(r_) * N + j] = got[(r_) * N + j]; j++
        :: else -> break
        od;
        j = 0;
        do
        :: j < n[r_] ->
            if
            :: S[(r_) * R + j] == FULL || S[(r_) * R + j] == NFULL -> add_cut(r_, M[(r_) * R + j])
            :: else
            fi;
            j++
        :: else -> break
        od;
        j = 0;
        do
        :: j < ns[r_] ->
            if
            :: !(stash[(r_) * C + j] & FLAG) ->
                wake(stash[(r_) * C + j]);
                stash[(r_) * C + j] = stash[(r_) * C + j] & ~RENDEZVOUS;
                add_cut(r_, stash[(r_) * C + j])
            :: else
            fi;
            j++
        :: else -> break
        od
    :: else
    fi;
    release_held(r_);
    j = 0;
    do
    :: j < N ->
        if
        :: used[r_] >> j & 1 -> send_marker(r_, j)
        :: else
        fi;
        j++
    :: else -> break
    od;
    used[r_] = 0;
    clock[fin[r_] & 1] = clock[fin[r_] & 1] | (1 << bar[r_]);
    enter(r_, P_A)
}

/* B is complete, or the agreement was void. */
inline close(r_) {
    printf("rank %d closes, void %d\n", r_, vd[r_]);
#ifndef NO_DROP
    j = 0;
    do
    :: j < nc[r_] ->
        if
        :: (cl[(r_) * C + j] & FLAG) && !(closed[r_] >> SRC(cl[(r_) * C + j]) & 1) ->
            remove(cl, r_, C, j, nc[r_]);
            nc[r_]--
        :: else -> j++
        fi
    :: else -> break
    od;
#endif
    release_held(r_);
    j = 0;
    do
    :: j < n[r_] ->
        if
        :: S[(r_) * R + j] == FRESH -> S[(r_) * R + j] = NFULL
        :: else
        fi;
        j++
    :: else -> break
    od;
    armed[r_] = 0;
#ifdef REPOST_REVERSED
    reversed[r_] = 1;
    i = n[r_];
    do
    :: i > 0 ->
        i--;
        if
        :: S[(r_) * R + i] == SOFT -> post(r_, i)
        :: else
        fi
    :: else -> break
    od;
    skip
#else
    post_soft(r_)
#endif
}

inline end_attempt(r_) {
    printf("rank %d ends its attempt, void %d\n", r_, vd[r_]);
    st[r_] = IDLE;
    fin[r_]++;
    closed[r_] = 0;
    marked[r_] = 0;
    vd[r_] = 0;
    written[r_] = 0;
    cbar[r_] = 0;
    j = 0;
    do
    :: j < N -> csent[(r_) * N + j] = 0; cgot[(r_) * N + j] = 0; j++
    :: else -> break
    od;
    do
    :: nc[r_] > 0 -> nc[r_]--; cl[(r_) * C + nc[r_]] = 0
    :: else -> break
    od;
#ifdef RESTART
    do
    :: cn[r_] > 0 -> cn[r_]--; cw[(r_) * R + cn[r_]] = 0
    :: else -> break
    od;
    cmode[r_] = 0;
#endif
    skip
}

/* A committed cut: for each channel, sent before = received before + in flight, in order, none twice. */
inline judge() {
    a = 0;
    do
    :: a < N ->
        b = 0;
        do
        :: b < N && a != b ->
#ifndef ALONE
            assert(cbar[a] == cbar[b]); /* a collective that only some would repeat */
#endif
            x = cgot[b * N + a];
            y = 0; /* next number of tag 0 */
            z = 0; /* of tag 1 */
            j = 0;
            do
            :: j < nc[b] ->
                k = cl[b * C + j];
                if
                :: SRC(k) == a ->
                    assert(!(x >> SEQ(k) & 1)); /* twice */
                    x = x | (1 << SEQ(k));
                    if
                    :: TAG(k) == 0 -> assert(SEQ(k) >= y); y = SEQ(k) + 1
                    :: else -> assert(SEQ(k) >= z); z = SEQ(k) + 1
                    fi
                :: else
                fi;
                j++
            :: else -> break
            od;
            assert(x <= (1 << csent[a * N + b]) - 1); /* an orphan, or a later message in the cut */
            assert(x == (1 << csent[a * N + b]) - 1); /* lost */
            b++
        :: b < N && a == b -> b++
        :: else -> break
        od;
        a++
    :: else -> break
    od;
    skip
}

/* The counters, if they are modelled: z is set if for a stream sent is not received + in flight, which voids. Without them
 * the model shows that nothing depends on them. */
inline count() {
    z = 0;
#ifdef COUNTERS
    a = 0;
    do
    :: a < N * N * 2 -> /* sender, receiver, tag */
        x = a / 2 % N;
        b = a / 2 / N;
        k = 0; /* the difference, modulo 256 */
        i = 0;
        do
        :: i < 4 ->
            y = (tags[b * N + x] >> i & 1) == a % 2;
            k = k + (y && i < csent[b * N + x]) - (y && (cgot[x * N + b] >> i & 1));
            i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < nc[x] -> k = k - (SRC(cl[x * C + i]) == b && TAG(cl[x * C + i]) == a % 2); i++
        :: else -> break
        od;
        z = z || k != 0;
        a++
    :: else -> break
    od;
#endif
    skip
}

/* What a rank does between its report and the end of the attempt is native: they may all end at once. */
inline commit(r_) {
    count();
    if
    :: !pv[PH(r_, P_COMMIT)] && z == 0 -> judge()
    :: else
    fi;
    en[PH(r_, P_COMMIT)] = 0;
    pv[PH(r_, P_COMMIT)] = 0;
    a = 0;
    do
    :: a < N -> end_attempt(a); a++
    :: else -> break
    od;
    skip
}

#ifdef RESTART
/* The job dies when the cut has been committed, and goes on from there. */
inline restart(r_) {
    judge();
    printf("the job dies and is restarted\n");
    restarted = 1;
    printf("the job dies and is restarted\n");
    barin = 0;
    i = 0;
    do
    :: i < 8 -> en[i] = 0; lv[i] = 0; pv[i] = 0; i++
    :: else -> break
    od;
    clock[0] = 0;
    clock[1] = 0;
    i = 0;
    do
    :: i < N ->
        nto[i] = 0;
        nm[i] = 0;
        ng[i] = 0;
        nsent[i] = 0;
        i++
    :: else -> break
    od;
    a = 0;
    do
    :: a < N ->
        b = 0;
        do
        :: b < N ->
            do
            :: nempty(net[a * N + b]) -> net[a * N + b] ? x
            :: empty(net[a * N + b]) -> break
            od;
            planned[a * N + b] = sent[a * N + b];
            sent[a * N + b] = csent[a * N + b];
            nsent[a] = nsent[a] + csent[a * N + b];
            nto[b] = nto[b] + csent[a * N + b];
            got[a * N + b] = cgot[a * N + b];
            mat[a * N + b] = cgot[a * N + b];
            i = 0;
            do
            :: i < 4 -> ng[a] = ng[a] + (cgot[a * N + b] >> i & 1); i++
            :: else -> break
            od;
            b++
        :: else -> break
        od;
        nm[a] = ng[a];
        do
        :: nu[a] > 0 -> nu[a]--; uq[a * C + nu[a]] = 0
        :: else -> break
        od;
        do
        :: n[a] > 0 -> n[a]--; W[a * R + n[a]] = 0; S[a * R + n[a]] = 0; M[a * R + n[a]] = 0
        :: else -> break
        od;
        do
        :: ns[a] > 0 -> ns[a]--; stash[a * C + ns[a]] = 0
        :: else -> break
        od;
        do
        :: ns[a] < nc[a] -> stash[a * C + ns[a]] = cl[a * C + ns[a]] & ~FLAG; ns[a]++
        :: else -> break
        od;
        mode[a] = RUN;
        bar[a] = cbar[a];
        barin = barin | (cbar[a] << a);
        sub[a] = 0;
        mr[a] = 0;
        mm[a] = 0;
        armed[a] = 0;
        outside[a] = 0;
        recordable[a] = 0;
        used[a] = 0;
        mout[a] = 0;
        held[a] = 0;
        i = 0;
        do
        :: i < cn[a] -> receive(a, cw[a * R + i]); i++
        :: else -> break
        od;
        mode[a] = cmode[a];
        end_attempt(a);
        a++
    :: else -> break
    od;
    skip
}
#endif

/* Ends the taking back that sub[] says. */
inline taken_back(r_) {
    printf("rank %d has taken back, sub %d\n", r_, sub[r_]);
    if
    :: sub[r_] == 1 ->
        st[r_] = AGREEING;
        enter(r_, P_AGREE)
    :: else ->
        outside[r_] = 0;
        mr[r_] = 0;
        a = 0;
        do
        :: a < N && (mm[r_] >> a & 1) ->
            b = 0; /* did the channel bring anything else? */
            i = 0;
            do
            :: i < nu[r_] ->
                if
                :: SRC(uq[(r_) * C + i]) == a ->
                    y = uq[(r_) * C + i];
                    remove(uq, r_, C, i, nu[r_]);
                    nu[r_]--;
                    pulled(r_, y);
                    b = 1
                :: else -> i++
                fi
            :: else -> break
            od;
            closed[r_] = closed[r_] | (1 << a);
            i = 0;
            do
            :: i < n[r_] ->
                b = b || S[(r_) * R + i] == NFULL || S[(r_) * R + i] == FRESH;
                i++
            :: else -> break
            od;
#ifndef NO_ORDER_VOID
            vd[r_] = vd[r_] || b;
#endif
            a++
        :: a < N && !(mm[r_] >> a & 1) -> a++
        :: else -> break
        od;
        mm[r_] = 0;
        i = 0;
        do
        :: i < n[r_] ->
            if
            :: S[(r_) * R + i] == FRESH ->
#ifndef NO_TAG_VOID
                /* was it sent before or after what else the channel has brought? */
                b = 0;
                j = 0;
                do
                :: j < nu[r_] ->
                    b = b || (SRC(uq[(r_) * C + j]) == SRC(M[(r_) * R + i]) && TAG(uq[(r_) * C + j]) != MARK);
                    j++
                :: else -> break
                od;
                j = 0;
                do
                :: j < n[r_] ->
                    b = b || (j != i && (S[(r_) * R + j] == NFULL || S[(r_) * R + j] == FRESH) &&
                              W[(r_) * R + j] != W[(r_) * R + i]);
                    j++
                :: else -> break
                od;
                vd[r_] = vd[r_] || (b && W[(r_) * R + i] != ANY && st[r_] >= RECORDED &&
                                    !(closed[r_] >> SRC(M[(r_) * R + i]) & 1));
#endif
                if
                :: !vd[r_] && !(closed[r_] >> SRC(M[(r_) * R + i]) & 1) -> add_cut(r_, M[(r_) * R + i] | FLAG)
                :: else
                fi;
                S[(r_) * R + i] = NFULL
            :: S[(r_) * R + i] == NFULL && st[r_] < RECORDED && (closed[r_] >> SRC(M[(r_) * R + i]) & 1) ->
                /* from behind a marker that had come before the call */
#ifndef NO_HELD_VOID
                vd[r_] = 1;
#endif
                skip
            :: else
            fi;
            i++
        :: else -> break
        od
    fi;
    sub[r_] = 0
}

/* Takes back one receive, the newest; ends when none is left. */
inline take_back_one(r_) {
#ifdef OLDEST_FIRST
    j = 0;
    do
    :: j < n[r_] && S[(r_) * R + j] != NAT -> j++
    :: else -> break
    od;
    if
    :: j < n[r_] -> S[(r_) * R + j] = SOFT
    :: else
    fi;
#else
    j = n[r_];
    do
    :: j > 0 && S[(r_) * R + j - 1] != NAT -> j--
    :: else -> break
    od;
    if
    :: j > 0 -> S[(r_) * R + j - 1] = SOFT
    :: else
    fi;
#endif
    j = 0;
    do
    :: j < n[r_] && S[(r_) * R + j] != NAT -> j++
    :: else -> break
    od;
    if
    :: j == n[r_] -> taken_back(r_)
    :: else
    fi
}

/* ---- what a rank does ---- */

#define IS(r, i, w) ((i) < R && WAITS(r, i) && W[(r) * R + (i)] == (w))
#if R == 1
#define SOME(r, w) (IS(r, 0, w))
#define ANYSTATE(r, s) (S[(r) * R] == (s))
#define WAITING(r) (WAITS(r, 0))
#define WILD(r) (IS(r, 0, ANY))
#elif R == 2
#define SOME(r, w) (IS(r, 0, w) || IS(r, 1, w))
#define ANYSTATE(r, s) (S[(r) * R] == (s) || S[(r) * R + 1] == (s))
#define WAITING(r) (WAITS(r, 0) + WAITS(r, 1))
#define WILD(r) (IS(r, 0, ANY) + IS(r, 1, ANY))
#else
#define SOME(r, w) (IS(r, 0, w) || IS(r, 1, w) || IS(r, 2, w))
#define ANYSTATE(r, s) (S[(r) * R] == (s) || S[(r) * R + 1] == (s) || S[(r) * R + 2] == (s))
#define WAITING(r) (WAITS(r, 0) + WAITS(r, 1) + WAITS(r, 2))
#define WILD(r) (IS(r, 0, ANY) + IS(r, 1, ANY) + IS(r, 2, ANY))
#endif
#define READY(r, i) (S[(r) * R + (i)] >= FULL)

#define LEFT(s, d) (sent[(s) * N + (d)] < Q(s, d))
#define BLOCKED(r) (mode[r] == RECV || mode[r] == WAIT)
#define ARRIVED(r) (ANYSTATE(r, FULL) || ANYSTATE(r, NFULL) || ANYSTATE(r, FRESH))
/* has a message for what it is blocked in */
#define FED(r) (mode[r] == RECV -> S[(r) * R + n[r] - 1] >= BOUND : ANYSTATE(r, BOUND) || ARRIVED(r))
#define O ((r + 1) % N)
#define P ((r + 2) % N)
/* The application by itself does not come to a standstill: each rank blocks only if somebody can be counted on. */
#if N == 2
#define MAY_BLOCK (PEND(r) > 0 || (LEFT(O, r) && mode[O] == RUN))
#define MAY_LEAVE_ALONE (!(BLOCKED(O) && PEND(O) == 0 && !FED(O)))
#define UNMATCHED(r) (((1 << sent[O * N + r]) - 1) & ~mat[r * N + O])
#define SOME_TAG(t) ((t) -> UNMATCHED(r) & tags[O * N + r] : UNMATCHED(r) & ~tags[O * N + r])
#define SENDING(p) (mode[p] == SENDN || mode[p] == SENDP)
#define LAST_TAG(s, d) (tags[(s) * N + (d)] >> (sent[(s) * N + (d)] - 1) & 1)
/* The blocking send to r will end even if r does nothing: */
#define SERVED(r) (!SENDING(O) || (PEND(r) == 1 && (SOME(r, ANY) || SOME(r, LAST_TAG(O, r)))))
/* and one from r with tag t: */
#define MAY_SEND(t) (mode[O] < SENDN || (PEND(O) == 0 && (SOME(O, ANY) || SOME(O, t))))
#else
#define MAY_BLOCK (PEND(r) > 0 || (LEFT(O, r) && mode[O] == RUN) || (LEFT(P, r) && mode[P] == RUN))
#define RELIES(x, p) (BLOCKED(x) && PEND(x) == 0 && !FED(x) && !(LEFT(p, x) && mode[p] == RUN))
#define MAY_LEAVE_ALONE (!RELIES(O, P) && !RELIES(P, O))
#define SOME_TAG(t) 0
#define SERVED(r) 1
#endif

#ifdef ALONE
#define BARRIER_ENDS true
#else
#define BARRIER_ENDS (barin == ALL)
#endif
#if defined(ALONE) || defined(NO_CLOCK)
#define CLOCK_DIFFERS 0
#else
#define CLOCK_DIFFERS (clock[fin[r] & 1] == 3)
#endif
#define FREE (mode[r] == RUN && sub[r] == 0)
#define POLLS (mode[r] != SENDN && mode[r] != BARR && sub[r] == 0)
#define PULLS (armed[r] && POLLS)

inline send(d, t, how) {
    printf("rank %d sends message %d, tag %d, to rank %d, waits %d\n", r, sent[r * N + d], t, d, how);
#ifndef NO_LAZY
    if
    :: st[r] == RECORDED && !(marked[r] >> d & 1) -> send_marker(r, d)
    :: else
    fi;
#endif
    used[r] = used[r] | (1 << d);
    assert(nfull(net[r * N + d]));
    tags[r * N + d] = tags[r * N + d] | ((t) << sent[r * N + d]);
    net[r * N + d] ! MSG(r, sent[r * N + d], t) | how;
    sent[r * N + d]++;
    nsent[r]++;
    nto[d]++;
    if
    :: how -> mode[r] = (armed[r] -> SENDP : SENDN)
    :: else
    fi
}

/* For a rank that doesn't pull, what arrives alone may as well be on its way until there is a receive for it. */
/* The names of the tags don't matter: the first message of rank 0 to rank 1 has tag 0. */
#define TAG_OK(d, t) ((t == 0 || r != 0 || d != 1 || sent[1] > 0) && AGAIN(d, t))
#ifdef RESTART /* a program does the same again */
#define AGAIN(d, t) (sent[r * N + d] >= planned[r * N + d] || t == (tags[r * N + d] >> sent[r * N + d] & 1))
#define SENT_AGAIN(d) (sent[r * N + d] >= planned[r * N + d])
#else
#define SENT_AGAIN(d) true
#define AGAIN(d, t) true
#endif
#define SEND(d, t) :: d_step { FREE && LEFT(r, d) && TAG_OK(d, t) -> send(d, t, 0) }
#define SSEND(d, t) :: d_step { FREE && LEFT(r, d) && TAG_OK(d, t) && SERVED(r) && MAY_SEND(t) -> send(d, t, RENDEZVOUS) }
/* A receive for one tag leaves room for one that takes anything. */
#define IRECV(w) \
    :: d_step { FREE && n[r] < R - (w != ANY) && TO(r) - nm[r] > (w == ANY -> WILD(r) : 0) -> receive(r, w) }
/* A safe point, and a blocking receive directly after it. One that comes later is an IRECV and a wait; at a safe point
 * where the record is due it is taken. */
#define BLOCKING_RECV(w, if_) \
    :: d_step { FREE && st[r] != AGREED && fin[r] + (st[r] != IDLE && st[r] != AGREEING) < ATTEMPTS && n[r] < R && \
        !WAITING(r) && if_ -> mode[r] = RECV; recordable[r] = 1; receive(r, w) }
#define TEST(at) :: d_step { FREE && READY(r, at) -> hand_over(r, at) }
#define PULL(s) \
    :: d_step { PULLS && nu[r] == 0 && nempty(net[(s) * N + r]) -> net[(s) * N + r] ? b; pulled(r, b) }
#define DELIVER(s) \
    :: d_step { nempty(net[(s) * N + r]) && (armed[r] -> outside[r] || sub[r] != 0 : \
        len(net[(s) * N + r]) > 1 || ANYSTATE(r, NAT) || ALWAYS) -> \
        net[(s) * N + r] ? b; arrive(r, b) }

#ifdef NO_B
#define MARKERS_RECEIVED true
#define B_COMPLETE(r) true
#else
#define MARKERS_RECEIVED (mout[r] == 0)
#define B_COMPLETE(r) COMPLETE(r, P_B)
#endif
#define LAST_TO_COMMIT \
    (written[r] && !vd[r] && !pv[PH(r, P_B)] && (en[PH(r, P_COMMIT)] | 1 << r) == ALL && !pv[PH(r, P_COMMIT)])
#define CLOSE(if_, then_) \
    :: d_step { POLLS && st[r] == INB && B_COMPLETE(r) && (if_) -> \
        a = pv[PH(r, P_B)]; \
        leave(r, P_B); \
        close(r); \
        if \
        :: !written[r] -> end_attempt(r) \
        :: else -> \
            vd[r] = vd[r] || a; \
            st[r] = COMMITTING; \
            enter(r, P_COMMIT); \
            if \
            :: COMPLETE(r, P_COMMIT) -> then_ \
            :: else \
            fi \
        fi \
       }

proctype rank(byte r) {
    do
    /* the application */
    SEND(O, 0)
#ifndef ONETAG
    SEND(O, 1)
#endif
#if N > 2
    SEND(P, 0)
#ifndef ONETAG
    SEND(P, 1)
#endif
#endif
#ifdef RDV
    SSEND(O, 0)
#ifndef ONETAG
    SSEND(O, 1)
#endif
#endif
    IRECV(ANY)
#ifndef ONETAG
    IRECV(0)
    IRECV(1)
#endif
    TEST(0)
#if R > 1
    TEST(1)
#endif
#if R > 2
    TEST(2)
#endif
    BLOCKING_RECV(ANY, TO(r) > nm[r] && MAY_BLOCK)
#ifndef ONETAG
    BLOCKING_RECV(0, SOME_TAG(0))
    BLOCKING_RECV(1, SOME_TAG(1))
#endif
#ifdef WAITANY
    :: d_step { FREE && n[r] > 0 && !ARRIVED(r) &&
        (ANYSTATE(r, BOUND) || ((SOME(r, ANY) || (SOME(r, 0) && SOME(r, 1))) && MAY_BLOCK)) -> mode[r] = WAIT }
#endif
    :: d_step { mode[r] == RECV && sub[r] == 0 && READY(r, n[r] - 1) -> hand_over(r, n[r] - 1) }
    :: d_step { mode[r] == WAIT && sub[r] == 0 && READY(r, 0) -> hand_over(r, 0) }
#if R > 1
    :: d_step { mode[r] == WAIT && sub[r] == 0 && READY(r, 1) -> hand_over(r, 1) }
#endif
#if R > 2
    :: d_step { mode[r] == WAIT && sub[r] == 0 && READY(r, 2) -> hand_over(r, 2) }
#endif
    :: d_step { FREE && st[r] == AGREED -> record(r) } /* a safe point */
#if NB
    :: d_step { FREE && !bar[r] && SERVED(r) && MAY_LEAVE_ALONE && SENT_AGAIN(O) ->
        printf("rank %d enters the barrier\n", r);
#ifndef SOFT_BARRIER
        if
        :: armed[r] && ANYSTATE(r, SOFT) ->
            outside[r] = 1;
#ifndef NO_MARKER_RECEIVES
            a = 0;
            do
            :: a < N -> mr[r] = mr[r] + !(closed[r] >> a & 1); a++
            :: else -> break
            od;
            i = 0;
            do
            :: i < nu[r] && TAG(uq[r * C + i]) == MARK ->
                y = uq[r * C + i];
                remove(uq, r, C, i, nu[r]);
                nu[r]--;
                arrive(r, y)
            :: i < nu[r] && TAG(uq[r * C + i]) != MARK -> i++
            :: else -> break
            od;
#endif
            post_soft(r)
        :: else
        fi;
#endif
        mode[r] = BARR;
        barin = barin | (1 << r)
       }
    :: d_step { mode[r] == BARR && BARRIER_ENDS ->
        printf("rank %d leaves the barrier\n", r);
        mode[r] = RUN;
        bar[r] = 1;
        if
        :: outside[r] -> sub[r] = 2; take_back_one(r)
        :: else
        fi
       }
#endif
    :: d_step { FREE && nsent[r] == FROM(r) && ng[r] == TO(r) && bar[r] == NB ->
        mode[r] = DONE; /* what it has posted in vain it cancels */
        do
        :: n[r] > 0 -> n[r]--; W[r * R + n[r]] = 0; S[r * R + n[r]] = 0; M[r * R + n[r]] = 0
        :: else -> break
        od;
        if
        :: st[r] == AGREED -> vd[r] = 1; record(r)
        :: else
        fi
       }

    /* MPI */
    DELIVER(O)
#if N > 2
    DELIVER(P)
#endif
    :: d_step { sub[r] != 0 -> take_back_one(r) }

    /* the protocol: any call polls */
    :: d_step { POLLS && st[r] == IDLE && (req > fin[r] || (fin[r] < ATTEMPTS && mode[r] != DONE)) ->
        printf("rank %d asks or hears\n", r);
        req = fin[r] + 1;
        if
        :: mode[r] == DONE -> vd[r] = 1; st[r] = AGREEING; enter(r, P_AGREE)
        :: else ->
            sub[r] = 1;
#ifdef NO_ARM
            taken_back(r)
#else
            armed[r] = 1;
            take_back_one(r)
#endif
        fi
       }
    :: d_step { PULLS && nu[r] > 0 -> b = uq[r * C]; remove(uq, r, C, 0, nu[r]); nu[r]--; pulled(r, b) }
#ifdef NO_ARM /* receiving stays native, and a probe looks for markers: one has a tag of its own */
    :: d_step { POLLS && st[r] != IDLE && nu[r] > 0 && TAG(uq[r * C]) == MARK ->
        b = uq[r * C]; remove(uq, r, C, 0, nu[r]); nu[r]--; pulled(r, b) }
    :: d_step { POLLS && st[r] != IDLE && nu[r] > 1 && TAG(uq[r * C + 1]) == MARK ->
        b = uq[r * C + 1]; remove(uq, r, C, 1, nu[r]); nu[r]--; pulled(r, b) }
#endif
    PULL(O)
#if N > 2
    PULL(P)
#endif
    :: d_step { POLLS && st[r] == AGREEING && COMPLETE(r, P_AGREE) ->
        a = pv[PH(r, P_AGREE)];
        leave(r, P_AGREE);
        if
        :: a ->
            if
            :: armed[r] -> close(r)
            :: else
            fi;
            end_attempt(r)
        :: else ->
            st[r] = AGREED;
            if
            :: mode[r] == DONE -> vd[r] = 1; record(r)
            :: mode[r] != DONE && recordable[r] -> record(r) /* directly after a safe point, in a receive too */
            :: else
            fi
        fi
       }
    :: d_step { POLLS && st[r] == AGREED && held[r] > 0 -> vd[r] = 1; record(r) } /* starved */
    :: d_step { POLLS && st[r] == RECORDED && COMPLETE(r, P_A) ->
        a = pv[PH(r, P_A)] || CLOCK_DIFFERS;
        leave(r, P_A);
        vd[r] = vd[r] || a;
        written[r] = !a;
        printf("rank %d knows that all have recorded, void %d\n", r, vd[r]);
        st[r] = CLOSING;
        if
        :: MARKERS_RECEIVED -> st[r] = INB; enter(r, P_B)
        :: else
        fi
       }
    :: d_step { POLLS && st[r] == CLOSING && MARKERS_RECEIVED -> st[r] = INB; enter(r, P_B) }
    CLOSE(true, commit(r))
#ifdef RESTART
    CLOSE(!restarted && LAST_TO_COMMIT, restart(r))
#endif
#if N == 2
    :: mode[0] == DONE && mode[1] == DONE && st[r] == IDLE && fin[r] == req && fin[O] == req -> break
#else
    :: mode[0] == DONE && mode[1] == DONE && mode[2] == DONE && st[r] == IDLE && fin[r] == req &&
        fin[O] == req && fin[P] == req -> break
#endif
    od;
    atomic {
        assert(nu[r] == 0 && ns[r] == 0 && mout[r] == 0 && mr[r] == 0 && empty(net[O * N + r]) && !armed[r]);
#if N > 2
        assert(empty(net[P * N + r]))
#endif
    }
}

init {
    atomic {
        run rank(0);
        run rank(1)
#if N > 2
        ;run rank(2)
#endif
    }
}
