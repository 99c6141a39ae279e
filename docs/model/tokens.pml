/* A run of tokens: counter, joins with three arrival values, dead paths, rounds of a loop, retries,
 * cancel; at-least-once delivery to two workers with leases.
 *
 * One script call is one d_step; everything else interleaves freely. As in the run hash, a node has
 * ONE record and one join field, tagged with the round it belongs to: what is of another round does
 * not count, and ending a round removes nothing. Nodes are numbered in topological order. */
#ifndef G
#define G 1
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2     /* of a node that may fail */
#endif
#ifndef CRASHES
#define CRASHES 1      /* deaths of workers in one history */
#endif
#ifndef STEALS
#define STEALS 1       /* leases taken from a worker that is alive but slow */
#endif
/* When an edge is live: success, success with choice 0 or 1, error, always. */
#define OK 0
#define OK0 1
#define OK1 2
#define ERR 3
#define ALW 4
#define EDGE(i,a,b,k) from[i]=a; to[i]=b; on[i]=k; arity[b]=arity[b]+1

#if G==1      /* a branch, an error edge, an all-join of three */
#define N 5
#define E 6
inline graph() {
  EDGE(0,0,1,OK0); EDGE(1,0,2,OK1); EDGE(2,1,4,OK); EDGE(3,2,4,OK); EDGE(4,1,3,ERR); EDGE(5,3,4,OK);
  fails[1]=1; chooses[0]=1 }
#elif G==2    /* an any-join (4) before an all-join (5) */
#define N 6
#define E 7
inline graph() {
  EDGE(0,0,1,OK); EDGE(1,0,2,OK); EDGE(2,0,3,OK); EDGE(3,1,4,OK0); EDGE(4,2,4,OK); EDGE(5,4,5,OK);
  EDGE(6,3,5,OK); need[4]=1; fails[2]=1; chooses[1]=1 }
#elif G==3    /* count: 2 of 3 (4), of which two may die */
#define N 6
#define E 8
inline graph() {
  EDGE(0,0,1,OK); EDGE(1,0,2,OK); EDGE(2,0,3,OK); EDGE(3,1,4,OK0); EDGE(4,2,4,OK0); EDGE(5,3,4,OK);
  EDGE(6,4,5,OK); EDGE(7,3,5,OK); need[4]=2; chooses[1]=1; chooses[2]=1 }
#elif G==4    /* a loop with an any-join (3) in its body: the loser is in flight when the latch decides */
#define N 6
#define E 6
#define R 2
#define LATCH 4
inline graph() {
  EDGE(0,0,1,OK); EDGE(1,0,2,OK); EDGE(2,1,3,OK); EDGE(3,2,3,OK); EDGE(4,3,4,OK); EDGE(5,4,5,OK);
  need[3]=1; fails[2]=1; chooses[4]=1 }
#elif G==5    /* a loop whose latch (3) may die in a round */
#define N 5
#define E 5
#define R 2
#define LATCH 3
inline graph() {
  EDGE(0,0,1,OK); EDGE(1,0,2,OK); EDGE(2,1,3,OK0); EDGE(3,2,3,OK0); EDGE(4,3,4,OK);
  fails[2]=1; chooses[1]=1; chooses[2]=1; chooses[3]=1 }
#else         /* `continue`: 1 and 2 may fail unhandled; all (4) of 1,3; any (5) of 1,2; all (6) of 4,5 */
#define N 7
#define E 9
#define GO_ON
inline graph() {
  EDGE(0,0,1,OK); EDGE(1,0,2,OK); EDGE(2,0,3,OK); EDGE(3,1,4,OK); EDGE(4,3,4,OK); EDGE(5,1,5,OK);
  EDGE(6,2,5,OK0); EDGE(7,4,6,OK); EDGE(8,5,6,OK);
  need[5]=1; fails[1]=1; fails[2]=1; chooses[2]=1 }
#endif
#ifndef R
#define R 1
#define LATCH 99
#endif
#define INBODY(n) (R>1 && (n)<=LATCH)       /* the head is the entry node 0 */
#define COUNTED(n) (!INBODY(n))
#define T (N*R)                             /* stream entries: one per node and round */
#define TOKEN(n,k) ((n)+N*(k))

