/* The journal in Redis (nonces `rec`, stream ids `id`) and its copy in Postgres behind a cursor, while
 * Redis loses its unsynced tail once. Rule: a record carries its predecessor's nonce, the archiver
 * takes it only if it goes on from the cursor, and idle it compares the tail with the cursor.
 * BACK: after the loss the clock is behind, new ids begin just above what is left.
 * FENCE: only what is synced is archived. BUG_ID: ids alone are compared. BUG_SEQ: numbers, no nonces. */
#define L 5
#define WRITES 8
byte rec[L], id[L], length, synced;
byte pg[L], archived, cursor;
byte clock=1, fresh=1, losses, i;
#if !defined(BUG_ID) && !defined(BUG_SEQ) && !defined(FENCE)
#define CHAIN
#endif
#define NEWER (length>0 && id[length-1]>cursor)

active proctype redis() {
end:
  do
  :: d_step { length<L && fresh<=WRITES -> rec[length]=fresh; fresh++; id[length]=clock; clock++; length++ }
  :: d_step { synced<length -> synced++ }
  :: d_step { losses<1 && synced<length -> length=synced; losses++;
#ifdef BACK
       clock=(length>0 -> id[length-1]+1 : 1)
#endif
     }
  od }

/* A new epoch, hot state folded from Postgres, ids above the cursor; in steps in rebuild.pml. */
inline rebuild() {
  d_step {
    i=0;
    do :: i<archived -> rec[i]=pg[i]; if :: id[i]>cursor -> id[i]=cursor :: else fi; i++ :: else -> break od;
    length=archived; synced=archived;
    if :: clock<=cursor -> clock=cursor+1 :: else fi;
    if :: archived>0 -> id[archived-1]=cursor :: else fi; i=0 } }

active proctype archiver() {
  byte k;
end:
  do
#ifdef BUG_ID
  :: atomic { (length==0 && archived>0) || (length>0 && id[length-1]<cursor) -> rebuild() }
#endif
#ifdef CHAIN
  :: atomic { !NEWER && archived>0 && (length!=archived || rec[length-1]!=pg[archived-1]) -> rebuild() }
#endif
#ifdef FENCE
  :: atomic { NEWER && archived<synced ->
#else
  :: atomic { NEWER ->
#endif
       k=0; do :: k<length && id[k]<=cursor -> k++ :: else -> break od;    /* the next one by id */
       if
#ifdef BUG_SEQ
       :: k!=archived -> rebuild()
#endif
#ifdef CHAIN
       :: k!=archived || (k>0 && rec[k-1]!=pg[archived-1]) -> rebuild()
#endif
       :: else ->
          assert(k==archived && (k==0 || rec[k-1]==pg[archived-1]));       /* next, same history */
          pg[archived]=rec[k]; archived++; cursor=id[k]
       fi;
       k=0 }
  od }

init {
  timeout;
#ifdef REACH
  assert(losses==0);
#endif
  assert(archived==length);
  d_step { i=0; do :: i<archived -> assert(pg[i]==rec[i]); i++ :: else -> break od }
}
