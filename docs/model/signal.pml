/* A wait for a signal, with a timeout. Two workers have the token (a stolen lease), so it may be
 * parked late or twice; one signal is sent by a client that repeats itself (same id), a second one
 * under an id of its own; the timer. Exactly one of them ends the wait, and no signal is lost: it
 * served the wait or it is kept. */
#define NONE 0
#define ACTIVE 1
#define PARKED 2
#define DONE 3
byte rec=ACTIVE; bit resumed;        /* w<node> says "=": this attempt was parked and resumed */
byte entries, answer;                /* resume entries queued; what ended the wait */
byte resumes, served, kept, parks;   /* how often the wait was ended; by signals; signals kept */
bit waiter, timer; bit seen[3]; byte accepted, ended;
#define TIMEOUT 9

inline wake(by) {
  rec=ACTIVE; resumes++; resumed=1; waiter=0; timer=0; entries++; answer=by }

proctype worker() {                  /* has read the token; parks it: op W */
  d_step {
    if
#ifdef BUG_REPARK
    :: rec==ACTIVE ->
#else
    :: rec==ACTIVE && !resumed ->
#endif
       parks++;
       if
#ifdef BUG_EARLY                     /* a signal that is there already is not looked for */
       :: false -> skip
#else
       :: kept>0 -> kept--; served++; resumes++; resumed=1; entries++; answer=1
#endif
       :: else -> rec=PARKED; waiter=1; timer=1
       fi;
       assert(!waiter || kept==0)     /* nobody waits for what is there */
    :: else
    fi } }

proctype client(byte id) {           /* signal_run; the answer may be lost: sent again */
  byte sent; bit sees;
  do
  :: sent<2 ->
     sees=waiter;                    /* read before: which waiter is the oldest */
     d_step {
       if
#ifndef BUG_TWICE                    /* ids are not remembered */
       :: seen[id] -> sent=2
#endif
#ifndef BUG_RECORD
       :: !seen[id] && waiter!=sees -> skip                      /* AGAIN */
#endif
       :: else ->
          sent++; if :: !seen[id] -> accepted++ :: else fi; seen[id]=1;
#ifdef BUG_RECORD                    /* the waiter read before is woken, whatever the record says */
          if :: sees -> served++; wake(1) :: else -> kept++ fi
#else
          if :: waiter -> served++; wake(1) :: else -> kept++ fi
#endif
       fi };
     if :: sent=2 :: skip fi         /* answered; or not, then it is sent again */
  :: else -> break
  od }

proctype firing() {                  /* two supervisors have read that it is due */
end:
  timer;
  d_step {
#ifdef BUG_TIMER                     /* what was read is acted upon */
    wake(TIMEOUT)
#else
    if :: timer && rec==PARKED -> wake(TIMEOUT) :: else fi
#endif
  } }

proctype resumer() {                 /* a worker with the resume entry decides the edges */
end:
  do
  :: d_step { entries>0 -> entries--;
       if :: rec==ACTIVE && resumed -> rec=DONE; ended++ :: else fi }
  od }

init {
  atomic { run worker(); run worker(); run client(1); run client(2); run firing(); run firing(); run resumer() };
  timeout;
#ifdef REACH_TIMEOUT
  assert(answer!=TIMEOUT);
#endif
#ifdef REACH_EARLY
  assert(!(resumes==1 && parks==1 && answer==1 && kept==1));
#endif
  assert(parks==1 && resumes==1 && ended==1 && rec==DONE);
  assert(accepted==seen[1]+seen[2] && served+kept==accepted);
  assert(served<=1 && (served==1)==(answer==1) && !waiter && !timer)
}
