/* Two loops, one inside the other. The outer round: head A, P, inner loop (head B, latch D), latch E;
 * the inner one's D is an any-join of B and C, the outer one's E an any-join of D and A: C may be in
 * flight when D decides, and the whole inner loop when E does. Then everything of that round is void.
 *
 * As in the run hash: one record per node, tagged with its scope; `l` of a latch names the round that
 * is alive WITH the rounds around it, so that round 1 of the inner loop in round 2 of the outer one is
 * not round 1 in round 1. A scope is (o,n): outer round, inner round; 0: not inside, 3: has ended. */
#define A 0
#define P 1          /* between the outer head and the inner one */
#define B 2
#define C 3
#define D 4
#define E 5
#define X 6          /* after the loop */
#define N 7
#define NONE 0
#define ACTIVE 1
#define DONE 2
#define ENDED 3
#define ROUNDS 2
byte rec[N], ro[N], ri[N];                  /* the record and its scope */
bit jd[N]; byte jo[N], ji[N];               /* decided joins (D, E), tagged with their scope */
byte lo=1, lio, li;                         /* l of E; l of D: (outer, inner) */
short c=1; byte ends; bit over;
bit queued[N*9]; byte waiting, twice;        /* entries by token; deliveries of one that is not gone yet */
bit acted[N*9];
byte q, e, s;
#define TOKEN(m,o,i) ((m)*9+(o-1)*3+(i))    /* X is told as of outer round 1 */

#define OUTER(m) ((m)==A || (m)==P || (m)==E)
#if defined(BUG_OWN)       /* only the token's own loop is looked at, not those around it */
#define CURRENT(m,o,i) ((m)==X || (OUTER(m) -> lo==(o) : (lio==(o) && li==(i))))
#elif defined(BUG_NUMBER)  /* ... and the inner round is named by its number alone */
#define CURRENT(m,o,i) ((m)==X || (OUTER(m) -> lo==(o) : li==(i)))
#else
#define CURRENT(m,o,i) ((m)==X || (lo==(o) && (OUTER(m) || (lio==(o) && li==(i)))))
#endif
#ifdef BUG_TAG       /* joins forget which round their arrivals are of */
#define OPEN(m,o,i) (!jd[m])
#else
#define OPEN(m,o,i) (!(jd[m] && jo[m]==(o) && ji[m]==(i)))
#endif

inline activate(m,o,i) {
  q=TOKEN(m,o,i); assert(!acted[q]); acted[q]=1; queued[q]=1; waiting++; q=0;
  rec[m]=ACTIVE; ro[m]=o; ri[m]=i }
inline arrive(m,o,i) {            /* a live arrival at an any-join; later ones are consumed */
  if :: OPEN(m,o,i) -> jd[m]=1; jo[m]=o; ji[m]=i; activate(m,o,i) :: else fi }
inline zero() { assert(c>=0); if :: c==0 -> ends++; over=1; assert(ends==1) :: else fi }

/* Workers: a completion for any entry, at any time; one delivery stays behind and comes again later.
 * Between the read and the script a worker changes nothing, so this is as many workers as you like. */
active proctype workers() {
  byte m, o, i; bit again;
end:
  do
  :: atomic {
       waiting>0;
       do :: s<waiting-1 -> s++ :: break od;
       do
       :: queued[e] && s==0 -> break
       :: queued[e] && s>0 -> s--; e++
       :: !queued[e] -> e++
       od;
       m=e/9; o=(e%9)/3+1; i=e%3;
       if :: queued[e]=0; waiting-- :: twice<1 -> twice++ fi; e=0;
       if :: again=0 :: (m==D || m==E) -> again=1 fi;
       if
       :: over || rec[m]!=ACTIVE || ro[m]!=o || ri[m]!=i || !CURRENT(m,o,i) -> skip
       :: else -> rec[m]=DONE;
          if
          :: m==A -> activate(P,o,0); arrive(E,o,0)
          :: m==P -> lio=o; li=1; activate(B,o,1)                    /* the inner loop begins */
          :: m==B -> activate(C,o,i); arrive(D,o,i)
          :: m==C -> arrive(D,o,i)
          :: m==D && again && i<ROUNDS -> li=i+1; activate(B,o,li)
          :: m==D && !(again && i<ROUNDS) -> lio=ENDED; li=0; arrive(E,o,0)
          :: m==E && again && o<ROUNDS -> lo=o+1; activate(A,lo,0)   /* nothing else is touched */
          :: m==E && !(again && o<ROUNDS) -> lo=ENDED; activate(X,1,0)
          :: m==X -> c--
          fi;
#ifdef BUG_COUNTED   /* tokens of a round are counted with the run's: B -> C and D */
          if :: m==B -> c++ :: m==D -> c-- :: else fi;
#endif
          zero()
       fi;
       m=0; o=0; i=0; again=0 }
  od }

init {
  d_step { rec[A]=ACTIVE; ro[A]=1; acted[TOKEN(A,1,0)]=1; queued[TOKEN(A,1,0)]=1; waiting=1 };
  timeout;
#ifdef REACH_INNER   /* the loop ended while a round inside was alive */
  assert(lio==ENDED);
#endif
#ifdef REACH_SECOND  /* the second inner round of the second outer one was reached */
  assert(!acted[TOKEN(B,2,2)]);
#endif
  assert(over && ends==1 && rec[X]==DONE && c==0)
}