/* records and statuses */
#define NONE 0
#define ACTIVE 1
#define RETRY 2
#define DONE 3
#define FAILED 4
#define SKIPPED 5
#define RUNNING 1
#define COMPLETED 2
#define BROKEN 3
#define CANCELLED 4
/* arrivals */
#define LIVE 1
#define DEAD 2
#define BAD 3

byte from[E], to[E], on[E], arity[N], need[N]; bit fails[N], chooses[N];
byte rec[N], rnd[N], att[N];                /* the record: state, round, attempt */
byte live[N], gone[N], bad[N], jrnd[N]; bit decided[N];   /* the join: arrivals of round jrnd */
byte alive;                                 /* the loop's round that is alive, R: the loop has ended */
short c=1; byte status=RUNNING, ends; bit unhandled;
byte timer[T];                              /* the attempt that a retry timer will emit */
byte entry[T], owner[T], tried[T];          /* 0 none, 1 queued, 2 pending; owner 3: a dead consumer */
bit acted[T]; byte crashes, steals;         /* acted: ghost */
byte i, k, n, x, v, m, r, q, base, op, nl; short d; bit lv;   /* the scripts' own variables */

#define CURRENT(n,r) (!INBODY(n) || alive==(r))
inline emit(e,a) { assert(entry[e]==0 || tried[e]!=a); entry[e]=1; owner[e]=0; tried[e]=a }
inline finish(s) { status=s; ends++; assert(ends==1) }
inline activate(a,b) {
  q=TOKEN(a,b); assert(!acted[q]); acted[q]=1; rec[a]=ACTIVE; rnd[a]=b; att[a]=1; emit(q,1); q=0 }

/* One arrival of value v at node m in round r: the script's own variables. A join field of another round counts as empty. */
inline arrive() {
  if :: jrnd[m]!=r -> jrnd[m]=r; live[m]=0; gone[m]=0; bad[m]=0; decided[m]=0 :: else fi;
  if
  :: decided[m] ->
#ifdef BUG_FLAT
     if :: v==LIVE -> d-- :: else fi
#else
     if :: v==LIVE && COUNTED(m) -> d-- :: else fi      /* consumed on arrival */
#endif
  :: else ->
     if :: v==LIVE -> live[m]++ :: v==DEAD -> gone[m]++ :: else -> bad[m]++ fi;
     assert(live[m]+gone[m]+bad[m]<=arity[m])
  fi }

/* The value v on edge i of a node in round b: what leaves the loop is of no round. */
inline send(b) {
  m=to[i]; if :: INBODY(m) -> r=b :: else -> r=0 fi; arrive(); m=0; r=0 }

/* Fires and skips joins behind, in topological order. */
inline settle(b) {
  n=0;
  do
  :: n<N ->
     if :: INBODY(n) -> k=b :: else -> k=0 fi;
     if
     :: arity[n]>0 && jrnd[n]==k && !decided[n] && CURRENT(n,k) && live[n]+gone[n]+bad[n]>0 ->
        x = live[n]+gone[n]+bad[n];
        if
        :: need[n]==0 && x==arity[n] && live[n]>0 && bad[n]==0 -> op=1
        :: need[n]>0 && live[n]>=need[n] -> op=1
#ifdef BUG_COUNT
        :: need[n]>0 && live[n]<need[n] && gone[n]+bad[n]==arity[n] -> op=2
#else
        :: need[n]>0 && live[n]<need[n] && x==arity[n] -> op=2
#endif
        :: need[n]==0 && x==arity[n] && (live[n]==0 || bad[n]>0) -> op=2
        :: else -> op=0
        fi;
#ifdef BUG_CONTINUE
        if :: op==2 && need[n]==0 && live[n]>0 -> op=1 :: else fi;   /* failed counts as dead */
#endif
        if
        :: op==1 -> decided[n]=1;
#ifdef BUG_FLAT
           d=d-(live[n]-1);
#else
           if :: COUNTED(n) -> d=d-(live[n]-1) :: else fi;
#endif
           activate(n,k)
        :: op==2 -> decided[n]=1;
#ifdef BUG_FLAT
           d=d-live[n];
#else
           if :: COUNTED(n) -> d=d-live[n] :: else fi;
#ifndef BUG_LATCHSKIP
           if :: n==LATCH -> alive=R; d-- :: else fi;  /* the loop's unit is consumed */
#endif
#endif
           rec[n]=SKIPPED; rnd[n]=k; v=(bad[n]>0 -> BAD : DEAD); i=0;
           do :: i<E -> if :: from[i]==n -> send(k) :: else fi; i++ :: else -> break od
        :: else
        fi
     :: else
     fi;
     n++
  :: else -> break
  od }

