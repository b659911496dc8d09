/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The aligned (counted) cut, section 4 of the protocol: two ranks that take STEPS steps, Q01 and Q10 messages, R receives
 * at once, ATTEMPTS. MPI's matching is never touched; streams are counted in matching order, the log is trimmed by what the
 * sender's marker counts, and counts are carried from one cut to the next. README.md says what is left out.
 *
 * Sabotages: HAND_OVER_ORDER, NO_SLOTS, NO_CARRY, NO_TRIM, LATE_TOO.
 */
#define N 2
#ifndef R
#define R 3
#endif
#ifndef STEPS
#define STEPS 3
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 1
#endif
#ifndef Q01
#define Q01 0
#endif
#ifndef Q10
#define Q10 0
#endif
#define C 6
#define Q(s) ((s) == 0 -> Q01 : Q10)
#define O (1 - r)

/* Messages are of the other rank: tag, and number on the channel. */
#define ANY 2
#define TAG(m) ((m) & 1)
#define SEQ(m) ((m) >> 1)
#define FITS(w, m) ((w) == ANY || (w) == TAG(m))

/* ---- MPI and the application ---- */
chan net[N] = [C] of { byte }; /* to a rank, in order */
byte uq[N * C], nu[N];
/* Receives in posting order. One that is handed over stays while its position is not known. */
byte W[N * R], S[N * R], M[N * R], X[N * R], L[N * R], n[N];
#define NAT 1
#define FULL 2
#define HANDED 3
/* X: position in its stream, 0: not known; L: its copy in the log, from 1; 0: none */
byte step[N], sent[N], got[N], taken[N], when[N * 4]; /* when: the step in which a message was sent */
bit done[N];

/* ---- the protocol ---- */
#define IDLE 0
#define AGREEING 1
#define AGREED 2
#define RECORDED 3
#define CLOSING 4
#define INB 5
#define SETTLING 6
#define COMMITTING 7
byte st[N], fin[N], req;
bit vd[N], written[N], logging[N], closed[N];
bit look[N]; /* SETTLING: something has changed since it looked */
byte at[2]; /* by parity of the attempt: the step agreed on */
byte en[8], lv[8];
bit pv[8];
#define P_AGREE 0
#define P_A 1
#define P_B 2
#define P_COMMIT 3
#define PH(r, ph) ((ph) * 2 + (fin[r] & 1))
#define COMPLETE(r, ph) (en[PH(r, ph)] == 3)
/* By stream: rank * 2 + tag. */
byte out[N * 2];               /* sent since the last marker */
byte counts[N * 2];            /* in a marker that is on its way to the rank */
bit coming[N];                 /* is there one? */
short open_[N * 2];            /* with a position, not handed over; less those handed over without one */
byte handed[N * 2], known[N * 2], cut_handed[N * 2];
/* The log. */
byte cl[N * C], cx[N * C], nc[N], csent[N], cgot[N];

hidden byte i, j, k, y, z, b;
hidden byte in_cut[2];

#define remove(list, r_, room, from, count) \
    k = from; \
    do \
    :: k + 1 < count -> list[(r_) * room + k] = list[(r_) * room + k + 1]; k++ \
    :: else -> break \
    od; \
    list[(r_) * room + k] = 0

/* What takes message m is known: the oldest that fits. */
inline arrive(m) {
    j = 0;
    do
    :: j < n[r] && !(S[r * R + j] == NAT && FITS(W[r * R + j], m)) -> j++
    :: else -> break
    od;
    if
    :: j < n[r] -> M[r * R + j] = m; S[r * R + j] = FULL; taken[r]++; look[r] = (st[r] == SETTLING)
    :: else -> uq[r * C + nu[r]] = m; nu[r]++
    fi
}

/* The stream of receive i_, 2 if it isn't known: a wildcard tells when it is handed over. */
#define STREAM(r, i_) (W[(r) * R + (i_)] != ANY -> W[(r) * R + (i_)] : (S[(r) * R + (i_)] == HANDED -> TAG(M[(r) * R + (i_)]) : 2))

