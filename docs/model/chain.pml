/* Straight chains as implemented: tokens 0, 1, 2 of one run share the stream entry of token 0. The
 * script that settles one says who has the entry: the caller goes on, or somebody else does. Deaths
 * and stolen leases at every point; token 1 may fail and be retried by a timer; a chain may go back
 * to the queue (fairness). Entries are named by the token they were queued for. */
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef STEALS
#define STEALS 2
#endif
#define DELIVERIES 3      /* without a result: poison */
#define NONE 0
#define ACTIVE 1
#define RETRY 2
#define DONE 3
byte rec[3], att[3]; bit timer; byte ends;
byte entry[3], owner[3], count[3];   /* 0 none, 1 queued, 2 pending; owner 9: dead; delivery count */
byte lost[3];              /* ghosts: deliveries of a token that ended without a result */
byte crashes, steals, rerun, hops;
#define MINE(e) (entry[e]==2 && owner[e]==me)
inline ack(e) { entry[e]=0; owner[e]=0; count[e]=0 }

/* The first active token of the chain that begins at e, as followChain (sdk/chain.ts) finds it. */
inline look() {
  if :: e==0 && rec[0]==ACTIVE -> t=0
     :: e<=1 && !(e==0 && rec[0]==ACTIVE) && rec[1]==ACTIVE -> t=1
     :: !(e==0 && rec[0]==ACTIVE) && !(e<=1 && rec[1]==ACTIVE) && rec[2]==ACTIVE -> t=2
     :: else -> t=3 fi;
  if :: t<3 -> a=att[t] :: else -> a=0 fi }
#define TAKE(x) ((entry[x]==1) || (entry[x]==2 && (owner[x]==9 || (owner[x]!=me && steals<STEALS)))) -> e=x

proctype worker(byte me) {
  byte e, t, a, reply; bit ok, keeps, fresh;
end:
  do
  :: atomic {
       if :: TAKE(0) :: TAKE(1) :: TAKE(2) fi;
       if :: entry[e]==2 && owner[e]!=9 -> steals++ :: else fi;
       fresh=(entry[e]==1); count[e]++; entry[e]=2; owner[e]=me };
     /* A first delivery is not looked up (1 s, no halt); every other one is. */
#ifdef BUG_RERUN
     t=e; a=1;
#else
     if :: fresh -> d_step { t=e; a=(att[t]>0 -> att[t] : 1) } :: else -> d_step { look() } fi;
#endif
     do
     :: t==4 -> break
     :: t==3 ->                               /* none active: an empty item */
        d_step { if :: MINE(e) -> ack(e) :: else fi; t=4 }
     :: t<3 ->
        /* Without stolen leases: what is done is not executed again, and a token is called poison
         * only if it was itself left so often. */
        assert(steals>0 || rec[t]!=DONE);
        assert(steals>0 || !MINE(e) || count[e]<DELIVERIES || lost[t]+1>=DELIVERIES);
        if
        :: crashes<CRASHES -> d_step { crashes++; lost[t]++;
             if :: MINE(0) -> owner[0]=9 :: else fi; if :: MINE(1) -> owner[1]=9 :: else fi;
             if :: MINE(2) -> owner[2]=9 :: else fi; t=4 }
        :: true ->
           if :: ok=1 :: t==1 && a==1 -> ok=0 fi;
           if :: keeps=(t<2 && ok) :: t<2 && ok && hops<1 -> keeps=0; hops++ fi;
           d_step {                           /* complete_tokens */
             if
             :: (rec[t]==ACTIVE || (ok && rec[t]==RETRY)) && (ok || a==att[t]) ->
#ifndef BUG_RETRY                             /* whoever failed it has acknowledged the entry */
                if :: rec[t]==RETRY -> keeps=0 :: else fi;
#endif
                reply=0;
                if
                :: !ok -> rec[t]=RETRY; att[t]++; timer=1; ack(e)
                :: else ->
                   if :: rec[t]==RETRY -> timer=0 :: else fi;
                   rec[t]=DONE;
                   if :: t==2 -> ends++; assert(ends==1) :: else -> assert(rec[t+1]==NONE); rec[t+1]=ACTIVE; att[t+1]=1 fi;
                   if
                   :: keeps && MINE(e) -> reply=2;
#ifndef BUG_COUNT                             /* deliveries are counted per token */
                      if :: count[e]>1 -> count[e]=1 :: else fi
#endif
                   :: keeps && !MINE(e) -> reply=3;
#ifdef BUG_GOON                               /* goes on although another one has the entry */
                      reply=2
#endif
#ifdef BUG_ACK3                               /* settled, so acknowledged */
                      ack(e)
#endif
                   :: !keeps && t<2 -> ack(e); entry[t+1]=1; owner[t+1]=0; count[t+1]=0
                   :: !keeps && t==2 -> ack(e)
                   fi;
#ifdef BUG_ACK
                   ack(e)                     /* the entry of a settled token goes */
#endif
                fi
             :: else ->                       /* refused */
                if :: MINE(e) -> reply=7 :: else -> reply=3 fi;
#ifdef BUG_REFUSED
                ack(e); reply=3               /* refused items acknowledge */
#endif
             fi };
           if
           :: reply==2 -> d_step { t++; a=1; fresh=0;
#ifdef BUG_GOON
                if :: !MINE(e) -> rerun++; assert(rerun==0) :: else fi
#endif
              }
           :: reply==7 -> d_step { look(); fresh=0 }  /* a later token of the chain may be active */
           :: else -> t=4
           fi
        fi
     od;
     skip; d_step { e=0; t=0; a=0; reply=0; ok=0; keeps=0; fresh=0 }
  od }

proctype firing() {
end:
  do
  :: d_step { timer -> timer=0;
       if :: rec[1]==RETRY -> rec[1]=ACTIVE; entry[1]=1; owner[1]=0; count[1]=0 :: else fi }
  od }

init {
  d_step { rec[0]=ACTIVE; att[0]=1; entry[0]=1 };
  atomic { run worker(1); run worker(2); run firing() };
  timeout;
#ifdef REACH_RETRY
  assert(att[1]<2);
#endif
#ifdef REACH_HOP
  assert(hops==0);
#endif
  assert(ends==1 && rec[0]==DONE && rec[1]==DONE && rec[2]==DONE);
  assert(entry[0]==0 && entry[1]==0 && entry[2]==0 && !timer)
}
