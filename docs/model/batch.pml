/* One script call for several items of one run: 0 -> 1, 2 -> 3 (all-join), so 1 and 2 may be in one
 * batch, in either order. Items see each other's writes, in order. An item whose plan fails (once, any
 * of them) changes nothing and the others go on; the journal and the acknowledgements are reached on
 * every path. A call's answer may be lost, then it is sent again; entries are redelivered. */
byte rec[4], arrived; short c=1;      /* record: 1 active, 2 done; arrivals at the join of 3 */
byte told[4], ends;                   /* what the journal has */
bit entry[4], sick[4]; byte faults, resends;
byte seen, i; bit stop;

inline journal(t) {                   /* a fold of the journal meets every cause before its effect */
  assert(t==0 || told[0]==1); assert(t!=3 || (told[1]==1 && told[2]==1));
  told[t]++; assert(told[t]==1) }
inline apply(t) {
  if
  :: stop -> skip
#ifndef BUG_AGAIN                     /* what has an entry is settled, whatever the record says */
  :: !stop && rec[t]!=1 -> entry[t]=0
#endif
  :: !stop && sick[t] -> sick[t]=0;
#ifdef BUG_ABORT                      /* an error in one item ends the call */
     stop=1
#endif
  :: else ->
     rec[t]=2; said[says]=t; says++;
     if
     :: t==0 -> rec[1]=1; rec[2]=1; entry[1]=1; entry[2]=1; c++
     :: t==1 || t==2 ->
#ifdef BUG_BEFORE                     /* planned from what was there before the call */
        arrived=seen+1;
#else
        arrived++;
#endif
        if :: arrived==2 -> c--; rec[3]=1; entry[3]=1 :: else fi
     :: t==3 -> c--
     fi;
     assert(c>=0);
     if :: c==0 -> ends++; assert(ends==1) :: else fi;
     entry[t]=0
  fi }

proctype worker() {
  byte a, b, said[2], says;           /* the batch: a, then b; 9 none; what it will tell */
end:
  do
  :: atomic {
       if
       :: entry[0] -> a=0; b=9
       :: entry[1] -> a=1; b=9
       :: entry[2] -> a=2; b=9
       :: entry[1] && entry[2] -> a=1; b=2
       :: entry[1] && entry[2] -> a=2; b=1
       :: entry[3] -> a=3; b=9
       fi;
       if :: faults<1 -> faults++; if :: sick[a]=1 :: b!=9 -> sick[b]=1 fi :: skip fi };
     do
     :: d_step {
          seen=arrived; says=0; stop=0;
          apply(a);
          if :: b!=9 -> apply(b) :: else fi;
#ifdef BUG_LATER                      /* told in a call of its own */
          seen=0 };
        d_step {
#endif
          i=0; do :: i<says && !stop -> journal(said[i]); i++ :: else -> break od;
          seen=0; says=0; stop=0; i=0; said[0]=0; said[1]=0 };
        if :: resends<2 -> resends++ :: break fi      /* the answer was lost: the same call again */
     od;
     a=0; b=0
  od }

init {
  d_step { rec[0]=1; entry[0]=1 };
  atomic { run worker(); run worker() };
  timeout;
#ifdef REACH_FAULT
  assert(faults==0);
#endif
#ifdef REACH_RESEND
  assert(resends<2);
#endif
  assert(ends==1 && c==0);
  assert(told[0]==1 && told[1]==1 && told[2]==1 && told[3]==1);
  assert(!entry[0] && !entry[1] && !entry[2] && !entry[3])
}
