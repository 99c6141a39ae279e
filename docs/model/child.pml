/* A sub-workflow. start_child parks the parent's token and starts the child in one step, the child's
 * id follows from the token's attempt. Whatever ends the child wakes the token in the same step; the
 * child's state stays until the woken token has read it. The parent may end (cancel), its token may
 * time out; then a sweep cancels the child. Two workers hold the parent's token at first. */
#define NONE 0
#define ACTIVE 1
#define PARKED 2
#define DONE 3
#define RUNNING 1
#define COMPLETED 2
#define CANCELLED 3
#define GONE 4             /* released: nothing is left of it but a tombstone */
byte parent=RUNNING, rec=ACTIVE, entries=2;   /* two deliveries of the first entry */
bit marked;                /* this attempt has started a child */
byte child, starts, wakes, ends, reads; bit timer, by_child, cut, idle;

inline wake(c) {           /* resume: whoever comes first */
  if
#ifdef BUG_WAKE
  :: parent==RUNNING -> rec=ACTIVE; entries++; wakes++; timer=0; by_child=c
#else
  :: parent==RUNNING && rec==PARKED -> rec=ACTIVE; entries++; wakes++; timer=0; by_child=c
#endif
  :: else
  fi }
inline child_ends(status) {
  child=status; ends++; assert(ends==1);
#ifndef BUG_LATEWAKE
  wake(1)
#endif
}

proctype worker() {        /* first what starts the child, then what reads how it ended */
  bit woken, again, missing;
end:
  do
  :: atomic { entries>0 -> entries--; woken=(wakes>0 && rec==ACTIVE && marked) };
     if
     :: !woken ->
#ifdef BUG_SPLIT           /* parks first, starts then: a crash between the two */
        d_step { if :: parent==RUNNING && rec==ACTIVE && !marked -> rec=PARKED; timer=1; again=1 :: else fi };
        if :: again && !cut -> cut=1; again=0 :: else fi;
        d_step { if :: again -> marked=1; child=RUNNING; starts++; again=0 :: else fi }
#else
        d_step {           /* start_child */
          if
#ifdef BUG_AGAIN           /* a new child for each delivery */
          :: parent==RUNNING && rec==ACTIVE ->
#else
          :: parent==RUNNING && rec==ACTIVE && !marked ->
#endif
             marked=1; rec=PARKED; timer=1; child=RUNNING; starts++; assert(starts==1)
          :: else
          fi }
#endif
     :: woken ->
        missing=(by_child && child==GONE);        /* reads how the child ended ... */
        d_step {                                  /* ... and completes the node */
          if
          :: parent==RUNNING && rec==ACTIVE && wakes>0 ->
             assert(!missing); rec=DONE; reads++; assert(reads==1); parent=COMPLETED
          :: else
          fi }
     fi;
     woken=0; again=0; missing=0
  od }

proctype engine() {        /* the child's own work; a client may cancel it as well */
end:
  if
  :: d_step { child==RUNNING -> child_ends(COMPLETED) }
  :: d_step { child==RUNNING -> child_ends(CANCELLED) }
  :: child>RUNNING
  :: child==RUNNING -> idle=1        /* or it waits, for something that never comes */
  fi;
#ifdef BUG_LATEWAKE        /* ended in one step, the parent woken in another: death in between */
  if :: !cut -> cut=1 :: d_step { wake(1) } fi
#endif
  skip
}

proctype firing() {        /* the token's own timeout */
end:
  timer;
  if :: d_step { if :: timer -> wake(0) :: else fi } :: skip fi }

proctype client() {
  if :: d_step { if :: parent==RUNNING -> parent=CANCELLED :: else fi } :: skip fi }

#define WAITED (parent==RUNNING && (rec==PARKED || rec==ACTIVE) && marked)
proctype sweep() {         /* cancel_orphans */
end:
#ifdef BUG_ORPHAN
  skip
#else
  do :: d_step { child==RUNNING && !WAITED -> child_ends(CANCELLED) } od
#endif
}

#define ENDED (child==COMPLETED || child==CANCELLED)
proctype archiver() {      /* after the commit of the child's end */
end:
  do
#ifdef BUG_RELEASE         /* released although the token has yet to read it */
  :: d_step { ENDED -> child=GONE }
#else
  :: d_step { ENDED && !WAITED -> child=GONE }
#endif
  od }

init {
  atomic { run worker(); run worker(); run engine(); run firing(); run client(); run sweep(); run archiver() };
  timeout;
#ifdef REACH_TIMEOUT
  assert(!(reads==1 && !by_child));
#endif
#ifdef REACH_ORPHAN
  assert(!(parent==CANCELLED && starts==1));
#endif
#ifdef REACH_READ
  assert(!(reads==1 && by_child));
#endif
#define BOTH_WAIT (idle && child==RUNNING && parent==RUNNING && rec==PARKED)
  assert(parent!=RUNNING || BOTH_WAIT);             /* no hang: somebody ended the wait */
  assert(child==NONE || child==GONE || BOTH_WAIT);  /* nobody is left without a parent */
  assert(wakes<=1 && starts<=1 && ends<=1 && entries==0)
}
