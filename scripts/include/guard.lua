--[[
guard -- the end of every transition: calls the script, and repairs what one leaves that failed half-way.

What a script tells it tells before it writes it, so runs that it has told nothing of are as they were,
but for one that it has named in `untold`. The others are frozen, and what was told of them is
journalled, which is what they are rebuilt from. If not even that can be written, the journal does not
have what the runs have: the partition is refused to everybody from then on, and is rebuilt as a whole
from what is archived (supervisor/certify.ts).
]]
local is_done, reply = pcall(script)
if is_done then
  return reply
end

local function repair()
  local ev, nonce, runs = string.sub(opened, 1, -5) .. "ev", ARGV[2], told_runs(0)
  local last = redis.call("XREVRANGE", ev, "+", "-", "COUNT", 1)[1]
  if last and last[2][6] == nonce then
    -- The record is there already: what follows is one of its own.
    tail_seq, tail_nonce, nonce = tail_seq + 1, nonce, nonce .. "+"
    records, record_count = {}, 0
  end
  if untold then
    runs[untold] = true
  end
  suspect(runs, reply)
  close_partition(ev, opened, nonce)
end

if (record_count > 0 or untold) and not pcall(repair) then
  redis.log(redis.LOG_WARNING, "gavotte: journal not written, partition refused: " .. tostring(reply))
  redis.call("HDEL", opened, "epoch")
end
-- As Redis would have said it: callers tell a full server by the first word.
reply = tostring(reply)
return { err = string.match(reply, "^%u+ ") and reply or "ERR " .. reply }