/* Positions that nothing earlier can change any more. */
inline resolve() {
    i = 0;
    do
    :: i < n[r] ->
        y = STREAM(r, i);
        if
        :: X[r * R + i] == 0 && y < 2 ->
            b = 0;
            j = 0;
            do
            :: j < i ->
                z = STREAM(r, j);
#ifndef NO_SLOTS
                b = b || (X[r * R + j] == 0 && (z == 2 || z == y));
#endif
                j++
            :: else -> break
            od;
            if
            :: !b ->
                open_[r * 2 + y]++;
                X[r * R + i] = handed[r * 2 + y] + open_[r * 2 + y];
                if
                :: L[r * R + i] && cx[r * C + L[r * R + i] - 1] == 0 -> cx[r * C + L[r * R + i] - 1] = X[r * R + i]
                :: else
                fi
            :: else
            fi
        :: else
        fi;
        i++
    :: else -> break
    od;
    skip
}

inline tidy() { /* what is handed over and has its position */
    i = 0;
    do
    :: i < n[r] && S[r * R + i] == HANDED && X[r * R + i] != 0 ->
        remove(W, r, R, i, n[r]);
        remove(S, r, R, i, n[r]);
        remove(M, r, R, i, n[r]);
        remove(X, r, R, i, n[r]);
        remove(L, r, R, i, n[r]);
        n[r]--
    :: i < n[r] && !(S[r * R + i] == HANDED && X[r * R + i] != 0) -> i++
    :: else -> break
    od;
    skip
}

inline log(i_) {
    if
    :: logging[r] && L[r * R + i_] == 0 && !vd[r] &&
        !((closed[r] || st[r] > INB) && X[r * R + i_] > known[r * 2 + TAG(M[r * R + i_])]) ->
        assert(nc[r] < C);
        cl[r * C + nc[r]] = M[r * R + i_];
#ifdef HAND_OVER_ORDER
        cx[r * C + nc[r]] = handed[r * 2 + TAG(M[r * R + i_])] + 1;
#else
        cx[r * C + nc[r]] = X[r * R + i_];
#endif
        nc[r]++;
        L[r * R + i_] = nc[r]
    :: else
    fi
}

inline receive(w) {
    W[r * R + n[r]] = w;
    S[r * R + n[r]] = NAT;
    n[r]++;
    j = 0;
    do
    :: j < nu[r] && !FITS(w, uq[r * C + j]) -> j++
    :: else -> break
    od;
    if
    :: j < nu[r] ->
        M[r * R + n[r] - 1] = uq[r * C + j];
        S[r * R + n[r] - 1] = FULL;
        taken[r]++;
        look[r] = (st[r] == SETTLING);
        remove(uq, r, C, j, nu[r]);
        nu[r]--
    :: else
    fi;
    resolve()
}

inline hand_over(i_) {
    printf("rank %d, step %d: gets message %d, tag %d\n", r, step[r], SEQ(M[r * R + i_]), TAG(M[r * R + i_]));
    log(i_);
    k = TAG(M[r * R + i_]);
    got[r] = got[r] | (1 << SEQ(M[r * R + i_]));
    S[r * R + i_] = HANDED;
    resolve();
    k = TAG(M[r * R + i_]);
    handed[r * 2 + k]++;
    open_[r * 2 + k]--;
    look[r] = (st[r] == SETTLING);
    tidy()
}

inline enter(r_, ph) {
    en[PH(r_, ph)] = en[PH(r_, ph)] | (1 << r_);
    pv[PH(r_, ph)] = pv[PH(r_, ph)] | vd[r_]
}

inline leave(r_, ph) {
    lv[PH(r_, ph)] = lv[PH(r_, ph)] | (1 << r_);
    if
    :: lv[PH(r_, ph)] == 3 -> en[PH(r_, ph)] = 0; lv[PH(r_, ph)] = 0; pv[PH(r_, ph)] = 0
    :: else
    fi
}

