/* Hints and stage changes: source → target and back, beside an instance that may be cut off from Postgres.
 *
 * One id and WRITERS writes (one: two are too many states) through instance A, each by way of Postgres or of a hint (R6). A may crash at any point and
 * may be so slow that B fences it, recovers its intents and moves its hints. B changes the stage, and writes while the
 * target is right. What Qdrant's queue does is in source.pml: here a request that arrives is applied at once.
 */
#include "common.pml"

#ifndef WRITERS
#define WRITERS 1
#endif

/* The control row, its record in the source (control/register.py) and the ledger's two places. */
byte epoch;                             /* 0 and 2: the source is right; 1: the target is */
byte recorded;                          /* the epoch that the record shows */
bool record_frozen;
byte ledger, hints;
#define source_is_right (epoch != 1)
#ifdef NO_EPOCH_IN_RECORD
#define record_allows (recorded != 1 && !record_frozen)
#else
#define record_allows (recorded == view && !record_frozen)      /* allows() in protocol/hints.py */
#endif

byte src = content(1, 0), tgt = content(1, 0);
byte version = 1;
byte travelling, applied;
byte of_b;                              /* intents whose owner is B; the others are A's */
byte stripe;                            /* the id's advisory lock: 0, or 1 + instance */
bool fenced;
byte late_view[WRITERS];
byte late;                              /* INSERTs that are over their budget, and go on */

bool alive[2] = true;
byte open, hinted;                      /* A's requests: under way; with a hint instead of an intent */
byte ready[2], suspect[2], busy[2];
byte over;                              /* B has waited for the grace period of these */

#define I1 (same(src, tgt) || ledger || hints)

#ifdef NO_ZOMBIE_CHECK
#define may_send(w) true
#else
#define may_send(w) (!has(over, w))     /* may_be_recovered(): more than half the grace period is over */
#endif

/* SourceWrites._by_ids, GroupCommit._store and HintCommits._insert; its view may be as old as epoch 0. */
proctype Write(byte w) {
    byte view;
    bool allowed;
    if :: view = 0 :: epoch == 2 -> view = 2 fi;
    atomic { if :: alive[A] -> add(open, bit(w)) :: else -> goto over_ fi };
    if
    :: true ->                          /* Postgres takes the intent, if the epoch is current and A is known (R5) */
#ifdef NO_FOR_SHARE
        atomic { if :: alive[A] && !fenced && epoch == view -> skip :: else -> goto over_ fi };
        atomic { if :: alive[A] -> add(ledger, bit(w)) :: else -> goto over_ fi }
#else
        atomic { if :: alive[A] && !fenced && epoch == view -> add(ledger, bit(w)) :: else -> goto over_ fi }
#endif
    :: true ->                          /* it does not answer in time: a hint, then the record */
        atomic { add(late, bit(w)); late_view[w] = view };
#ifdef RECORD_BEFORE_HINT
        atomic { if :: alive[A] -> allowed = record_allows :: else -> goto over_ fi };
        atomic { if :: alive[A] -> add(hints, bit(w)); add(hinted, bit(w)) :: else -> goto over_ fi };
#else
        atomic { if :: alive[A] -> add(hints, bit(w)); add(hinted, bit(w)) :: else -> goto over_ fi };
        atomic { if :: alive[A] -> allowed = record_allows :: else -> goto over_ fi };
#endif
        atomic {
            if
            :: !alive[A] -> goto over_
            :: alive[A] && !allowed -> cut(hints, bit(w)); goto over_
            :: alive[A] && allowed -> skip
            fi }
    fi;
    /* The check before sending (R7) and the sending are one step: see docs/model.md. */
    atomic {
        if
        :: alive[A] && may_send(w) -> add(travelling, bit(w))
        :: else -> goto over_
        fi };
    atomic {
        if
        :: !alive[A]
        :: alive[A] && has(applied, w) ->
            if :: has(hinted, w) -> skip :: else -> add(ready[A], bit(w)) fi        /* Resyncer.hinted, .ended */
        :: alive[A] -> add(suspect[A], bit(w))
        fi };
over_:
    cut(open, bit(w))                   /* what is left of it in the ledger is for the sweep */
}

/* The INSERT whose answer nobody waits for any more. */
proctype LateInsert(byte w) {
end:
    atomic { has(late, w) ->
        if
        :: epoch == late_view[w] && !fenced && !has(ledger, w) -> add(ledger, bit(w)); cut(of_b, bit(w))
        :: else
        fi }
}

/* A request on its way. I6: what reaches the source from a client does so while the source is right. */
proctype Network(byte w) {
end:
    atomic { has(travelling, w) ->
        cut(travelling, bit(w));
        if
        :: version++; assert(source_is_right);
           if :: src = content(version, 0) :: src = content(version, 1) fi;
           add(applied, bit(w))
        :: skip
        fi }
}

/* A write of B's while the target is right, under the id's lock, and its push; target.pml has the details. */
proctype WriteTarget() {
end:
    atomic { epoch == 1 && stripe == 0 ->
        version++;
        if :: tgt = content(version, 0) :: tgt = content(version, 1) fi;
        add(ledger, bit(7)) };
    atomic { src = tgt; cut(ledger, bit(7)) }
}

