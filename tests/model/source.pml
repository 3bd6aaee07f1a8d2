/* A write while the source is right (dualwrite, shadow, ramp), beside a backfill.
 *
 * One id and WRITERS concurrent writes of it: the second comes through instance B, the others through A. A may crash at
 * any point, and may be so slow that B fences it and recovers its intents. Every #ifdef is a mutation, a rule taken out.
 */
#include "common.pml"

#ifndef WRITERS
#define WRITERS 2
#endif
#define BARRIER WRITERS                 /* + instance: its barrier, in Qdrant's queue */
#define instance(w) ((w) == 1 -> B : A)

/* Qdrant: the point was there before the migration began. */
byte src = content(1, 0);
byte version = 1;
byte deleting, travelling, queued, applied, refused;    /* what became of each request */
chan queue = [WRITERS + 2] of { byte };                 /* the shard's queue: acknowledged, not applied */
bool passed[2];                                         /* the instance's barrier came out of it */

/* Postgres */
byte tgt = 0;
byte ledger;                            /* vecferry.intents */
byte second;                            /* the second intent of a write (CHECK_ONLY_AFTER) */
byte of_b = bit(1);                     /* which of them B owns; the others are A's */
byte held;                              /* rows that a resync's transaction holds FOR UPDATE */
byte held_by_a;
byte stripe;                            /* the id's advisory lock: 0, or 1 + instance */
bool fenced;                            /* A has no row in vecferry.instances */
bool backfilled;
byte copied;                            /* I4: what a resync copied never gives way to anything older */

/* The instances' memory of intents (protocol/resync.py), and what the clients know */
bool alive[2] = true;
byte ready[2], behind_barrier[2], suspect[2];
byte begun, answered, promised;

#define recovered(w) (instance(w) == A && has(of_b, w))
#define under_way (begun & ~answered & (alive[A] -> 255 : bit(1)))

/* I1: a difference is in the ledger, or of a write under way, or a row that the backfill has yet to bring. */
#ifdef STRICT
#define I1 (same(src, tgt) || ledger || second || (tgt == 0 && !backfilled))
#else
#define I1 (same(src, tgt) || ledger || second || (tgt == 0 && !backfilled) || under_way)
#endif

#if defined(NO_ZOMBIE_CHECK) || defined(CHECK_ONLY_AFTER)
#define may_send(w) true
#else
#define may_send(w) !recovered(w)       /* may_be_recovered(): more than half the grace period is over */
#endif

/* SourceWrites._by_ids */
proctype Write(byte w) {
    byte i = instance(w);

    /* _intend: a fenced owner inserts nothing (_INSERT in intents.py). */
    atomic {
        if
        :: !alive[i] || (i == A && fenced) -> goto over
        :: else ->
            add(begun, bit(w));
            if :: add(deleting, bit(w)) :: skip fi;
#ifndef NO_INTENT
            add(ledger, bit(w))
#endif
        fi
    }
    /* The check before sending (R7) and the sending are one step: see docs/model.md. */
    atomic {
        if
        :: !alive[i] -> goto over
        :: alive[i] && may_send(w) -> add(travelling, bit(w))
        :: alive[i] ->  /* refused by that check, or the commit was over its budget: nothing was sent */
            add(ready[i], bit(w)); add(answered, bit(w)); goto over
        fi
    }
    /* _forward_watched and outcome(): what the answer says, then the client is told. */
    atomic {
        if
        :: !alive[i] -> goto over
        :: alive[i] && has(applied, w) -> add(ready[i], bit(w)); add(promised, bit(w))
        :: alive[i] && has(refused, w) ->
#ifdef FORGET_REFUSED
            cut(ledger, bit(w))
#else
            add(ready[i], bit(w))
#endif
        :: alive[i] && has(queued, w) ->        /* `acknowledged`, `wait_timeout` */
            add(promised, bit(w));
#ifdef ACKNOWLEDGED_IS_DONE
            add(ready[i], bit(w))
#else
            add(behind_barrier[i], bit(w))
#endif
        :: alive[i] -> add(suspect[i], bit(w))  /* a time-out: it may have landed, or may yet */
        fi;
#ifdef CHECK_ONLY_AFTER
        if :: recovered(w) -> skip :: else -> add(answered, bit(w)); goto over fi
    }
    /* _intend_again, as if a fenced owner could insert at once. */
    atomic {
        if :: alive[i] -> add(second, bit(w)); add(answered, bit(w)) :: else fi
#else
        add(answered, bit(w))
#endif
    }
over:
    skip
}

/* The request on its way: it reaches the queue, is refused whole, or is lost. */
proctype Network(byte w) {
end:
    atomic { has(travelling, w) ->
        cut(travelling, bit(w));
        if
        :: add(queued, bit(w)); queue!w
        :: add(refused, bit(w))
        :: skip
        fi }
}

