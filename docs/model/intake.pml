/* A submission's way: row, start, end, release; two intakes that repeat each other's work and may
 * pause or die anywhere. The run is executed exactly once. A released run leaves a tombstone for TTL;
 * a start carries a deadline, taken from Redis' clock before the row's status was read. */
#define NOTHING 0
#define RUN 1
#define TOMB 2
#define TTL 3
#define WINDOW 1
byte hash, row, starts, clock, tombUntil, deaths; bit acked;   /* row: 1 queued, 2 finished */
#ifdef BUG_NODEADLINE
#define INTIME true
#else
#define INTIME (clock<=deadline)
#endif
proctype intake() {
  byte deadline;
end:
  do
  :: !acked ->
     if :: d_step { row==0 -> row=1 } :: row!=0 fi;            /* insert, on conflict nothing */
     deadline=clock+WINDOW;
     if
     :: row==2 -> acked=1
     :: row==1 ->
        if :: deaths<1 -> deaths++; goto end :: skip fi;
        d_step { if                                            /* start_runs */
          :: hash==NOTHING && INTIME -> hash=RUN; starts++; assert(starts==1)
          :: else fi };
        if :: deaths<1 -> deaths++; goto end :: skip fi;
        if :: row==2 || hash!=NOTHING -> acked=1 :: else fi    /* refused as late: reads again */
     fi
  od }
active proctype engine() {
end:
  do
  :: hash==RUN -> row=2;                                       /* archived, then released */
     d_step {
#ifdef BUG_NOTOMB
       hash=NOTHING
#else
       hash=TOMB; tombUntil=clock+TTL
#endif
     }
  od }
active proctype time() {
end:
  do :: d_step { clock<8 -> clock++; if :: hash==TOMB && clock>tombUntil -> hash=NOTHING :: else fi } od }
init {
  atomic { run intake(); run intake() };
  timeout;
#ifdef REACH
  assert(deaths==0);
#endif
  assert(starts==1 && row==2)
}