inline record() {
    printf("rank %d, step %d: records, void %d\n", r, step[r], vd[r]);
    st[r] = RECORDED;
    csent[r] = sent[r];
    cgot[r] = got[r];
    logging[r] = !vd[r];
    j = 0;
    do
    :: j < n[r] -> L[r * R + j] = 0; j++
    :: else -> break
    od;
    j = 0;
    do
    :: j < 2 -> cut_handed[r * 2 + j] = handed[r * 2 + j]; j++
    :: else -> break
    od;
    if
    :: out[r * 2] + out[r * 2 + 1] > 0 ->
        coming[O] = 1;
        counts[O * 2] = out[r * 2];
        counts[O * 2 + 1] = out[r * 2 + 1];
        out[r * 2] = 0;
        out[r * 2 + 1] = 0
    :: else
    fi;
    enter(r, P_A)
}

inline record_if_due() {
    if
    :: st[r] == AGREED && (step[r] > at[fin[r] & 1] || done[r]) ->
#ifndef LATE_TOO
        vd[r] = 1;
#endif
        record()
    :: else
    fi
}

inline end_attempt() {
    st[r] = IDLE;
    fin[r]++;
#ifdef NO_CARRY /* as if nothing had been in flight */
    known[r * 2] = cut_handed[r * 2];
    known[r * 2 + 1] = cut_handed[r * 2 + 1];
#endif
    vd[r] = 0;
    written[r] = 0;
    logging[r] = 0;
    closed[r] = 0;
    csent[r] = 0;
    cgot[r] = 0;
    cut_handed[r * 2] = 0;
    cut_handed[r * 2 + 1] = 0;
    j = 0;
    do
    :: j < n[r] -> L[r * R + j] = 0; j++
    :: else -> break
    od;
    do
    :: nc[r] > 0 -> nc[r]--; cl[r * C + nc[r]] = 0; cx[r * C + nc[r]] = 0
    :: else -> break
    od;
    skip
}

/* What is complete and has its position is copied; what is after the cut leaves the log. b: all of it is here. */
inline settle() {
    i = 0;
    do
    :: i < n[r] ->
        if
        :: S[r * R + i] == FULL && W[r * R + i] != ANY -> log(i)
        :: else
        fi;
        i++
    :: else -> break
    od;
    b = 1;
    in_cut[0] = 0;
    in_cut[1] = 0;
    i = 0;
    do
    :: i < nc[r] ->
        if
        :: cx[r * C + i] == 0 -> b = 0
        :: cx[r * C + i] > 0 && cx[r * C + i] <= known[r * 2 + TAG(cl[r * C + i])] -> in_cut[TAG(cl[r * C + i])]++
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < 2 ->
        b = b && cut_handed[r * 2 + i] + in_cut[i] >= known[r * 2 + i];
        i++
    :: else -> break
    od;
    skip
}

inline judge() {
    i = 0;
    do
    :: i < N ->
        y = cgot[i];
        j = 0;
        do
        :: j < nc[i] ->
#ifndef NO_TRIM
            if
            :: cx[i * C + j] <= known[i * 2 + TAG(cl[i * C + j])] ->
#endif
                assert(!(y >> SEQ(cl[i * C + j]) & 1)); /* twice */
                y = y | (1 << SEQ(cl[i * C + j]));
#ifndef NO_TRIM
            :: else
            fi;
#endif
            j++
        :: else -> break
        od;
        assert(y <= (1 << csent[1 - i]) - 1); /* an orphan, or a later message in the cut */
        assert(y == (1 << csent[1 - i]) - 1); /* lost */
        i++
    :: else -> break
    od;
    skip
}

#define WILD(r, i_) (S[(r) * R + (i_)] == NAT && W[(r) * R + (i_)] == ANY)
#define HAND(i_) \
    :: d_step { i_ < n[r] && S[r * R + i_] == FULL && when[O * 4 + SEQ(M[r * R + i_])] <= step[r] -> hand_over(i_) }