inline ack(e,a) { if :: entry[e]!=0 && tried[e]==a -> entry[e]=0; owner[e]=0; tried[e]=0 :: else fi }

/* complete_tokens for one item: token t, attempt a; ok, choice ch. */
inline complete(t,a,ok,ch) {
  d_step {
    n=t%N; k=t/N; d=0; nl=0;
    op = ((status==RUNNING && rnd[n]==k && CURRENT(n,k) &&
           (rec[n]==ACTIVE || (ok && rec[n]==RETRY))) -> 3 : 0);
#ifdef BUG_STATUS
    op = ((rnd[n]==k && CURRENT(n,k) && (rec[n]==ACTIVE || (ok && rec[n]==RETRY))) -> 3 : 0);
#endif
#ifdef BUG_NEGATIVE        /* accepted unless a result is found: what is not there is no result */
    op = ((status==RUNNING && (rec[n]<DONE || rnd[n]!=k)) -> 3 : 0);
#endif
#ifdef BUG_STALE           /* any failure of an active or finished token counts */
    if :: status==RUNNING && !ok && rec[n]==DONE && rnd[n]==k -> op=3 :: else fi;
#else
    if :: !ok && a!=att[n] -> op=0 :: else fi;
#endif
    if
    :: op==3 && !ok && att[n]<ATTEMPTS -> op=1
    :: op==3 && n==LATCH && ok && ch==0 && k+1<R -> op=2
    :: else
    fi;
    if
    :: op==0 -> if :: owner[t]==me -> ack(t,a) :: else fi
    :: op==1 -> rec[n]=RETRY; att[n]++; timer[t]=att[n]; ack(t,a)
    :: op==2 -> rec[n]=DONE; alive=k+1; ack(t,a); activate(0,alive)     /* another round: delta 0 */
    :: op==3 -> rec[n]=(ok -> DONE : FAILED); rnd[n]=k; timer[t]=0; ack(t,a);
#ifndef BUG_FLAT
       if :: n==LATCH -> alive=R :: else fi;
#endif
       op=0; i=0;
       do                                               /* is the failure handled? */
       :: i<E -> if :: from[i]==n && !ok && on[i]>=ERR -> op=1 :: else fi; i++
       :: else -> break
       od;
       if
#ifndef GO_ON
       :: !ok && op==0 -> finish(BROKEN)
#endif
       :: else ->
          if :: !ok && op==0 -> unhandled=1 :: else fi;
          i=0; x=n;
          do
          :: i<E ->
             if
             :: from[i]==x ->
                lv = (on[i]==ALW || (ok && on[i]==OK) || (ok && on[i]==OK0 && ch==0) ||
                      (ok && on[i]==OK1 && ch==1) || (!ok && on[i]==ERR));
                v = (lv -> LIVE : ((!ok && op==0) -> BAD : DEAD));
                nl = nl+lv; send(k)
             :: else
             fi; i++
          :: else -> break
          od;
#ifdef BUG_FLAT
          d=d+nl-1;
#else
          if :: COUNTED(x) || x==LATCH -> d=d+nl-1 :: else fi;
#endif
          base=t/N; settle(base); c=c+d; assert(c>=0);
#ifdef BUG_ZERO
          if :: c==0 && nl==0 -> ended() :: else fi     /* only nodes without live out-edges look */
#else
          if :: c==0 -> ended() :: else fi
#endif
       fi
    fi;
    d=0; i=0; n=0; k=0; x=0; v=0; op=0; nl=0; lv=0; base=0
  } }

/* Zero: nothing alive is in flight, and outside of loops every node is decided. */
inline ended() {
  n=0;
  do
  :: n<N -> assert((rec[n]!=ACTIVE && rec[n]!=RETRY) || !CURRENT(n,rnd[n]));
     assert(rec[n]!=NONE || R>1); n++
  :: else -> break
  od;
  finish((unhandled -> BROKEN : COMPLETED)) }

