--[[
write_anyway -- carry out plain commands that a full server would refuse.

Redis looks at its memory at a script's first write only, and lets what can only remove something pass,
as PERSIST can. Only for what begun runs need to go on: their workflows, large values on their way,
groups, takeovers, deadlines, what is paused, a partition's certificate, and runs that are put back.
What begins anew is refused where Redis is full.

Atomic because the commands of one call belong together, as in a MULTI, which a full server refuses as
a whole. It needs no certificate: who puts a partition back has none to give yet.

KEYS
  1  first     all  the first key that is written; loses its time to live, unless a command sets one
  2+ more      all  what else the commands write
ARGV
  1+ commands  each a MessagePack array: number of texts, a command and its arguments, and so on
RETURNS array
  the commands' replies, or the error of the first that fails: those before it are done
REPEAT    the commands once more
COST      O(what they write)
]]
local first = KEYS[1]
redis.call("PERSIST", first)
local replies = {}
for i = 1, #ARGV do
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
