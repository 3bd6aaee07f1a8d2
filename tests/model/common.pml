/* What the models share.
 *
 * A content is one byte: 2 * version of a point that is there, + 1 when it was deleted. The version counts the writes
 * that the authority has applied, so that "older" can be asserted. 0: no row, not even a tombstone.
 * Sets of writes (or of their intents) are bytes, one bit per write.
 */
#define content(version, is_deleted)    (2 * (version) + (is_deleted))
#define absent(it)      ((it) == 0 || ((it) & 1))
#define same(a, b)      ((absent(a) && absent(b)) || (a) == (b))
#define bit(w)          (1 << (w))
#define has(set, w)     ((set) & bit(w))
#define add(set, some)  set = (set) | (some)
#define cut(set, some)  set = (set) & ~(some)

#define A 0     /* the instance that may crash, stall, lose Postgres and be fenced */
#define B 1     /* the instance that stays well */
