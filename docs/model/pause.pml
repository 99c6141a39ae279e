/* Pause and resume. A run of K tokens in a row (each settled one queues the next) and one that is due
 * by a timer. While it is paused, what would be queued goes to `held`; what is delivered all the same
 * is put there by the worker; resume sets `running` first and then queues what was held, one page of
 * one entry at a time; the client may die between pages, a supervisor goes on. Two workers. */
#define K 3
byte rec[K+1]; bit paused; byte ends, c=2;    /* token K is the timer's */
byte queue[K+1], pending[K+1], held[K+1];  /* entries per token */
byte pauses, steals; bit timer=1, listed;
#define ANY (held[0]+held[1]+held[2]+held[3])
inline dispatch(t) { if :: paused -> held[t]++ :: else -> queue[t]++ fi }
inline settle(t) {
  if
  :: rec[t]==1 -> rec[t]=2;
     if :: t+1<K -> rec[t+1]=1; dispatch(t+1)
        :: else -> c--; if :: c==0 -> ends++; assert(ends==1) :: else fi fi
  :: else
  fi }

#define TAKE(x) (queue[x]>0 || (pending[x]>0 && steals<1)) -> t=x
proctype worker() {
  byte t; bit wait, again;
end:
  do
  :: atomic { if :: TAKE(0) :: TAKE(1) :: TAKE(2) :: TAKE(3) fi;
       if :: queue[t]>0 -> queue[t]--; pending[t]++ :: else -> steals++ fi };
     again=1;
     do
     :: again ->
        again=0; wait=paused;                 /* looked at before it is executed */
        if
        :: !wait -> d_step { settle(t); if :: pending[t]>0 -> pending[t]-- :: else fi }
        :: wait ->
           d_step {                           /* hold_tokens */
             if
#ifdef BUG_HOLD    /* put aside without looking again: nobody may come for it any more */
             :: true -> if :: pending[t]>0 -> pending[t]--; held[t]++ :: else fi
#else
             :: !paused -> again=1
#ifdef BUG_TWICE   /* kept whether it was still pending or not */
             :: paused -> held[t]++; if :: pending[t]>0 -> pending[t]-- :: else fi
#else
             :: paused -> if :: pending[t]>0 -> pending[t]--; held[t]++ :: else fi  /* XACK says */
#endif
#endif
             fi;
             assert(queue[t]+pending[t]+held[t]<=1) }
        fi
     :: else -> break
     od;
     t=0; wait=0
  od }

proctype firing() {
  d_step { timer -> timer=0; if :: rec[K]==1 -> dispatch(K) :: else fi }
}

inline page(all) {        /* one entry from the list to its queue, in one step */
  if
  :: held[0]>0 -> held[0]--; queue[0]++
  :: held[0]==0 && held[1]>0 -> held[1]--; queue[1]++
  :: held[0]+held[1]==0 && held[2]>0 -> held[2]--; queue[2]++
  :: held[0]+held[1]+held[2]==0 && held[3]>0 -> held[3]--; queue[3]++
  :: else
  fi;
  listed=(ANY>0) }        /* in the index `paused` with score 0: a supervisor looks there */

proctype client() {
  do
  :: pauses<2 && ends==0 -> d_step { pauses++; paused=1 };
#ifdef BUG_ORDER          /* first what was held, then the status */
     do :: d_step { ANY>0 -> page(1) } :: ANY==0 -> break od;
     paused=0
#else
     d_step { paused=0; page(1) };
     do
     :: d_step { !paused && ANY>0 -> page(1) }
     :: break                                 /* done, or dead between two pages */
     od
#endif
  :: break
  od }

proctype supervisor() {
end:
#ifndef BUG_LEFT
  do :: d_step { listed && !paused -> page(1) } od
#else
  skip
#endif
}

init {
  d_step { rec[0]=1; rec[K]=1; queue[0]=1 };
  atomic { run worker(); run worker(); run firing(); run client(); run supervisor() };
  timeout;
#ifdef REACH_TWO
  assert(pauses<2);
#endif
#ifdef REACH_STEAL
  assert(steals==0);
#endif
  assert(!paused && ends==1 && c==0);
  assert(ANY==0 && !listed);
  assert(pending[0]+pending[1]+pending[2]+pending[3]==0)
}