#define READ(q) (entry[q]==1 || (entry[q]==2 && (owner[q]==3 || (owner[q]!=me && steals<STEALS)))) -> t=q
proctype worker(byte me) {
  byte t, a, z; bit ok, ch, drop;
end:
  do
  :: atomic {
       if
       :: READ(0) :: READ(1) :: READ(2) :: READ(3) :: READ(4)
#if N>5 || R>1
       :: READ(5)
#endif
#if N>6 || R>1
       :: READ(6)
#endif
#if R>1
       :: READ(7) :: READ(8) :: READ(9)
#endif
#if R>1 && N>5
       :: READ(10) :: READ(11)
#endif
       fi;
       if :: entry[t]==2 && owner[t]!=3 -> steals++ :: else fi;
       a=tried[t]; entry[t]=2; owner[t]=me;
       drop = !(status==RUNNING && rec[t%N]==ACTIVE && rnd[t%N]==t/N && CURRENT(t%N,t/N))
     };
     if
     :: drop -> d_step { if :: entry[t]==2 && owner[t]==me -> ack(t,a) :: else fi }
     :: else ->
        if :: ok=1 :: fails[t%N] -> ok=0 fi;
        if :: ch=0 :: chooses[t%N] -> ch=1 fi;
        if
        :: crashes<CRASHES ->                           /* dies with everything it held */
           d_step { crashes++; z=0; do :: z<T -> if :: entry[z]==2 && owner[z]==me -> owner[z]=3 :: else fi; z++ :: else -> break od; z=0 }
#ifdef BUG_SPLIT
        :: crashes<CRASHES ->                           /* ... between the result and the rest */
           d_step { crashes++; if :: status==RUNNING && rec[t%N]==ACTIVE -> rec[t%N]=DONE :: else fi;
             z=0; do :: z<T -> if :: entry[z]==2 && owner[z]==me -> owner[z]=3 :: else fi; z++ :: else -> break od; z=0 }
#endif
        :: complete(t,a,ok,ch)
        fi
     fi;
     d_step { t=0; a=0; ok=0; ch=0; drop=0; z=0 }
  od }

#define DUE(q) timer[q]!=0 -> t=q
proctype firing() {       /* reads what is due, then calls the script; two supervisors may do so */
  byte t, a;
end:
  do
  :: atomic { if :: DUE(1) :: DUE(2)
#if R>1
       :: DUE(N+2)
#endif
       fi; a=timer[t] };
     d_step {
#ifdef BUG_TIMER
       timer[t]=0; emit(t,a);
#else
       if
       :: timer[t]==a -> timer[t]=0;
          if :: status==RUNNING && rec[t%N]==RETRY && rnd[t%N]==t/N && att[t%N]==a && CURRENT(t%N,t/N) ->
                rec[t%N]=ACTIVE; emit(t,a) :: else fi
       :: else
       fi;
#endif
       t=0; a=0 }
  od }

proctype client() {
#ifdef CANCEL
  d_step { if :: status==RUNNING -> finish(CANCELLED) :: else fi }
#else
  skip
#endif
}

init {
  d_step { graph(); rec[0]=ACTIVE; att[0]=1; acted[0]=1; entry[0]=1; tried[0]=1 };
  atomic { run worker(1); run worker(2); run firing(); run firing(); run client() };
  timeout;                                              /* nothing can move any more */
#ifdef REACH
  assert(status!=REACH);                                /* must fail: this end is reachable */
#endif
  assert(status!=RUNNING && ends==1);                   /* no hang */
  d_step { i=0; do :: i<T -> assert(entry[i]==0); assert(timer[i]==0 || status!=COMPLETED); i++ :: else -> break od };
#ifdef GO_ON              /* the end does not depend on the order in which things happened */
#ifdef CANCEL
  if :: status==CANCELLED -> goto over :: else fi;
#endif
  assert((status==BROKEN) == (rec[1]==FAILED || rec[2]==FAILED));
  assert(rec[4]==(rec[1]==FAILED -> SKIPPED : DONE));
  assert(rec[1]!=DONE || rec[5]==DONE);
  assert(rec[6]==((rec[4]==DONE && rec[5]==DONE) -> DONE : SKIPPED));
over:
#endif
  skip
}
