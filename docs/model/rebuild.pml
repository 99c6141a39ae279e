/* A rebuild among living workers. One run of K tokens in a row; Redis may lose its unsynced tail (it
 * restarts: its scripts are gone) or everything. The rebuild is many steps, and workers and the archiver
 * act between any two of them. Who writes must have the scripts and the
 * partition's epoch; entries carry the run's epoch. Postgres: `arch` tokens archived, a cursor with
 * the epoch; one record per token. One supervisor has the role. */
#define K 2
#define LOST 9
#ifndef CRASHES
#define CRASHES 1
#endif
byte hot;                    /* tokens completed as the run hash says; LOST: no hash */
byte epoch=1, certified=1;   /* in Redis: the partition's epoch (0 none), the scripts */
byte entryAt=0, entryEpoch=1; bit entry=1;         /* the ready token */
byte runEpoch=1;             /* in the hash */
byte log[K+1], synced;       /* nonce of the record that told token i; how many survive a restart */
byte nonce=1, tail;          /* tail: nonce of the last record, 0 none */
byte seqHot;                 /* records in the stream */
byte arch, cursor, pgEpoch=1, pgRun=1;             /* Postgres: tokens, nonce of the last, epochs */
byte tells[K], crashes, sups, ends; bit busy, late;
/* Ghosts. busy: a rebuild is under way. late: a record was committed that Redis had lost meanwhile and
 * was certified without: noticed by the chain afterwards, what was written in between is dropped. */
#define GOES_ON (seqHot>=arch && (arch==0 || log[arch-1]==cursor))

inline lose() {                  /* what was not synced is gone; a flush takes everything */
  crashes++; certified=0;
  if
  :: crash_kind==0 -> seqHot=synced; hot=synced; tail=(synced==0 -> 0 : log[synced-1]);
     entry=(hot<K); entryAt=hot; entryEpoch=runEpoch
  :: crash_kind==1 -> seqHot=0; hot=LOST; tail=0; epoch=0; entry=0; synced=0
  fi }

proctype redis() {
  byte crash_kind;
end:
  do
  :: d_step { synced<seqHot && hot!=LOST -> synced++ }
  :: crashes<CRASHES -> if :: crash_kind=0 :: crash_kind=1 fi; d_step { if :: hot!=LOST -> lose() :: else fi }
  od }

proctype worker() {
  byte at, e, known; bit has;
end:
  do
#ifdef BUG_PARTITION
#define OPEN true
#else
#define OPEN (epoch!=0)
#endif
  :: atomic { entry && OPEN -> at=entryAt; e=entryEpoch; known=epoch };       /* read, executes */
     if :: known=epoch :: skip fi;                  /* a call that was refused is made again */
     d_step {                                       /* complete_tokens */
       if
#ifndef BUG_CERT
       :: !certified -> skip                        /* NOSCRIPT: waits */
#endif
#ifndef BUG_PARTITION
       :: epoch!=known || epoch==0 -> skip          /* EPOCH: waits, reads again */
#endif
       :: else ->
          if
#ifdef BUG_RUN
          :: hot==at && hot!=LOST ->
#else
          :: hot==at && hot!=LOST && runEpoch==e ->
#endif
             assert(!busy && (GOES_ON || late));             /* nobody writes to what was rolled back */
             assert(e==runEpoch);                   /* nothing from before a rebuild counts */
             log[hot]=nonce; tail=nonce; nonce++; seqHot++; hot++;
             entry=(hot<K); entryAt=hot; entryEpoch=runEpoch
          :: else                                   /* refused */
          fi
       fi };
     at=0; e=0; known=0
  od }

#define FITS (epoch==pgEpoch && hot!=LOST && GOES_ON)
proctype archiver() {
  byte seen, from, was;
end:
  do
  :: atomic { epoch!=0 && certified && seqHot>arch && pgEpoch==epoch ->      /* reads the next record ... */
       if
       :: arch==0 || log[arch-1]==cursor -> seen=log[arch]; from=arch; was=pgEpoch
       :: else -> seen=0                            /* not a continuation: the supervisor's business */
       fi };
     if
     :: seen==0 -> d_step { certified=0 }
     :: else ->
        d_step {                                    /* ... and commits: UPDATE ... WHERE old cursor */
          if
#ifdef BUG_CURSOR
          :: arch==from ->
#else
          :: arch==from && pgEpoch==was ->
#endif
             if :: seqHot<=from || log[from]!=seen -> late=1 :: else fi;
             tells[from]++; assert(tells[from]==1); cursor=seen; arch++;
             if :: arch==K -> ends++; assert(ends==1) :: else fi
          :: else
          fi }
     fi;
     seen=0; from=0; was=0
  :: d_step { epoch!=0 && certified && !FITS -> certified=0 }  /* idle: the tail is not the cursor */
  od }

/* Whoever has the role certifies. */
proctype supervisor() {
  byte mine, cur, n, r;
end:
  do
  :: !certified || epoch==0 || epoch!=pgEpoch ->
     if
     :: FITS -> d_step { if :: FITS -> certified=1 :: else fi }
     :: else ->
        sups++;
        d_step { pgEpoch++; mine=pgEpoch; cur=cursor; busy=1 };  /* compare-and-set: the cursor as it is now */
#ifndef BUG_OPEN
        epoch=0;                                    /* from here to the last step everything is refused */
#endif
        d_step { hot=LOST; entry=0; seqHot=0; tail=0; synced=0 };
        d_step { n=arch; pgRun++; r=pgRun };            /* the archived journal, folded */
        d_step { hot=n; runEpoch=r; seqHot=n; synced=n; tail=cur; if :: n>0 -> log[n-1]=cur :: else fi };
        d_step { entry=(n<K); entryAt=n; entryEpoch=r };
        certified=1;
        d_step { epoch=mine; busy=0; late=0; assert(GOES_ON || crashes>1) }
     fi;
     mine=0; cur=0; n=0; r=0
  od }
init {
  atomic { run redis(); run worker(); run worker(); run archiver(); run supervisor() };
  timeout;
#ifdef REACH_REBUILT
  assert(sups==0);
#endif
  assert(arch==K && ends==1)                        /* no hang, nothing lost, nothing told twice */
}