#define SEND(t) \
    :: d_step { !done[r] && step[r] > 0 && sent[r] < Q(r) && (t == 0 || r == 1 || sent[0] > 0) -> \
        printf("rank %d, step %d: sends message %d, tag %d\n", r, step[r], sent[r], t); \
        when[r * 4 + sent[r]] = step[r]; \
        net[O] ! (sent[r] << 1) | t; \
        sent[r]++; \
        out[r * 2 + t]++ }
#define RECEIVE(w) \
    :: d_step { !done[r] && step[r] > 0 && n[r] < R - (w != ANY) && taken[r] < Q(O) && \
        (w != ANY || !(WILD(r, 0) || WILD(r, 1) || WILD(r, R - 1))) -> receive(w) }

proctype rank(byte r) {
    do
    :: d_step { step[r] < STEPS -> /* the safe point at the top of a step */
        step[r]++;
        if
        :: st[r] == AGREED && step[r] == at[fin[r] & 1] -> record()
        :: else -> record_if_due()
        fi
       }
    SEND(0)
    SEND(1)
    RECEIVE(ANY)
    RECEIVE(0)
    RECEIVE(1)
    HAND(0)
    HAND(1)
#if R > 2
    HAND(2)
#endif
    :: d_step { nempty(net[r]) -> net[r] ? y; arrive(y) }
    :: d_step { !done[r] && step[r] == STEPS && sent[r] == Q(r) && got[r] == (1 << Q(O)) - 1 -> done[r] = 1; record_if_due() }

    :: d_step { st[r] == IDLE && (req > fin[r] || (fin[r] < ATTEMPTS && !done[r])) ->
        req = fin[r] + 1;
        st[r] = AGREEING;
        vd[r] = done[r];
        at[fin[r] & 1] = (en[PH(r, P_AGREE)] && at[fin[r] & 1] > step[r] + 1 -> at[fin[r] & 1] : step[r] + 1);
        enter(r, P_AGREE)
       }
    :: d_step { st[r] == AGREEING && COMPLETE(r, P_AGREE) ->
        k = pv[PH(r, P_AGREE)];
        leave(r, P_AGREE);
        if
        :: k -> end_attempt()
        :: else -> st[r] = AGREED; record_if_due()
        fi
       }
    :: d_step { coming[r] ->
        coming[r] = 0;
        closed[r] = 1;
        known[r * 2] = known[r * 2] + counts[r * 2];
        known[r * 2 + 1] = known[r * 2 + 1] + counts[r * 2 + 1];
        counts[r * 2] = 0;
        counts[r * 2 + 1] = 0
       }
    :: d_step { st[r] == RECORDED && COMPLETE(r, P_A) ->
        k = pv[PH(r, P_A)];
        leave(r, P_A);
        vd[r] = vd[r] || k;
        written[r] = !k;
        st[r] = CLOSING
       }
    :: d_step { st[r] == CLOSING && !coming[O] -> st[r] = INB; enter(r, P_B) }
    :: d_step { st[r] == INB && COMPLETE(r, P_B) ->
        leave(r, P_B);
        if
        :: !written[r] -> end_attempt()
        :: else ->
            assert(vd[r] || (known[r * 2] >= cut_handed[r * 2] && known[r * 2 + 1] >= cut_handed[r * 2 + 1]));
            st[r] = SETTLING;
            look[r] = 1
        fi
       }
    :: d_step { st[r] == SETTLING && look[r] ->
        look[r] = 0;
        settle();
        if
        :: b || vd[r] ->
            logging[r] = 0;
            st[r] = COMMITTING;
            enter(r, P_COMMIT);
            if
            :: COMPLETE(r, P_COMMIT) && !pv[PH(r, P_COMMIT)] -> judge()
            :: else
            fi
        :: else
        fi
       }
    :: d_step { st[r] == COMMITTING && COMPLETE(r, P_COMMIT) -> leave(r, P_COMMIT); end_attempt() }
    :: done[0] && done[1] && st[r] == IDLE && fin[r] == req && fin[O] == req -> break
    od;
    atomic { assert(nu[r] == 0 && empty(net[r]) && !coming[r]) }
}

init {
    atomic {
        run rank(0);
        run rank(1)
    }
}