/* PostgresIntents.settle_target */
proctype Resync(byte i) {
    byte seen;
end:
    do
    :: atomic { alive[i] && ready[i] -> busy[i] = ready[i]; ready[i] = 0 }
        atomic { !alive[i] || stripe == 0 -> if :: alive[i] -> stripe = 1 + i :: else -> goto over_ fi };
        atomic {
            if
            :: !alive[i] -> goto over_
            :: alive[i] && !source_is_right ->      /* Settled.REVERSED: a dead letter, if there is an intent */
                assert(!(busy[i] & ledger)); busy[i] = 0; stripe = 0; goto end
            :: alive[i] && source_is_right -> skip
            fi };
        atomic { if :: alive[i] -> seen = src :: else -> goto over_ fi };
        atomic {
            if
            :: alive[i] -> tgt = seen; cut(ledger, busy[i]); busy[i] = 0; stripe = 0; seen = 0
            :: else -> goto over_
            fi }
    od;
over_:
    skip
}

/* Resyncer._pass_suspects: the grace period, and the barrier of source.pml. */
proctype Suspects(byte i) {
end:
    do
    :: atomic { alive[i] && (suspect[i] & ~travelling) ->
            if :: i == B -> add(over, suspect[B] & ~travelling) :: else fi;
            add(ready[i], suspect[i] & ~travelling); cut(suspect[i], ~travelling) }
    od
}

/* Resyncer._sweep: own intents that nobody in this process is busy with */
#define left_over (ledger & ~of_b & ~bit(7) & ~(open | suspect[A] | ready[A] | busy[A]))
proctype Sweep() {
end:
    do
    :: atomic { alive[A] && left_over -> add(ready[A], left_over) }
    od
}

/* Resyncer._adopt on B: A was silent for the grace period, dead or only slow. */
#define orphans (ledger & ~of_b & ~bit(7) & ~(stripe == 1 + A -> busy[A] : 0))
proctype Adopt() {
    fenced = true;
end:
    do
    :: atomic { orphans -> add(suspect[B], orphans); add(over, orphans & ~travelling); add(of_b, orphans) }
    od
}

/* HintMover: A moves its own hints, B those of A as soon as A was silent; a hint is read, taken, discarded. */
proctype Move(byte i) {
    byte page;
end:
    do
    :: atomic { alive[i] && hints && !(i == A && fenced) -> page = hints };
#ifdef DISCARD_BEFORE_TAKE
        atomic { if :: alive[i] -> cut(hints, page) :: else -> goto over_ fi };
#endif
        atomic {
            if
            :: !alive[i] -> goto over_
            :: i == A && fenced -> page = 0; goto end           /* refused: `take` asks whether we are registered */
            :: else ->
                if
                :: i == A -> cut(of_b, page & ~ledger)
                :: i == B && source_is_right ->
#ifdef TAKE_AS_ENDED
                    add(ready[B], page & ~ledger);
#else
                    add(suspect[B], page & ~ledger);            /* Heir.inherited */
#endif
                    add(of_b, page & ~ledger)
                :: i == B && !source_is_right -> skip
                fi;
                /* of a stage where the source is right; a hint that was moved before comes to nothing */
                if :: source_is_right -> add(ledger, page) :: else fi
            fi };
#ifndef DISCARD_BEFORE_TAKE
        atomic {
            if
            :: alive[i] -> cut(hints, page); page = 0
            :: else -> goto over_
            fi }
#endif
    od;
over_:
    skip
}

/* StageChanges._publish: the record is frozen, then hints are looked for, then the ledger under the row's lock. */
proctype Change() {
    byte wanted;
    for (wanted : 1 .. 2) {
#ifndef NO_RECORD_FREEZE
        record_frozen = true;
#endif
        if
        :: true ->
#ifndef NO_LOOK_FOR_HINTS
            hints == 0;
#endif
#ifdef LEDGER_BEFORE_LOCK
            ledger == 0;
            epoch = wanted;
#else
            atomic { ledger == 0 -> epoch = wanted };
#endif
            atomic { recorded = wanted; record_frozen = false }
        :: true ->                      /* the freeze passed its deadline: thawed, the old stage goes on */
            record_frozen = false;
            break
        fi
    }
}

proctype Crash() {
    atomic {
        alive[A] = false;
        stripe = (stripe == 1 + A -> 0 : stripe);
        ready[A] = 0; suspect[A] = 0; busy[A] = 0; open = 0
    }
}

/* Each claim is a process that can only move where the claim is false. */
proctype Always() {
end:
    atomic { !I1 -> assert(false) }
}

proctype Finally() {
    timeout ->
    assert(!ledger && !hints);
    assert(same(src, tgt))
}

init {
    byte w;
    atomic {
        for (w : 0 .. WRITERS - 1) { run Write(w); run LateInsert(w); run Network(w) }
        run WriteTarget(); run Resync(A); run Resync(B); run Suspects(A); run Suspects(B); run Sweep();
        run Adopt(); run Move(A); run Move(B); run Change(); run Crash(); run Always(); run Finally()
    }
}