proctype Qdrant() {
    byte it;
end:
    do
    :: atomic { queue?it ->
            if
            :: it >= BARRIER -> passed[it - BARRIER] = true
            :: else ->
                version++;
                src = content(version, (has(deleting, it) -> 1 : 0));
                cut(queued, bit(it));
                if
                :: add(applied, bit(it))
                :: add(refused, bit(it))        /* refused, and yet it took effect in part */
                fi
            fi;
            it = 0 }
    od
}

/* Resyncer._settle_together and PostgresIntents.settle_target: one lane, one at a time per instance. */
proctype Resync(byte i) {
    byte mine, seen;
end:
    do
    :: atomic { alive[i] && ready[i] ->
            mine = ready[i]; cut(ready[i], mine)
#ifdef READ_BEFORE_LOCK
            ; seen = src
#endif
        }
#ifndef NO_LOCK
        atomic { !alive[i] || stripe == 0 -> if :: alive[i] -> stripe = 1 + i :: else -> goto over fi };
#endif
        /* _HOLD, in a later statement than the lock */
        atomic { !alive[i] || !(held & mine & ledger) ->
            if
            :: alive[i] -> add(held, mine & ledger); if :: i == A -> add(held_by_a, mine & ledger) :: else fi
            :: else -> goto over
            fi };
#ifndef READ_BEFORE_LOCK
        atomic { if :: alive[i] -> seen = src :: else -> goto over fi };
#endif
        /* The commit makes all of it visible at once. */
        atomic {
            if
            :: alive[i] ->
                assert(copied <= seen);
                tgt = seen; copied = seen;
#ifdef NO_TOMBSTONE
                if :: absent(tgt) -> tgt = 0 :: else fi;
#endif
#ifdef SETTLE_ALL
                ledger = 0;
#else
                cut(ledger, mine);
#endif
                cut(held, mine); cut(held_by_a, mine);
                stripe = (stripe == 1 + i -> 0 : stripe);
                mine = 0; seen = 0
            :: else -> goto over
            fi }
    od;
over:
    skip
}

/* Resyncer._pass_suspects: the grace period first, except for what is known to be queued; then a barrier.
   Grace is over: what was sent has reached the queue, or never will. */
proctype Suspects(byte i) {
    byte due;
end:
    do
    :: atomic { alive[i] && (behind_barrier[i] || (suspect[i] & ~travelling)) ->
            due = behind_barrier[i] | (suspect[i] & ~travelling); queue!BARRIER + i }
        atomic { !alive[i] || passed[i] ->
            if
            :: alive[i] ->
                passed[i] = false;
                cut(behind_barrier[i], due); cut(suspect[i], due); add(ready[i], due); due = 0
            :: else -> goto over
            fi }
    od;
over:
    skip
}

/* Resyncer._adopt on B: A was silent for the grace period. It may be dead, or only slow. */
proctype Adopt() {
    byte some;
    fenced = true;
end:
    do
    :: atomic { (ledger & ~of_b & ~held) ->             /* FOR UPDATE SKIP LOCKED */
            some = ledger & ~of_b & ~held;
            add(of_b, some); add(suspect[B], some); some = 0 }
    od
}

/* PostgresJobs.insert_page: a page is read, and inserted later, ON CONFLICT DO NOTHING. */
proctype Backfill() {
    byte page;
    page = src;
    atomic {
        if :: tgt == 0 && !absent(page) -> assert(copied <= page); tgt = page :: else fi;
        backfilled = true; page = 0
    }
}

/* The process dies; Postgres rolls its transaction back and frees its locks. */
proctype Crash() {
    atomic {
        alive[A] = false;
        stripe = (stripe == 1 + A -> 0 : stripe);
        cut(held, held_by_a); held_by_a = 0;
        ready[A] = 0; behind_barrier[A] = 0; suspect[A] = 0
    }
}

/* Each claim is a process that can only move where the claim is false. */
proctype Always() {
end:
    atomic { !I1 -> assert(false) }
}

proctype Finally() {
    timeout ->
    assert(!ledger || second);                                  /* I2: the ledger becomes empty … */
    assert(second || same(src, tgt));                           /* … and the stores are equal */
    assert(!(promised & ~applied & ~refused));                  /* I3: what was promised was applied */
}

init {
    byte w;
    atomic {
        for (w : 0 .. WRITERS - 1) { run Write(w); run Network(w) }
        run Qdrant(); run Resync(A); run Resync(B); run Suspects(A); run Suspects(B);
        run Adopt(); run Backfill(); run Crash(); run Always(); run Finally()
    }
}
