--[[
write_anyway -- carry out plain commands that a full server would refuse.

Redis looks at its memory at a script's first write only, and lets what can only remove something pass,
as PERSIST can. Only for what begun runs need to go on: their workflows, large values on their way,
groups, takeovers, deadlines, what is paused, a partition's certificate, and runs that are put back.
What begins anew is refused where Redis is full.

Atomic because the commands of one call belong together, as in a MULTI, which a full server refuses as
a whole; and because who puts a partition or a run back may be late: with a guard nothing is done once
another one has left its mark. It needs no certificate: who puts a partition back has none to give yet.

KEYS
  1  first     all  the guard's hash, or the first key that is written; loses its time to live, unless a
                    command sets one
  2+ more      all  what else the commands write
ARGV
  1  guard     "", or a MessagePack array: a field of the first key and what it must hold ("": nothing)
  2+ commands  each a MessagePack array: number of texts, a command and its arguments, and so on
RETURNS array
  the commands' replies, or the error of the first that fails: those before it are done; or the integer
  -1: the guard's field holds something else, and nothing is done
REPEAT    the commands once more
COST      O(what they write)
]]
local first = KEYS[1]
if ARGV[1] ~= "" then
  local field, value = unpack(cmsgpack.unpack(ARGV[1]))
  if (redis.call("HGET", first, field) or "") ~= value then
    return -1
  end
end
redis.call("PERSIST", first)
local replies = {}
for i = 2, #ARGV do
  local texts, at = cmsgpack.unpack(ARGV[i]), 1
  while at <= #texts do
    local count = texts[at]
    local reply = redis.pcall(unpack(texts, at + 1, at + count))
    -- A consumer group that is there already is no error.
    if type(reply) == "table" and reply.err and not string.find(reply.err, "BUSYGROUP", 1, true) then
      return reply
    end
    replies[#replies + 1] = reply
    at = at + count + 1
  end
end
return replies
