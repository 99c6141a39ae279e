--[[
wake_run -- put a sleeping run back, as its journal has it.

Atomic because hash, signals, timers and entries belong together, and because a run that was woken
by somebody else meanwhile must not be overwritten: the ticket in its place tells. The journal has all
of it already, so nothing is told; if it fails half-way, the run is frozen and rebuilt all the same.

KEYS
  1  ev        stream  gv:{p}:ev              journal, appends if it fails
  2  meta      hash    gv:{p}:meta            epoch; reads and writes
  3  run       hash    gv:{p}:run:<id>        the ticket; writes
  4  release   zset    gv:{p}:release         removes
  5+ more      all     gv:{p}:*               what the commands write
ARGV
  1  epoch     partition epoch
  2  nonce     random, names a failure's journal record
  3  run_id    run
  4  ticket    of the caller
  5+ commands  each: number of texts, then the command and its arguments
RETURNS integer
  0 it is awake, -1 another ticket is in its place: nothing is done, -100 EPOCH
EMITS     nothing
REPEAT    -1
COST      O(size of the run)
]]
--- @include "partition"
local ev, meta, run, release = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local nonce, run_id, ticket = ARGV[2], ARGV[3], ARGV[4]

if not open_partition(meta, ARGV[1]) then
  return -100
end
local have = redis.call("HMGET", run, "s", "tk")
if have[1] ~= "asleep" or have[2] ~= ticket then
  return -1
end
redis.call("ZREM", release, run_id)
untold = run_id
local at = 5
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  -- A consumer group that is there already is no error.
  local call = ARGV[at + 1] == "XGROUP" and redis.pcall or redis.call
  call(unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
close_partition(ev, meta, nonce)
return 0
