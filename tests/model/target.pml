/* A write while the target is right (live, rampdown): data and intent in one transaction, then pushes to the source.
 *
 * One id and WRITERS writes of it: the second comes through instance B, the others through A. A may crash at any point,
 * lose its connection to Postgres under a push, or be so slow that B fences it. Every #ifdef takes a rule out.
 */
#include "common.pml"

#ifndef WRITERS
#define WRITERS 2
#endif
#define BARRIER 4                       /* + instance, in Qdrant's queue; smaller numbers are pushes */
#define instance(w) ((w) == 1 -> B : A)

/* Postgres */
byte tgt = content(1, 0);
byte version = 1;
byte ledger;
byte of_b = bit(1);
byte held;                              /* rows that a resync's transaction holds FOR UPDATE */
byte held_by_a;
byte attempted[2];                      /* intents.attempt_by (R8) */
byte stripe;                            /* the id's lock among pushes: 0, or 1 + instance */
bool connected = true;                  /* A's connection, under the transaction of its resync */
bool fenced;

/* Qdrant. A push has a slot: 0 and 1 are A's, 2 and 3 are B's. */
byte src = content(1, 0);
byte pushed[4];                         /* what it says */
byte travelling, waiting, ended;        /* sets of slots */
byte suspect[4];                        /* the intents whose push in that slot has no known end */
bool passed[2];
chan queue = [6] of { byte };

/* Memory, and what the clients know */
bool alive[2] = true;
byte ready[2];
byte adopted;
byte promised;

/* I1, in its strong form: a difference is in the ledger. */
#define I1 (same(src, tgt) || ledger)

#define slots_of_a 3
#define is_free(s) (!has(travelling | waiting, s) && !suspect[s])
#define first(i) (2 * (i))
#define owned(i) ((i) == A -> ~of_b : of_b)
#define pinned(i) (attempted[1 - (i)] & ledger)

/* TargetAuthority._apply_once and fenced.py */
proctype Write(byte w) {
    byte i = instance(w);
    atomic {
        if
        :: !alive[i] || (i == A && fenced) -> goto over
        :: else ->
            version++;
            if :: tgt = content(version, 0) :: tgt = content(version, 1) fi;
#ifndef TWO_TRANSACTIONS
            add(ledger, bit(w))
#endif
        fi
    }
#ifdef TWO_TRANSACTIONS
    atomic { if :: alive[i] -> add(ledger, bit(w)) :: else -> goto over fi };
#endif
    atomic { if :: alive[i] -> add(promised, bit(w)); add(ready[i], bit(w)) :: else fi };
over:
    skip
}

/* A push on its way: it reaches the queue, or is lost. */
proctype Network(byte slot) {
end:
    do
    :: atomic { has(travelling, slot) -> cut(travelling, bit(slot)); if :: add(waiting, bit(slot)); queue!slot :: skip fi }
    od
}

proctype Qdrant() {
    byte it;
end:
    do
    :: atomic { queue?it ->
            if
            :: it >= BARRIER -> passed[it - BARRIER] = true
            :: else -> src = pushed[it]; cut(waiting, bit(it)); add(ended, bit(it)); pushed[it] = 0
            fi;
            it = 0 }
    od
}

/* The transaction of A's resync is over; Postgres frees what it held. */
inline roll_back_a() {
    stripe = (stripe == 1 + A -> 0 : stripe);
    cut(held, held_by_a); held_by_a = 0
}

