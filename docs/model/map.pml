/* A map of COUNT elements with a window, as implemented: an element is a unit with a counter of its own,
 * each one of two tokens (0 then 1), of which token 1 may fail unhandled. An element's end leaves its
 * result in the map, frees its own state and starts the next index, all in one step; the last one, or
 * one failure more than tolerated, makes the map's record `g`: gather. The map's timeout does so too.
 * The parent run may end meanwhile, or begin the map anew in another round. One delivery of a token
 * stays behind and comes again at any time, so a completion may be arbitrarily late. */
#define N 3                       /* places for elements */
#ifndef COUNT
#define COUNT 3
#endif
#ifndef WINDOW
#define WINDOW 2
#endif
#ifndef TOLERATED
#define TOLERATED 1
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
byte rec;                         /* the map token's record: 1 m (elements), 2 g (gather), 3 settled */
byte round=1;                     /* of the loop around it, and the round the record is of */
bit running=1;                    /* the run's status */
byte open[N], tok[N], flight[N];     /* elements: 1 their hash is there; the active token; their counter */
byte next, done, failed; bit broken;/* of the map's hash; broken: gathered because of a failure */
byte res[N];                      /* results flight: 1 output, 2 error */
byte eq[N*2*ROUNDS];              /* entries by element, token, round */
byte waiting, twice, gathers[ROUNDS+1], ended[N*ROUNDS], s, e, i;
bit late;                         /* an element was completed after its map was over: must not be */
#define ENTRY(x,t,r) ((x)*2+(t)+N*2*((r)-1))

inline queue(x,t,r) { i=ENTRY(x,t,r); eq[i]=1; waiting++; i=0 }
inline begin_element(x) { open[x]=1; tok[x]=0; flight[x]=1; queue(x,0,round) }
inline gather() { rec=2; gathers[round]++; assert(gathers[round]==1) }
inline expand() {                 /* what an earlier round flight is void, and of another name */
  rec=1; next=0; done=0; failed=0; broken=0; s=0;
  do :: s<N -> open[s]=0; res[s]=0; s++ :: else -> break od; s=0;
  do :: next<WINDOW && next<COUNT -> begin_element(next); next++ :: else -> break od;
#ifndef BUG_EMPTY
  if :: COUNT==0 -> gather() :: else fi
#endif
}

inline element_ended(x,bad) {
  assert(ended[x+N*(round-1)]==0); ended[x+N*(round-1)]=1;
  assert(res[x]==0); res[x]=(bad -> 2 : 1); open[x]=0; done++;
  if :: bad -> failed++ :: else fi;
  if
#ifdef BUG_TOLERATED  /* failures are only looked at when all have ended */
  :: done==COUNT -> gather()
#else
  :: failed>TOLERATED -> broken=1; gather()
  :: failed<=TOLERATED && done==COUNT -> gather()
#endif
#ifdef BUG_WINDOW     /* each end starts whatever fits, not the next index */
  :: else -> if :: next<COUNT -> begin_element(next); next++ :: else fi; if :: next<COUNT -> begin_element(next); next++ :: else fi
#else
  :: else -> if :: next<COUNT -> begin_element(next); next++ :: else fi
#endif
  fi }

active proctype workers() {
  byte x, t, r; bit bad;
end:
  do
  :: atomic {
       waiting>0;
       do :: s<waiting-1 -> s++ :: break od;
       do :: eq[e] && s==0 -> break :: eq[e] && s>0 -> s--; e++ :: !eq[e] -> e++ od;
       r=e/(N*2)+1; x=(e%(N*2))/2; t=e%2;
       if :: eq[e]=0; waiting-- :: twice<2 -> twice++ fi; e=0;
       if :: bad=0 :: t==1 -> bad=1 fi;
       if
       /* Accepted by the element's own record AND by what is around it. */
#ifdef BUG_AROUND
       :: !open[x] || tok[x]!=t || r!=round -> skip
#else
       :: !running || rec!=1 || r!=round || !open[x] || tok[x]!=t -> skip
#endif
       :: else ->
          assert(running && rec==1);
          if
          :: t==0 -> tok[x]=1; queue(x,1,r)
          :: t==1 -> flight[x]--; element_ended(x,bad)
          fi
       fi;
       assert(open[0]+open[1]+open[2]<=WINDOW || rec!=1);
       x=0; t=0; r=0; bad=0 }
  od }

active proctype collector() {     /* a worker with the map's token, in state g */
end:
  do
  :: atomic { running && rec==2 ->
       assert(broken -> (failed==TOLERATED+1) : (failed<=TOLERATED && (done==COUNT || late)));
       if
       :: round<ROUNDS -> round++; expand()        /* the loop around goes on: the map anew */
       :: true -> rec=3; running=0
       fi }
  od }

active proctype others() {        /* the map's timeout; the run cancelled */
  if
  :: atomic { running && rec==1 -> late=1; gather() }
  :: atomic { running && rec>0 -> running=0; rec=4 }
  :: skip
  fi }

init {
  atomic { expand() };
  timeout;
#ifdef REACH_FULL
  assert(!broken);
#endif
#ifdef REACH_ALL
  assert(!(round==2 && done==COUNT && failed==1));
#endif
#ifdef REACH_LATE
  assert(!late);
#endif
  assert(!running && rec>=3 && waiting==0);
  assert(rec==4 || gathers[round]==1)
}
