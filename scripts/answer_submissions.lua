--[[
answer_submissions -- put the answers of one batch on the stream that their client reads.

Atomic because it is one call; nothing rests on that. It is one call because a command per answer
would cost the intake as much as reading a submission does.

KEYS
  1  replies   stream  gv:submissions:replies[:<client>]  appends
ARGV
  1  keep      entries that the stream keeps, about
  2  ttl_s     seconds until an unused stream is removed, 0 never
  3+ answers   JSON, one entry each
RETURNS integer
  number of answers
REPEAT    gives the answers again: clients take the first
COST      O(answers)
]]
for i = 3, #ARGV do
  redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[1], "*", "reply", ARGV[i])
end
if ARGV[2] ~= "0" then
  redis.call("EXPIRE", KEYS[1], ARGV[2])
end
return #ARGV - 2