/* Resyncer._settle_together and PostgresIntents.settle_source */
proctype Resync(byte i) {
    byte mine, slot;
end:
    do
    :: atomic { alive[i] && ready[i] && (is_free(first(i)) || is_free(first(i) + 1)) ->
            slot = (is_free(first(i)) -> first(i) : first(i) + 1);
            mine = ready[i]; cut(ready[i], mine)
#ifdef READ_BEFORE_LOCK
            ; pushed[slot] = tgt
#endif
        }
#ifndef NO_ATTEMPT
        /* The first transaction (R8): nobody else may be pushing these ids; then say that we are, of our own rows. */
        atomic { !alive[i] || (!pinned(i) && stripe == 0) ->
            if
            :: !alive[i] -> goto over
            :: else ->
#ifdef ATTEMPT_ON_ANY
                add(attempted[i], mine & ledger)
#else
                mine = mine & ledger & owned(i); add(attempted[i], mine)
#endif
            fi };
#endif
        /* The second one. _held_tables: nothing is pushed when none of the intents is left (Settled.GONE). */
        atomic { !alive[i] || (stripe == 0 && !(held & mine & ledger)) ->
            if
            :: !alive[i] -> goto over
            :: alive[i] && !(mine & ledger) -> mine = 0; slot = 0; goto end
            :: else ->
#ifndef NO_LOCK
                stripe = 1 + i;
#endif
                add(held, mine & ledger);
                if :: i == A -> connected = true; add(held_by_a, mine & ledger) :: else fi
            fi };
#ifndef READ_BEFORE_LOCK
        atomic { if :: alive[i] -> pushed[slot] = tgt :: else -> goto over fi };
#endif
        /* R7 for pushes: not sent when more than half the grace period is over since the intents were held. */
        atomic {
            if
            :: !alive[i] -> goto over
#ifndef NO_ZOMBIE_CHECK
            :: alive[i] && i == A && (of_b & mine) -> roll_back_a(); pushed[slot] = 0; mine = 0; slot = 0; goto end
#endif
            :: else -> cut(ended, bit(slot)); add(travelling, bit(slot))
            fi };
        atomic {
            if
            :: !alive[i] -> goto over
            :: alive[i] && has(ended, slot) && (i == B || connected) ->     /* `completed`: delete, commit */
                cut(ledger, mine); cut(attempted[A], mine); cut(attempted[B], mine)
            :: alive[i] && has(ended, slot) && i == A && !connected ->      /* … but the commit fails: once more */
                add(ready[A], mine)
            :: alive[i] ->                                                  /* a time-out, or `acknowledged` */
#ifdef ACKNOWLEDGED_IS_DONE
                cut(ledger, mine)
#else
                add(suspect[slot], mine)
#endif
            fi;
            cut(ended, bit(slot));
            if
            :: i == A -> roll_back_a()
            :: else -> cut(held, mine); stripe = (stripe == 1 + B -> 0 : stripe)
            fi;
            mine = 0; slot = 0 }
    od;
over:
    skip
}

/* Resyncer._pass_suspects: the grace period, then a barrier. Grace is over: what was sent arrived, or never will. */
#define due_in(s) (!has(travelling, s) -> suspect[s] : 0)
#define due_of(i) ((due_in(first(i)) | due_in(first(i) + 1)) | ((i) == B && !(travelling & slots_of_a) -> adopted : 0))
proctype Suspects(byte i) {
    byte due;
    bool takes[2];
end:
    do
    :: atomic { alive[i] && due_of(i) ->
            due = due_of(i); queue!BARRIER + i;
            takes[0] = due_in(first(i)) > 0; takes[1] = due_in(first(i) + 1) > 0 }
        atomic { !alive[i] || passed[i] ->
            if
            :: alive[i] ->
                passed[i] = false;
                if :: takes[0] -> suspect[first(i)] = 0; cut(ended, bit(first(i))) :: else fi;
                if :: takes[1] -> suspect[first(i) + 1] = 0; cut(ended, bit(first(i) + 1)) :: else fi;
                if
                :: i == B -> cut(attempted[A], due & adopted); cut(adopted, due)    /* its attempt is over */
                :: else
                fi;
                add(ready[i], due); due = 0; takes[0] = false; takes[1] = false
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
            add(of_b, some); add(adopted, some); some = 0 }
    od
}

/* Postgres loses A's connection: the transaction is rolled back and its locks are free, A learns it later. */
proctype Disconnect() {
end:
    atomic { stripe == 1 + A -> connected = false; roll_back_a() }
}

proctype Crash() {
    atomic {
        alive[A] = false;
        roll_back_a();
        ready[A] = 0; suspect[0] = 0; suspect[1] = 0
    }
}

/* Each claim is a process that can only move where the claim is false. */
proctype Always() {
end:
    atomic { !I1 -> assert(false) }
}

proctype Finally() {
    timeout ->
    assert(!ledger);                    /* I2: the ledger becomes empty … */
    assert(same(src, tgt))              /* … and the stores are equal: I3, I4, because the target was never wrong */
}

init {
    byte w;
    atomic {
        for (w : 0 .. WRITERS - 1) { run Write(w) }
        for (w : 0 .. 3) { run Network(w) }
        run Qdrant(); run Resync(A); run Resync(B); run Suspects(A); run Suspects(B);
        run Adopt(); run Disconnect(); run Crash(); run Always(); run Finally()
    }
}
